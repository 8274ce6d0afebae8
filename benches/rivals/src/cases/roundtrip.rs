//! A tiny call on one warm worker, one after the other.

use multiprocess::ProcessPool;
use tokio::runtime::Runtime;

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, RAYON, TOKIO, python, rust};
use crate::ipc::{ADD, Peer};
use crate::plan::Amount;
use crate::sample::{awaited_p50_us, p50_us};

pub(crate) const CASE: Case = Case {
    name: "roundtrip",
    what: "a tiny call on one warm worker and its result, p50; less is better",
    unit: "us",
    rivals: &[
        rust(OURS, "`apply`, awaited in `block_on`", awaited),
        rust(OURS, "`blocking_apply`", blocking),
        python(POOL, "`apply`", "pool"),
        python(EXECUTOR, "`submit`, `result`", "executor"),
        rust(PROCSPAWN, "`Pool::spawn`, `join`", procspawn),
        rust(IPC, "a child by hand: request, reply", ipc),
        rust(RAYON, "`install`", rayon),
        rust(TOKIO, "awaited in `block_on`", spawn_blocking),
    ],
};

const CALLS: u32 = 5_000;

fn tiny(x: u64) -> u64 {
    x + 1
}

fn awaited(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let pool = ProcessPool::new(1).expect("one worker is a pool");
        awaited_p50_us(amount.of(CALLS), async |x| {
            assert_eq!(pool.apply(tiny, (x,)).await.expect("the worker lives"), x + 1);
        })
        .await
    })
}

fn blocking(amount: Amount) -> f64 {
    let pool = ProcessPool::new(1).expect("one worker is a pool");
    p50_us(amount.of(CALLS), |x| {
        assert_eq!(pool.blocking_apply(tiny, (x,)).expect("the worker lives"), x + 1);
    })
}

fn procspawn(amount: Amount) -> f64 {
    let pool = procspawn::Pool::new(1).expect("one worker is a pool");
    p50_us(amount.of(CALLS), |x| {
        assert_eq!(pool.spawn(x, tiny).join().expect("the worker lives"), x + 1);
    })
}

fn ipc(amount: Amount) -> f64 {
    let peer = Peer::start(&ADD);
    p50_us(amount.of(CALLS), |x| assert_eq!(peer.call(x), x + 1))
}

fn rayon(amount: Amount) -> f64 {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
    p50_us(amount.of(CALLS), |x| assert_eq!(threads.install(|| tiny(x)), x + 1))
}

fn spawn_blocking(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(awaited_p50_us(amount.of(CALLS), async |x| {
        assert_eq!(tokio::task::spawn_blocking(move || tiny(x)).await.expect("it has no panic"), x + 1);
    }))
}
