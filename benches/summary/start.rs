//! From nothing to a result from each worker of a new pool, and from a warm forkserver to a result from each of its new workers.
//!
//! Floor: this program started anew, until its first byte comes over a pipe; many of them by as many threads as
//! there are cores.

use std::collections::HashSet;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use multiprocess::{ProcessPool, Result, StartMethod, worker};
use tokio::runtime::Builder;

use crate::child::Pong;
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

pub(crate) fn one(amount: Amount) -> Line {
    measure(1, amount.of(50))
}

pub(crate) fn sixteen(amount: Amount) -> Line {
    measure(16, amount.of(10))
}

/// So many workers one after the other, of a forkserver that has forked before.
const IN_A_ROW: usize = 10;

pub(crate) fn one_forked(amount: Amount) -> Line {
    measure_forked(1, IN_A_ROW, amount.of(10))
}

pub(crate) fn sixteen_forked(amount: Amount) -> Line {
    measure_forked(16, 1, amount.of(10))
}

fn measure_forked(workers: usize, times: usize, rounds: u32) -> Line {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let of_pool = || runtime.block_on(first_results_of_forked(workers, times)).expect("the workers start");
    let medians = in_turns(rounds, of_pool, || vec![first_bytes(workers)]);
    Line::new(ms(medians.case), "ms", ms(medians.floor))
}

/// The times from the wish for so many workers more to a result from each of them.
async fn first_results_of_forked(workers: usize, times: usize) -> Result<Vec<Duration>> {
    let pool = ProcessPool::builder().workers(1).start_method(StartMethod::Forkserver).build()?;
    pool.ready().await?;
    let (mut held, mut taken) = (Vec::new(), Vec::new());
    for round in 0..times {
        // Those that are there take no part.
        held.extend((0..=round * workers).skip(held.len()).map(|_| pool.apply_async(std::thread::park, ())));
        let start = Instant::now();
        pool.resize(1 + (round + 1) * workers)?;
        if workers > 1 {
            pool.ready().await?;
        }
        one_call_each(&pool, workers).await?;
        taken.push(start.elapsed());
    }
    drop(held);
    pool.terminate();
    pool.join().await?;
    Ok(taken)
}

async fn one_call_each(pool: &ProcessPool, workers: usize) -> Result<()> {
    let calls = (0..workers).map(|_| pool.apply(|| worker::current().map(|worker| worker.index), ()));
    let seen: HashSet<_> = try_join_all(calls).await?.into_iter().collect();
    assert_eq!(seen.len(), workers, "each worker had one call");
    Ok(())
}

fn measure(workers: usize, rounds: u32) -> Line {
    // The results are read by the same thread that has sent the calls, so that each worker certainly gets one: none
    // is idle again before the last call was sent.
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let of_pool = || {
        let (time, pool) = timed(|| runtime.block_on(first_results(workers)));
        let pool = pool.expect("the workers start");
        runtime.block_on(pool.shutdown()).expect("the workers end");
        vec![time]
    };
    let medians = in_turns(rounds, of_pool, || vec![first_bytes(workers)]);
    Line::new(ms(medians.case), "ms", ms(medians.floor))
}

async fn first_results(workers: usize) -> Result<ProcessPool> {
    let pool = ProcessPool::new(workers)?;
    if workers > 1 {
        // Otherwise the first that are there would do it all.
        pool.ready().await?;
    }
    one_call_each(&pool, workers).await?;
    Ok(pool)
}

fn first_bytes(children: usize) -> Duration {
    let starters = available_parallelism().map_or(1, NonZero::get).min(children);
    let (time, children) = timed(|| {
        std::thread::scope(|scope| {
            let share = |starter| (starter..children).step_by(starters).map(|_| Pong::start()).collect();
            let starters: Vec<_> = (1..starters).map(|starter| scope.spawn(move || share(starter))).collect();
            let mut started: Vec<Pong> = share(0);
            started.extend(starters.into_iter().flat_map(|starter| starter.join().expect("all start")));
            started.into_iter().map(Pong::arrived).collect::<Vec<_>>()
        })
    });
    drop(children);
    time
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
