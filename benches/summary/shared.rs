//! What processes share, beside the same on threads and beside copying it.

use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use multiprocess::{Array, Process, ProcessPool, Shared, Value};
use tokio::runtime::Runtime;

use crate::echo::{MIB, pass};
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const ADDITIONS: u32 = 1_000_000;
const ROUNDS: u32 = 20;
const TASKS: usize = 100;

/// Two processes add one to a `Value` under its lock as often as they can. Floor: a `Mutex` and two threads.
pub(crate) fn value(amount: Amount) -> Line {
    let additions = amount.of(ADDITIONS);
    let of_processes = || vec![between_processes(additions)];
    let of_threads = || vec![between_threads(additions)];
    let medians = in_turns(amount.of(ROUNDS), of_processes, of_threads);
    let operations = f64::from(additions) * 2.0;
    Line::new(operations / medians.case.as_secs_f64(), "ops/s", operations / medians.floor.as_secs_f64())
}

fn between_processes(additions: u32) -> Duration {
    let (value, start) = (Value::new(0_u64).expect("there is memory"), multiprocess::Barrier::new(2));
    let start = start.expect("two are enough");
    let add = || {
        start.blocking_wait().expect("nobody breaks it");
        (0..additions).for_each(|_| *value.blocking_lock().expect("nobody dies with it") += 1);
    };
    // In the copy there is no second thread, and here none is left when it is made.
    let other = Process::fork(add).expect("there is one thread");
    let (time, ()) = timed(|| {
        add();
        other.blocking_join().expect("it has no reason to fail");
    });
    assert_eq!(*value.blocking_lock().expect("nobody dies with it"), u64::from(additions) * 2);
    time
}

fn between_threads(additions: u32) -> Duration {
    let (mutex, start) = (Mutex::new(0_u64), Barrier::new(2));
    let add = || {
        start.wait();
        (0..additions).for_each(|_| *mutex.lock().expect("nobody panics") += 1);
    };
    let (time, ()) = timed(|| {
        thread::scope(|scope| {
            scope.spawn(add);
            add();
        });
    });
    assert_eq!(mutex.into_inner().expect("nobody panics"), u64::from(additions) * 2);
    time
}

/// An `Array` of 64 MiB to a worker, which changes an element in place, and the answer back; both ways counted as if the bytes went there and back. Floor: as for `echo_64m`, where they do.
pub(crate) fn array(amount: Amount) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(1) }).expect("one worker is a pool");
    let array = Array::<u8>::zeroed(MIB << 20).expect("there is memory");
    let changes = |array: Array<u8>| {
        let mut guard = array.blocking_lock().expect("nobody dies with it");
        let last = guard.len() - 1;
        guard[last] = guard[last].wrapping_add(1);
        guard[last]
    };
    let in_place = || {
        let one = || timed(|| runtime.block_on(pool.apply(changes, (array.clone(),)))).0;
        (0..TASKS).map(|_| one()).collect()
    };
    let bytes = vec![0x5a; MIB << 20];
    let (mut block, mut target) = (bytes.clone(), bytes.clone());
    let copied = || vec![timed(|| (0..2).for_each(|_| pass(&bytes, &mut block, &mut target))).0];
    let medians = in_turns(amount.of(ROUNDS), in_place, copied);
    assert!(array.blocking_lock().expect("nobody dies with it").last() != Some(&0));
    runtime.block_on(pool.shutdown()).expect("the worker ends");
    let both_ways = f64::from(u32::try_from(2 * MIB).expect("it is small"));
    Line::new(both_ways / medians.case.as_secs_f64(), "MiB/s", both_ways / medians.floor.as_secs_f64())
}

/// A slice of 64 MiB is shared, and 100 tasks on two workers add up a hundredth of it each. Floor: it is copied once and added up, in this process.
pub(crate) fn broadcast(amount: Amount) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(2) }).expect("two workers are a pool");
    runtime.block_on(pool.ready()).expect("they start");
    let numbers: Vec<u64> = (0..(MIB as u64) << 17).collect();
    let part = numbers.len() / TASKS;
    let sums =
        |shared: Shared<[u64]>, from: usize, part: usize| shared[from..from + part].iter().sum::<u64>();
    let shared = || {
        let calls = |shared: &Shared<[u64]>| {
            let calls = (0..TASKS).map(|number| (shared.clone(), number * part, part));
            pool.starmap(sums, calls.collect::<Vec<_>>())
        };
        let (time, sums) = timed(|| {
            let shared = Shared::from_slice(&numbers).expect("there is memory");
            runtime.block_on(calls(&shared)).expect("they have no reason to fail")
        });
        assert_eq!(sums.iter().sum::<u64>(), numbers[..part * TASKS].iter().sum());
        vec![time]
    };
    let copied = || vec![timed(|| black_box(numbers.clone()).iter().sum::<u64>()).0];
    let medians = in_turns(amount.of(ROUNDS), shared, copied);
    runtime.block_on(pool.shutdown()).expect("the workers end");
    Line::new(medians.case.as_secs_f64() * 1e3, "ms", medians.floor.as_secs_f64() * 1e3)
}
