//! Workers count the digits of long numbers into one array that all of them have.
//! `cargo run --release --example shared_histogram -- [NUMBERS]`

use multiprocess::{Array, OwnerDied, ProcessPool, RawArray, cpu_count};

/// The digits of 2 to the power of `exponent`, the last one first.
fn digits(exponent: u32) -> Vec<u8> {
    let mut digits = vec![1];
    for _ in 0..exponent {
        let mut carry = 0;
        for digit in &mut digits {
            let doubled = *digit * 2 + carry;
            (*digit, carry) = (doubled % 10, doubled / 10);
        }
        if carry > 0 {
            digits.push(carry);
        }
    }
    digits
}

/// Counts them: each digit in one step that needs no lock, and how many there are under the lock of an array.
fn count(bins: RawArray<u64>, lengths: Array<u64>, exponent: u32) {
    let digits = digits(exponent);
    for digit in &digits {
        bins.fetch_add(usize::from(*digit), 1).expect("there are ten digits");
    }
    let mut lengths = lengths.blocking_lock().unwrap_or_else(OwnerDied::into_inner);
    let [sum, longest] = &mut *lengths else { panic!("it has two elements") };
    *sum += digits.len() as u64;
    *longest = (*longest).max(digits.len() as u64);
}

#[tokio::main]
async fn main() -> multiprocess::Result<()> {
    let numbers = std::env::args().nth(1).and_then(|numbers| numbers.parse().ok()).unwrap_or(2_000);
    let pool = ProcessPool::new(cpu_count())?;
    let (bins, lengths) = (RawArray::zeroed(10)?, Array::zeroed(2)?);
    let calls = (0..numbers).map(|exponent| (bins.clone(), lengths.clone(), exponent));
    pool.starmap(count, calls.collect::<Vec<_>>()).await?;

    let lengths = lengths.lock().await?;
    println!("2^0 to 2^{} have {} digits, the longest {}", numbers - 1, lengths[0], lengths[1]);
    let most = bins.iter().max().unwrap_or(0).max(1);
    for (digit, count) in bins.iter().enumerate() {
        let bar = "#".repeat(usize::try_from(count * 40 / most).expect("it is at most 40"));
        println!("{digit} {count:>9} {bar}");
    }
    pool.shutdown().await
}
