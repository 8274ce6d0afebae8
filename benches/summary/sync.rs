//! What locks and events between processes cost, alone and with two processes that want the same.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use multiprocess::{Event, Lock};

use crate::child::Pong;
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, median, timed};

const PAIRS: u32 = 1_000_000;
const ROUNDS: u32 = 20;

/// A lock that nobody else wants, acquired and released. Floor: the same with a `Mutex` of the standard library.
pub(crate) fn uncontended(amount: Amount) -> Line {
    let (lock, mutex) = (Lock::new().expect("there is memory"), Mutex::new(0_u64));
    let pairs = amount.of(PAIRS);
    let of_lock = || {
        vec![each(pairs, || drop(black_box(lock.blocking_acquire().expect("nobody else has it"))))]
    };
    let of_mutex =
        || vec![each(pairs, || drop(black_box(mutex.lock().expect("nobody panics with it"))))];
    let medians = in_turns(amount.of(ROUNDS), of_lock, of_mutex);
    Line::new(ns(medians.case), "ns", ns(medians.floor))
}

fn each(pairs: u32, mut act: impl FnMut()) -> Duration {
    timed(|| (0..pairs).for_each(|_| act())).0 / pairs
}

fn ns(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
