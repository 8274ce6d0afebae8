//! What goes over connections beside plain values: handles, and the ends of other connections.

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use multiprocess::{Connection, Error, Handle, Kind, Receiver, Sender, one_way, pipe};
use rustix::io::Errno;
use rustix::net::SendFlags;
use serde::{Deserialize, Serialize};
use support::alone::alone;
use support::foreign::{descriptor_limits, limit_descriptors};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{end, on_both, pool};

on_twins!(
    a_file_is_sent_over_a_connection,
    a_descriptor_with_a_large_number_is_sent_over_a_connection,
    handles_go_with_a_large_value_too,
    a_connection_and_a_socket_are_sent_over_a_connection,
    an_end_that_has_travelled_keeps_its_direction,
    an_end_that_was_sent_away_and_not_received_is_closed_with_the_connection,
);

on_both!(a_task_gives_back_one_end_and_serves_the_other);

fn manifest() -> Handle<File> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    Handle::new(File::open(path).expect("it is there"))
}

fn first_line(file: Handle<File>) -> String {
    let text = std::io::read_to_string(file.into_inner()).expect("it can be read");
    text.lines().next().expect("it has one").to_owned()
}

/// Reads the first line of every file that comes.
fn read_lines(connection: Connection<String, Handle<File>>) {
    while let Ok(file) = connection.blocking_recv() {
        connection.blocking_send(&first_line(file)).expect("somebody waits for it");
    }
}

// conformance C049
async fn a_file_is_sent_over_a_connection<T: Twin>() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = start::<T, _, _, _>(read_lines, (theirs,));
    ours.send(&manifest()).await.expect("it is open");
    assert_eq!(ours.recv().await.expect("it is answered"), "[package]");
    ours.close();
    process.join().await.expect("it returns");
}

// conformance C050
async fn a_descriptor_with_a_large_number_is_sent_over_a_connection<T: Twin>() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = start::<T, _, _, _>(read_lines, (theirs,));
    let mut below = Vec::new();
    let file = loop {
        let file = manifest();
        if file.as_fd().as_raw_fd() > 256 {
            break file;
        }
        below.push(file);
    };
    ours.send(&file).await.expect("it is open");
    assert_eq!(ours.recv().await.expect("it is answered"), "[package]");
    ours.close();
    process.join().await.expect("it returns");
}

#[derive(Serialize, Deserialize)]
struct Library {
    padding: String,
    books: BTreeMap<u32, Option<Handle<File>>>,
}

async fn handles_go_with_a_large_value_too<T: Twin>() {
    fn lines_in(receiver: Receiver<Library>) -> (usize, Vec<String>) {
        let library = receiver.blocking_recv().expect("it was sent");
        (library.padding.len(), library.books.into_values().flatten().map(first_line).collect())
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let books = [(1, Some(manifest())), (2, None), (3, Some(manifest()))].into();
    sender.send(&Library { padding: "x".repeat(1 << 20), books }).await.expect("it is open");
    let process = start::<T, _, _, _>(lines_in, (receiver,));
    let (padding, lines) = process.join().await.expect("it returns");
    assert_eq!((padding, lines), (1 << 20, vec!["[package]".to_owned(); 2]));
}

// conformance C051
#[test]
fn a_message_whose_descriptor_cannot_come_is_an_error_and_no_hang() {
    alone(|| {
        let (receiver, sender) = one_way().expect("there are descriptors left");
        let (numbers, counter) = one_way::<u32>().expect("there are descriptors left");
        sender.blocking_send(&manifest()).expect("there is room");
        counter.blocking_send_bytes(&vec![1; 100_000]).expect("there is room");
        sender.blocking_send(&manifest()).expect("there is room");

        let before = descriptor_limits().0;
        limit_descriptors(3);
        let errors = [receiver.blocking_recv().err(), numbers.blocking_recv_bytes().err()];
        limit_descriptors(before);
        for error in errors {
            match error {
                Some(Error::DecodeMessage { cause }) => assert!(cause.contains("descriptor"), "{cause}"),
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert_eq!(first_line(receiver.blocking_recv().expect("it comes")), "[package]");
    });
}

#[test]
fn more_handles_than_a_value_may_have_are_an_error_for_who_sends_them() {
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let many = |count| (0..count).map(|_| manifest()).collect::<Vec<_>>();
    sender.blocking_send(&many(64)).expect("so many go");
    match sender.blocking_send(&many(65)) {
        Err(Error::EncodeMessage { cause }) => assert!(cause.contains("more than 64 handles"), "{cause}"),
        other => panic!("unexpected: {other:?}"),
    }
    assert_eq!(receiver.blocking_recv().expect("it was sent").len(), 64);
    assert!(receiver.try_recv().expect("it is open").is_none());
}

// conformance C057
async fn a_connection_and_a_socket_are_sent_over_a_connection<T: Twin>() {
    type Both = (Sender<String>, Handle<TcpStream>);
    fn answer_on_both(receiver: Receiver<Both>) {
        let (sender, mut socket) = receiver.blocking_recv().expect("it was sent");
        sender.blocking_send(&"by connection".to_owned()).expect("it is open");
        socket.write_all(b"by socket").expect("it is open");
    }
    let (receiver, sender) = one_way::<Both>().expect("there are descriptors left");
    let process = start::<T, _, _, _>(answer_on_both, (receiver,));
    let (answers, to_answer) = one_way().expect("there are descriptors left");
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it listens");
    let (socket, _) = listener.accept().expect("it was called");
    sender.send(&(to_answer, Handle::new(socket))).await.expect("it is open");
    process.join().await.expect("it returns");
    assert_eq!(answers.recv().await.expect("it was sent"), "by connection");
    assert!(matches!(answers.recv().await, Err(Error::Disconnected)));
    let mut heard = String::new();
    client.read_to_string(&mut heard).expect("it can be read");
    assert_eq!(heard, "by socket");
}

// conformance C046, C058
async fn an_end_that_has_travelled_keeps_its_direction<T: Twin>() {
    fn send_against(receivers: Receiver<Receiver<u32>>) -> bool {
        let receiver = receivers.blocking_recv().expect("it was sent");
        let sent = rustix::net::send(&receiver, b"against the direction", SendFlags::NOSIGNAL);
        assert_eq!(receiver.blocking_recv().expect("it was sent"), 7);
        sent == Err(Errno::PIPE)
    }
    let (receivers, sender) = one_way().expect("there are descriptors left");
    let process = start::<T, _, _, _>(send_against, (receivers,));
    let (receiver, numbers) = one_way().expect("there are descriptors left");
    sender.send(&receiver).await.expect("it is open");
    numbers.send(&7).await.expect("it is open");
    assert!(process.join().await.expect("it returns"), "the kernel refuses it");
}

async fn an_end_that_was_sent_away_and_not_received_is_closed_with_the_connection<T: Twin>() {
    fn look(receiver: Receiver<Sender<u32>>) -> bool {
        receiver.blocking_poll(Duration::from_mins(1)).expect("it can be waited for")
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let (numbers, to_send) = one_way::<u32>().expect("there are descriptors left");
    sender.send(&to_send).await.expect("it is open");
    to_send.close();
    let process = start::<T, _, _, _>(look, (receiver,));
    assert!(process.join().await.expect("it returns"));
    assert!(matches!(numbers.recv().await, Err(Error::Disconnected)));
}

async fn a_task_gives_back_one_end_and_serves_the_other<K: Kind>() {
    fn serve() -> Connection<u32, u32> {
        let (theirs, ours) = pipe::<u32, u32>().expect("there are descriptors left");
        std::thread::spawn(move || {
            while let Ok(number) = ours.blocking_recv() {
                let _nobody_waits = ours.blocking_send(&(number * number));
            }
        });
        theirs
    }
    let pool = pool::<K>(1);
    let connection = pool.apply(serve, ()).await.expect("it comes back");
    for number in 0..10 {
        connection.send(&number).await.expect("it is open");
        assert_eq!(connection.recv().await.expect("it is answered"), number * number);
    }
    end(pool).await;
}

#[test]
fn an_end_that_something_else_serializes_is_an_error_that_says_why() {
    let (receiver, _sender) = one_way::<u32>().expect("there are descriptors left");
    let error = postcard::to_stdvec(&receiver).expect_err("only the crate sends it");
    assert_eq!(error, postcard::Error::SerdeSerCustom);
    let error = postcard::from_bytes::<Receiver<u32>>(&[0, 5]).expect_err("no descriptor has come");
    assert_eq!(error, postcard::Error::SerdeDeCustom);
}
