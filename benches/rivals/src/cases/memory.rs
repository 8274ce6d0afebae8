//! What an idle worker that has worked before has of memory for itself alone.

use multiprocess::{ProcessPool, StartMethod};
use tokio::runtime::Runtime;

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, python, rust};
use crate::ipc::{Peer, SQUARE};
use crate::plan::Amount;
use crate::private::private_kib;

pub(crate) const CASE: Case = Case {
    name: "idle_worker_private_kib",
    what: "private memory of each of two idle workers that have worked; less is better",
    unit: "KiB",
    rivals: &[
        rust(OURS, "spawn", spawned),
        rust(OURS, "forkserver", forked),
        python(POOL, "fork", "fork"),
        python(POOL, "forkserver", "forkserver"),
        python(POOL, "spawn", "spawn"),
        python(EXECUTOR, "default start method", "executor"),
        rust(PROCSPAWN, "`Pool`", procspawn),
        rust(IPC, "a child by hand", ipc),
    ],
};

fn of_each(pids: impl IntoIterator<Item = u32>) -> f64 {
    let each: Vec<f64> = pids.into_iter().map(private_kib).collect();
    assert_eq!(each.len(), 2, "there are two workers");
    each.iter().sum::<f64>() / 2.0
}

fn spawned(_: Amount) -> f64 {
    ours(StartMethod::Spawn)
}

fn forked(_: Amount) -> f64 {
    ours(StartMethod::Forkserver)
}

fn ours(method: StartMethod) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let pool = ProcessPool::builder().workers(2).start_method(method).build().expect("they are a pool");
        pool.ready().await.expect("the workers start");
        // Both have certainly worked: there are many times more calls than one could be sent ahead.
        pool.map(|x: u64| x * x, 0..500).chunksize(1).await.expect("no task fails");
        of_each(pool.worker_pids())
    })
}

fn procspawn(_: Amount) -> f64 {
    let pool = procspawn::Pool::new(2).expect("two workers are a pool");
    let mut pids = std::collections::BTreeSet::new();
    while pids.len() < 2 {
        let calls = [1, 2].map(|x: u64| pool.spawn(x, |x| (x * x, std::process::id())));
        pids.extend(calls.map(|call| call.join().expect("the worker lives").1));
    }
    of_each(pids)
}

fn ipc(_: Amount) -> f64 {
    let peers = [Peer::start(&SQUARE), Peer::start(&SQUARE)];
    for x in 0..250 {
        for peer in &peers {
            assert_eq!(peer.call(x), x * x);
        }
    }
    of_each(peers.each_ref().map(Peer::pid))
}
