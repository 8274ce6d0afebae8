//! What locks and events between processes cost, alone and where two processes want the same. The other process is a copy
//! of this one, so that these cases come before all that start threads.

use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use multiprocess::{Event, Lock, Process};

use crate::child::Pong;
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const PAIRS: u32 = 1_000_000;
const WAKE_UPS: u32 = 1_000;
const ROUNDS: u32 = 20;

/// A lock that nobody else wants, acquired and released. Floor: the same with a `Mutex` of the standard library.
pub(crate) fn uncontended(amount: Amount) -> Line {
    let (lock, mutex) = (Lock::new().expect("there is memory"), Mutex::new(()));
    let pairs = amount.of(PAIRS);
    let of_lock = || vec![each(pairs, || drop(black_box(lock.blocking_acquire())))];
    let of_mutex = || vec![each(pairs, || drop(black_box(mutex.lock())))];
    let medians = in_turns(amount.of(ROUNDS), of_lock, of_mutex);
    Line::new(medians.case.as_secs_f64() * 1e9, "ns", medians.floor.as_secs_f64() * 1e9)
}

fn each(pairs: u32, mut act: impl FnMut()) -> Duration {
    let (time, ()) = timed(|| (0..pairs).for_each(|_| act()));
    time / pairs
}

/// A lock that two processes acquire and release as often as they can. Floor: a `Mutex` and two threads.
pub(crate) fn contended(amount: Amount) -> Line {
    let pairs = amount.of(PAIRS);
    let of_processes = || vec![between_processes(pairs)];
    let of_threads = || vec![between_threads(pairs)];
    // In the copies there is no second thread, and here none is left when they are made.
    let medians = in_turns(amount.of(ROUNDS), of_processes, of_threads);
    let operations = f64::from(pairs) * 2.0;
    Line::new(operations / medians.case.as_secs_f64(), "ops/s", operations / medians.floor.as_secs_f64())
}

fn between_processes(pairs: u32) -> Duration {
    let (lock, start) = (Lock::new().expect("there is memory"), multiprocess::Barrier::new(2));
    let start = start.expect("two are enough");
    let use_it = || {
        start.blocking_wait().expect("nobody breaks it");
        (0..pairs).for_each(|_| drop(black_box(lock.blocking_acquire())));
    };
    let other = Process::fork(use_it).expect("there is one thread");
    let (time, ()) = timed(|| {
        use_it();
        other.blocking_join().expect("it has no reason to fail");
    });
    time
}

fn between_threads(pairs: u32) -> Duration {
    let (mutex, start) = (Mutex::new(()), Barrier::new(2));
    let use_it = || {
        start.wait();
        (0..pairs).for_each(|_| drop(black_box(mutex.lock())));
    };
    let (time, ()) = timed(|| {
        thread::scope(|scope| {
            scope.spawn(use_it);
            use_it();
        });
    });
    time
}

/// From one process's `set` to the other's end of `wait`, half of the way there and back. Floor: one byte through a pipe, likewise.
pub(crate) fn wakeup(amount: Amount) -> Line {
    let (there, back) = (Event::new().expect("there is memory"), Event::new().expect("there is memory"));
    let (rounds, wake_ups) = (amount.of(ROUNDS), amount.of(WAKE_UPS));
    let answers = || {
        for _ in 0..rounds * wake_ups {
            there.blocking_wait();
            there.clear();
            back.set();
        }
    };
    let other = Process::fork(answers).expect("there is one thread");
    let mut pong = Pong::start().arrived();
    let exchange = || {
        there.set();
        back.blocking_wait();
        back.clear();
    };
    let of_events = || (0..wake_ups).map(|_| timed(exchange).0 / 2).collect();
    let of_bytes = || pong.ping(wake_ups).into_iter().map(|time| time / 2).collect();
    let medians = in_turns(rounds, of_events, of_bytes);
    other.blocking_join().expect("it has no reason to fail");
    Line::new(medians.case.as_secs_f64() * 1e6, "us", medians.floor.as_secs_f64() * 1e6)
}
