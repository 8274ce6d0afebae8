//! Connections when something goes wrong: who is killed tears no message, who lies is found out, and nothing is left behind.

mod support;

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use multiprocess::{
    Connection, Error, Handle, Process, Receiver, Result, Sender, blocking_wait, one_way, pipe, wait,
};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use support::alone::alone;
use support::census::{Census, until};
use support::evil::noise;
use support::foreign::{SIGCONT, SIGPIPE, by_default, close_whosever, exit_code, fork, on_signal, signal};
use support::start_method::left_out;
use support::{DEADLINE, on_processes};

on_processes!(
    a_sender_that_is_killed_tears_no_message_and_hurts_no_other,
    a_receiver_that_is_killed_takes_whole_messages_or_none,
    signals_do_not_disturb_who_waits,
);

/// A message of this length with a content that shows whether it is whole.
fn message(own: u32, number: u32) -> (u32, u32, Vec<u8>) {
    // Few are large enough for memory of their own, since serde takes them byte by byte.
    let length = if number % 16 == 15 { 40_000 } else { 100 * (number as usize % 16) };
    (own, number, vec![u8::try_from(number % 251).expect("it is small"); length])
}

fn send_for_ever(sender: Sender<(u32, u32, Vec<u8>)>, own: u32) {
    let numbers = 0..;
    let _last = numbers.map(|number| sender.blocking_send(&message(own, number))).find(Result::is_err);
}

async fn a_sender_that_is_killed_tears_no_message_and_hurts_no_other() {
    for round in 0..15 {
        let (receiver, sender) = one_way().expect("there are descriptors left");
        let copy = sender.try_clone().expect("there are descriptors left");
        let killed = Process::spawn(send_for_ever, (copy, 0)).expect("it starts");
        let other = Process::spawn(send_for_ever, (sender, 1)).expect("it starts");
        let mut next = [0, 0];
        let mut check = |taken: Result<(u32, u32, Vec<u8>)>| {
            let (own, number, bytes) = taken.expect("it is whole");
            assert!((own, number, bytes) == message(own, next[own as usize]), "message {number} of {own}");
            next[own as usize] += 1;
            next
        };
        // So many messages are a different moment in each round.
        while check(receiver.recv().await)[0] <= round * 4 {}
        killed.kill().expect("it runs");
        killed.join().await.expect_err("it has returned nothing");
        let before = check(receiver.recv().await)[1];
        while check(receiver.recv().await)[1] < before + 30 {}
        receiver.close();
        other.join().await.expect("it sees the end");
    }
}

/// Says each number that it takes.
fn take_for_ever(receiver: Receiver<(u32, u32, Vec<u8>)>, taken: Sender<u32>) {
    while let Ok((own, number, bytes)) = receiver.blocking_recv() {
        assert!((own, number, bytes) == message(own, number), "message {number} is whole");
        if taken.blocking_send(&number).is_err() {
            return;
        }
    }
}

async fn a_receiver_that_is_killed_takes_whole_messages_or_none() {
    const LAST: u32 = 150;
    for round in 0..10 {
        let (receiver, sender) = one_way().expect("there are descriptors left");
        let (taken, to_tell) = one_way().expect("there are descriptors left");
        let take = |receiver: &Receiver<_>| {
            let ends =
                (receiver.try_clone().expect("there are some left"), to_tell.try_clone().expect("there are"));
            Process::spawn(take_for_ever, ends).expect("it starts")
        };
        let (killed, other) = (take(&receiver), take(&receiver));
        drop((receiver, to_tell));
        let send = async move {
            for number in 0..LAST {
                sender.send(&message(7, number)).await.expect("somebody takes it");
                if number == 10 + round * 10 {
                    killed.kill().expect("it runs");
                }
            }
            killed
        };
        let listen = async {
            let mut all = Vec::new();
            while let Ok(number) = taken.recv().await {
                all.push(number);
            }
            all
        };
        let (killed, mut all) = tokio::join!(send, listen);
        killed.join().await.expect_err("it has returned nothing");
        other.join().await.expect("it sees the end");
        all.sort_unstable();
        all.dedup();
        // The one that was killed may have taken one and not told of it.
        assert!(all.len() >= LAST as usize - 1, "{} of {LAST} were taken", all.len());
    }
}

/// Sends a datagram that no connection sends.
fn send_raw(socket: impl std::os::fd::AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(descriptors.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    let parts = [std::io::IoSlice::new(bytes)];
    sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL).expect("there is room");
}

fn head(kind: u8, handles: u8, length: u64) -> Vec<u8> {
    [&[kind, handles][..], &length.to_le_bytes()].concat()
}

/// The datagram of a message most of whose bytes stand in memory.
fn large(length: u64) -> Vec<u8> {
    [head(2, 0, length), vec![0; 32 * 1024]].concat()
}

fn memory(length: u64, seals: SealFlags) -> OwnedFd {
    let memory = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC);
    let memory = memory.expect("there is memory left");
    // A byte at the end leaves a hole before it.
    let written =
        if seals.is_empty() { vec![0; usize::try_from(length).expect("it is small")] } else { vec![0] };
    rustix::io::pwrite(&memory, &written, length - written.len() as u64).expect("it is not sealed");
    rustix::fs::fcntl_add_seals(&memory, seals).expect("it takes seals");
    memory
}

/// What is wrong with a datagram, its bytes, and its descriptors.
type Attack<'d> = (&'static str, Vec<u8>, Vec<BorrowedFd<'d>>);

/// `open` is memory without seals, and `hollow` half a GiB of it without substance.
fn attacks<'d>(null: BorrowedFd<'d>, open: BorrowedFd<'d>, hollow: BorrowedFd<'d>) -> Vec<Attack<'d>> {
    let (length, misfit) = ("the length of any message", "its head does not fit");
    let memory = "its memory is not what it says";
    vec![
        (length, vec![1], vec![]),
        (length, vec![0; 9], vec![]),
        (length, vec![9; 60_000], vec![]),
        (misfit, vec![0; 10], vec![]),
        (misfit, head(1, 0, 5), vec![]),
        ("18446744073709551615 bytes is more than", head(1, 0, u64::MAX), vec![]),
        ("more handles have come", head(1, 0, 0), vec![null; 253]),
        (misfit, head(2, 0, 100_000), vec![open]),
        (misfit, large(32 * 1024), vec![open]),
        ("its memory has not come", large(100_000), vec![]),
        (memory, large(100_000), vec![null]),
        (memory, large(32 * 1024 + 100_000), vec![open]),
        (memory, large((1 << 29) + 32 * 1024), vec![hollow]),
        ("is more than the 1073741824", head(2, 0, 1 << 60), vec![hollow]),
        ("no handle has come with the value", [head(1, 1, 2), vec![1, 0]].concat(), vec![]),
        // The same handle twice.
        ("a handle has not come with its value", [head(1, 1, 3), vec![2, 0, 0]].concat(), vec![null]),
    ]
}

#[test]
fn whatever_a_hostile_peer_sends_is_an_error_and_the_next_message_comes() {
    alone(|| {
        let (receiver, sender) = one_way::<Vec<Handle<File>>>().expect("there are descriptors left");
        let before = Census::take();
        let null = File::open("/dev/null").expect("it is there");
        let all_seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW;
        let (open, hollow) = (memory(100_000, SealFlags::empty()), memory(1 << 29, all_seals));
        let attacks = attacks(null.as_fd(), open.as_fd(), hollow.as_fd());
        for (expected, bytes, descriptors) in &attacks {
            send_raw(&sender, bytes, descriptors);
            let error = receiver.blocking_recv().expect_err("it is no message").to_string();
            assert!(error.contains(expected), "{error}");
        }
        drop(attacks);
        sender.blocking_send(&vec![Handle::new(null)]).expect("it is open");
        let received = receiver.blocking_recv().expect("it comes");
        assert_eq!(received.len(), 1);
        drop((received, open, hollow));
        before.settles();
    });
}

#[test]
fn random_bytes_and_descriptors_never_panic_the_receiver() {
    let (receiver, sender) =
        one_way::<Vec<Option<(String, Handle<File>)>>>().expect("there are descriptors left");
    let null = File::open("/dev/null").expect("it is there");
    let mut random = noise(7);
    for round in 0..5_000 {
        let length = random() % 40;
        let mut bytes: Vec<u8> = (0..=length).map(|_| random()).collect();
        // Half of them have a head that may pass.
        if round % 2 == 0 && bytes.len() > 10 {
            let rest = bytes.len() - 10;
            bytes[..10].copy_from_slice(&head(1, 1, rest as u64));
        }
        send_raw(&sender, &bytes, &vec![null.as_fd(); usize::from(random() % 3)]);
        let _refused = receiver.blocking_recv();
    }
    sender.blocking_send(&vec![None]).expect("it is open");
    assert_eq!(receiver.blocking_recv().expect("it comes").len(), 1);
}

// conformance C066
#[test]
fn a_descriptor_that_was_closed_is_an_error_and_no_crash() {
    alone(|| {
        let (ours, _theirs) = pipe::<u32, u32>().expect("there are descriptors left");
        // Before, since it would take the number that becomes free.
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        close_whosever(ours.as_fd().as_raw_fd());
        assert!(matches!(ours.blocking_recv(), Err(Error::Connection { .. })));
        assert!(matches!(ours.blocking_send(&1), Err(Error::Connection { .. })));
        assert!(matches!(ours.try_clone(), Err(Error::Connection { .. })));
        assert!(matches!(runtime.block_on(ours.recv()), Err(Error::Connection { .. })));
        let ready = blocking_wait(&[&ours], Some(DEADLINE)).expect("it is looked at");
        assert_eq!(ready, [0], "whoever receives is told at once");
        // Its descriptor is not its own any more.
        std::mem::forget(ours);
    });
}

#[test]
fn an_end_that_nobody_receives_from_is_an_error_and_no_signal() {
    alone(|| {
        by_default(SIGPIPE);
        let (receiver, sender) = one_way::<u32>().expect("there are descriptors left");
        sender.blocking_send(&1).expect("it is open");
        drop(receiver);
        for _ in 0..3 {
            assert!(matches!(sender.blocking_send(&1), Err(Error::Disconnected)));
        }
    });
}

static SEEN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: i32) {
    SEEN.fetch_add(1, Ordering::SeqCst);
}

/// Waits for a message, for room and for the end, and says how many signals have come meanwhile.
fn wait_among_signals(connection: Connection<Vec<u8>, Vec<u8>>) -> usize {
    on_signal(SIGCONT, count);
    connection.blocking_send(&Vec::new()).expect("it is open");
    assert_eq!(connection.blocking_recv().expect("it comes"), b"go on");
    assert!(connection.blocking_poll(DEADLINE).expect("it can be waited for"));
    connection.blocking_recv().expect("it is there");
    for _ in 0..30 {
        connection.blocking_send(&vec![1; 20_000]).expect("it is open");
    }
    let end = blocking_wait(&[&connection], Some(DEADLINE)).expect("it can be waited for");
    assert_eq!(end, [0]);
    SEEN.load(Ordering::SeqCst)
}

// conformance C065
async fn signals_do_not_disturb_who_waits() {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = Process::spawn(wait_among_signals, (theirs,)).expect("it starts");
    ours.recv().await.expect("it waits");
    let disturb = || {
        for _ in 0..200 {
            signal(process.pid(), SIGCONT);
            std::thread::yield_now();
        }
    };
    for _ in 0..2 {
        disturb();
        ours.send(&b"go on".to_vec()).await.expect("it is open");
    }
    for _ in 0..30 {
        disturb();
        assert_eq!(ours.recv().await.expect("it comes").len(), 20_000);
    }
    disturb();
    ours.close();
    assert!(process.join().await.expect("no wait fails") > 0, "it has seen signals");
}

#[test]
fn a_forked_child_uses_its_copies_and_takes_nothing_from_its_parent() {
    alone(|| {
        let inside =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made");
        let (ours, theirs) = pipe::<u32, u32>().expect("there are descriptors left");
        let runtime = inside();
        theirs.blocking_send(&0).expect("it is open");
        assert_eq!(runtime.block_on(ours.recv()).expect("it was sent"), 0);
        theirs.blocking_send(&1).expect("it is open");
        let child = fork(|| {
            assert_eq!(inside().block_on(ours.recv()).expect("it was sent"), 1);
            ours.blocking_send(&2).expect("it is open");
        });
        assert_eq!(theirs.blocking_recv().expect("the child has sent it"), 2);
        let mut code = None;
        until("the child has ended", || {
            code = code.or_else(|| exit_code(child));
            code.is_some()
        });
        assert_eq!(code, Some(0));
        let sends = std::thread::spawn(move || theirs.blocking_send(&3));
        let limit = tokio::time::timeout;
        let received = runtime.block_on(async { limit(DEADLINE, ours.recv()).await });
        assert_eq!(received.expect("it is woken").expect("it was sent"), 3);
        sends.join().expect("it does not panic").expect("it is open");
    });
}

fn use_one() {
    let (ours, theirs) = pipe::<Vec<u8>, Sender<u8>>().expect("there are descriptors left");
    let answer = |connection: Connection<Sender<u8>, Vec<u8>>| {
        let (receiver, sender) = one_way().expect("there are descriptors left");
        let length = connection.blocking_recv().expect("it was sent").len();
        connection.blocking_send(&sender).expect("it is open");
        drop(sender);
        (length, receiver.blocking_recv().ok())
    };
    let process = Process::spawn(answer, (theirs,)).expect("it starts");
    ours.blocking_send(&vec![1; 1 << 20]).expect("it is open");
    ours.blocking_recv().expect("it is answered").blocking_send(&7).expect("it is open");
    assert_eq!(process.blocking_join().expect("it returns"), (1 << 20, Some(7)));
}

fn wait_in_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let (receiver, sender) = one_way::<Vec<u8>>().expect("there are descriptors left");
        while sender.try_send(&vec![1; 20_000]).is_ok() {}
        let takes = async {
            while receiver
                .recv_timeout(std::time::Duration::from_millis(1))
                .await
                .expect("it is open")
                .is_some()
            {}
            wait(&[&receiver], Some(std::time::Duration::from_millis(1))).await
        };
        let (sent, waited) = tokio::join!(sender.send(&vec![1; 40_000]), takes);
        sent.expect("it is open");
        waited.expect("it can be waited for");
    });
}

fn leave_messages_unread() {
    let (_receiver, sender) = one_way().expect("there are descriptors left");
    let (_numbers, to_send) = one_way::<u8>().expect("there are descriptors left");
    sender.blocking_send(&(vec![1; 100_000], Some(to_send))).expect("there is room");
}

#[test]
fn connections_leave_nothing_behind() {
    if left_out("the forkserver of all processes stays, with its descriptors") {
        return;
    }
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            for way in [use_one, wait_in_a_runtime, leave_messages_unread] {
                way();
                before.settles();
            }
        }
    });
}
