//! Small items from another process to this one.

use std::hint::black_box;
use std::time::Duration;

use multiprocess::{Barrier, Process, Queue, SimpleQueue};

use super::{CPYTHON, Case, IPC, OURS, python, rust};
use crate::ipc::{PRODUCE, Peer};
use crate::plan::Amount;
use crate::sample::{median_s, timed};

pub(crate) const CASE: Case = Case {
    name: "queue_1p1c",
    what: "small items through a queue from another process to this one; more is better",
    unit: "k items/s",
    rivals: &[
        rust(OURS, "`Queue`, blocking", queue),
        rust(OURS, "`SimpleQueue`, blocking", simple),
        python(CPYTHON, "`Queue`", "queue"),
        python(CPYTHON, "`SimpleQueue`", "simple"),
        rust(IPC, "a channel from a child by hand", ipc),
    ],
};

const ITEMS: u64 = 200_000;
const ROUNDS: u32 = 5;

fn rate(amount: Amount, mut consume: impl FnMut() -> Duration) -> f64 {
    200.0 / median_s(amount.of(ROUNDS), &mut consume)
}

fn queue(amount: Amount) -> f64 {
    fn produce(queue: Queue<u64>, start: Barrier) {
        start.blocking_wait().expect("nobody breaks it");
        (0..ITEMS).for_each(|item| queue.blocking_put(item).expect("it is open"));
    }
    rate(amount, || {
        let queue = Queue::<u64>::new().expect("there is memory");
        let start = Barrier::new(2).expect("two are enough");
        let other = Process::spawn(produce, (queue.clone(), start.clone())).expect("it starts");
        start.blocking_wait().expect("nobody breaks it");
        let (time, ()) = timed(|| {
            for _ in 0..ITEMS {
                black_box(queue.blocking_get().expect("it is open"));
            }
        });
        other.blocking_join().expect("it has no reason to fail");
        time
    })
}

fn simple(amount: Amount) -> f64 {
    fn produce(queue: SimpleQueue<u64>, start: Barrier) {
        start.blocking_wait().expect("nobody breaks it");
        (0..ITEMS).for_each(|item| queue.blocking_put(item).expect("it is open"));
    }
    rate(amount, || {
        let queue = SimpleQueue::<u64>::new().expect("there is memory");
        let start = Barrier::new(2).expect("two are enough");
        let other = Process::spawn(produce, (queue.clone(), start.clone())).expect("it starts");
        start.blocking_wait().expect("nobody breaks it");
        let (time, ()) = timed(|| {
            for _ in 0..ITEMS {
                black_box(queue.blocking_get().expect("it is open"));
            }
        });
        other.blocking_join().expect("it has no reason to fail");
        time
    })
}

fn ipc(amount: Amount) -> f64 {
    let peer = Peer::start(&PRODUCE);
    rate(amount, || {
        timed(|| {
            peer.send(ITEMS);
            for _ in 0..ITEMS {
                black_box(peer.recv());
            }
        })
        .0
    })
}
