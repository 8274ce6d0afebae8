//! Squares of numbers on two workers, each a chunk of its own: what a message costs where many are under way.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use multiprocess::ProcessPool;
use rayon::prelude::*;
use tokio::runtime::Runtime;

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, RAYON, TOKIO, python, rust};
use crate::ipc::{Peer, SQUARE};
use crate::plan::Amount;
use crate::sample::{median_s, timed};

pub(crate) const CASE: Case = Case {
    name: "map_u64_chunk1",
    what: "`x * x` over 20,000 numbers, two workers, one a chunk; more is better",
    unit: "k items/s",
    rivals: &[
        rust(OURS, "`map`, `chunksize(1)`", ours),
        python(POOL, "`map`, `chunksize=1`", "pool"),
        python(EXECUTOR, "`map`", "executor"),
        rust(PROCSPAWN, "no map: a call each, 64 under way, since each holds descriptors", procspawn),
        rust(IPC, "no map: a message each, two threads a child by hand", ipc),
        rust(RAYON, "`par_iter`, `with_max_len(1)`", rayon),
        rust(TOKIO, "no map: a call each", spawn_blocking),
    ],
};

const ITEMS: u64 = 20_000;
const ROUNDS: u32 = 5;

fn rate(amount: Amount, mut map: impl FnMut() -> Vec<u64>) -> f64 {
    let sample = || -> Duration {
        let (time, squares) = timed(&mut map);
        let right = |(x, square): (u64, &u64)| x * x == *square;
        assert!(squares.len() as u64 == ITEMS && (0..).zip(&squares).all(right));
        time
    };
    20.0 / median_s(amount.of(ROUNDS), sample)
}

fn ours(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(2) }).expect("two workers are a pool");
    rate(amount, || {
        let map = pool.map(|x: u64| x * x, 0..ITEMS).chunksize(1);
        runtime.block_on(map).expect("no task fails")
    })
}

fn procspawn(amount: Amount) -> f64 {
    const UNDER_WAY: usize = 64;
    let pool = procspawn::Pool::new(2).expect("two workers are a pool");
    rate(amount, || {
        let (mut calls, mut squares) = (VecDeque::new(), Vec::new());
        for x in 0..ITEMS {
            if calls.len() == UNDER_WAY {
                squares.extend(calls.pop_front().map(joined));
            }
            calls.push_back(pool.spawn(x, |x| x * x));
        }
        squares.extend(calls.into_iter().map(joined));
        squares
    })
}

fn joined(call: procspawn::JoinHandle<u64>) -> u64 {
    call.join().expect("the worker lives")
}

/// A thread that sends and one that receives for each child: one thread for all would wait for a child that waits for it.
fn ipc(amount: Amount) -> f64 {
    let mut peers = [Peer::start(&SQUARE), Peer::start(&SQUARE)];
    rate(amount, || {
        thread::scope(|scope| {
            let halves = peers.each_mut().map(Peer::ends);
            let receivers = halves.into_iter().zip([0, ITEMS / 2]).map(|((to, from), first)| {
                let half = first..first + ITEMS / 2;
                scope.spawn(move || half.for_each(|x| to.send(x).expect("the child reads")));
                scope.spawn(move || {
                    let from = &*from;
                    (0..ITEMS / 2).map(|_| from.recv().expect("the child answers")).collect::<Vec<u64>>()
                })
            });
            let receivers: Vec<_> = receivers.collect();
            receivers.into_iter().flat_map(|half| half.join().expect("it has no panic")).collect()
        })
    })
}

fn rayon(amount: Amount) -> f64 {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be started");
    let single = || {
        let numbers: Vec<u64> = (0..ITEMS).collect();
        numbers.into_par_iter().with_max_len(1).map(|x| x * x).collect()
    };
    rate(amount, || threads.install(single))
}

fn spawn_blocking(amount: Amount) -> f64 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().max_blocking_threads(2).build().expect("it can be made");
    rate(amount, || {
        let calls: Vec<_> = (0..ITEMS).map(|x| runtime.spawn_blocking(move || x * x)).collect();
        let squares = async {
            let mut squares = Vec::new();
            for call in calls {
                squares.push(call.await.expect("it has no panic"));
            }
            squares
        };
        runtime.block_on(squares)
    })
}
