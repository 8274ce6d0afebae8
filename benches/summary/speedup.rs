//! Work that takes nothing but CPU, on two workers against one thread.
//!
//! Floor: 2, which is what two idle cores give. Where something else runs they give less: what two bare threads
//! reach at the same time is told on stderr.

use std::hint::black_box;
use std::time::Duration;

use multiprocess::ProcessPool;
use tokio::runtime::Runtime;

use crate::burn::{burn, steps_in};
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const TASKS: u32 = 400;
const TASK: Duration = Duration::from_micros(2_500);
const ROUNDS: u32 = 3;
/// What two workers can reach on two cores.
const IDEAL: f64 = 2.0;

pub(crate) fn two_workers(amount: Amount) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(2) }).expect("two workers are a pool");
    runtime.block_on(pool.ready()).expect("the workers start");
    let (tasks, steps) = (amount.of(TASKS), steps_in(TASK));
    let alone = || vec![timed(|| burn_times(tasks, steps)).0];
    let by_pool = || vec![timed(|| runtime.block_on(burn_all(&pool, tasks, steps))).0];
    let by_threads = || vec![timed(|| burn_on_threads(tasks, steps)).0];
    let rounds = amount.of(ROUNDS);
    let pooled = in_turns(rounds, by_pool, alone);
    let threaded = in_turns(rounds, by_threads, alone);
    runtime.block_on(pool.shutdown()).expect("the workers end");
    let bare = threaded.floor.as_secs_f64() / threaded.case.as_secs_f64();
    eprintln!("  two bare threads: {bare:.2}");
    Line::new(pooled.floor.as_secs_f64() / pooled.case.as_secs_f64(), "x", IDEAL)
}

async fn burn_all(pool: &ProcessPool, tasks: u32, steps: u64) {
    let results = pool.map(burn, (0..tasks).map(move |_| steps)).await.expect("no task fails");
    assert!(results.iter().all(|result| *result == results[0]));
}

fn burn_times(tasks: u32, steps: u64) {
    for _ in 0..tasks {
        black_box(burn(steps));
    }
}

fn burn_on_threads(tasks: u32, steps: u64) {
    std::thread::scope(|scope| {
        for share in [tasks / 2, tasks - tasks / 2] {
            scope.spawn(move || burn_times(share, steps));
        }
    });
}
