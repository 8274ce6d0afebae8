//! Producers put jobs into one queue, from which consumers take them, each a process of its own. One of the consumers is killed in the middle of its work, and the
//! others go on.
//! `cargo run --release --example producers_consumers -- [JOBS]`

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use multiprocess::{Process, Queue, Result};

const PRODUCERS: u32 = 2;
const CONSUMERS: u32 = 3;

/// Who put it, and the number to look for divisors of.
type Job = (u32, u64);
/// Who did it, the number, and how many divisors it has.
type Done = (u32, u64, u32);

fn produce(own: u32, jobs: u32, queue: Queue<Job>) -> Result<()> {
    for job in 0..jobs {
        queue.blocking_put((own, u64::from(own * jobs + job) + 1))?;
    }
    Ok(())
}

fn consume(own: u32, queue: Queue<Job>, done: Queue<Done>) -> Result<()> {
    while let Ok((_producer, number)) = queue.blocking_get() {
        let divisors = (1..=number).filter(|divisor| number % divisor == 0).count();
        done.blocking_put((own, number, u32::try_from(divisors).unwrap_or(u32::MAX)))?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let jobs = std::env::args().nth(1).and_then(|jobs| jobs.parse().ok()).unwrap_or(5_000);
    let (queue, done) = (Queue::bounded(64)?, Queue::new()?);
    let mut consumers = Vec::new();
    for own in 0..CONSUMERS {
        let consume = |own, queue, done| consume(own, queue, done).is_ok();
        consumers.push(Process::spawn(consume, (own, queue.clone(), done.clone()))?);
    }
    let mut producers = Vec::new();
    for own in 0..PRODUCERS {
        let produce = |own, jobs, queue| produce(own, jobs, queue).is_ok();
        producers.push(Process::spawn(produce, (own, jobs, queue.clone()))?);
    }

    // Whoever is killed takes along the job that it was at, and nothing else.
    let first = done.get().await?;
    consumers.remove(0).kill()?;

    for producer in producers {
        producer.join().await?;
    }
    queue.close();
    for consumer in consumers {
        consumer.join().await?;
    }
    done.close();

    let mut all: Vec<Done> = done.try_collect().await?;
    all.push(first);
    let most = all.iter().max_by_key(|(_, _, divisors)| *divisors);
    let mut shares = BTreeMap::<u32, u32>::new();
    for (own, ..) in &all {
        *shares.entry(*own).or_default() += 1;
    }
    let lost = (PRODUCERS * jobs) as usize - all.len();
    println!("{} of {} jobs are done; lost with the consumer: {lost}", all.len(), PRODUCERS * jobs);
    println!("the most divisors: {most:?}");
    println!("jobs of each consumer: {shares:?}");
    Ok(())
}
