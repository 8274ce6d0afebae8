//! What an idle worker that has worked before has of memory for itself alone.
//!
//! Floor: that of this program started anew, with nothing done in it but one read that waits.

use multiprocess::{ProcessPool, StartMethod};
use tokio::runtime::Runtime;

use crate::child::Pong;
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::median;

const WORKERS: u32 = 5;

pub(crate) fn idle_worker(amount: Amount) -> Line {
    measure(amount, StartMethod::Spawn)
}

pub(crate) fn idle_forked(amount: Amount) -> Line {
    measure(amount, StartMethod::Forkserver)
}

fn measure(amount: Amount, method: StartMethod) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    let workers = usize::try_from(amount.of(WORKERS)).expect("they are few");
    let builder = ProcessPool::builder().workers(workers).start_method(method);
    let pool = runtime.block_on(async { builder.build() }).expect("it has workers");
    runtime.block_on(pool.ready()).expect("the workers start");
    // Each of them has certainly worked: there are many times more calls than one could be sent ahead.
    let warm = pool.map(|x: u64| x * x, 0..100_u64 * u64::from(WORKERS)).chunksize(1);
    runtime.block_on(warm).expect("no task fails");
    let of_workers = pool.worker_pids().into_iter().map(private_kib).collect();
    let children: Vec<_> = (0..workers).map(|_| Pong::start().arrived()).collect();
    let of_children = children.iter().map(|child| private_kib(child.pid())).collect();
    runtime.block_on(pool.shutdown()).expect("the workers end");
    Line::new(f64::from(median(of_workers)), "KiB", f64::from(median(of_children)))
}

/// The pages of a process that no other has.
fn private_kib(pid: u32) -> u32 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    let rollup = rollup.expect("the process lives and is ours");
    let private = |line: &&str| line.starts_with("Private_Dirty:") || line.starts_with("Private_Clean:");
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u32>().ok());
    rollup.lines().filter(private).filter_map(kib).sum()
}
