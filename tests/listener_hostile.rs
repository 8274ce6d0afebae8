//! Strangers, and whoever stands between two who know the key: nothing that they send becomes a connection or a value.

#![cfg(feature = "net")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use multiprocess::{
    Address, AuthKey, Client, Connection, Error, Listener, Process, Receiver, Result, Sender,
};
use support::alone::alone;
use support::census::Census;
use support::start_method::left_out;
use support::{DEADLINE, foreign, run};

/// What a connection begins with, and the first version.
const MAGIC: &[u8; 8] = b"mpnoise\x01";
/// What a client says in its handshake: the magic, its part of the keys, and its proof.
const HANDSHAKE: usize = 8 + 48 + 16;
/// And before it is answered.
const FIRST: usize = 8 + 48;
/// The sealed head of a message.
const HEAD: usize = 9 + 16;

fn listen(key: &AuthKey) -> Listener {
    Listener::builder().authkey(key.clone()).bind(("127.0.0.1", 0)).expect("there is a free port")
}

fn connect<A, B>(address: impl Into<Address>, key: &AuthKey) -> Result<Connection<A, B>> {
    Client::builder().authkey(key.clone()).blocking_connect(address)
}

fn raw(listener: &Listener) -> TcpStream {
    let Address::Tcp { host, port } = listener.address() else { panic!("it listens on a port") };
    let stream = TcpStream::connect((host.as_str(), *port)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a time");
    stream
}

/// Nobody was let in: the next outcome is a failure.
#[track_caller]
fn assert_refused(listener: &Listener) {
    let accepted = listener.blocking_accept::<String, String>();
    assert!(matches!(accepted, Err(Error::Authentication { .. })), "{accepted:?}");
}

/// It still lets in who knows the key, and both hear each other.
#[track_caller]
fn assert_open(listener: &Listener, key: &AuthKey) {
    let theirs: Sender<u32> = connect(listener.address(), key).expect("it listens");
    theirs.blocking_send(&7).expect("it is open");
    let receiver: Receiver<u32> = loop {
        match listener.blocking_accept() {
            Ok(receiver) => break receiver,
            Err(Error::Authentication { .. }) => {}
            Err(other) => panic!("unexpected: {other:?}"),
        }
    };
    assert_eq!(receiver.blocking_recv().expect("it was sent"), 7);
}

// conformance C074, C075, C076, fault 92
#[test]
fn another_key_is_an_error_on_both_sides() {
    fn knock(address: Address, key: AuthKey) -> bool {
        matches!(connect::<u32, u32>(address, &key), Err(Error::Authentication { .. }))
    }
    run(async {
        let key = AuthKey::generate();
        let listener = listen(&key);
        let arguments = (listener.address().clone(), AuthKey::generate());
        let process = Process::spawn(knock, arguments).expect("it starts");
        let accepted = listener.accept::<u32, u32>().await;
        assert!(matches!(accepted, Err(Error::Authentication { .. })), "{accepted:?}");
        assert!(process.join().await.expect("it returns"), "the client is told too");
        assert_open(&listener, &key);
    });
}

/// A server that sends these bytes to whoever connects, and then reads until they leave.
fn server_that_says(
    bytes: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static,
) -> (Address, thread::JoinHandle<()>) {
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = server.local_addr().expect("it has one").into();
    let serves = thread::spawn(move || {
        let (mut client, _) = server.accept().expect("somebody connects");
        let mut first = [0; FIRST];
        client.read_exact(&mut first).expect("it begins the handshake");
        // It may have gone.
        let _refused = client.write_all(&bytes(&first));
        let _refused = client.shutdown(Shutdown::Write);
        let _gone = client.read_to_end(&mut Vec::new());
    });
    (address, serves)
}

#[track_caller]
fn assert_no_server(bytes: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static) {
    let (address, serves) = server_that_says(bytes);
    let connected = connect::<u32, u32>(address, &AuthKey::generate());
    assert!(matches!(connected, Err(Error::Authentication { .. })), "{connected:?}");
    serves.join().expect("it does not panic");
}

// conformance C075, C076, fault 93
#[test]
fn a_server_that_does_not_know_the_key_is_none() {
    assert_no_server(|_| Vec::new());
    assert_no_server(|_| b"HTTP/1.1 400 Bad Request\r\n\r\nand so on, longer than a handshake is".to_vec());
    assert_no_server(|_| [&MAGIC[..], &[0; 48]].concat());
    // Its own words come back to it.
    assert_no_server(<[u8]>::to_vec);
}

// fault 94
#[test]
fn another_version_is_refused_by_both_sides() {
    assert_no_server(|first| [b"mpnoise\x00", &first[8..]].concat());
    let key = AuthKey::generate();
    let listener = listen(&key);
    for version in [0, 2, 255] {
        let mut client = raw(&listener);
        client.write_all(&[b"mpnoise", &[version][..]].concat()).expect("it listens");
        // Nothing else is needed for that, and nothing is answered.
        assert_eq!(client.read_to_end(&mut Vec::new()).expect("it is closed in order"), 0);
        assert_refused(&listener);
    }
    assert_open(&listener, &key);
}

// conformance C079, fault 95
#[test]
fn garbage_of_every_length_is_refused() {
    let key = AuthKey::generate();
    let listener = listen(&key);
    for length in 0..=2 * HANDSHAKE {
        let garbage: Vec<u8> =
            (0..length).map(|at| u8::try_from(at * 31 % 251).expect("it is small")).collect();
        let like_ours = [&MAGIC[..], &garbage].concat();
        for bytes in [&garbage, &like_ours] {
            let mut client = raw(&listener);
            let _refused = client.write_all(bytes).and_then(|()| client.shutdown(Shutdown::Write));
            assert_refused(&listener);
        }
    }
    assert_open(&listener, &key);
}

// fault 92
#[test]
fn a_thousand_who_say_nothing_do_not_keep_a_good_client_out() {
    let (soft, hard) = foreign::descriptor_limits();
    foreign::limit_descriptors(soft.max(hard.min(4096)));
    let key = AuthKey::generate();
    let listener = listen(&key);
    let mut silent: Vec<_> = (0..500).map(|_| raw(&listener)).collect();
    assert_open(&listener, &key);
    silent.extend((0..500).map(|_| raw(&listener)));
    assert_open(&listener, &key);
    // Of all of them but the last 64, and those that a good client has taken the place of, nothing is kept.
    let is_given_up = |client: &mut TcpStream| matches!(client.read(&mut [0]), Ok(0) | Err(_));
    assert!(silent[..900].iter_mut().all(is_given_up));
    assert_refused_or_none(&listener);
}

/// A flood is told of once.
fn assert_refused_or_none(listener: &Listener) {
    let told = std::iter::from_fn(|| listener.try_accept::<u32, u32>().err());
    assert!(told.take(2).count() <= 1, "it is told of once");
}

// fault 92
#[test]
fn the_65th_stranger_takes_the_place_of_the_first() {
    let key = AuthKey::generate();
    let listener = listen(&key);
    let mut strangers: Vec<_> = (0..64).map(|_| raw(&listener)).collect();
    strangers.push(raw(&listener));
    assert_eq!(strangers[0].read(&mut [0]).expect("it is closed in order"), 0);
    strangers[1].set_nonblocking(true).expect("it is open");
    let waits = strangers[1].read(&mut [0]).expect_err("it has its time");
    assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock);
    assert_refused(&listener);
}

// fault 92
#[test]
fn a_slow_handshake_holds_up_nobody() {
    let key = AuthKey::generate();
    let listener = listen(&key);
    let mut slow = raw(&listener);
    slow.write_all(&MAGIC[..3]).expect("it listens");
    assert_open(&listener, &key);
    slow.set_nonblocking(true).expect("it is open");
    let waits = slow.read(&mut [0]).expect_err("it still has its time");
    assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock);
}

// fault 92
#[test]
fn a_slow_handshake_ends_at_its_limit() {
    let builder = Listener::builder().authkey(AuthKey::generate());
    let limit = Duration::from_millis(20);
    let listener = builder.handshake_timeout(limit).bind(("127.0.0.1", 0)).expect("there is a free port");
    for said in [0, 3, 8] {
        let mut slow = raw(&listener);
        slow.write_all(&MAGIC[..said]).expect("it listens");
        assert_eq!(slow.read(&mut [0]).expect("it is closed in order"), 0);
        assert_refused(&listener);
    }
}

// fault 92
#[test]
fn a_client_gives_a_silent_server_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = silent.local_addr().expect("it has one");
    let client = Client::builder().authkey(AuthKey::generate()).handshake_timeout(Duration::from_millis(20));
    let connected: Result<Sender<u32>> = client.blocking_connect(address);
    assert!(matches!(connected, Err(Error::Authentication { .. })), "{connected:?}");
}

/// What the man in the middle does to the bytes of the client.
type Tamper = Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send>;

/// What a client sends over a connection that `tamper` stands in the middle of, and what the listener makes of it: the words that it receives, and the error
/// behind them. Nothing if nobody was let in. The second is all that the client has sent.
fn sent_through(tamper: Tamper) -> (Option<(Vec<String>, Error)>, Vec<u8>) {
    let key = AuthKey::generate();
    let listener = listen(&key);
    let middle = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = middle.local_addr().expect("it has one");
    let target = raw(&listener);
    let relays = thread::spawn(move || relay(&middle, target, tamper));
    let sends = thread::spawn({
        let key = key.clone();
        move || {
            let Ok(sender) = connect::<String, u32>(address, &key) else { return };
            for word in WORDS {
                let _refused = sender.blocking_send(&word.to_owned());
            }
        }
    });
    let accepted = listener.blocking_accept::<u32, String>();
    let received = accepted.ok().map(|receiver| {
        let mut words = Vec::new();
        loop {
            match receiver.blocking_recv() {
                Ok(word) => words.push(word),
                Err(error) => return (words, error),
            }
        }
    });
    drop(listener);
    sends.join().expect("it does not panic");
    (received, relays.join().expect("it does not panic"))
}

const WORDS: [&str; 3] = ["one", "two", "six"];
/// Bytes that each of them takes on its way: its head, its length, itself, and a tag.
const WORD: usize = HEAD + 1 + 3 + 16;
/// And all of it, with the record by which the client parts.
const ALL: usize = HANDSHAKE + 3 * WORD + HEAD;

/// Relays what the client says first and the answer to it, and then all that the client sends, as `tamper` leaves it.
fn relay(middle: &TcpListener, mut server: TcpStream, tamper: Tamper) -> Vec<u8> {
    let (mut client, _) = middle.accept().expect("the client connects");
    let mut all = vec![0; FIRST];
    client.read_exact(&mut all).expect("it begins the handshake");
    let first = tamper(all.clone());
    server.write_all(&first[..FIRST.min(first.len())]).expect("it listens");
    let mut answer = vec![0; FIRST];
    if first.len() >= FIRST && server.read_exact(&mut answer).is_ok() {
        client.write_all(&answer).expect("it waits for an answer");
        let _reset = client.read_to_end(&mut all);
        let _refused = server.write_all(&tamper(all.clone())[FIRST..]);
    }
    let _refused = server.shutdown(Shutdown::Write);
    let _reset = server.read_to_end(&mut Vec::new());
    all
}

// fault 93
#[test]
fn whoever_relays_the_bytes_as_they_are_sees_a_connection_and_no_word() {
    let (received, all) = sent_through(Box::new(|bytes| bytes));
    let (words, end) = received.expect("it is let in");
    assert_eq!(words, WORDS);
    assert!(matches!(end, Error::Disconnected), "{end:?}");
    assert_eq!(all.len(), ALL);
    for word in WORDS {
        assert!(!all.windows(3).any(|bytes| bytes == word.as_bytes()), "{word} can be read");
    }
}

/// Whatever was changed: no word that was not sent, none twice, none before its time, and no clean end.
#[track_caller]
fn assert_damaged(tamper: Tamper, what: &str) {
    let (words, error) = sent_through(tamper).0.expect("the handshake is as it was");
    assert!(
        WORDS[..].starts_with(&words.iter().map(String::as_str).collect::<Vec<_>>()),
        "{what}: {words:?}"
    );
    assert!(matches!(error, Error::Connection { .. }), "{what}: {error:?}");
}

/// As `assert_damaged`, of something that was done at this byte: if it is one of the handshake, nobody is let in.
#[track_caller]
fn assert_refused_or_damaged(at: usize, tamper: Tamper, what: &str) {
    if at < HANDSHAKE {
        assert!(sent_through(tamper).0.is_none(), "{what} at {at}");
    } else {
        assert_damaged(tamper, &format!("{what} at {at}"));
    }
}

// fault 93
#[test]
fn a_byte_that_is_changed_on_its_way_is_an_error_and_never_a_value() {
    for at in 0..ALL {
        let flip = move |mut bytes: Vec<u8>| {
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            bytes
        };
        assert_refused_or_damaged(at, Box::new(flip), "a byte is changed");
    }
}

// fault 93
#[test]
fn a_connection_that_is_cut_at_whatever_byte_is_an_error() {
    for at in 0..ALL {
        let cut = move |mut bytes: Vec<u8>| {
            bytes.truncate(at);
            bytes
        };
        assert_refused_or_damaged(at, Box::new(cut), "it is cut");
    }
}

/// One of the words on its way, with its head.
fn word(all: &[u8], number: usize) -> &[u8] {
    &all[HANDSHAKE + number * WORD..][..WORD]
}

/// Puts these parts of what the client sends in the place of what it sends behind the handshake.
#[track_caller]
fn assert_damaged_by(parts: impl Fn(&[u8]) -> Vec<&[u8]> + Send + 'static, what: &str) {
    let rearrange = move |bytes: Vec<u8>| {
        if bytes.len() < ALL { bytes } else { [&bytes[..HANDSHAKE], &parts(&bytes).concat()].concat() }
    };
    assert_damaged(Box::new(rearrange), what);
}

// fault 93
#[test]
fn messages_that_are_repeated_exchanged_or_left_out_are_errors() {
    assert_damaged_by(|all| vec![word(all, 0), &all[HANDSHAKE..]], "the first is repeated");
    assert_damaged_by(|all| vec![word(all, 1), word(all, 0), word(all, 2)], "the first two are exchanged");
    assert_damaged_by(|all| vec![&all[HANDSHAKE + WORD..]], "the first is left out");
    assert_damaged_by(|all| vec![word(all, 0), &all[ALL - HEAD..]], "all but the first are left out");
    assert_damaged_by(|all| vec![&all[ALL - HEAD..]], "all are left out");
}

// fault 93
#[test]
fn what_was_recorded_is_no_connection_when_it_is_replayed() {
    let key = AuthKey::generate();
    let listener = listen(&key);
    let middle = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = middle.local_addr().expect("it has one");
    let target = raw(&listener);
    let relays = thread::spawn(move || relay(&middle, target, Box::new(|bytes| bytes)));
    let sender: Sender<String> = connect(address, &key).expect("it is relayed");
    sender.blocking_send(&"pay".to_owned()).expect("it is open");
    drop(sender);
    let receiver: Receiver<String> = listener.blocking_accept().expect("it has connected");
    assert_eq!(receiver.blocking_recv().expect("it was sent"), "pay");
    drop(receiver);
    let recorded = relays.join().expect("it does not panic");
    // The same listener, which even answers what it has once taken, and then wants a proof.
    let mut again = raw(&listener);
    again.write_all(&recorded).expect("it listens");
    let mut answer = Vec::new();
    let _reset = again.read_to_end(&mut answer);
    assert_refused(&listener);
    assert_open(&listener, &key);
}

// fault 93
#[test]
fn a_handshake_that_is_relayed_to_a_listener_with_another_key_fails() {
    let (key, other) = (AuthKey::generate(), AuthKey::generate());
    let listener = listen(&other);
    let middle = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = middle.local_addr().expect("it has one");
    let target = raw(&listener);
    let relays = thread::spawn(move || relay(&middle, target, Box::new(|bytes| bytes)));
    let connected: Result<Sender<String>> = connect(address, &key);
    assert!(matches!(connected, Err(Error::Authentication { .. })), "{connected:?}");
    assert_refused(&listener);
    relays.join().expect("it does not panic");
}

#[test]
fn a_sender_that_is_killed_is_no_clean_end() {
    fn send_and_wait(address: Address, key: AuthKey) {
        let sender: Connection<u32, u32> = connect(address, &key).expect("it listens");
        sender.blocking_send(&7).expect("it is open");
        let _killed = sender.blocking_recv();
    }
    let key = AuthKey::generate();
    let listener = listen(&key);
    let process = Process::spawn(send_and_wait, (listener.address().clone(), key)).expect("it starts");
    let mut receiver: Connection<u32, u32> = listener.blocking_accept().expect("it has connected");
    assert_eq!(receiver.blocking_recv().expect("it was sent"), 7);
    process.kill().expect("it runs");
    for _ in 0..2 {
        let error = receiver.blocking_recv().expect_err("it is dead");
        assert!(matches!(error, Error::Connection { .. }), "{error:?}");
    }
    run(async move {
        use futures::StreamExt as _;
        assert!(matches!(receiver.next().await, Some(Err(Error::Connection { .. }))));
        assert!(receiver.next().await.is_none(), "a stream tells it once");
    });
    let _killed = process.blocking_join();
}

#[test]
fn a_plain_listener_and_a_client_with_a_key_do_not_meet() {
    let plain = Listener::new().expect("there is room for it");
    let connected: Result<Sender<u32>> = connect(plain.address(), &AuthKey::generate());
    assert!(matches!(connected, Err(Error::Authentication { .. })), "{connected:?}");
    let path = support::scratch("keyed");
    let keyed = Listener::builder().authkey(AuthKey::generate()).bind(&path).expect("it is free");
    let connected: Result<Sender<u32>> = Client::blocking_connect(keyed.address());
    assert!(matches!(connected, Err(Error::Connection { step: "connect", .. })), "{connected:?}");
}

#[test]
fn a_forked_child_can_use_nothing_of_it_and_harms_nothing() {
    if left_out("it makes no difference who forks workers") {
        return;
    }
    alone(|| {
        let key = AuthKey::generate();
        let listener = listen(&key);
        let theirs: Connection<u32, u32> = connect(listener.address(), &key).expect("it listens");
        let ours: Connection<u32, u32> = listener.blocking_accept().expect("it has connected");
        let mut held = Some((listener, theirs));
        let child = foreign::fork(|| {
            let (listener, theirs) = held.take().expect("it is there");
            assert!(matches!(theirs.blocking_send(&1), Err(Error::Connection { .. })));
            assert!(matches!(theirs.blocking_recv(), Err(Error::Connection { .. })));
            assert!(matches!(listener.try_accept::<u32, u32>(), Err(Error::Connection { .. })));
            drop((listener, theirs));
        });
        assert!(foreign::reap(child));
        let (listener, theirs) = held.take().expect("the child has only its copy");
        theirs.blocking_send(&2).expect("it is open");
        assert_eq!(ours.blocking_recv().expect("it was sent"), 2);
        assert_open(&listener, &key);
    });
}

fn use_one() {
    let key = AuthKey::generate();
    let listener = listen(&key);
    let theirs: Connection<u32, u32> = connect(listener.address(), &key).expect("it listens");
    let ours: Connection<u32, u32> = listener.blocking_accept().expect("it has connected");
    theirs.blocking_send(&7).expect("it is open");
    assert_eq!(ours.blocking_recv().expect("it was sent"), 7);
}

fn leave_some_unaccepted() {
    let key = AuthKey::generate();
    let listener = listen(&key);
    let _left: Connection<u32, u32> = connect(listener.address(), &key).expect("it listens");
    let _silent = [raw(&listener), raw(&listener)];
}

fn leave_a_large_message_half_sent() {
    let key = AuthKey::generate();
    let listener = listen(&key);
    let theirs: Connection<u32, Vec<u8>> = connect(listener.address(), &key).expect("it listens");
    let ours: Connection<Vec<u8>, u32> = listener.blocking_accept().expect("it has connected");
    while ours.try_send(&vec![1; 1 << 20]).is_ok() {}
    drop((ours, theirs));
}

#[test]
fn listeners_and_connections_with_a_key_leave_nothing_behind() {
    if left_out("the forkserver of all processes stays, with its descriptors") {
        return;
    }
    alone(|| {
        // It starts what the crate keeps for ever, and leaves nothing else.
        let nobody: Result<Sender<u32>> = connect(Path::new("/nothing/at/all"), &AuthKey::generate());
        assert!(matches!(nobody, Err(Error::Connection { .. })));
        let before = Census::take();
        for _ in 0..3 {
            for way in [use_one, leave_some_unaccepted, leave_a_large_message_half_sent] {
                way();
                before.settles();
            }
        }
    });
}
