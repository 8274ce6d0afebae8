//! A large table goes to every worker once, and not with each call.
//! `cargo run --release --example broadcast -- [WORDS [CALLS]]`

use std::collections::BTreeMap;
use std::time::Instant;

use multiprocess::{ProcessPool, Shared, cpu_count};

type Table = BTreeMap<String, u64>;

/// What the word of this number is.
fn word(mut number: u64) -> String {
    let mut word = String::from("w");
    while number > 0 {
        word.push(char::from(b'a' + u8::try_from(number % 26).expect("it is less than 26")));
        number /= 26;
    }
    word
}

/// Looks some of them up in a table that comes with the call.
fn look_up(table: Table, number: u64) -> u64 {
    (number..number + 10).filter_map(|number| table.get(&word(number))).sum()
}

/// The same in a table that came to this worker once.
fn look_up_shared(table: Shared<Table>, number: u64) -> u64 {
    let table = table.get().expect("it is such a table");
    (number..number + 10).filter_map(|number| table.get(&word(number))).sum()
}

#[tokio::main]
async fn main() -> multiprocess::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|number| number.parse().ok());
    let words = arguments.next().flatten().unwrap_or(100_000);
    let calls = arguments.next().flatten().unwrap_or(20);
    let pool = ProcessPool::new(cpu_count())?;
    let table: Table = (0..words).map(|number| (word(number), number)).collect();

    let began = Instant::now();
    let each =
        pool.starmap(look_up, (0..calls).map(|number| (table.clone(), number)).collect::<Vec<_>>()).await?;
    println!("{calls} calls with a table of {words} words each: {:.1?}", began.elapsed());

    let began = Instant::now();
    let shared = Shared::new(&table)?;
    let once = pool
        .starmap(look_up_shared, (0..calls).map(|number| (shared.clone(), number)).collect::<Vec<_>>())
        .await?;
    println!("with the table sent once, in {} KiB: {:.1?}", shared.encoded_size() >> 10, began.elapsed());
    assert_eq!(each, once);
    println!("the sum of all is {}", once.iter().sum::<u64>());
    pool.shutdown().await
}
