//! Work that takes nothing but CPU, and always the same of it, however fast the machine is just now.

use std::hint::black_box;
use std::time::{Duration, Instant};

pub(crate) fn burn(steps: u64) -> u64 {
    (0..steps).fold(1, |state, step| black_box(state ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// How many steps fit into a time: the most that were seen to, which is when the core was ours.
pub(crate) fn steps_in(time: Duration) -> u64 {
    const PORTION: u64 = 1_000;
    let fitting = || {
        let began = Instant::now();
        let portions = std::iter::repeat_with(|| black_box(burn(PORTION)));
        portions.take_while(|_| began.elapsed() < time).map(|_| PORTION).sum::<u64>()
    };
    (0..5).map(|_| fitting()).max().expect("it was tried")
}
