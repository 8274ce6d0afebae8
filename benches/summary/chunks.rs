//! The pool's own choice of chunks against the best size that does not change, for elements of several lengths and for a mix of them.
//!
//! Floor: the best of the sizes that were tried, each in turns with the pool's choice. A ratio of 0.9 means a tenth slower than whoever knows his elements
//! could be.

#![expect(clippy::cast_precision_loss, reason = "numbers of elements and steps are small")]

use std::time::Duration;

use multiprocess::ProcessPool;
use tokio::runtime::Runtime;

use crate::burn::{burn, steps_in};
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{median, timed};

/// What all elements of a map take together.
const TOTAL: Duration = Duration::from_millis(400);
const ROUNDS: u32 = 5;
/// So many sizes that did best at first are tried again in each round.
const FINALISTS: usize = 3;

pub(crate) fn hundred_ns(amount: Amount) -> Line {
    even(amount, Duration::from_nanos(100), TOTAL)
}

pub(crate) fn ten_us(amount: Amount) -> Line {
    even(amount, Duration::from_micros(10), TOTAL)
}

pub(crate) fn one_ms(amount: Amount) -> Line {
    even(amount, Duration::from_millis(1), TOTAL)
}

pub(crate) fn fifty_ms(amount: Amount) -> Line {
    even(amount, Duration::from_millis(50), 3 * TOTAL)
}

/// Many that are short and few that are long: a median of 20 us, and one in a hundred takes more than a millisecond.
pub(crate) fn lognormal(amount: Amount) -> Line {
    const MEDIAN_US: f64 = 20.0;
    const SIGMA: f64 = 1.7;
    let per_us = steps_per_us();
    let mut random = Random(1);
    let mut left_us = f64::from(amount.of(u32::try_from(TOTAL.as_micros()).expect("it is short")));
    let elements = std::iter::from_fn(|| {
        let us = MEDIAN_US * (SIGMA * random.normal()).exp();
        left_us -= us;
        (left_us > 0.0).then_some(whole(us * per_us))
    });
    measure(amount, &elements.collect::<Vec<_>>())
}

fn even(amount: Amount, element: Duration, total: Duration) -> Line {
    let elements =
        amount.of(u32::try_from(total.as_nanos() / element.as_nanos()).expect("they are not so many"));
    let steps = whole(element.as_secs_f64() * 1e6 * steps_per_us());
    measure(amount, &vec![steps; usize::try_from(elements).expect("they are not so many")])
}

fn steps_per_us() -> f64 {
    let time = Duration::from_millis(2);
    steps_in(time) as f64 / (time.as_secs_f64() * 1e6)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of steps are small")]
fn whole(steps: f64) -> u64 {
    steps as u64
}

/// By how much the pool's choice is slower than the best of others.
fn measure(amount: Amount, elements: &[u64]) -> Line {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(2) }).expect("two workers are a pool");
    runtime.block_on(pool.ready()).expect("the workers start");
    let run = |chunk: Option<usize>| timed(|| runtime.block_on(map(&pool, elements, chunk))).0;
    run(None);
    let sizes = std::iter::successors(Some(1), |size| Some(size * 4))
        .take_while(|size| size * 2 <= elements.len().max(2));
    let mut tried: Vec<(Duration, usize)> = sizes.map(|size| (run(Some(size)), size)).collect();
    tried.sort_unstable();
    tried.truncate(FINALISTS);
    let mut finals: Vec<Vec<Duration>> = vec![Vec::new(); tried.len()];
    let mut own = Vec::new();
    for _ in 0..amount.of(ROUNDS) {
        own.push(run(None));
        for ((_, size), times) in tried.iter().zip(&mut finals) {
            times.push(run(Some(*size)));
        }
    }
    runtime.block_on(pool.shutdown()).expect("the workers end");
    let best = finals.into_iter().map(median).zip(&tried).min().expect("one size at least was tried");
    eprintln!("  best size: {}", best.1.1);
    let items = elements.len() as f64;
    Line::new(items / median(own).as_secs_f64(), "items/s", items / best.0.as_secs_f64())
}

async fn map(pool: &ProcessPool, elements: &[u64], chunk: Option<usize>) {
    let map = pool.map(burn, elements.to_vec());
    let map = match chunk {
        Some(size) => map.chunksize(size),
        None => map,
    };
    assert_eq!(map.await.expect("no task fails").len(), elements.len());
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Normally distributed, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * self.even().ln()).sqrt(), std::f64::consts::TAU * self.even());
        radius * angle.cos()
    }
}
