//! What a pool that has worked and now idles takes of the processor: all threads of the program and of its workers together, in one second, but for the
//! main one, which sleeps and measures.
//!
//! Floor: nothing, so that the whole of one core stands in its place, and the ratio is the part of a core that is taken.

use std::time::Duration;

use multiprocess::ProcessPool;
use tokio::runtime::Runtime;

use crate::plan::Amount;
use crate::report::Line;
use crate::sample::median;

const WORKERS: usize = 2;
const ROUNDS: u32 = 5;
const CALLS: u32 = 10_000;
/// Whoever polls does so for much less than this, and whoever looks after a call too.
const COMES_TO_REST: Duration = Duration::from_millis(200);
const MEASURED: Duration = Duration::from_secs(1);

pub(crate) fn idle_cpu(amount: Amount) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(WORKERS) }).expect("it has workers");
    let rounds = (0..amount.of(ROUNDS)).map(|_| taken_in_a_second(&runtime, &pool, amount.of(CALLS)));
    let taken = median(rounds.collect());
    runtime.block_on(pool.shutdown()).expect("the workers end");
    Line::new(us(taken), "us of CPU a second", us(MEASURED))
}

fn taken_in_a_second(runtime: &Runtime, pool: &ProcessPool, calls: u32) -> Duration {
    let calls = async {
        for x in 0..calls {
            assert_eq!(pool.apply(|x: u32| x + 1, (x,)).await.expect("no call fails"), x + 1);
        }
    };
    runtime.block_on(calls);
    pass(COMES_TO_REST);
    let before = taken_so_far(pool);
    pass(MEASURED);
    taken_so_far(pool).saturating_sub(before)
}

#[expect(clippy::disallowed_methods, reason = "that nothing happens is what is waited for")]
fn pass(time: Duration) {
    std::thread::sleep(time);
}

fn taken_so_far(pool: &ProcessPool) -> Duration {
    let all = pool.worker_pids().into_iter().chain([std::process::id()]);
    all.map(taken_by).sum()
}

/// The first number of each thread's `schedstat`: how many nanoseconds it has run.
fn taken_by(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives and is ours");
    let measures = std::process::id().to_string();
    let ran = |thread: std::io::Result<std::fs::DirEntry>| {
        let thread = thread.ok().filter(|thread| *thread.file_name() != *measures)?;
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    };
    threads.filter_map(ran).sum()
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
