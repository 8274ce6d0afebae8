//! The first program: one call, many calls, a call that nobody needs to wait for, and an endless stream.

use futures::StreamExt as _;
use multiprocess::ProcessPool;

fn count_primes(n: u64) -> usize {
    (2..n).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

#[tokio::main]
async fn main() -> multiprocess::Result<()> {
    let pool = ProcessPool::new(4)?;

    let n = pool.apply(count_primes, (200_000,)).await?;
    println!("{n} primes below 200,000");

    let squares = pool.map(|x: u64| x * x, 0..1_000).await?;
    println!("the last of {} squares is {:?}", squares.len(), squares.last());

    let handle = pool.apply_async(count_primes, (1_000,)).callback(|n| println!("{n} primes below 1,000"));

    let mut primes = pool.imap(count_primes, 1..);
    while let Some(n) = primes.next().await {
        if n? == 10 {
            println!("ten primes are enough");
            break;
        }
    }
    drop(primes);
    println!("the handle says so too: {}", handle.await?);

    pool.shutdown().await
}
