//! An endless input, and results as they come: numbers whose Collatz sequences are longer than all before.
//! `cargo run --release --example stream -- [LAST]` ends at LAST (default 2,000,000) or with Ctrl-C.
//!
//! The input is read only as far ahead as `buffer` says, so that it may well be endless.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;
use multiprocess::ProcessPool;
use tokio::signal::unix::{SignalKind, signal};

const BLOCK: u64 = 10_000;
const AHEAD: usize = 16;

/// The task: those of a block that beat all before them in the block, with the steps they take to reach 1.
fn records(block: u64) -> Vec<(u64, u32)> {
    let mut records = Vec::new();
    for start in (block * BLOCK).max(1)..(block + 1) * BLOCK {
        let mut number = u128::from(start);
        let mut steps = 0;
        while number != 1 {
            number = if number % 2 == 0 { number / 2 } else { 3 * number + 1 };
            steps += 1;
        }
        if records.last().is_none_or(|(_, most)| steps > *most) {
            records.push((start, steps));
        }
    }
    records
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let last = std::env::args().nth(1).map_or(Ok(2_000_000), |last| last.parse::<u64>())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let blocks = (0_u64..).inspect(move |block| counter.store(block + 1, Ordering::Relaxed));

    let pool = ProcessPool::builder().build()?;
    let mut answers = pool.imap(records, blocks).buffer(AHEAD);
    let (mut longest, mut answered) = (0, 0);
    while answered * BLOCK <= last {
        let answer = tokio::select! {
            answer = answers.next() => answer.expect("the input is endless")?,
            _ = interrupt.recv() => break,
        };
        answered += 1;
        for (start, steps) in answer {
            if steps > longest && start <= last {
                longest = steps;
                println!("{start} takes {steps} steps");
            }
        }
        let ahead = read.load(Ordering::Relaxed) - answered;
        assert!(ahead <= AHEAD as u64, "back-pressure: the input waits for the results");
    }
    let read = read.load(Ordering::Relaxed);
    println!("{answered} blocks of {BLOCK} answered, {read} read from the endless input");
    drop(answers);
    pool.shutdown().await?;
    Ok(())
}
