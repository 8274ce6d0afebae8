//! Work that takes nothing but CPU, on two workers, against one thread of the same language.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use multiprocess::ProcessPool;
use rayon::prelude::*;
use tokio::runtime::Runtime;

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, RAYON, TOKIO, python, rust};
use crate::ipc::{BURN, Peer};
use crate::plan::Amount;
use crate::sample::timed;

pub(crate) const CASE: Case = Case {
    name: "cpu_speedup_2",
    what: "400 tasks of 2.5 ms CPU on two workers, against one thread of the same language; more is better",
    unit: "x",
    rivals: &[
        rust(OURS, "`map`", ours),
        python(POOL, "`map`", "pool"),
        python(EXECUTOR, "`map`", "executor"),
        rust(PROCSPAWN, "no map: a call each, 64 under way", procspawn),
        rust(IPC, "no map: a thread a child by hand takes the next task", ipc),
        rust(RAYON, "`par_iter`", rayon),
        rust(TOKIO, "a call each", spawn_blocking),
    ],
};

const TASKS: u32 = 400;
const TASK: Duration = Duration::from_micros(2_500);

/// Always the same work, however fast the machine is just now.
pub(crate) fn burn(steps: u64) -> u64 {
    (0..steps).fold(1, |state, step| black_box(state ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// How many steps one task has: the most that were seen to fit into its time, which is when the core was ours.
fn steps() -> u64 {
    const PORTION: u64 = 1_000;
    let fitting = || {
        let began = Instant::now();
        let portions = std::iter::repeat_with(|| black_box(burn(PORTION)));
        portions.take_while(|_| began.elapsed() < TASK).map(|_| PORTION).sum::<u64>()
    };
    (0..5).map(|_| fitting()).max().expect("it was tried")
}

/// Alone before and behind, so that a machine that becomes slower meanwhile favors nobody.
fn speedup(amount: Amount, parallel: impl Fn(u32, u64)) -> f64 {
    let (tasks, steps) = (amount.of(TASKS), steps());
    parallel(2, steps);
    let burn_half = || {
        for _ in 0..tasks / 2 {
            black_box(burn(steps));
        }
    };
    let half_alone = || timed(burn_half).0;
    let before = half_alone();
    let (together, ()) = timed(|| parallel(tasks, steps));
    (before + half_alone()).as_secs_f64() / together.as_secs_f64()
}

fn ours(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(2) }).expect("two workers are a pool");
    runtime.block_on(pool.ready()).expect("the workers start");
    speedup(amount, |tasks, steps| {
        let map = pool.map(burn, (0..tasks).map(move |_| steps));
        assert_eq!(runtime.block_on(map).expect("no task fails").len(), tasks as usize);
    })
}

fn procspawn(amount: Amount) -> f64 {
    const UNDER_WAY: usize = 64;
    let pool = procspawn::Pool::new(2).expect("two workers are a pool");
    let joined = |call: procspawn::JoinHandle<u64>| call.join().expect("the worker lives");
    speedup(amount, |tasks, steps| {
        let mut calls = VecDeque::new();
        for _ in 0..tasks {
            if calls.len() == UNDER_WAY {
                calls.pop_front().map(joined);
            }
            calls.push_back(pool.spawn(steps, burn));
        }
        for call in calls {
            joined(call);
        }
    })
}

fn ipc(amount: Amount) -> f64 {
    let peers = std::sync::Mutex::new(vec![Peer::start(&BURN), Peer::start(&BURN)]);
    speedup(amount, |tasks, steps| {
        let next = AtomicU32::new(0);
        let mut peers = peers.lock().expect("nobody panics with it");
        thread::scope(|scope| {
            for peer in peers.iter_mut() {
                let (to, from) = peer.ends();
                let next = &next;
                scope.spawn(move || {
                    while next.fetch_add(1, Ordering::Relaxed) < tasks {
                        to.send(steps).expect("the child reads");
                        from.recv().expect("the child answers");
                    }
                });
            }
        });
    })
}

fn rayon(amount: Amount) -> f64 {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be started");
    speedup(amount, |tasks, steps| {
        let burnt: Vec<u64> = threads.install(|| (0..tasks).into_par_iter().map(|_| burn(steps)).collect());
        assert_eq!(burnt.len(), tasks as usize);
    })
}

fn spawn_blocking(amount: Amount) -> f64 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().max_blocking_threads(2).build().expect("it can be made");
    speedup(amount, |tasks, steps| {
        let calls: Vec<_> = (0..tasks).map(|_| runtime.spawn_blocking(move || burn(steps))).collect();
        for call in calls {
            runtime.block_on(call).expect("it has no panic");
        }
    })
}
