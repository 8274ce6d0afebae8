//! A tiny call on one warm worker, one after the other, awaited in the three ways that differ: in a task of a
//! multi-thread runtime, in its `block_on`, and in a current-thread runtime.
//!
//! Floor: one byte to and fro over two pipes, both sides blocking, placed by the kernel as it likes.

use std::time::{Duration, Instant};

use multiprocess::{Builder, ProcessPool, Processes};
use tokio::runtime::{self, Runtime};

use crate::child::Pong;
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::in_turns;

const ROUNDS: u32 = 20;
const CALLS: u32 = 1_000;

fn tiny(x: u64) -> u64 {
    x + 1
}

pub(crate) fn spawned(amount: Amount) -> Line {
    in_a_task(amount, ProcessPool::builder())
}

/// As `spawned`, of a pool on neither side of which anybody polls.
pub(crate) fn without_polling(amount: Amount) -> Line {
    in_a_task(amount, ProcessPool::builder().busy_poll(Duration::ZERO))
}

fn in_a_task(amount: Amount, builder: Builder<Processes>) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    roundtrip(&runtime, amount, builder, |pool, count| {
        let calls = runtime.spawn(calls(pool.clone(), count));
        runtime.block_on(calls).expect("no call panics")
    })
}

pub(crate) fn block_on(amount: Amount) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    roundtrip(&runtime, amount, ProcessPool::builder(), |pool, count| {
        runtime.block_on(calls(pool.clone(), count))
    })
}

pub(crate) fn current_thread(amount: Amount) -> Line {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    roundtrip(&runtime, amount, ProcessPool::builder(), |pool, count| {
        runtime.block_on(calls(pool.clone(), count))
    })
}

fn roundtrip(
    runtime: &Runtime,
    amount: Amount,
    builder: Builder<Processes>,
    calls: impl Fn(&ProcessPool, u32) -> Vec<Duration>,
) -> Line {
    let pool = runtime.block_on(async { builder.workers(1).build() }).expect("one worker is a pool");
    let mut pong = Pong::start().arrived();
    let count = amount.of(CALLS);
    calls(&pool, count);
    let medians = in_turns(amount.of(ROUNDS), || calls(&pool, count), || pong.ping(count));
    runtime.block_on(pool.shutdown()).expect("the worker ends");
    Line::new(us(medians.case), "us", us(medians.floor))
}

async fn calls(pool: ProcessPool, count: u32) -> Vec<Duration> {
    let mut times = Vec::new();
    for x in 0..u64::from(count) {
        let began = Instant::now();
        let result = pool.apply(tiny, (x,)).await;
        times.push(began.elapsed());
        assert_eq!(result.expect("the call succeeds"), x + 1);
    }
    times
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
