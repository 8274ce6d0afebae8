//! What a call costs where there are many: many at once, many that wait, many workers.

#![expect(clippy::cast_precision_loss, reason = "numbers of bytes are small")]

use std::time::Duration;

use multiprocess::{ProcessPool, TaskHandle};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const ROUNDS: u32 = 5;
const AT_ONCE: u32 = 10_000;
const FEW: u32 = 100;
const MANY: u32 = 1_000_000;

fn tiny(x: u64) -> u64 {
    x + 1
}

fn with_workers(workers: usize) -> (Runtime, ProcessPool) {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(workers) }).expect("it has workers");
    runtime.block_on(pool.ready()).expect("the workers start");
    (runtime, pool)
}

/// Microseconds for each call, of 10,000 tasks that each await one. Floor: of 100 such tasks at a time, as often as needed.
pub(crate) fn ten_thousand_at_once(amount: Amount) -> Line {
    let (runtime, pool) = with_workers(2);
    let calls = amount.of(AT_ONCE);
    let run = |at_once: u32| {
        vec![timed(|| (0..calls / at_once).for_each(|_| runtime.block_on(all_at_once(&pool, at_once)))).0]
    };
    let few = FEW.min(calls);
    let medians = in_turns(amount.of(ROUNDS), || run(calls), || run(few));
    runtime.block_on(pool.shutdown()).expect("the workers end");
    Line::new(each(medians.case, calls), "us", each(medians.floor, calls / few * few))
}

async fn all_at_once(pool: &ProcessPool, calls: u32) {
    let mut tasks = JoinSet::new();
    for x in 0..u64::from(calls) {
        let pool = pool.clone();
        tasks.spawn(async move { assert_eq!(pool.apply(tiny, (x,)).await.expect("it succeeds"), x + 1) });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no task panics");
    }
}

/// Bytes of memory for each of a million calls that wait, with all that was allocated for it. Floor: what its encoded arguments and its handle take by
/// themselves.
pub(crate) fn queued_bytes(amount: Amount) -> Line {
    let (runtime, pool) = with_workers(1);
    let calls = amount.of(MANY);
    let mut handles: Vec<TaskHandle<u64>> = Vec::with_capacity(usize::try_from(calls).expect("they fit"));
    // The room for the handles is touched before it is counted.
    let before = resident();
    runtime.block_on(async {
        handles.push(pool.apply_async(slow, (0,)));
        handles.extend((1..u64::from(calls)).map(|x| pool.apply_async(tiny, (x,))));
    });
    let taken = resident().saturating_sub(before);
    pool.terminate();
    runtime.block_on(pool.join()).expect("it ends");
    let of_one = size_of::<TaskHandle<u64>>() + size_of::<(u64, u8)>();
    Line::new(taken as f64 / f64::from(calls), "B", of_one as f64)
}

/// Holds up those behind it.
fn slow(_: u64) -> u64 {
    std::thread::park();
    0
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("it is ours");
    let pages = status.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("it is a number") * 4096
}

/// Microseconds for each of a million calls that are made at once and then awaited. Floor: of a thousand at a time, as often as needed.
pub(crate) fn million_queued(amount: Amount) -> Line {
    let (runtime, pool) = with_workers(2);
    let calls = amount.of(MANY);
    let few = 1_000.min(calls);
    let all = timed(|| runtime.block_on(queued(&pool, calls))).0;
    let floor = timed(|| (0..calls / few).for_each(|_| runtime.block_on(queued(&pool, few)))).0;
    runtime.block_on(pool.shutdown()).expect("the workers end");
    Line::new(each(all, calls), "us", each(floor, calls / few * few))
}

async fn queued(pool: &ProcessPool, calls: u32) {
    let handles: Vec<_> = (0..u64::from(calls)).map(|x| pool.apply_async(tiny, (x,))).collect();
    for (x, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.await.expect("it succeeds"), x as u64 + 1);
    }
}

/// Microseconds for each call of 64 workers on however many cores there are. Floor: of 2 workers.
pub(crate) fn many_workers(amount: Amount) -> Line {
    let (runtime, few) = with_workers(2);
    let many = runtime.block_on(async { ProcessPool::new(64) }).expect("it has workers");
    runtime.block_on(many.ready()).expect("the workers start");
    let calls = amount.of(AT_ONCE);
    let run = |pool: &ProcessPool| vec![timed(|| runtime.block_on(all_at_once(pool, calls))).0];
    let medians = in_turns(amount.of(ROUNDS), || run(&many), || run(&few));
    runtime.block_on(many.shutdown()).expect("the workers end");
    runtime.block_on(few.shutdown()).expect("the workers end");
    Line::new(each(medians.case, calls), "us", each(medians.floor, calls))
}

fn each(time: Duration, calls: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(calls)
}
