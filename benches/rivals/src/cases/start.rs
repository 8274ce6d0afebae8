//! From nothing to the first result of one worker.

use std::time::{Duration, Instant};

use multiprocess::{ProcessPool, StartMethod};
use tokio::runtime::{Builder, Runtime};

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, RAYON, TOKIO, python, rust};
use crate::ipc::{ADD, Peer};
use crate::plan::Amount;
use crate::sample::{median_s, timed};

pub(crate) const CASE: Case = Case {
    name: "start_1",
    what: "one worker from nothing to its first result; less is better",
    unit: "ms",
    rivals: &[
        rust(OURS, "spawn: `ProcessPool::new(1)`, `apply`", spawned),
        rust(OURS, "forkserver that runs: `resize` by one, `apply`", forked),
        python(POOL, "fork", "fork"),
        python(POOL, "forkserver that runs", "forkserver"),
        python(POOL, "spawn", "spawn"),
        python(EXECUTOR, "default start method", "executor"),
        rust(PROCSPAWN, "`Pool::new(1)`, `spawn`, `join`", procspawn),
        rust(IPC, "a child by hand", ipc),
        rust(RAYON, "a thread pool, `install`", rayon),
        rust(TOKIO, "a runtime, `block_on`", spawn_blocking),
    ],
};

const ROUNDS: u32 = 20;

fn ms(amount: Amount, start: impl FnMut() -> Duration) -> f64 {
    median_s(amount.of(ROUNDS), start) * 1e3
}

fn spawned(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    ms(amount, || {
        let (time, pool) = timed(|| {
            runtime.block_on(async {
                let pool = ProcessPool::new(1).expect("one worker is a pool");
                assert_eq!(pool.apply(|x: u64| x + 1, (1,)).await.expect("it starts"), 2);
                pool
            })
        });
        runtime.block_on(pool.shutdown()).expect("the worker ends");
        time
    })
}

/// The forkserver of a pool belongs to it, so the pool is there already, and its first worker has a task that does not end.
fn forked(amount: Amount) -> f64 {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let first_result = || async {
        let builder = ProcessPool::builder().workers(1).start_method(StartMethod::Forkserver);
        let pool = builder.build().expect("one worker is a pool");
        pool.ready().await.expect("it starts");
        let held = pool.apply_async(std::thread::park, ());
        let began = Instant::now();
        pool.resize(2).expect("it is open");
        assert_eq!(pool.apply(|x: u64| x + 1, (1,)).await.expect("it starts"), 2);
        let time = began.elapsed();
        drop(held);
        pool.terminate();
        pool.join().await.expect("the workers end");
        time
    };
    ms(amount, || runtime.block_on(first_result()))
}

fn procspawn(amount: Amount) -> f64 {
    ms(amount, || {
        let (time, _pool) = timed(|| {
            let pool = procspawn::Pool::new(1).expect("one worker is a pool");
            assert_eq!(pool.spawn(1_u64, |x| x + 1).join().expect("it starts"), 2);
            pool
        });
        time
    })
}

fn ipc(amount: Amount) -> f64 {
    ms(amount, || {
        let (time, _peer) = timed(|| {
            let peer = Peer::start(&ADD);
            assert_eq!(peer.call(1), 2);
            peer
        });
        time
    })
}

fn rayon(amount: Amount) -> f64 {
    ms(amount, || {
        let (time, _threads) = timed(|| {
            let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("it can be started");
            assert_eq!(threads.install(|| 1 + 1), 2);
            threads
        });
        time
    })
}

fn spawn_blocking(amount: Amount) -> f64 {
    ms(amount, || {
        let (time, _runtime) = timed(|| {
            let runtime = Runtime::new().expect("a runtime can be made");
            assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 1 + 1)).expect("it has no panic"), 2);
            runtime
        });
        time
    })
}
