//! Listeners and clients: connections between processes of which neither has started the other.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use multiprocess::{Address, Client, Connection, Error, Handle, Listener, Receiver, Result, Sender, wait};
use support::alone::{again, alone, is_alone};
use support::census::Census;
use support::gate::{Gate, pass};
use support::start_method::left_out;
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{DEADLINE, executor, run, skipped};

on_twins!(
    a_client_connects_and_both_send_and_receive,
    a_client_that_has_left_before_it_is_accepted_loses_no_message,
    what_was_sent_before_the_server_closes_can_be_polled_and_received,
    a_listener_is_waited_for_and_takes_many_clients,
    a_handle_goes_to_who_has_connected,
);

type Echo = Connection<String, String>;

fn address_of(listener: &Listener) -> (Address,) {
    (listener.address().clone(),)
}

fn path_of(listener: &Listener) -> PathBuf {
    listener.address().path().expect("it is in the file system").to_owned()
}

// conformance C071
async fn a_client_connects_and_both_send_and_receive<T: Twin>() {
    fn shout(address: Address) {
        let connection: Echo = Client::blocking_connect(address).expect("somebody listens");
        while let Ok(word) = connection.blocking_recv() {
            connection.blocking_send(&word.to_uppercase()).expect("it is open");
        }
    }
    let listener = Listener::new().expect("there is room for it");
    let process = start::<T, _, _, _>(shout, address_of(&listener));
    let connection: Echo = listener.accept().await.expect("it has connected");
    for word in ["hello", &"x".repeat(100_000)] {
        connection.send(&word.to_owned()).await.expect("it is open");
        assert!(connection.recv().await.expect("it is answered") == word.to_uppercase());
    }
    connection.close();
    process.join().await.expect("it returns");
}

// conformance C072
async fn a_client_that_has_left_before_it_is_accepted_loses_no_message<T: Twin>() {
    fn drop_a_line(address: Address) {
        let sender: Sender<String> = Client::blocking_connect(address).expect("somebody listens");
        sender.blocking_send(&"hello".to_owned()).expect("it is open");
    }
    let listener = Listener::new().expect("there is room for it");
    let process = start::<T, _, _, _>(drop_a_line, address_of(&listener));
    process.join().await.expect("it returns");
    let receiver: Receiver<String> = listener.accept().await.expect("it has connected");
    assert_eq!(receiver.recv().await.expect("it was sent"), "hello");
    assert!(matches!(receiver.recv().await, Err(Error::Disconnected)));
}

// conformance C073
async fn what_was_sent_before_the_server_closes_can_be_polled_and_received<T: Twin>() {
    fn poll_behind_the_gate(address: Address, key: String) -> Vec<String> {
        let receiver: Receiver<String> = Client::blocking_connect(address).expect("somebody listens");
        pass(&key);
        assert!(receiver.blocking_poll(DEADLINE).expect("it can be waited for"));
        std::iter::from_fn(|| receiver.blocking_recv().ok()).collect()
    }
    let mut gate = Gate::new();
    let listener = Listener::new().expect("there is room for it");
    let process = start::<T, _, _, _>(poll_behind_the_gate, (address_of(&listener).0, gate.key()));
    let sender: Sender<String> = listener.accept().await.expect("it has connected");
    sender.send(&"hello".to_owned()).await.expect("it is open");
    drop((sender, listener));
    gate.arrived().await;
    gate.let_all_go();
    assert_eq!(process.join().await.expect("it returns"), ["hello"]);
}

async fn a_listener_is_waited_for_and_takes_many_clients<T: Twin>() {
    async fn send_one(address: Address, number: u32) {
        let sender: Sender<u32> = Client::connect(address).await.expect("somebody listens");
        sender.send(&number).await.expect("it is open");
    }
    let listener = Listener::new().expect("there is room for it");
    let args = |number| (address_of(&listener).0, number);
    let clients: Vec<_> = (0..5).map(|number| start::<T, _, _, _>(send_one, args(number))).collect();
    let mut taken = Vec::new();
    for _ in 0..5 {
        assert_eq!(wait(&[&listener], Some(DEADLINE)).await.expect("it can be waited for"), [0]);
        let receiver =
            listener.try_accept::<u32, u32>().expect("it listens").expect("somebody has connected");
        taken.push(receiver.recv().await.expect("it was sent"));
    }
    taken.sort_unstable();
    assert_eq!(taken, [0, 1, 2, 3, 4]);
    for client in clients {
        client.join().await.expect("it returns");
    }
}

async fn a_handle_goes_to_who_has_connected<T: Twin>() {
    fn read(address: Address) -> String {
        let receiver: Receiver<Handle<fs::File>> =
            Client::blocking_connect(address).expect("somebody listens");
        let file = receiver.blocking_recv().expect("it was sent");
        std::io::read_to_string(file.into_inner()).expect("it can be read")
    }
    let listener = Listener::new().expect("there is room for it");
    let process = start::<T, _, _, _>(read, address_of(&listener));
    let sender: Sender<Handle<fs::File>> = listener.accept().await.expect("it has connected");
    let manifest = fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("it is there");
    sender.send(&Handle::new(manifest)).await.expect("it is open");
    assert!(process.join().await.expect("it returns").starts_with("[package]"));
}

// conformance C068
#[test]
fn an_address_that_is_taken_is_an_error_and_stays_with_its_owner() {
    let listener = Listener::new().expect("there is room for it");
    let error = Listener::bind(listener.address()).expect_err("it is taken");
    assert!(matches!(error, Error::Connection { step: "listen", .. }), "{error:?}");
    let _sender: Sender<u32> = Client::blocking_connect(listener.address()).expect("it still listens");
}

// conformance C069
#[test]
fn an_address_is_gone_with_its_listener_and_nothing_can_connect() {
    let listener = Listener::new().expect("there is room for it");
    let address = path_of(&listener);
    assert!(address.exists());
    drop(listener);
    assert!(!address.exists() && !address.parent().expect("it lies in one").exists());
    let connected: Result<Sender<u32>> = Client::blocking_connect(address);
    assert!(matches!(connected, Err(Error::Connection { step: "connect", .. })), "{connected:?}");
}

// conformance C079
#[test]
fn the_directory_of_a_listener_is_open_to_its_user_alone() {
    let listener = Listener::new().expect("there is room for it");
    let path = path_of(&listener);
    let directory = path.parent().expect("it lies in one");
    let mode = fs::metadata(directory).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// A user who is nobody's on any machine.
const STRANGER: u32 = 54_321;
const ADDRESS: &str = "MULTIPROCESS_TEST_ADDRESS";
const SENT_BY_A_STRANGER: &str = "a_stranger_connects_and_sends";

// Runs as another user, for the test below.
#[test]
fn a_stranger_connects_and_sends() {
    if is_alone(SENT_BY_A_STRANGER) {
        let address = std::env::var_os(ADDRESS).expect("it was told");
        // It cannot even be told that it is refused, and may be refused before it has sent.
        let connected: Result<Sender<u32>> = Client::blocking_connect(address);
        assert!(connected.is_err(), "it sees that the one who listens is of another user");
    }
}

// conformance C074, C079
#[test]
fn a_process_of_another_user_is_never_accepted() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can be another user");
    }
    let path = support::scratch("listener");
    let listener = Listener::bind(&path).expect("it is free");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("it is ours");
    // The program has to lie where the other user may read it.
    let program = support::scratch("stranger");
    fs::copy(std::env::current_exe().expect("a test has a file"), &program).expect("there is room");
    let mut stranger = again(&program, SENT_BY_A_STRANGER);
    let output = stranger.env(ADDRESS, &path).current_dir("/").uid(STRANGER).gid(STRANGER).output();
    let _gone = fs::remove_file(&program);
    let output = output.expect("it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It waits there, unlike one of our own.
    assert!(has_somebody_waiting(&listener));
    assert!(listener.try_accept::<u32, u32>().expect("it listens").is_none());
    let sender: Sender<u32> = Client::blocking_connect(&path).expect("it listens");
    sender.blocking_send(&7).expect("it is open");
    let receiver: Receiver<u32> = listener.blocking_accept().expect("it has connected");
    assert_eq!(receiver.blocking_recv().expect("it was sent"), 7);
}

fn has_somebody_waiting(listener: &Listener) -> bool {
    let ready = multiprocess::blocking_wait(&[listener], Some(std::time::Duration::ZERO));
    !ready.expect("it can be waited for").is_empty()
}

#[test]
fn accepting_and_connecting_work_under_any_executor() {
    let listener = Listener::new().expect("there is room for it");
    let address = listener.address().clone();
    std::thread::scope(|scope| {
        let accepts = scope.spawn(|| executor::block_on(listener.accept::<u32, u32>()));
        let theirs: Connection<u32, u32> =
            executor::block_on(Client::connect(address)).expect("somebody listens");
        let ours = accepts.join().expect("it does not panic").expect("it has connected");
        executor::block_on(theirs.send(&7)).expect("it is open");
        assert_eq!(executor::block_on(ours.recv()).expect("it was sent"), 7);
    });
}

#[test]
fn clients_that_find_no_place_wait_for_one() {
    run(async {
        const CLIENTS: usize = 200;
        let listener = Listener::new().expect("there is room for it");
        let path = path_of(&listener);
        rustix::net::listen(&listener, 1).expect("it listens already");
        let connect = |_| tokio::spawn(Client::connect::<u32, u32>(path.clone()));
        let clients: Vec<_> = (0..CLIENTS).map(connect).collect();
        for _ in 0..CLIENTS {
            listener.accept::<u32, u32>().await.expect("it has connected");
        }
        for client in clients {
            client.await.expect("it does not panic").expect("it has found a place");
        }
    });
}

#[test]
fn a_forked_child_leaves_the_address_to_its_parent() {
    if left_out("it makes no difference who forks workers") {
        return;
    }
    alone(|| {
        let before = Census::take();
        let listener = Listener::new().expect("there is room for it");
        let address = path_of(&listener);
        let mut held = Some(listener);
        let child = support::foreign::fork(|| drop(held.take()));
        assert!(support::foreign::reap(child));
        assert!(address.exists());
        drop(held);
        assert!(!address.exists());
        before.settles();
    });
}
