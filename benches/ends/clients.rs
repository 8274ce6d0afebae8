//! From the death of a client in the middle of its calls until its manager holds nothing for it any more: no object, door or line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use multiprocess::{Manager, Process, Proxy};

use crate::Found;
use crate::plan::Amount;

/// Objects of clients that there are, and that there ever were, in the manager's process.
static THERE: AtomicU64 = AtomicU64::new(0);
static MADE: AtomicU64 = AtomicU64::new(0);

/// Clients that are killed at the same time.
const AT_ONCE: usize = 4;

struct Counted;

impl Counted {
    fn new() -> Self {
        THERE.fetch_add(1, Ordering::Relaxed);
        MADE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THERE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the manager holds: objects of clients, and descriptors.
type Held = (u64, usize);

fn held(_: &Counted) -> Held {
    (THERE.load(Ordering::Relaxed), std::fs::read_dir("/proc/self/fd").expect("it is our own").count())
}

fn made(_: &Counted) -> u64 {
    MADE.load(Ordering::Relaxed)
}

/// Makes objects and calls them, as often as it can.
fn use_it(manager: Manager, kept: Proxy<Counted>) {
    let mut mine = Vec::new();
    loop {
        mine.push(manager.blocking_create(Counted::new, ()).expect("the manager lives"));
        kept.blocking_call(|_: &Counted, bytes: Vec<u8>| bytes, (vec![1; 40_000],))
            .expect("the manager lives");
        mine.truncate(3);
    }
}

pub(crate) fn references_gone(amount: Amount) -> Found {
    let manager = Manager::blocking_start().expect("it starts");
    let kept = manager.blocking_create(Counted::new, ()).expect("it lives");
    let ask = || kept.blocking_call(held, ()).expect("it lives");
    let before = ask();
    let times = (0..amount.of(250)).map(|round| {
        let made_before = kept.blocking_call(made, ()).expect("it lives");
        let client = || Process::spawn(use_it, (manager.clone(), kept.clone())).expect("it starts");
        let clients: Vec<_> = (0..AT_ONCE).map(|_| client()).collect();
        // Somewhere in the middle: some objects are dropped already.
        while kept.blocking_call(made, ()).expect("it lives") < made_before + 8 + u64::from(round) % 7 {}
        let began = Instant::now();
        for client in &clients {
            client.kill().expect("it runs");
        }
        while ask() != before {
            std::thread::yield_now();
        }
        let time = began.elapsed();
        for client in &clients {
            client.blocking_join().expect_err("it was killed");
        }
        time
    });
    let times: Vec<Duration> = times.collect();
    manager.blocking_shutdown().expect("it lives");
    Found::Times(times, 1.0)
}
