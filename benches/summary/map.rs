//! Squares of many small numbers on two workers, which shows what the pool itself costs for each element.
//!
//! Floor: the same with rayon on two threads, which moves nothing anywhere.

use multiprocess::ProcessPool;
use rayon::prelude::*;
use tokio::runtime::Runtime;

use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const ROUNDS: u32 = 30;

pub(crate) fn default_chunks(amount: Amount) -> Line {
    measure(amount, 1_000_000, None)
}

pub(crate) fn single_elements(amount: Amount) -> Line {
    measure(amount, 20_000, Some(1))
}

fn measure(amount: Amount, elements: u32, chunk: Option<usize>) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be started");
    let pool = runtime.block_on(async { ProcessPool::new(2) }).expect("two workers are a pool");
    runtime.block_on(pool.ready()).expect("the workers start");
    let elements = if amount == Amount::Least { amount.of(elements) } else { elements };
    let by_pool = || timed(|| runtime.block_on(squares(&pool, elements, chunk)));
    let by_rayon = || timed(|| threads.install(|| squares_of_rayon(elements, chunk)));
    assert_eq!(by_pool().1, by_rayon().1);
    let medians = in_turns(amount.of(ROUNDS), || vec![by_pool().0], || vec![by_rayon().0]);
    runtime.block_on(pool.shutdown()).expect("the workers end");
    let items = f64::from(elements);
    Line::new(items / medians.case.as_secs_f64(), "items/s", items / medians.floor.as_secs_f64())
}

async fn squares(pool: &ProcessPool, elements: u32, chunk: Option<usize>) -> Vec<u64> {
    let map = pool.map(|x: u64| x * x, 0..u64::from(elements));
    let map = match chunk {
        Some(elements) => map.chunksize(elements),
        None => map,
    };
    map.await.expect("no task fails")
}

fn squares_of_rayon(elements: u32, chunk: Option<usize>) -> Vec<u64> {
    let items = (0..elements).into_par_iter().with_max_len(chunk.unwrap_or(usize::MAX));
    items.map(|x| u64::from(x) * u64::from(x)).collect()
}
