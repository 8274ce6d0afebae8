//! Three processes, one after the other, with a queue of eight items between each two: text is made, hashed and looked through. The slowest sets the pace, since whoever is
//! ahead of it waits for room.
//! `cargo run --release --example pipeline -- [TEXTS]`

use std::time::{Duration, Instant};

use multiprocess::{Process, Queue, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Items that wait between two stages at most.
const BOUND: usize = 8;
/// Bytes of a text.
const LENGTH: usize = 100_000;
/// Each text is hashed so often, which makes this stage the slowest.
const ROUNDS: u32 = 10;

type Hash = [u8; 32];

/// What a stage tells of its work.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Report {
    items: u32,
    /// How long it has waited for room in the queue behind it.
    waited: Duration,
    /// The most items that it saw in that queue.
    most: usize,
}

impl Report {
    fn put<T: multiprocess::Payload>(&mut self, queue: &Queue<T>, item: T) -> Result<()> {
        let began = Instant::now();
        queue.blocking_put(item)?;
        self.waited += began.elapsed();
        self.most = self.most.max(queue.len());
        self.items += 1;
        Ok(())
    }
}

fn make(count: u32, texts: Queue<String>) -> Result<Report> {
    let mut report = Report::default();
    for number in 0..count {
        report.put(&texts, format!("{number} ").repeat(LENGTH / 8))?;
    }
    texts.close();
    Ok(report)
}

fn hash(texts: Queue<String>, hashes: Queue<(usize, Hash)>) -> Result<Report> {
    let mut report = Report::default();
    // The queue is closed when all texts were made.
    while let Ok(text) = texts.blocking_get() {
        let mut hash: Hash = Sha256::digest(&text).into();
        for _ in 1..ROUNDS {
            hash = Sha256::new().chain_update(hash).chain_update(&text).finalize().into();
        }
        report.put(&hashes, (text.len(), hash))?;
    }
    hashes.close();
    Ok(report)
}

fn look(hashes: Queue<(usize, Hash)>) -> (u64, u32) {
    let (mut bytes, mut with_a_zero) = (0, 0);
    while let Ok((length, hash)) = hashes.blocking_get() {
        bytes += length as u64;
        with_a_zero += u32::from(hash.contains(&0));
    }
    (bytes, with_a_zero)
}

fn main() -> Result<()> {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let (texts, hashes) = (Queue::bounded(BOUND)?, Queue::bounded(BOUND)?);
    let began = Instant::now();
    let makes = Process::spawn(|count, texts| make(count, texts).ok(), (count, texts.clone()))?;
    let hashing = Process::spawn(|texts, hashes| hash(texts, hashes).ok(), (texts, hashes.clone()))?;
    let looks = Process::spawn(look, (hashes,))?;

    let (made, hashed) = (makes.blocking_join()?, hashing.blocking_join()?);
    let (bytes, with_a_zero) = looks.blocking_join()?;
    let took = began.elapsed();
    println!("{with_a_zero} of {count} hashes have a byte of zero; {bytes} bytes went through in {took:.2?}");
    for (name, report) in [("make", made), ("hash", hashed)] {
        let Some(Report { items, waited, most }) = report else { continue };
        let share = 100.0 * waited.as_secs_f64() / took.as_secs_f64();
        println!(
            "{name}: {items} items, {share:.0} % of the time waiting for room, at most {most} items ahead"
        );
    }
    Ok(())
}
