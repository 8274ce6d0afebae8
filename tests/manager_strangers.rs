//! Managers over a network against whoever has the key and speaks another version or means no good, against whoever stands in the middle, and against whoever looks for the key.

#![cfg(feature = "net")]

mod support;

use std::fs;
use std::io::{Read, Seek as _, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use multiprocess::{
    Address, AuthKey, Client, Connection, Credentials, Error, Exposed, Listener, Manager, Process, Proxy,
    Refusal, Result,
};
use support::authority::all_credentials;
use support::gate::{Gate, pass};
use support::tally::{Tally, mark};
use support::{DEADLINE, run};

const CALLED: &str = "the manager lives";
const LISTENS: &str = "it listens";
const OPEN: &str = "it is open";

/// The version that both sides speak.
const VERSION: u32 = 2;
/// What a request begins with that says hello, asks for a sign of life, or asks to call what is the crate's own.
const HELLO: u8 = 2;
const PING: u8 = 4;
const ASK: u8 = 0;
const CALL_OURS: u8 = 5;
/// What an answer begins with that welcomes, refuses, or is a sign of life.
const WELCOME: u8 = 3;
const REFUSED: u8 = 6;
const PONG: u8 = 7;
/// Why something is refused.
const UNKNOWN_OBJECT: u8 = 0;
const OTHER_VERSION: u8 = 5;
const NOT_ALLOWED: u8 = 7;

/// A call of what is the crate's own: the object, the name, arguments, handles, and what is lent.
type Ask = (u8, u64, u8, String, Vec<u8>, Vec<u8>, Vec<u64>);

fn len_of(object: u64, lent: &[u64]) -> Vec<u8> {
    encoded::<Ask>(&(ASK, object, CALL_OURS, "len".to_owned(), Vec::new(), Vec::new(), lent.to_vec()))
}

/// A value as it is sent.
fn encoded<T: multiprocess::Payload>(value: &T) -> Vec<u8> {
    let (ours, theirs) = multiprocess::pipe::<T, Vec<u8>>().expect("there are descriptors left");
    ours.blocking_send(value).expect(OPEN);
    theirs.blocking_recv_bytes().expect("it was sent")
}

/// Hello: the version, whose line it is, and whether it is the first.
type Hello = (u8, u32, u128, bool);
/// Welcome: the version, which server, and its patience.
type Welcome = (u8, u32, u128, (u64, u32));

struct Watched(String);

impl Watched {
    fn new(key: String) -> Self {
        Self(key)
    }

    fn pay(&mut self, to: String) -> String {
        mark(&self.0, b'p');
        format!("paid to {to}")
    }
}

fn watched(exposed: Exposed<Watched>) -> Exposed<Watched> {
    exposed.create(Watched::new).method("pay", Watched::pay)
}

async fn manager(credentials: &Credentials) -> (Manager, Address) {
    let builder = Manager::builder().address(("127.0.0.1", 0)).credentials(credentials);
    let manager = builder.register("Watched", watched).start().await.expect("a child can be started");
    let address = manager.address().expect(LISTENS).clone();
    (manager, address)
}

async fn ends(manager: Manager) {
    manager.shutdown().await.expect("it lives until now");
}

async fn line<A>(address: &Address, key: &Credentials) -> Connection<A, Vec<u8>> {
    Client::builder().credentials(key).connect(address).await.expect(LISTENS)
}

// fault 103
#[test]
fn a_client_of_another_version_is_refused_whatever_else_it_says() {
    run(async {
        let key = AuthKey::generate().into();
        let (manager, address) = manager(&key).await;
        for version in [0, VERSION - 1, VERSION + 1, u32::MAX] {
            for first in [true, false] {
                let line = line::<Hello>(&address, &key).await;
                line.send(&(HELLO, version, 7, first)).await.expect(OPEN);
                assert_eq!(line.recv_bytes().await.expect("it is answered"), [REFUSED, OTHER_VERSION]);
                line.send_bytes(&len_of(0, &[])).await.expect(OPEN);
                assert_eq!(line.recv_bytes().await.expect("it is answered"), [REFUSED, OTHER_VERSION]);
            }
        }
        let line = line::<Hello>(&address, &key).await;
        line.send(&(HELLO, VERSION, 7, true)).await.expect(OPEN);
        assert_eq!(line.recv_bytes().await.expect("it is answered")[..2], [WELCOME, 2]);
        ends(manager).await;
    });
}

/// A server that has the key, and answers one client with this.
async fn connect_to(key: &AuthKey, answer: &[u8]) -> Result<Manager> {
    let server =
        Listener::builder().authkey(key.clone()).bind(("127.0.0.1", 0)).expect("there is a free port");
    let answers = async {
        let line: Connection<Vec<u8>, Hello> = server.accept().await.expect("it connects");
        let (kind, version, _, first) = line.recv().await.expect("it says hello");
        assert_eq!((kind, version, first), (HELLO, VERSION, true));
        line.send_bytes(answer).await.expect(OPEN);
        line
    };
    futures::future::join(Manager::connect_with(server.address(), key), answers).await.0
}

// fault 103
#[test]
fn a_manager_of_another_version_is_refused_by_its_clients() {
    fn welcome(version: u32) -> Vec<u8> {
        encoded::<Welcome>(&(WELCOME, version, 7, (30, 0)))
    }
    run(async {
        let key = AuthKey::generate();
        let refused = |connected: Result<Manager>| match connected {
            Err(Error::Refused { why, .. }) => why,
            other => panic!("unexpected: {other:?}"),
        };
        for version in [0, VERSION - 1, VERSION + 1, u32::MAX] {
            assert_eq!(refused(connect_to(&key, &welcome(version)).await), Refusal::OtherVersion);
        }
        // As one of before says it, and one that is to come.
        assert_eq!(refused(connect_to(&key, &[REFUSED, OTHER_VERSION]).await), Refusal::OtherVersion);
        for garbage in [&[][..], &[WELCOME], &[0xff; 40], &[PONG], &[REFUSED, 0xff]] {
            let connected = connect_to(&key, garbage).await;
            assert!(matches!(connected, Err(Error::DecodeMessage { .. })), "{garbage:?}: {connected:?}");
        }
        connect_to(&key, &welcome(VERSION)).await.expect("it is of this version");
    });
}

#[test]
fn whoever_has_the_key_has_only_what_was_lent_to_it() {
    run(async {
        let key = AuthKey::generate().into();
        let (manager, address) = manager(&key).await;
        let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
        let list = theirs.list::<u32>().await.expect(CALLED);
        let line = line::<Hello>(&address, &key).await;
        // Nobody is a second line of somebody who is not there.
        line.send(&(HELLO, VERSION, 7, false)).await.expect(OPEN);
        assert_eq!(line.recv_bytes().await.expect("it is answered"), [REFUSED, NOT_ALLOWED]);
        line.send(&(HELLO, VERSION, 7, true)).await.expect(OPEN);
        assert_eq!(line.recv_bytes().await.expect("it is answered")[0], WELCOME);
        line.send(&(HELLO, VERSION, 8, true)).await.expect(OPEN);
        assert_eq!(line.recv_bytes().await.expect("it is answered"), [REFUSED, NOT_ALLOWED]);
        for object in [0, list.id(), list.id().wrapping_add(1)] {
            line.send_bytes(&len_of(object, &[])).await.expect(OPEN);
            assert_eq!(line.recv_bytes().await.expect("it is answered"), [REFUSED, UNKNOWN_OBJECT]);
            // Nor does it give a proxy of that to anybody.
            line.send_bytes(&len_of(object, &[object])).await.expect(OPEN);
            assert_eq!(line.recv_bytes().await.expect("it is answered"), [REFUSED, UNKNOWN_OBJECT]);
        }
        line.send_bytes(&len_of(0, &[0; 65])).await.expect(OPEN);
        assert_eq!(line.recv_bytes().await.expect("it is answered"), [REFUSED, NOT_ALLOWED]);
        line.send_bytes(&[PING]).await.expect(OPEN);
        assert_eq!(line.recv_bytes().await.expect("it is answered"), [PONG]);
        for length in [1, 2, 7, 100, 40_000] {
            line.send_bytes(&vec![0xff; length]).await.expect(OPEN);
            assert!(!line.recv_bytes().await.expect("it is answered").is_empty());
        }
        assert!(list.is_empty().await.expect("it goes on"));
        ends(manager).await;
    });
}

/// All that went over one connection: what its client has sent, and what it was sent.
type Heard = Arc<Mutex<(Vec<u8>, Vec<u8>)>>;

/// The man in the middle: he relays every connection, and keeps what went over it.
struct Middle {
    address: Address,
    heard: Arc<Mutex<Vec<Heard>>>,
}

fn stream(address: &Address) -> TcpStream {
    let Address::Tcp { host, port } = address else { panic!("it listens on a port") };
    let stream = TcpStream::connect((host.as_str(), *port)).expect(LISTENS);
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a time");
    stream
}

impl Middle {
    /// `tamper` changes what clients send, of which so many bytes have gone before.
    fn before(server: &Address, tamper: impl Fn(usize, &mut [u8]) + Send + Sync + 'static) -> Self {
        let (server, tamper) = (server.clone(), Arc::new(tamper));
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it has one").into();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        // It ends with the test.
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) =
                    (Arc::new(client.expect("there are descriptors left")), Arc::new(stream(&server)));
                let heard = Heard::default();
                all.lock().expect("nobody panics").push(Arc::clone(&heard));
                let (to_client, from_server, answers) =
                    (Arc::clone(&client), Arc::clone(&server), Arc::clone(&heard));
                let tamper = Arc::clone(&tamper);
                thread::spawn(move || {
                    pass_on(&client, &server, |bytes| {
                        let mut heard = heard.lock().expect("nobody panics");
                        let gone = heard.0.len();
                        heard.0.extend_from_slice(bytes);
                        tamper(gone, bytes);
                    });
                });
                thread::spawn(move || {
                    pass_on(&from_server, &to_client, |bytes| {
                        answers.lock().expect("nobody panics").1.extend_from_slice(bytes);
                    });
                });
            }
        });
        Self { address, heard }
    }

    /// What went over the connections so far.
    fn heard(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = self.heard.lock().expect("nobody panics");
        all.iter().map(|heard| heard.lock().expect("nobody panics").clone()).collect()
    }
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, mut hear: impl FnMut(&mut [u8])) {
    let mut room = [0; 4096];
    while let Ok(came @ 1..) = from.read(&mut room) {
        hear(&mut room[..came]);
        if to.write_all(&room[..came]).is_err() {
            break;
        }
    }
    let _gone = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
}

async fn pay(manager: &Manager, tally: &Tally) -> Result<String> {
    let object: Proxy<Watched> = manager.create_named("Watched", (tally.key(),)).await?;
    object.call_named("pay", ("somebody".to_owned(),)).await
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

// fault 93
#[test]
fn whoever_relays_a_manager_reads_nothing_and_can_say_nothing_again() {
    run(async {
        for key in all_credentials() {
            let (manager, address) = manager(&key).await;
            let middle = Middle::before(&address, |_, _| {});
            let theirs = Manager::connect_with(&middle.address, &key).await.expect("it is relayed");
            let tally = Tally::new();
            assert_eq!(pay(&theirs, &tally).await.expect("it is relayed"), "paid to somebody");
            let heard = middle.heard();
            assert!(heard.len() >= 2, "the first line, and that of the calls");
            for (sent, answered) in &heard {
                for word in [&b"somebody"[..], b"Watched", b"pay", tally.key().as_bytes()] {
                    assert!(!has(sent, word) && !has(answered, word), "{word:?} can be read");
                }
            }
            // All that was said, once more, in one piece and cut: to the manager, and back to whoever has said it.
            for (sent, answered) in heard {
                for length in [sent.len(), sent.len() - 1, sent.len() / 2, 60, 1] {
                    let mut again = stream(&address);
                    let _refused = again.write_all(&sent[..length.min(sent.len())]);
                    let _refused = again.shutdown(Shutdown::Write);
                    let mut heard = Vec::new();
                    let _reset = again.read_to_end(&mut heard);
                    assert!(heard.len() < answered.len(), "no more than a handshake is answered");
                }
            }
            assert_eq!(tally.marks(), b"p", "it was paid once");
            assert_eq!(pay(&theirs, &tally).await.expect("it goes on"), "paid to somebody");
            drop(theirs);
            ends(manager).await;
        }
    });
}

// fault 93
#[test]
fn what_is_changed_on_its_way_to_a_manager_is_never_another_call() {
    run(async {
        let key = AuthKey::generate().into();
        let (manager, address) = manager(&key).await;
        let tally = Tally::new();
        // From the handshake to behind the last call.
        for at in (0_usize..500).step_by(9) {
            let flip = move |gone: usize, bytes: &mut [u8]| {
                if let Some(byte) = at.checked_sub(gone).and_then(|place: usize| bytes.get_mut(place)) {
                    *byte ^= 1;
                }
            };
            let middle = Middle::before(&address, flip);
            let Ok(theirs) = Manager::connect_with(&middle.address, &key).await else { continue };
            match pay(&theirs, &tally).await {
                Ok(answer) => assert_eq!(answer, "paid to somebody"),
                Err(error) => assert!(
                    matches!(error, Error::Disconnected | Error::Connection { .. }),
                    "{at}: {error:?}"
                ),
            }
        }
        assert!(tally.marks().iter().all(|mark| *mark == b'p'));
        let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
        assert_eq!(pay(&theirs, &tally).await.expect("it goes on"), "paid to somebody");
        ends(manager).await;
    });
}

// fault 93
#[test]
fn a_manager_is_not_played_by_an_echo_or_by_one_that_has_another_key() {
    run(async {
        for key in all_credentials() {
            let echo = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let address = echo.local_addr().expect("it has one");
            thread::spawn(move || {
                for client in echo.incoming() {
                    let client = client.expect("there are descriptors left");
                    pass_on(&client, &client, |_| {});
                }
            });
            let connected = Manager::connect_with(address, &key).await;
            assert!(matches!(connected, Err(Error::Authentication { .. })), "{connected:?}");
        }
        for (key, other) in all_credentials().into_iter().zip(all_credentials()) {
            let (manager, address) = manager(&other).await;
            let middle = Middle::before(&address, |_, _| {});
            let connected = Manager::connect_with(&middle.address, &key).await;
            assert!(matches!(connected, Err(Error::Authentication { .. })), "{connected:?}");
            ends(manager).await;
        }
    });
}

/// The processes below this one.
fn tree() -> Vec<u32> {
    let pids = || {
        fs::read_dir("/proc")
            .expect("it is there")
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    };
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let family: Vec<(u32, u32)> = pids().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut tree = vec![std::process::id()];
    for at in 0.. {
        let Some(above) = tree.get(at).copied() else { break };
        tree.extend(family.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
    }
    tree
}

/// True if these bytes stand anywhere in the memory of a process that it can write to.
fn knows(pid: u32, secret: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it is ours");
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).expect("it is ours");
    maps.lines().filter(|map| map.contains(" rw")).any(|map| {
        let (start, end) =
            map.split_once(' ').expect("it has an area").0.split_once('-').expect("it has an end");
        let hex = |text| u64::from_str_radix(text, 16).expect("it is a number");
        let mut bytes = vec![0; usize::try_from(hex(end) - hex(start)).expect("it fits")];
        // What is only reserved cannot be read.
        memory.seek(SeekFrom::Start(hex(start))).is_ok()
            && memory.read_exact(&mut bytes).is_ok()
            && memchr(&bytes, secret)
    })
}

/// As `has`, for megabytes.
fn memchr(bytes: &[u8], secret: &[u8]) -> bool {
    let aligned = bytes.split(|byte| *byte == secret[0]);
    let mut at = 0;
    for before in aligned {
        at += before.len();
        if bytes[at.min(bytes.len())..].starts_with(secret) {
            return true;
        }
        at += 1;
    }
    false
}

// fault 104
#[test]
fn the_key_of_a_manager_is_in_no_argument_or_variable_and_no_other_process_has_it() {
    fn wait_there(gate: String) {
        pass(&gate);
    }
    run(async {
        for credentials in all_credentials() {
            let (manager, address) = manager(&credentials).await;
            let theirs = Manager::connect_with(&address, &credentials).await.expect(LISTENS);
            let secret = match &credentials {
                Credentials::Key(key) => vec![key.as_bytes().to_vec(), key.to_hex().into_bytes()],
                // There is a private key in it, in whatever form.
                _ => vec![b"PRIVATE KEY-----\n".to_vec()],
            };
            // Those that have no need of it: workers, and another process, started after.
            let pool = support::pool::<multiprocess::Processes>(1);
            let worker = pool.apply(std::process::id, ()).await.expect("it has no reason to fail");
            let mut gate = Gate::new();
            let other = Process::spawn(wait_there, (gate.key(),)).expect("a process can be started");
            gate.arrived().await;
            let all = tree();
            assert!(
                [manager.pid().expect("it is ours"), worker, other.pid()].iter().all(|pid| all.contains(pid))
            );
            for pid in all {
                for file in ["cmdline", "environ"] {
                    // It may have ended meanwhile.
                    let told = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                    assert!(!secret.iter().any(|secret| has(&told, secret)), "it stands in {file} of {pid}");
                }
            }
            assert!(knows(manager.pid().expect("it is ours"), &secret[0]), "who listens with it has it");
            assert!(![worker, other.pid()].iter().any(|pid| knows(*pid, &secret[0])));
            gate.let_all_go();
            other.join().await.expect("it returns");
            support::end(pool).await;
            drop(theirs);
            ends(manager).await;
        }
    });
}
