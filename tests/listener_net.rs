//! Listeners and clients with a key, and with the feature `tls` with certificates: over TCP and at a path, between processes and between threads.

#![cfg(feature = "net")]

mod support;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use multiprocess::{
    Address, AuthKey, Client, Connection, Credentials, Error, Handle, Listener, Receiver, Result, Sender,
    blocking_wait, wait,
};
use support::authority::all_credentials;
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{DEADLINE, executor, run, scratch, skipped};

on_twins!(
    a_client_connects_and_both_send_and_receive,
    a_client_that_has_left_before_it_is_accepted_loses_no_message,
    what_was_sent_before_the_server_closes_can_be_polled_and_received,
    a_listener_is_waited_for_and_takes_many_clients,
    bytes_of_every_length_come_as_they_were_sent,
);

/// Listeners of every kind, with what their clients need.
fn listeners() -> Vec<(Listener, Credentials)> {
    let with =
        |key: Credentials| listeners_with(&key).into_iter().map(move |listener| (listener, key.clone()));
    all_credentials().into_iter().flat_map(with).collect()
}

fn listeners_with(key: &Credentials) -> Vec<Listener> {
    let mut addresses: Vec<Address> = vec![("127.0.0.1", 0).into(), scratch("net").into()];
    if TcpListener::bind("[::1]:0").is_ok() {
        addresses.push(("::1", 0).into());
    } else {
        skipped("this machine has no addresses of version 6");
    }
    addresses.into_iter().map(|address| listen(address, key)).collect()
}

fn listen(address: impl Into<Address>, key: &Credentials) -> Listener {
    Listener::builder().credentials(key.clone()).bind(address).expect("it is free")
}

/// A connection, once for each kind of address, with the end of whoever was accepted first.
fn connections<A, B>() -> Vec<(Connection<A, B>, Connection<B, A>)> {
    let connect = |(listener, key): &(Listener, Credentials)| {
        let theirs = connect(listener.address(), key).expect("somebody listens");
        (listener.blocking_accept().expect("it has connected"), theirs)
    };
    listeners().iter().map(connect).collect()
}

fn connect<A, B>(address: &Address, key: &Credentials) -> Result<Connection<A, B>> {
    Client::builder().credentials(key.clone()).blocking_connect(address)
}

type Echo = Connection<String, String>;

// conformance C071, C076
async fn a_client_connects_and_both_send_and_receive<T: Twin>() {
    fn shout(address: Address, key: Credentials) {
        let connection: Echo = connect(&address, &key).expect("somebody listens");
        while let Ok(word) = connection.blocking_recv() {
            connection.blocking_send(&word.to_uppercase()).expect("it is open");
        }
    }
    for (listener, key) in listeners() {
        let process = start::<T, _, _, _>(shout, (listener.address().clone(), key.clone()));
        let connection: Echo = listener.accept().await.expect("it has connected");
        for word in ["hello", &"x".repeat(100_000)] {
            connection.send(&word.to_owned()).await.expect("it is open");
            assert!(connection.recv().await.expect("it is answered") == word.to_uppercase());
        }
        connection.close();
        process.join().await.expect("it returns");
    }
}

// conformance C072
async fn a_client_that_has_left_before_it_is_accepted_loses_no_message<T: Twin>() {
    fn drop_a_line(address: Address, key: Credentials) {
        let sender: Sender<String> = connect(&address, &key).expect("somebody listens");
        sender.blocking_send(&"hello".to_owned()).expect("it is open");
    }
    for (listener, key) in listeners() {
        let process = start::<T, _, _, _>(drop_a_line, (listener.address().clone(), key.clone()));
        process.join().await.expect("it returns");
        let receiver: Receiver<String> = listener.accept().await.expect("it has connected");
        assert_eq!(receiver.recv().await.expect("it was sent"), "hello");
        assert!(matches!(receiver.recv().await, Err(Error::Disconnected)));
    }
}

// conformance C073
async fn what_was_sent_before_the_server_closes_can_be_polled_and_received<T: Twin>() {
    fn poll(address: Address, key: Credentials) -> Vec<String> {
        let receiver: Receiver<String> = connect(&address, &key).expect("somebody listens");
        assert!(receiver.blocking_poll(DEADLINE).expect("it can be waited for"));
        std::iter::from_fn(|| receiver.blocking_recv().ok()).collect()
    }
    for (listener, key) in listeners() {
        let process = start::<T, _, _, _>(poll, (listener.address().clone(), key.clone()));
        let sender: Sender<String> = listener.accept().await.expect("it has connected");
        sender.send(&"hello".to_owned()).await.expect("it is open");
        drop((sender, listener));
        assert_eq!(process.join().await.expect("it returns"), ["hello"]);
    }
}

async fn a_listener_is_waited_for_and_takes_many_clients<T: Twin>() {
    async fn send_one(address: Address, key: Credentials, number: u32) {
        let sender: Sender<u32> =
            Client::builder().credentials(key).connect(address).await.expect("somebody listens");
        sender.send(&number).await.expect("it is open");
    }
    for (listener, key) in listeners() {
        let args = |number| (listener.address().clone(), key.clone(), number);
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
        assert!(listener.try_accept::<u32, u32>().expect("it listens").is_none());
        for client in clients {
            client.join().await.expect("it returns");
        }
    }
}

fn noise(length: usize) -> Vec<u8> {
    let pattern: Vec<u8> =
        (0..251).map(|at| u8::try_from((at * 7 + length) % 251).expect("it is small")).collect();
    let mut noise = pattern.repeat(length / pattern.len() + 1);
    noise.truncate(length);
    noise
}

/// What fits in one record beside its tag.
const RECORD: usize = 65_535 - 16;
/// And in one of TLS.
const SMALL_RECORD: usize = 16_384;

fn lengths() -> impl Iterator<Item = usize> {
    let around = |full: usize| [full - 1, full, full + 1, 2 * full];
    [0, 1, 3 << 20].into_iter().chain([RECORD, SMALL_RECORD].into_iter().flat_map(around))
}

// conformance C067, C071
async fn bytes_of_every_length_come_as_they_were_sent<T: Twin>() {
    fn echo(address: Address, key: Credentials) {
        let connection: Connection<Vec<u8>, Vec<u8>> = connect(&address, &key).expect("somebody listens");
        while let Ok(bytes) = connection.blocking_recv_bytes() {
            connection.blocking_send_bytes(&bytes).expect("somebody waits for them");
        }
    }
    for (listener, key) in listeners() {
        let process = start::<T, _, _, _>(echo, (listener.address().clone(), key.clone()));
        let ours: Connection<Vec<u8>, Vec<u8>> = listener.accept().await.expect("it has connected");
        for length in lengths() {
            let bytes = noise(length);
            ours.send_bytes(&bytes).await.expect("it is open");
            assert!(ours.recv_bytes().await.expect("they come back") == bytes, "{length} bytes");
            ours.send(&bytes).await.expect("it is open");
            assert!(ours.recv().await.expect("they come back") == bytes, "a value of {length} bytes");
        }
        ours.close();
        process.join().await.expect("it returns");
    }
}

#[test]
fn both_send_a_large_message_at_once() {
    run(async {
        for (ours, theirs) in connections::<Vec<u8>, Vec<u8>>() {
            let bytes = noise(4 << 20);
            let (one, other) = tokio::join!(async { tokio::join!(ours.send(&bytes), ours.recv()) }, async {
                tokio::join!(theirs.send(&bytes), theirs.recv())
            },);
            for (sent, received) in [one, other] {
                sent.expect("it is open");
                assert!(received.expect("it was sent") == bytes);
            }
        }
    });
}

#[test]
fn a_connection_with_a_key_does_what_every_connection_does() {
    run(async {
        for (mut ours, mut theirs) in connections::<u32, String>() {
            assert!(ours.try_recv().expect("it is open").is_none());
            assert!(!ours.poll(Duration::ZERO).await.expect("it is open"));
            assert!(ours.recv_timeout(Duration::from_millis(1)).await.expect("it is open").is_none());
            theirs.try_send(&"one".to_owned()).expect("there is room");
            assert!(ours.poll(DEADLINE).await.expect("it is open"));
            assert_eq!(ours.recv_timeout(DEADLINE).await.expect("it is open").as_deref(), Some("one"));
            theirs.send_bytes(b"longer").await.expect("it is open");
            match ours.recv_bytes_into(&mut [0; 3]).await {
                Err(Error::BufferTooShort { message, room: 3 }) => assert_eq!(message, b"longer"),
                other => panic!("unexpected: {other:?}"),
            }
            theirs.send_bytes(b"abc").await.expect("it is open");
            let mut room = [0; 5];
            assert_eq!(ours.blocking_recv_bytes_into(&mut room[1..]).expect("there is room"), 3);
            assert_eq!(&room, b"\0abc\0");
            theirs.send_bytes(b"\xff\xff").await.expect("it is open");
            assert!(matches!(ours.recv().await, Err(Error::DecodeMessage { .. })));
            ours.feed(1).await.expect("it is open");
            ours.send_all(&mut futures::stream::iter([Ok(2), Ok(3)])).await.expect("it is open");
            drop(ours);
            let mut received = Vec::new();
            while let Some(number) = theirs.next().await {
                received.push(number.expect("it is one"));
            }
            assert_eq!(received, [1, 2, 3]);
            assert!(matches!(theirs.send(&"gone".to_owned()).await, Err(Error::Disconnected)));
        }
    });
}

// conformance C067
#[test]
fn a_message_over_the_limit_is_an_error_for_who_sends_and_who_receives() {
    for (ours, theirs) in connections::<Vec<u8>, Vec<u8>>() {
        let (ours, theirs) = (ours.max_frame(100), theirs);
        let error = ours.blocking_send_bytes(&[0; 101]).expect_err("it is too long");
        assert!(matches!(error, Error::MessageTooLarge { size: 101, max: 100 }));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for length in [300_000, 100, 101, 7] {
                    theirs.blocking_send_bytes(&noise(length)).expect("it is open");
                }
            });
            let mut lengths = Vec::new();
            for _ in 0..4 {
                match ours.blocking_recv_bytes() {
                    Ok(bytes) => lengths.push(bytes.len() as u64),
                    Err(Error::MessageTooLarge { size, max: 100 }) => lengths.push(size),
                    Err(other) => panic!("unexpected: {other:?}"),
                }
            }
            assert_eq!(lengths, [300_000, 100, 101, 7]);
        });
    }
}

/// More than whatever the kernel keeps of a connection.
const ENDLESS: usize = 16 << 20;

#[test]
fn a_message_that_was_begun_is_sent_whole_whoever_gives_up() {
    run(async {
        for (ours, theirs) in connections::<Vec<u8>, Vec<u8>>() {
            let bytes = noise(ENDLESS);
            assert!(ours.send_bytes(&bytes).now_or_never().is_none(), "there is no room for all of it");
            assert!(matches!(ours.try_send_bytes(b"no room"), Err(Error::Full)));
            drop(ours);
            // And whoever receives gives up too, as often as nothing is there.
            let received = loop {
                match theirs.recv_bytes().now_or_never() {
                    Some(received) => break received.expect("it was sent"),
                    None => tokio::task::yield_now().await,
                }
            };
            assert!(received == bytes);
            assert!(matches!(theirs.recv().await, Err(Error::Disconnected)));
        }
    });
}

#[test]
fn a_message_that_there_is_room_for_in_part_is_sent_all_the_same() {
    for (ours, theirs) in connections::<Vec<u8>, Vec<u8>>() {
        let mut sent = 0;
        while ours.try_send_bytes(&noise(50_000 + sent)).is_ok() {
            sent += 1;
        }
        drop(ours);
        for number in 0..sent {
            assert!(theirs.blocking_recv_bytes().expect("it was sent") == noise(50_000 + number));
        }
        assert!(matches!(theirs.blocking_recv(), Err(Error::Disconnected)));
    }
}

#[test]
fn the_last_copy_of_an_end_closes_it_and_many_may_use_it_at_once() {
    for (ours, theirs) in connections::<u32, u32>() {
        std::thread::scope(|scope| {
            for number in 0..4 {
                let copy = theirs.try_clone().expect("there are descriptors left");
                scope.spawn(move || copy.blocking_send(&number).expect("it is open"));
            }
            drop(theirs);
            let mut received: Vec<u32> = std::iter::from_fn(|| ours.blocking_recv().ok()).collect();
            received.sort_unstable();
            assert_eq!(received, [0, 1, 2, 3]);
        });
        assert!(matches!(ours.blocking_recv(), Err(Error::Disconnected)));
    }
}

#[test]
fn a_connection_with_a_key_carries_no_handles_and_does_not_travel() {
    run(async {
        let pool = support::pool::<multiprocess::Processes>(1);
        for (ours, theirs) in connections::<Option<Handle<std::fs::File>>, u32>() {
            let file = std::fs::File::open("/dev/null").expect("it is there");
            let error = ours.send(&Some(Handle::new(file))).await.expect_err("it cannot be sent");
            assert!(matches!(error, Error::EncodeMessage { .. }), "{error:?}");
            assert!(error.to_string().contains("carries no handles"), "{error}");
            ours.send(&None).await.expect("it has none");
            assert!(theirs.recv().await.expect("it was sent").is_none());
            let take = |end: Connection<Option<Handle<std::fs::File>>, u32>| drop(end);
            let error = pool.apply(take, (ours,)).await.expect_err("it stays");
            assert!(matches!(error, Error::Encode { .. }), "{error:?}");
            assert!(error.to_string().contains("belongs to its process and does not travel"), "{error}");
        }
        support::end(pool).await;
    });
}

#[test]
fn accepting_and_connecting_work_under_any_executor() {
    for (listener, key) in listeners() {
        std::thread::scope(|scope| {
            let accepts = scope.spawn(|| executor::block_on(listener.accept::<u32, u32>()));
            let client = Client::builder().credentials(key.clone());
            let theirs: Connection<u32, u32> =
                executor::block_on(client.connect(listener.address())).expect("somebody listens");
            let ours = accepts.join().expect("it does not panic").expect("it has connected");
            executor::block_on(theirs.send(&7)).expect("it is open");
            assert_eq!(executor::block_on(ours.recv()).expect("it was sent"), 7);
        });
    }
}

// conformance C068
#[test]
fn an_address_that_is_taken_is_an_error_and_stays_with_its_owner() {
    for (listener, key) in listeners() {
        let error =
            Listener::builder().credentials(key.clone()).bind(listener.address()).expect_err("it is taken");
        assert!(matches!(error, Error::Connection { step: "listen", .. }), "{error:?}");
        let _sender: Sender<u32> = connect(listener.address(), &key).expect("it still listens");
    }
}

// conformance C069
#[test]
fn an_address_is_gone_with_its_listener_and_can_be_taken_again() {
    // An address that no other test has, for the moment in which the port is free.
    let key = AuthKey::generate().into();
    for address in [Address::from(("127.0.0.77", 0)), scratch("net").into()] {
        let listener = listen(address, &key);
        let address = listener.address().clone();
        let left: Connection<u32, u32> = connect(&address, &key).expect("somebody listens");
        // It is let in, and never accepted.
        assert_eq!(blocking_wait(&[&listener], Some(DEADLINE)).expect("it can be waited for"), [0]);
        drop(listener);
        assert!(matches!(left.blocking_recv(), Err(Error::Disconnected)));
        let connected: Result<Sender<u32>> = connect(&address, &key);
        assert!(matches!(connected, Err(Error::Connection { step: "connect", .. })), "{connected:?}");
        let again = listen(&address, &key);
        let _sender: Sender<u32> = connect(again.address(), &key).expect("it listens");
    }
}

// conformance C077
#[test]
fn an_address_that_this_machine_has_not_is_an_error() {
    let key = AuthKey::generate().into();
    for host in ["203.0.113.7", "2001:db8::7", "no such host", ""] {
        let error = Listener::builder().credentials(&key).bind((host, 0)).expect_err("it is none of ours");
        assert!(matches!(error, Error::Connection { step: "listen", .. }), "{error:?}");
    }
    let nowhere: Result<Sender<u32>> = connect(&("no such host", 1).into(), &key);
    assert!(matches!(nowhere, Err(Error::Connection { step: "connect", .. })), "{nowhere:?}");
    let nothing: PathBuf = "/nothing/at/all".into();
    let nowhere: Result<Sender<u32>> = connect(&nothing.into(), &key);
    assert!(matches!(nowhere, Err(Error::Connection { step: "connect", .. })), "{nowhere:?}");
}

// fault 92
#[test]
fn a_network_without_a_key_is_refused() {
    let address = Address::from(("127.0.0.1", 0));
    let error = Listener::bind(&address).expect_err("it has no key");
    assert!(matches!(error, Error::Option { option: "authkey", .. }), "{error:?}");
    let connected: Result<Sender<u32>> = Client::blocking_connect(&address);
    assert!(matches!(connected, Err(Error::Option { option: "authkey", .. })), "{connected:?}");
    run(async {
        let connected: Result<Sender<u32>> = Client::connect(("127.0.0.1", 1)).await;
        assert!(matches!(connected, Err(Error::Option { option: "authkey", .. })), "{connected:?}");
    });
}
