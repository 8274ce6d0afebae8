//! Samples, judged by their median, which a busy machine disturbs least. What comes first is never counted: it warms up.

use std::time::{Duration, Instant};

/// How long `work` took, and what came of it.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let outcome = work();
    (began.elapsed(), outcome)
}

/// The median time of so many calls, in microseconds.
pub(crate) fn p50_us(count: u32, call: impl Fn(u64)) -> f64 {
    let time = |number| timed(|| call(number)).0;
    for number in 0..u64::from(count / 10) {
        time(number);
    }
    us(median((0..u64::from(count)).map(time).collect()))
}

/// As `p50_us`, with calls that are awaited one after the other in one task.
pub(crate) async fn awaited_p50_us(count: u32, call: impl AsyncFn(u64)) -> f64 {
    let mut times = Vec::new();
    for number in 0..u64::from(count / 10 + count) {
        let began = Instant::now();
        call(number).await;
        times.push(began.elapsed());
    }
    us(median(times.split_off(times.len() - count as usize)))
}

/// The median of so many samples, in seconds.
pub(crate) fn median_s(count: u32, mut sample: impl FnMut() -> Duration) -> f64 {
    sample();
    median((0..count).map(|_| sample()).collect()).as_secs_f64()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    *times.get(times.len() / 2).expect("every case takes at least one sample")
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
