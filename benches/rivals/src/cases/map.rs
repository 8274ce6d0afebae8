//! Squares of a million numbers on two workers, in chunks as they come by default.

use std::time::Duration;

use multiprocess::ProcessPool;
use rayon::prelude::*;
use tokio::runtime::Runtime;

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, RAYON, TOKIO, python, rust};
use crate::ipc::{Peer, SQUARES};
use crate::plan::Amount;
use crate::sample::{median_s, timed};

pub(crate) const CASE: Case = Case {
    name: "map_u64_1m",
    what: "`x * x` over 1,000,000 numbers, two workers, default chunks; more is better",
    unit: "M items/s",
    rivals: &[
        rust(OURS, "`map`", ours),
        python(POOL, "`map`", "pool"),
        python(EXECUTOR, "`map`, whose default is single elements: here in chunks as of `Pool`", "executor"),
        rust(PROCSPAWN, "no map: one batch a worker by hand", procspawn),
        rust(IPC, "no map: one batch a child by hand", ipc),
        rust(RAYON, "`par_iter`", rayon),
        rust(TOKIO, "no map: one batch a thread by hand", spawn_blocking),
    ],
};

const ITEMS: u64 = 1_000_000;
const ROUNDS: u32 = 10;

fn squares(batch: Vec<u64>) -> Vec<u64> {
    batch.into_iter().map(|x| x * x).collect()
}

/// What each of two workers gets.
fn halves() -> [Vec<u64>; 2] {
    [(0..ITEMS / 2).collect(), (ITEMS / 2..ITEMS).collect()]
}

fn rate(amount: Amount, map: impl Fn() -> Vec<u64>) -> f64 {
    let sample = || -> Duration {
        let (time, squares) = timed(&map);
        let right = |(x, square): (u64, &u64)| x * x == *square;
        assert!(squares.len() as u64 == ITEMS && (0..).zip(&squares).all(right));
        time
    };
    1.0 / median_s(amount.of(ROUNDS), sample)
}

fn ours(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(2) }).expect("two workers are a pool");
    rate(amount, || runtime.block_on(pool.map(|x: u64| x * x, 0..ITEMS)).expect("no task fails"))
}

fn procspawn(amount: Amount) -> f64 {
    let pool = procspawn::Pool::new(2).expect("two workers are a pool");
    rate(amount, || {
        let calls = halves().map(|half| pool.spawn(half, squares));
        calls.map(|call| call.join().expect("the worker lives")).concat()
    })
}

fn ipc(amount: Amount) -> f64 {
    let peers = [Peer::start(&SQUARES), Peer::start(&SQUARES)];
    rate(amount, || {
        peers.iter().zip(halves()).for_each(|(peer, half)| peer.send(half));
        peers.each_ref().map(Peer::recv).concat()
    })
}

fn rayon(amount: Amount) -> f64 {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be started");
    rate(amount, || threads.install(|| (0..ITEMS).into_par_iter().map(|x| x * x).collect()))
}

fn spawn_blocking(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    rate(amount, || {
        let calls = halves().map(|half| runtime.spawn_blocking(|| squares(half)));
        calls.map(|call| runtime.block_on(call).expect("it has no panic")).concat()
    })
}
