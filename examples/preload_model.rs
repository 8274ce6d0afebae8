//! A model of 200 MB that eight workers use and that is in memory once.
//!
//! The forkserver loads it before it forks the workers; so they share its pages for as long as nobody writes to them.
//! `cargo run --release --example preload_model [MEGABYTES [WORKERS]]`

use std::collections::BTreeMap;
use std::fs;

use multiprocess::{ProcessPool, Result, StartMethod, worker};

/// Words as points in a space of so many dimensions.
const DIMENSIONS: usize = 64;

/// What takes long to load and much memory to hold.
struct Model {
    points: Vec<[f32; DIMENSIONS]>,
}

/// Runs once, in the forkserver. A real one would read a file.
fn load(megabytes: usize) -> Model {
    let points = (megabytes << 20) / size_of::<[f32; DIMENSIONS]>();
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The upper 24 bits are the random ones, and a float has room for just those.
        f32::from_bits(0x3f80_0000 | state >> 9) - 1.5
    };
    Model { points: (0..points).map(|_| std::array::from_fn(|_| next())).collect() }
}

/// Runs in a worker: which point is the nearest to the one of this number, apart from itself, and who has found out.
fn nearest(word: usize) -> (usize, u32) {
    let model = worker::preloaded::<Model>().expect("the pool has a preload");
    let wanted = &model.points[word];
    let distance =
        |point: &[f32; DIMENSIONS]| -> f32 { point.iter().zip(wanted).map(|(a, b)| (a - b) * (a - b)).sum() };
    let others = model.points.iter().enumerate().filter(|(other, _)| *other != word);
    let (found, _) =
        others.min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b))).expect("there is more than one");
    (found, std::process::id())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let (megabytes, workers) = (arguments.next().unwrap_or(200), arguments.next().unwrap_or(8));
    let pool = ProcessPool::builder()
        .workers(workers)
        .name("model")
        .start_method(StartMethod::Forkserver)
        .preload(load, (megabytes,))
        .build()?;
    pool.ready().await?;

    // Every worker reads all of the model several times.
    let found = pool.map(nearest, 0..workers * 3).chunksize(1).await?;
    let mut answers = BTreeMap::<u32, usize>::new();
    for (_, by) in &found {
        *answers.entry(*by).or_default() += 1;
    }

    println!(
        "{:>10} {:>8} {:>14} {:>12} {:>12}",
        "worker", "answers", "resident MB", "private MB", "its share MB"
    );
    let (mut resident, mut share) = (0.0, 0.0);
    for pid in pool.worker_pids() {
        let memory = Memory::of(pid);
        let answers = answers.get(&pid).copied().unwrap_or(0);
        println!(
            "{pid:>10} {answers:>8} {:>14.1} {:>12.1} {:>12.1}",
            memory.resident, memory.private, memory.share
        );
        resident += memory.resident;
        share += memory.share;
    }
    println!(
        "The workers see {resident:.0} MB and take {share:.0} MB: the model is there once, and not {workers} times."
    );
    pool.shutdown().await
}

/// Memory of a process in MB: what it sees, what it has for itself alone, and its part of what it shares, in equal parts.
struct Memory {
    resident: f64,
    private: f64,
    share: f64,
}

impl Memory {
    fn of(pid: u32) -> Self {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let sum = |prefix: &str| -> f64 {
            let lines = rollup.lines().filter(|line| line.starts_with(prefix));
            let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
            kib.sum::<f64>() / 1024.0
        };
        Self { resident: sum("Rss:"), private: sum("Private_"), share: sum("Pss:") }
    }
}
