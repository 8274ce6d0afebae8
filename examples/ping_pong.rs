//! Two processes play ping-pong over a pipe, and count how often the ball comes back.
//! `cargo run --release --example ping_pong -- [ROUNDS]`

use std::time::Instant;

use multiprocess::{Connection, Error, Process, pipe};

/// Plays the ball back until the other player leaves.
fn play(table: Connection<u64, u64>) -> multiprocess::Result<u64> {
    let mut played = 0;
    loop {
        match table.blocking_recv() {
            Ok(ball) => table.blocking_send(&(ball + 1))?,
            Err(Error::Disconnected) => return Ok(played),
            Err(error) => return Err(error),
        }
        played += 1;
    }
}

fn main() -> multiprocess::Result<()> {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(100_000);
    let (ours, theirs) = pipe()?;
    let other = Process::builder().name("pong").spawn(|table| play(table).ok(), (theirs,))?;

    let mut ball = 0;
    // The first round has to wait until the other process has started.
    ours.blocking_send(&ball)?;
    ball = ours.blocking_recv()?;
    let began = Instant::now();
    for _ in 1..rounds {
        ours.blocking_send(&(ball + 1))?;
        ball = ours.blocking_recv()?;
    }
    let took = began.elapsed();

    // The other player leaves when nobody is left on this side of the table.
    ours.close();
    let played = other.blocking_join()?;
    println!("the ball was played {} times, {played:?} of them by pong", ball + 1);
    let per_second = f64::from(rounds) / took.as_secs_f64();
    println!("{per_second:.0} round trips per second, {:.1} us each", 1e6 / per_second);
    Ok(())
}
