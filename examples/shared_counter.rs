//! A counter that a pool's workers share: an ordinary struct that lives in the process of a manager, and is called through proxies.
//!
//! ```sh
//! cargo run --example shared_counter
//! ```

use std::collections::BTreeMap;

use multiprocess::{Manager, ProcessPool, Proxy};

/// How often each letter was seen. Nothing about it says that it is shared.
#[derive(Default)]
struct Letters(BTreeMap<char, u64>);

impl Letters {
    fn add(&mut self, counted: BTreeMap<char, u64>) {
        for (letter, count) in counted {
            *self.0.entry(letter).or_default() += count;
        }
    }

    fn most_frequent(&self, most: usize) -> Vec<(char, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(letter, count)| (*letter, *count)).collect();
        all.sort_by_key(|(letter, count)| (std::cmp::Reverse(*count), *letter));
        all.truncate(most);
        all
    }
}

/// Runs in a worker: counts by itself, and adds to what is shared once.
fn count(letters: Proxy<Letters>, text: String) -> u64 {
    let mut counted = BTreeMap::<char, u64>::new();
    for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
        *counted.entry(letter.to_ascii_lowercase()).or_default() += 1;
    }
    let total = counted.values().sum();
    letters.blocking_call(Letters::add, (counted,)).expect("the manager lives as long as the program");
    total
}

#[tokio::main]
async fn main() -> multiprocess::Result<()> {
    let manager = Manager::start().await?;
    let letters = manager.create(Letters::default, ()).await?;

    let pool = ProcessPool::new(2)?;
    let texts =
        ["To be, or not to be,", "that is the question:", "whether 'tis nobler in the mind to suffer"];
    let each: Vec<_> = texts.iter().map(|text| (letters.clone(), (*text).to_owned())).collect();
    let totals = pool.starmap(count, each).await?;

    println!("{} letters in {} texts", totals.iter().sum::<u64>(), totals.len());
    for (letter, count) in letters.call(Letters::most_frequent, (3,)).await? {
        println!("{letter}: {count}");
    }
    pool.shutdown().await?;
    manager.shutdown().await
}
