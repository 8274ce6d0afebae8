//! From nothing to a result from each of sixteen workers.

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use multiprocess::{ProcessPool, StartMethod, worker};
use tokio::runtime::{Builder, Runtime};

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, RAYON, TOKIO, python, rust};
use crate::ipc::{ADD, Peer, Starting};
use crate::plan::Amount;
use crate::sample::{median_s, timed};

pub(crate) const CASE: Case = Case {
    name: "start_16",
    what: "16 workers from nothing to a result from each; less is better",
    unit: "ms",
    rivals: &[
        rust(OURS, "spawn: `ProcessPool::new(16)`, `ready`, a call each", spawned),
        rust(OURS, "forkserver that runs: `resize` by 16, `ready`, a call each", forked),
        python(POOL, "fork, the calls meet at a barrier", "fork"),
        python(POOL, "forkserver that runs, the calls meet at a barrier", "forkserver"),
        python(POOL, "spawn, the calls meet at a barrier", "spawn"),
        python(EXECUTOR, "default start method, the calls meet at a barrier", "executor"),
        rust(PROCSPAWN, "16 times `procspawn::spawn`", procspawn),
        rust(IPC, "16 children by hand", ipc),
        rust(RAYON, "a thread pool, `broadcast`", rayon),
        rust(TOKIO, "a runtime, the calls meet at a barrier", spawn_blocking),
    ],
};

const WORKERS: usize = 16;
const ROUNDS: u32 = 3;

fn ms(amount: Amount, start: impl FnMut() -> Duration) -> f64 {
    median_s(amount.of(ROUNDS), start) * 1e3
}

/// In a current-thread runtime none is idle again before the last call was sent.
fn spawned(amount: Amount) -> f64 {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let first_results = || async {
        let began = Instant::now();
        let pool = ProcessPool::new(WORKERS).expect("they are some");
        pool.ready().await.expect("they start");
        one_call_each(&pool).await;
        let time = began.elapsed();
        pool.shutdown().await.expect("the workers end");
        time
    };
    ms(amount, || runtime.block_on(first_results()))
}

/// The forkserver of a pool belongs to it, so the pool is there already, and its first worker has a task that does not end.
fn forked(amount: Amount) -> f64 {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let first_results = || async {
        let builder = ProcessPool::builder().workers(1).start_method(StartMethod::Forkserver);
        let pool = builder.build().expect("one worker is a pool");
        pool.ready().await.expect("it starts");
        let held = pool.apply_async(std::thread::park, ());
        let began = Instant::now();
        pool.resize(1 + WORKERS).expect("it is open");
        pool.ready().await.expect("they start");
        one_call_each(&pool).await;
        let time = began.elapsed();
        drop(held);
        pool.terminate();
        pool.join().await.expect("the workers end");
        time
    };
    ms(amount, || runtime.block_on(first_results()))
}

async fn one_call_each(pool: &ProcessPool) {
    let index = || worker::current().map(|worker| worker.index);
    let calls: Vec<_> = (0..WORKERS).map(|_| pool.apply_async(index, ())).collect();
    let mut seen = HashSet::new();
    for call in calls {
        seen.insert(call.await.expect("the worker lives"));
    }
    assert_eq!(seen.len(), WORKERS, "each worker had one call");
}

fn procspawn(amount: Amount) -> f64 {
    ms(amount, || {
        let first_results = || {
            let processes: Vec<_> = (0..WORKERS).map(|_| procspawn::spawn(1_u64, |x| x + 1)).collect();
            for process in processes {
                assert_eq!(process.join().expect("it starts"), 2);
            }
        };
        timed(first_results).0
    })
}

fn ipc(amount: Amount) -> f64 {
    ms(amount, || {
        let (time, _peers) = timed(|| {
            let started: Vec<_> = (0..WORKERS).map(|_| Starting::new(&ADD)).collect();
            let peers: Vec<_> = started.into_iter().map(Starting::arrived).collect();
            for peer in &peers {
                peer.send(1);
            }
            assert!(peers.iter().map(Peer::recv).all(|sum| sum == 2));
            peers
        });
        time
    })
}

fn rayon(amount: Amount) -> f64 {
    ms(amount, || {
        let (time, _threads) = timed(|| {
            let threads = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
            let threads = threads.expect("threads can be started");
            assert_eq!(threads.broadcast(|thread| thread.index()).len(), WORKERS);
            threads
        });
        time
    })
}

fn spawn_blocking(amount: Amount) -> f64 {
    ms(amount, || {
        let (time, _runtime) = timed(|| {
            let runtime = Runtime::new().expect("a runtime can be made");
            let together = Arc::new(Barrier::new(WORKERS));
            let arrive = || {
                let together = Arc::clone(&together);
                runtime.spawn_blocking(move || together.wait().is_leader())
            };
            let calls: Vec<_> = (0..WORKERS).map(|_| arrive()).collect();
            for call in calls {
                runtime.block_on(call).expect("it has no panic");
            }
            runtime
        });
        time
    })
}
