//! A lock that nobody else wants, and a number to which two processes add under its lock.

use std::hint::black_box;

use multiprocess::{Barrier, Lock, Process, Value};

use super::{CPYTHON, Case, OURS, python, rust};
use crate::plan::Amount;
use crate::sample::{median_s, timed};

pub(crate) const LOCK: Case = Case {
    name: "lock_uncontended",
    what: "a lock that nobody else wants, acquired and released; less is better",
    unit: "ns",
    rivals: &[
        rust(OURS, "`Lock::blocking_acquire`", lock),
        python(CPYTHON, "`Lock`, `acquire`, `release`", "acquire"),
        python(CPYTHON, "`Lock`, `with`", "with"),
    ],
};

pub(crate) const VALUE: Case = Case {
    name: "value_inc_2p",
    what: "a number to which two processes add one under its lock as often as they can; more is better",
    unit: "M/s",
    rivals: &[
        rust(OURS, "`Value::blocking_lock`", value),
        python(CPYTHON, "`Value`, `with value.get_lock()`", "value"),
    ],
};

const PAIRS: u32 = 1_000_000;
const ADDITIONS: u32 = 1_000_000;
const ROUNDS: u32 = 10;

fn lock(amount: Amount) -> f64 {
    let lock = Lock::new().expect("there is memory");
    let pairs = || (0..PAIRS).for_each(|_| drop(black_box(lock.blocking_acquire())));
    median_s(amount.of(ROUNDS), || timed(pairs).0) * 1e9 / f64::from(PAIRS)
}

fn add(value: Value<u64>, start: Barrier) {
    start.blocking_wait().expect("nobody breaks it");
    (0..ADDITIONS).for_each(|_| *value.blocking_lock().expect("nobody dies with it") += 1);
}

fn value(amount: Amount) -> f64 {
    let seconds = median_s(amount.of(ROUNDS), || {
        let (value, start) = (Value::new(0_u64).expect("there is memory"), Barrier::new(3));
        let start = start.expect("three are enough");
        let adders =
            [(), ()].map(|()| Process::spawn(add, (value.clone(), start.clone())).expect("it starts"));
        start.blocking_wait().expect("nobody breaks it");
        let (time, ()) = timed(|| {
            for adder in &adders {
                adder.blocking_join().expect("it has no reason to fail");
            }
        });
        assert_eq!(*value.blocking_lock().expect("nobody dies with it"), 2 * u64::from(ADDITIONS));
        time
    });
    f64::from(2 * ADDITIONS) / 1e6 / seconds
}
