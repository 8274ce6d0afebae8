//! Waiting for several connections, sockets and processes at once.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use multiprocess::{Error, Handle, Process, Receiver, Sender, blocking_wait, one_way, wait};
use support::gate::{Gate, pass, stand};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{DEADLINE, executor, on_processes, run};

on_twins!(
    every_message_of_many_senders_comes_and_then_their_ends,
    every_message_of_slow_senders_comes,
    sockets_are_waited_for_beside_connections,
    nothing_is_ready_until_something_is_sent,
);

on_processes!(all_that_are_ready_are_told_together_connections_and_sentinels);

const SENDERS: u32 = 4;
const MESSAGES: u32 = 10;

/// Takes all messages of all receivers, by waiting for whichever has some, until all have come to their end.
async fn take_all(mut receivers: Vec<Receiver<(u32, u32)>>) -> Vec<(u32, u32)> {
    let mut taken = Vec::new();
    while !receivers.is_empty() {
        let ready = wait(&receivers, Some(DEADLINE)).await.expect("they can be waited for");
        assert!(!ready.is_empty() && ready.is_sorted());
        for place in ready.into_iter().rev() {
            match receivers[place].recv().await {
                Ok(message) => taken.push(message),
                Err(Error::Disconnected) => drop(receivers.remove(place)),
                Err(error) => panic!("unexpected: {error}"),
            }
        }
    }
    taken.sort_unstable();
    taken
}

fn expected() -> Vec<(u32, u32)> {
    (0..SENDERS).flat_map(|sender| (0..MESSAGES).map(move |number| (sender, number))).collect()
}

// conformance C059
async fn every_message_of_many_senders_comes_and_then_their_ends<T: Twin>() {
    fn send_all(sender: Sender<(u32, u32)>, own: u32) {
        for number in 0..MESSAGES {
            sender.blocking_send(&(own, number)).expect("it is open");
        }
    }
    let (receivers, senders): (Vec<_>, Vec<_>) =
        (0..SENDERS).map(|_| one_way().expect("there are descriptors left")).unzip();
    let processes: Vec<_> =
        senders.into_iter().zip(0..).map(|args| start::<T, _, _, _>(send_all, args)).collect();
    assert_eq!(take_all(receivers).await, expected());
    for process in processes {
        process.join().await.expect("it returns");
    }
}

// conformance C061
async fn every_message_of_slow_senders_comes<T: Twin>() {
    fn send_slowly(sender: Sender<(u32, u32)>, own: u32, key: String) {
        for number in 0..MESSAGES {
            pass(&key);
            sender.blocking_send(&(own, number)).expect("it is open");
        }
    }
    let mut gate = Gate::new();
    let (receivers, senders): (Vec<_>, Vec<_>) =
        (0..SENDERS).map(|_| one_way().expect("there are descriptors left")).unzip();
    let start = |(sender, own)| start::<T, _, _, _>(send_slowly, (sender, own, gate.key()));
    let processes: Vec<_> = senders.into_iter().zip(0..).map(start).collect();
    let opens = async {
        for _ in 0..SENDERS * MESSAGES {
            gate.arrived().await;
            gate.let_one_go();
        }
    };
    assert_eq!(tokio::join!(take_all(receivers), opens).0, expected());
    for process in processes {
        process.join().await.expect("it returns");
    }
}

// conformance C060
async fn sockets_are_waited_for_beside_connections<T: Twin>() {
    fn talk(mut socket: Handle<TcpStream>, sender: Sender<u32>, key: String) {
        socket.write_all(b"hello").expect("it is open");
        pass(&key);
        sender.blocking_send(&7).expect("it is open");
    }
    let mut gate = Gate::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let mut socket = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it listens");
    let (theirs, _) = listener.accept().expect("it was called");
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let process = start::<T, _, _, _>(talk, (Handle::new(theirs), sender, gate.key()));
    gate.arrived().await;
    let any: [&(dyn AsFd + Sync); 2] = [&receiver, &socket];
    assert_eq!(wait(&any, Some(DEADLINE)).await.expect("they can be waited for"), [1]);
    socket.read_exact(&mut [0; 5]).expect("it was sent");
    gate.let_all_go();
    process.join().await.expect("it returns");
    // The end of the socket is one more thing to read, and may take longer than the end of who has closed it.
    assert_eq!(blocking_wait(&[&socket], Some(DEADLINE)).expect("it can be waited for"), [0]);
    let any: [&(dyn AsFd + Sync); 2] = [&receiver, &socket];
    assert_eq!(blocking_wait(&any, Some(DEADLINE)).expect("they can be waited for"), [0, 1]);
}

// conformance C062, C064
async fn nothing_is_ready_until_something_is_sent<T: Twin>() {
    fn send(sender: Sender<u32>, key: String) {
        pass(&key);
        sender.blocking_send(&7).expect("it is open");
    }
    let mut gate = Gate::new();
    let (receiver, sender) = one_way().expect("there are descriptors left");
    let process = start::<T, _, _, _>(send, (sender, gate.key()));
    gate.arrived().await;
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let ready = wait(&[&receiver], Some(limit)).await.expect("it can be waited for");
        assert!(ready.is_empty());
        assert!(blocking_wait(&[&receiver], Some(limit)).expect("it can be waited for").is_empty());
    }
    let waits = wait(std::slice::from_ref(&receiver), None);
    let opens = async { gate.let_all_go() };
    assert_eq!(tokio::join!(waits, opens).0.expect("it can be waited for"), [0]);
    assert_eq!(wait(&[&receiver], Some(Duration::ZERO)).await.expect("it can be waited for"), [0]);
    process.join().await.expect("it returns");
}

// conformance C063
async fn all_that_are_ready_are_told_together_connections_and_sentinels() {
    let mut gate = Gate::new();
    let stands = Process::spawn(stand, (gate.key(),)).expect("it starts");
    gate.arrived().await;
    let ended = Process::spawn(|| (), ()).expect("it starts");
    let (silent, _its_sender) = one_way::<u32>().expect("there are descriptors left");
    let (receiver, sender) = one_way::<u32>().expect("there are descriptors left");
    let (closed, _) = one_way::<u32>().expect("there are descriptors left");
    sender.send(&7).await.expect("it is open");
    let sentinels = [stands.sentinel(), ended.sentinel()];
    assert_eq!(wait(&sentinels, Some(DEADLINE)).await.expect("they can be waited for"), [1]);
    let any: [&dyn AsFd; 5] = [&sentinels[0], &receiver, &sentinels[1], &silent, &closed];
    assert_eq!(wait(&any, None).await.expect("they can be waited for"), [1, 2, 4]);
    assert_eq!(blocking_wait(&any, None).expect("they can be waited for"), [1, 2, 4]);
    let rest: [&dyn AsFd; 2] = [&silent, &sentinels[0]];
    let waits = wait(&rest, None);
    let opens = async { gate.let_all_go() };
    assert_eq!(tokio::join!(waits, opens).0.expect("they can be waited for"), [1]);
    stands.join().await.expect("it returns");
    ended.join().await.expect("it returns");
}

#[test]
fn a_file_is_always_ready() {
    let manifest =
        || std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("it is there");
    run(async {
        let (silent, _sender) = one_way::<u32>().expect("there are descriptors left");
        let any: [&(dyn AsFd + Sync); 2] = [&silent, &manifest()];
        assert_eq!(wait(&any, Some(DEADLINE)).await.expect("they can be waited for"), [1]);
    });
}

#[test]
fn one_that_stands_there_twice_is_told_twice() {
    run(async {
        let (receiver, sender) = one_way::<u32>().expect("there are descriptors left");
        let any = [&receiver, &receiver];
        let sends = async { sender.send(&7).await.expect("it is open") };
        let (ready, ()) = tokio::join!(wait(&any, Some(DEADLINE)), sends);
        assert_eq!(ready.expect("they can be waited for"), [0, 1]);
    });
}

#[test]
fn waiting_for_nothing_ends_with_its_time() {
    run(async {
        let none: [&Receiver<u32>; 0] = [];
        assert!(wait(&none, Some(Duration::from_millis(5))).await.expect("it is over").is_empty());
        assert!(blocking_wait(&none, Some(Duration::ZERO)).expect("it is over").is_empty());
    });
}

#[test]
fn waiting_works_under_any_executor() {
    let (receiver, sender) = one_way::<u32>().expect("there are descriptors left");
    let waits = std::thread::spawn(move || {
        let ready = executor::block_on(wait(&[&receiver], Some(DEADLINE)));
        ready.expect("it can be waited for")
    });
    sender.blocking_send(&7).expect("it is open");
    assert_eq!(waits.join().expect("it does not panic"), [0]);
}

#[test]
fn what_waits_can_be_sent_to_another_thread() {
    run(async {
        let (receiver, sender) = one_way::<u32>().expect("there are descriptors left");
        let waits = tokio::spawn(async move {
            let sentinels: Vec<&Receiver<u32>> = vec![&receiver];
            wait(&sentinels, Some(DEADLINE)).await
        });
        sender.send(&7).await.expect("it is open");
        assert_eq!(waits.await.expect("it does not panic").expect("it can be waited for"), [0]);
    });
}
