//! Managers over a network that is cut, holds back what it has, or goes on later: a relay plays the network, and keeps all sockets open, so that nobody is told of anything.

#![cfg(feature = "net")]

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future;
use multiprocess::{Address, AuthKey, Error, Exposed, LockProxy, Manager, Proxy, QueueProxy};
use support::run;
use support::tally::{Tally, mark};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

const CALLED: &str = "the manager lives";
const LISTENS: &str = "it listens";
/// What is to be noticed in a test.
const SOON: Duration = Duration::from_millis(1_500);
/// What is not.
const NEVER: Duration = Duration::from_hours(1);

/// A network between clients and one server.
struct Relay {
    address: SocketAddr,
    /// Whether it forwards.
    open: watch::Sender<bool>,
    /// As many permits as chunks of bytes were held back.
    held: Arc<Semaphore>,
}

impl Relay {
    async fn to(server: &Address) -> Self {
        let Address::Tcp { host, port } = server.clone() else { panic!("it listens on a port") };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it has one");
        let (open, held) = (watch::Sender::new(true), Arc::new(Semaphore::new(0)));
        let (is_open, holds) = (open.subscribe(), Arc::clone(&held));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((host.as_str(), port)).await else { continue };
                let (client, server) = (Arc::new(client), Arc::new(server));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (Arc::clone(from), Arc::clone(to));
                    tokio::spawn(forward(from, to, is_open.clone(), Arc::clone(&holds)));
                }
            }
        });
        Self { address, open, held }
    }

    /// Forwards nothing any more, not even that something was closed.
    fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Goes on, with what was held back first.
    fn repair(&self) {
        self.open.send_replace(true);
    }

    /// Waits until something is held back.
    async fn holds(&self) {
        self.held.acquire().await.expect("it is never closed").forget();
    }
}

async fn forward(
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    mut open: watch::Receiver<bool>,
    held: Arc<Semaphore>,
) {
    let mut room = [0; 4096];
    loop {
        let came = take(&from, &mut room).await;
        if !*open.borrow() {
            held.add_permits(1);
        }
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
        let Ok(came @ 1..) = came else { break };
        if give(&to, &room[..came]).await.is_err() {
            break;
        }
    }
    // Its copy is that of the other direction.
    let _gone = end_writing(&to);
}

/// Nothing is sent any more.
fn end_writing(stream: &TcpStream) -> std::io::Result<()> {
    use std::os::fd::AsFd as _;
    let copy: std::net::TcpStream = stream.as_fd().try_clone_to_owned()?.into();
    copy.shutdown(std::net::Shutdown::Write)
}

async fn take(stream: &TcpStream, room: &mut [u8]) -> std::io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(room) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            taken => return taken,
        }
    }
}

async fn give(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            given => bytes = &bytes[given?..],
        }
    }
    Ok(())
}

/// Counts its calls, and says when it is dropped.
struct Watched(String);

impl Watched {
    fn new(key: String) -> Self {
        Self(key)
    }

    fn call(&mut self) {
        mark(&self.0, b'c');
    }

    async fn wait_for_ever(&mut self) {
        mark(&self.0, b'w');
        future::pending::<()>().await;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        mark(&self.0, b'd');
    }
}

fn watched(exposed: Exposed<Watched>) -> Exposed<Watched> {
    exposed.create(Watched::new).method("call", Watched::call).method("wait", Watched::wait_for_ever)
}

/// A manager with a network in front of it.
struct Site {
    manager: Manager,
    relay: Relay,
    key: AuthKey,
}

impl Site {
    /// Each side waits so long for a sign of life of the other.
    async fn new(client_timeout: Duration) -> Self {
        let key = AuthKey::generate();
        let builder =
            Manager::builder().address(("127.0.0.1", 0)).authkey(&key).client_timeout(client_timeout);
        let manager = builder.register("Watched", watched).start().await.expect("a child can be started");
        let relay = Relay::to(manager.address().expect(LISTENS)).await;
        Self { manager, relay, key }
    }

    async fn client(&self, server_timeout: Duration) -> Manager {
        let client = Manager::client().server_timeout(server_timeout);
        client.connect(self.relay.address, &self.key).await.expect(LISTENS)
    }

    async fn ends(self) {
        self.manager.shutdown().await.expect("it lives until now");
    }
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: multiprocess::Result<T>) {
    assert!(matches!(result, Err(Error::Disconnected)), "{result:?}");
}

// fault 99
#[test]
fn a_call_over_a_network_that_is_cut_fails_in_its_time_and_so_does_every_later_one() {
    run(async {
        let site = Site::new(NEVER).await;
        let theirs = site.client(SOON).await;
        let queue: QueueProxy<u32> = theirs.queue().await.expect(CALLED);
        let idle = theirs.dict::<u32, u32>().await.expect(CALLED);
        let waits = async { queue.get().await };
        let blocks = {
            let queue = queue.clone();
            tokio::task::spawn_blocking(move || queue.blocking_get())
        };
        let cuts = async {
            // It answers, as long as it can.
            for number in 0..10 {
                idle.insert(&number, &number).await.expect(CALLED);
            }
            site.relay.cut();
        };
        let (waited, blocked, ()) = future::join3(waits, blocks, cuts).await;
        assert_lost(waited);
        assert_lost(blocked.expect("it does not panic"));
        // On lines that were idle, and on new ones.
        assert_lost(idle.len().await);
        assert_lost(idle.len().await);
        assert_lost(theirs.list::<u32>().await);
        site.relay.repair();
        assert_lost(idle.len().await);
        // Whoever connects anew has a manager that was never gone.
        let again = site.client(SOON).await;
        assert!(again.list::<u32>().await.expect(CALLED).is_empty().await.expect(CALLED));
        site.ends().await;
    });
}

// fault 99, fault 97
#[test]
fn the_manager_lets_go_of_what_a_client_held_that_a_network_has_cut_off() {
    run(async {
        let site = Site::new(SOON).await;
        let lock = site.manager.lock().await.expect(CALLED);
        site.manager.publish("lock", &lock).await.expect(CALLED);
        let theirs = site.client(NEVER).await;
        let (held, called) = (Tally::new(), Tally::new());
        let object: Proxy<Watched> = theirs.create_named("Watched", (held.key(),)).await.expect(CALLED);
        let other: Proxy<Watched> = theirs.create_named("Watched", (called.key(),)).await.expect(CALLED);
        let their_lock: LockProxy = theirs.find("lock").await.expect(CALLED).expect("it is published");
        let guard = their_lock.acquire().await.expect(CALLED);
        let waits = other.call_named::<(), _>("wait", ());
        let cuts = async {
            support::until(|| called.count() == 1).await;
            assert!(lock.try_acquire().await.expect(CALLED).is_none());
            site.relay.cut();
            // The lock, the objects, and the call that waits.
            let ours = lock.acquire().await.expect(CALLED);
            support::until(|| held.marks() == b"d" && called.marks() == b"wd").await;
            ours
        };
        // The client's time is never longer than three quarters of the manager's.
        let (waited, ours) = future::join(waits, cuts).await;
        assert_lost(waited);
        drop(guard);
        // What the network has held back changes nothing.
        site.relay.repair();
        assert_lost(object.call_named::<(), _>("call", ()).await);
        assert!(lock.try_acquire().await.expect(CALLED).is_none(), "it is ours");
        drop(ours);
        site.ends().await;
    });
}

// fault 99
#[test]
fn what_a_network_holds_back_for_less_than_the_time_comes_once() {
    run(async {
        let site = Site::new(NEVER).await;
        let theirs = site.client(NEVER).await;
        let tally = Tally::new();
        let object: Proxy<Watched> = theirs.create_named("Watched", (tally.key(),)).await.expect(CALLED);
        object.call_named::<(), _>("call", ()).await.expect(CALLED);
        site.relay.cut();
        let repairs = async {
            site.relay.holds().await;
            assert_eq!(tally.marks(), b"c", "it is on its way");
            site.relay.repair();
        };
        let (called, ()) = future::join(object.call_named::<(), _>("call", ()), repairs).await;
        called.expect(CALLED);
        assert_eq!(tally.marks(), b"cc");
        site.ends().await;
    });
}

// fault 100, fault 101
#[test]
fn a_call_that_is_lost_is_done_at_most_once_and_what_a_client_that_is_gone_had_running_is_dropped() {
    run(async {
        let site = Site::new(SOON).await;
        let theirs = site.client(NEVER).await;
        let tally = Tally::new();
        let object: Proxy<Watched> = theirs.create_named("Watched", (tally.key(),)).await.expect(CALLED);
        object.call_named::<(), _>("call", ()).await.expect(CALLED);
        // A request that was held back comes after its client was given up: nobody does it.
        site.relay.cut();
        assert_lost(object.call_named::<(), _>("call", ()).await);
        support::until(|| tally.marks() == b"cd").await;
        site.relay.repair();
        let again = site.client(NEVER).await;
        let object: Proxy<Watched> = again.create_named("Watched", (tally.key(),)).await.expect(CALLED);
        object.call_named::<(), _>("call", ()).await.expect(CALLED);
        assert_eq!(tally.marks(), b"cdc", "nothing was called a second time");
        site.ends().await;
    });
}

// fault 99
#[test]
fn nobody_is_let_in_who_says_nothing_and_a_manager_that_says_nothing_is_none() {
    use multiprocess::{Client, Connection, Listener};
    run(async {
        let site = Site::new(SOON).await;
        let address = site.manager.address().expect(LISTENS);
        let silent: Connection<u32, u32> =
            Client::builder().authkey(site.key.clone()).connect(address).await.expect(LISTENS);
        silent.recv().await.expect_err("it has its time, and no more");
        let mute = Listener::builder()
            .authkey(site.key.clone())
            .bind(("127.0.0.1", 0))
            .expect("there is a free port");
        let connects = Manager::connect_with(mute.address(), &site.key);
        let accepts = mute.accept::<u32, u32>();
        let (connected, accepted) = future::join(connects, accepts).await;
        assert!(matches!(connected, Err(Error::Connection { step: "connect", .. })), "{connected:?}");
        drop(accepted);
        site.ends().await;
    });
}

#[test]
fn times_of_nothing_are_refused() {
    run(async {
        let key = AuthKey::generate();
        let builder = Manager::builder().address(("127.0.0.1", 0)).authkey(&key);
        let served = builder.client_timeout(Duration::ZERO).serve();
        assert!(matches!(served, Err(Error::Option { option: "client_timeout", .. })), "{served:?}");
        let connected =
            Manager::client().server_timeout(Duration::ZERO).connect(("127.0.0.1", 1), &key).await;
        assert!(matches!(connected, Err(Error::Option { option: "server_timeout", .. })), "{connected:?}");
    });
}
