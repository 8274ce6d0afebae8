//! Connections: messages go whole, in their order and both ways, between processes and between threads.

mod support;

use std::time::Duration;

use multiprocess::{Connection, Error, Kind, Receiver, Result, Sender, blocking_wait, one_way, pipe};
use serde::{Deserialize, Serialize};
use support::gate::{Gate, pass};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{DEADLINE, end, on_both, pool};

on_twins!(
    values_go_both_ways,
    bytes_of_every_length_come_as_they_were_sent,
    a_part_of_a_buffer_is_sent_and_a_part_is_filled,
    a_message_that_does_not_fit_the_buffer_is_in_the_error,
    polling_waits_for_a_message_and_takes_none,
    an_empty_message_is_there_until_it_is_received,
    messages_that_are_sent_fast_stay_apart,
    what_one_process_has_polled_another_one_takes_whole,
    what_was_sent_before_the_end_comes_before_the_end,
    an_end_may_be_closed_as_soon_as_its_process_is_started,
    every_message_goes_to_one_of_those_that_receive,
    a_sender_that_waits_for_room_goes_on_as_messages_are_taken,
    a_message_over_the_limit_is_an_error_for_who_sends_and_who_receives,
    what_is_no_such_value_is_an_error_and_the_next_message_is_not_harmed,
);

on_both!(tasks_of_a_pool_talk_to_each_other);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    name: String,
    lines: Vec<(u32, Option<f64>)>,
}

/// Gives every value back until the other end is closed.
fn echo(connection: Connection<Order, Order>) {
    while let Ok(order) = connection.blocking_recv() {
        connection.blocking_send(&order).expect("somebody waits for it");
    }
}

// conformance C045
async fn values_go_both_ways<T: Twin>() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = start::<T, _, _, _>(echo, (theirs,));
    for lines in [0, 1, 10_000] {
        let order = Order { name: "paper".into(), lines: vec![(lines, Some(0.5)); lines as usize] };
        ours.send(&order).await.expect("it is open");
        assert_eq!(ours.recv().await.expect("it comes back"), order);
        ours.blocking_send(&order).expect("it is open");
        assert_eq!(ours.blocking_recv().expect("it comes back"), order);
    }
    ours.close();
    process.join().await.expect("it returns");
}

/// Gives all bytes back until the other end is closed.
fn echo_bytes(connection: Connection<Vec<u8>, Vec<u8>>) {
    while let Ok(bytes) = connection.blocking_recv_bytes() {
        connection.blocking_send_bytes(&bytes).expect("somebody waits for them");
    }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + length) % 251).expect("it is small")).collect()
}

// conformance C045, C048
async fn bytes_of_every_length_come_as_they_were_sent<T: Twin>() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = start::<T, _, _, _>(echo_bytes, (theirs,));
    for length in [0, 1, 9, 10, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 1 << 20, 16 << 20] {
        let bytes = noise(length);
        ours.send_bytes(&bytes).await.expect("it is open");
        assert!(ours.recv_bytes().await.expect("they come back") == bytes, "{length} bytes");
        ours.send(&bytes).await.expect("it is open");
        assert!(ours.recv().await.expect("they come back") == bytes, "a value of {length} bytes");
    }
    ours.close();
    process.join().await.expect("it returns");
}

// conformance C045, C048
async fn a_part_of_a_buffer_is_sent_and_a_part_is_filled<T: Twin>() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = start::<T, _, _, _>(echo_bytes, (theirs,));
    let mut buffer = *b"..........";
    ours.send_bytes(&b"abcdefgh"[2..5]).await.expect("it is open");
    assert_eq!(ours.recv_bytes_into(&mut buffer[4..]).await.expect("there is room"), 3);
    assert_eq!(&buffer, b"....cde...");
    ours.send_bytes(&b"abcdefgh"[8..]).await.expect("it is open");
    assert_eq!(ours.blocking_recv_bytes_into(&mut buffer).expect("nothing fits"), 0);
    let mut large = vec![0; 100_001];
    ours.send_bytes(&noise(100_000)).await.expect("it is open");
    assert_eq!(ours.recv_bytes_into(&mut large[1..]).await.expect("there is room"), 100_000);
    assert!(large[0] == 0 && large[1..] == noise(100_000));
    ours.close();
    process.join().await.expect("it returns");
}

// conformance C045
async fn a_message_that_does_not_fit_the_buffer_is_in_the_error<T: Twin>() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = start::<T, _, _, _>(echo_bytes, (theirs,));
    for length in [4, 100_000] {
        ours.send_bytes(&noise(length)).await.expect("it is open");
        match ours.recv_bytes_into(&mut [0; 3]).await {
            Err(Error::BufferTooShort { message, room: 3 }) => assert!(message == noise(length)),
            other => panic!("unexpected: {other:?}"),
        }
    }
    ours.send_bytes(b"abc").await.expect("it is open");
    assert_eq!(ours.recv_bytes().await.expect("the next one is whole"), b"abc");
    ours.close();
    process.join().await.expect("it returns");
}

// conformance C045
async fn polling_waits_for_a_message_and_takes_none<T: Twin>() {
    fn send_behind_the_gate(sender: Sender<u32>, key: String) {
        pass(&key);
        sender.blocking_send(&7).expect("it is open");
    }
    let (receiver, sender) = one_way::<u32>().expect("there are descriptors left");
    let mut gate = Gate::new();
    let process = start::<T, _, _, _>(send_behind_the_gate, (sender, gate.key()));
    gate.arrived().await;
    for limit in [Duration::ZERO, Duration::from_millis(10)] {
        assert!(!receiver.poll(limit).await.expect("it can be waited for"));
        assert!(!receiver.blocking_poll(limit).expect("it can be waited for"));
        assert_eq!(receiver.recv_timeout(limit).await.expect("it is open"), None);
        assert_eq!(receiver.blocking_recv_timeout(limit).expect("it is open"), None);
    }
    gate.let_all_go();
    assert!(receiver.poll(DEADLINE).await.expect("it can be waited for"));
    assert!(receiver.blocking_poll(DEADLINE).expect("it can be waited for"));
    assert_eq!(receiver.recv_timeout(DEADLINE).await.expect("it is there"), Some(7));
    process.join().await.expect("it returns");
}

// conformance C053
async fn an_empty_message_is_there_until_it_is_received<T: Twin>() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = start::<T, _, _, _>(echo_bytes, (theirs,));
    ours.send_bytes(&[]).await.expect("it is open");
    for _ in 0..3 {
        assert!(ours.poll(DEADLINE).await.expect("it can be waited for"));
    }
    assert_eq!(ours.recv_bytes().await.expect("it is there"), b"");
    assert!(!ours.poll(Duration::ZERO).await.expect("it can be waited for"));
    ours.close();
    process.join().await.expect("it returns");
}

// conformance C054, C056
async fn messages_that_are_sent_fast_stay_apart<T: Twin>() {
    fn send_all(sender: Sender<Vec<u8>>) {
        for message in [&b"hello"[..], b"", b"a", b"b", b"", b"bye"] {
            sender.blocking_send_bytes(message).expect("it is open");
        }
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let process = start::<T, _, _, _>(send_all, (sender,));
    process.join().await.expect("it returns");
    for expected in [&b"hello"[..], b"", b"a", b"b", b"", b"bye"] {
        assert!(receiver.poll(DEADLINE).await.expect("it can be waited for"));
        assert_eq!(receiver.recv_bytes().await.expect("it is there"), expected);
    }
    assert!(matches!(receiver.recv_bytes().await, Err(Error::Disconnected)));
}

// conformance C055
async fn what_one_process_has_polled_another_one_takes_whole<T: Twin>() {
    fn take(receiver: Receiver<String>) -> Result<String> {
        receiver.blocking_recv()
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    for message in ["first", "second"] {
        sender.send(&message.to_owned()).await.expect("it is open");
    }
    assert!(receiver.poll(DEADLINE).await.expect("it can be waited for"));
    let copy = receiver.try_clone().expect("there are descriptors left");
    let process = start::<T, _, _, _>(|receiver| take(receiver).ok(), (copy,));
    assert_eq!(process.join().await.expect("it returns").as_deref(), Some("first"));
    assert_eq!(receiver.recv().await.expect("it is still there"), "second");
}

// conformance C045, C052, C073
async fn what_was_sent_before_the_end_comes_before_the_end<T: Twin>() {
    fn talk(connection: Connection<u32, u32>) {
        for number in 0..3 {
            connection.blocking_send(&number).expect("it is open");
        }
        // What the other side has sent is left behind.
        assert!(connection.blocking_poll(DEADLINE).expect("it can be waited for"));
    }
    let (ours, theirs) = pipe().expect("there are descriptors left");
    ours.send(&7).await.expect("it is open");
    let process = start::<T, _, _, _>(talk, (theirs,));
    process.join().await.expect("it returns");
    for number in 0..3 {
        assert_eq!(ours.recv().await.expect("it was sent"), number);
    }
    assert!(matches!(ours.recv().await, Err(Error::Disconnected)));
    assert!(matches!(ours.try_recv(), Err(Error::Disconnected)));
    assert!(ours.poll(DEADLINE).await.expect("the end can be polled"));
    assert!(matches!(ours.send(&7).await, Err(Error::Disconnected)));
    assert!(matches!(ours.try_send(&7), Err(Error::Disconnected)));
}

// conformance C047
async fn an_end_may_be_closed_as_soon_as_its_process_is_started<T: Twin>() {
    fn receive(receiver: Receiver<String>) -> String {
        receiver.blocking_recv().expect("it was sent")
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let copy = receiver.try_clone().expect("there are descriptors left");
    let process = start::<T, _, _, _>(receive, (copy,));
    receiver.close();
    sender.send(&"hello".to_owned()).await.expect("the process has the other end");
    assert_eq!(process.join().await.expect("it returns"), "hello");
}

async fn every_message_goes_to_one_of_those_that_receive<T: Twin>() {
    const EACH: u64 = 2_000;
    fn send_some(sender: Sender<u64>, first: u64) {
        for number in first..first + EACH {
            sender.blocking_send(&number).expect("somebody receives");
        }
    }
    fn receive_all(receiver: Receiver<u64>) -> Vec<u64> {
        std::iter::from_fn(|| receiver.blocking_recv().ok()).collect()
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let copy = |_| receiver.try_clone().expect("there are descriptors left");
    let takers: Vec<_> = (0..2).map(copy).map(|end| start::<T, _, _, _>(receive_all, (end,))).collect();
    receiver.close();
    let copy = |first: u64| (sender.try_clone().expect("there are descriptors left"), first * EACH);
    let givers: Vec<_> = (0..3).map(copy).map(|args| start::<T, _, _, _>(send_some, args)).collect();
    sender.close();
    for giver in givers {
        giver.join().await.expect("it returns");
    }
    let mut all = Vec::new();
    for taker in takers {
        let taken = taker.join().await.expect("it returns");
        for first in 0..3 {
            let its = taken.iter().filter(|number| **number / EACH == first);
            assert!(its.is_sorted(), "the messages of one sender come in their order");
        }
        all.extend(taken);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..3 * EACH));
}

async fn a_sender_that_waits_for_room_goes_on_as_messages_are_taken<T: Twin>() {
    fn take_behind_the_gate(receiver: Receiver<Vec<u8>>, key: String) -> usize {
        pass(&key);
        std::iter::from_fn(|| receiver.blocking_recv().ok()).filter(|message| message.len() == 20_000).count()
    }
    let (receiver, sender) = one_way::<Vec<u8>>().expect("there are descriptors left");
    let mut gate = Gate::new();
    let process = start::<T, _, _, _>(take_behind_the_gate, (receiver, gate.key()));
    gate.arrived().await;
    let message = vec![1; 20_000];
    let mut sent = 0;
    while sender.try_send(&message).is_ok() {
        sent += 1;
    }
    assert!(matches!(sender.try_send(&message), Err(Error::Full)));
    // A future that is dropped while it waits has sent nothing.
    let waits = tokio::time::timeout(Duration::from_millis(5), sender.send(&message)).await;
    waits.expect_err("there is no room");
    let (one, other) = (sender.send(&message), sender.send(&message));
    let both = async { tokio::try_join!(one, other) };
    let opens = async { gate.let_all_go() };
    tokio::join!(both, opens).0.expect("it is open");
    sender.blocking_send(&message).expect("it is open");
    sender.close();
    assert_eq!(process.join().await.expect("it returns"), sent + 3);
}

#[test]
fn few_large_messages_wait_for_who_receives_them() {
    let (receiver, sender) = one_way::<Vec<u8>>().expect("there are descriptors left");
    let message = noise(1 << 20);
    let sent = std::iter::from_fn(|| sender.try_send(&message).ok()).count();
    assert!((1..50).contains(&sent), "{sent} of a MiB each");
    assert!((0..sent).all(|_| receiver.blocking_recv().expect("it was sent") == message));
    assert!(receiver.try_recv().expect("it is open").is_none());
}

// conformance C067
async fn a_message_over_the_limit_is_an_error_for_who_sends_and_who_receives<T: Twin>() {
    fn send_all(sender: Sender<Vec<u8>>) -> Vec<bool> {
        let lengths = [100_000, 100_001, 3].into_iter();
        lengths.map(|length| sender.blocking_send_bytes(&vec![1; length]).is_ok()).collect()
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    // The limit of an end travels with it.
    let process = start::<T, _, _, _>(send_all, (sender.max_frame(100_000),));
    assert_eq!(process.join().await.expect("it returns"), [true, false, true]);
    let receiver = receiver.max_frame(99_999);
    match receiver.recv_bytes().await {
        Err(Error::MessageTooLarge { size: 100_000, max: 99_999 }) => {}
        other => panic!("unexpected: {other:?}"),
    }
    assert_eq!(receiver.recv_bytes().await.expect("it is small"), [1; 3]);
}

async fn what_is_no_such_value_is_an_error_and_the_next_message_is_not_harmed<T: Twin>() {
    fn send_all(sender: Sender<String>) {
        sender.blocking_send_bytes(&[200, 1]).expect("it is open");
        sender.blocking_send(&"good".to_owned()).expect("it is open");
    }
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let process = start::<T, _, _, _>(send_all, (sender,));
    process.join().await.expect("it returns");
    match receiver.recv().await {
        Err(Error::DecodeMessage { cause }) => assert_eq!(cause, "the input ends within the value"),
        other => panic!("unexpected: {other:?}"),
    }
    assert_eq!(receiver.recv().await.expect("it is whole"), "good");
}

async fn tasks_of_a_pool_talk_to_each_other<K: Kind>() {
    fn play(connection: Connection<u32, u32>, serves: bool) -> u32 {
        let mut last = 0;
        if serves {
            connection.blocking_send(&1).expect("it is open");
        }
        while last < 99 {
            assert_eq!(blocking_wait(&[&connection], Some(DEADLINE)).expect("it can be waited for"), [0]);
            last = connection.blocking_recv().expect("it is open");
            // The last one to play may find nobody there.
            let _played = connection.blocking_send(&(last + 1));
        }
        last
    }
    let pool = pool::<K>(2);
    let (one, other) = pipe().expect("there are descriptors left");
    let results = pool.starmap(play, vec![(one, true), (other, false)]).await.expect("no task fails");
    assert_eq!(results.into_iter().sum::<u32>(), 99 + 100);
    end(pool).await;
}
