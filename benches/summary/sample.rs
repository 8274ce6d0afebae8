//! Samples: measured in turns, judged by their median, which a busy machine disturbs least.

use std::time::{Duration, Instant};

/// The median of what a case and its floor took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Medians {
    pub(crate) case: Duration,
    pub(crate) floor: Duration,
}

/// Measures both in turns, so that both see the same machine.
pub(crate) fn in_turns(
    rounds: u32,
    mut case: impl FnMut() -> Vec<Duration>,
    mut floor: impl FnMut() -> Vec<Duration>,
) -> Medians {
    let (mut cases, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        floors.extend(floor());
        cases.extend(case());
    }
    Medians { case: median(cases), floor: median(floors) }
}

/// How long `work` took, and what came of it.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let outcome = work();
    (began.elapsed(), outcome)
}

pub(crate) fn median<T: Ord + Copy>(mut samples: Vec<T>) -> T {
    samples.sort_unstable();
    *samples.get(samples.len() / 2).expect("every case takes at least one sample")
}
