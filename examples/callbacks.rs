//! Callbacks that run whether or not anybody awaits the call, and the combinators that all futures have:
//! `cargo run --release --example callbacks`

use futures::future::{self, Either, TryFutureExt as _};
use multiprocess::{ProcessPool, worker};
use tokio::sync::mpsc;

fn parse(text: String) -> u64 {
    text.parse().expect("a number")
}

fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

/// Runs for ever, unless nobody wants its result any more.
fn until_cancelled() -> u64 {
    while !worker::is_cancelled() {
        std::thread::yield_now();
    }
    0
}

#[tokio::main]
async fn main() -> multiprocess::Result<()> {
    let pool = ProcessPool::new(2)?;

    // The handles are dropped at once; the calls go on, and their callbacks say what became of them.
    let (sender, mut said) = mpsc::unbounded_channel();
    for text in ["42", "forty-two"] {
        let (good, bad) = (sender.clone(), sender.clone());
        let say = |to: mpsc::UnboundedSender<_>, line| to.send(line).expect("main is listening");
        let handle = pool
            .apply_async(parse, (text.to_owned(),))
            .callback(move |number| say(good, format!("callback: {text:?} is {number}")))
            .error_callback(move |error| say(bad, format!("error callback: {text:?}: {error}")));
        drop(handle);
    }
    drop(sender);
    let mut lines = Vec::new();
    while let Some(line) = said.recv().await {
        lines.push(line);
    }
    lines.sort();
    println!("{}", lines.join("\n"));

    let doubled = pool.apply(fibonacci, (20,)).map_ok(|n| n * 2).await?;
    println!("map_ok: twice fibonacci(20) is {doubled}");

    let chained = pool.apply(parse, ("21".to_owned(),)).and_then(|n| pool.apply(fibonacci, (n,))).await?;
    println!("and_then: fibonacci of the parsed number is {chained}");

    let all = future::try_join_all((1..=10).map(|n| pool.apply(fibonacci, (n,)))).await?;
    println!("try_join_all: {all:?}");

    // The one that loses is dropped, and so cancelled.
    match future::select(pool.apply(fibonacci, (25,)), pool.apply(until_cancelled, ())).await {
        Either::Left((first, _slower)) => println!("select: fibonacci(25) was first with {}", first?),
        Either::Right((endless, _)) => println!("select: the endless call ended with {endless:?}"),
    }

    // Without `or_else` a failure is an ordinary error, to be handled with `?`.
    let recovered =
        pool.apply(parse, ("seven".to_owned(),)).or_else(|_| pool.apply(parse, ("7".to_owned(),)));
    println!("or_else: {}", recovered.await?);

    pool.shutdown().await
}
