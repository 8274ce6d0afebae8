//! A parser that nobody should trust: it crashes on one document in ten, and all others are answered all the same.
//! `cargo run --release --example crash`

use std::collections::BTreeMap;

use futures::StreamExt as _;
use multiprocess::{Error, ProcessPool};

const DOCUMENTS: u64 = 100;

/// A document: eight bytes that say where its text begins, and the text.
fn document(number: u64) -> Vec<u8> {
    let begin: u64 = if number % 10 == 7 { 1 << 62 } else { 8 };
    [&begin.to_le_bytes(), format!("document {number}").as_bytes()].concat()
}

/// The task: the first character, read as many a C library does it, without a look at the bounds.
#[expect(unsafe_code, reason = "stands for a library that is not written in Rust")]
fn parse(document: Vec<u8>) -> char {
    let begin = u64::from_le_bytes(*document.first_chunk().expect("a document has eight bytes"));
    let text = document.as_ptr().wrapping_add(usize::try_from(begin).expect("this is a 64-bit system"));
    // SAFETY: for good documents `text` lies inside. For the others it is no address that can be mapped: this is
    // the bug to show, a volatile read so that it is left as it is, and it ends nothing but its worker.
    char::from(unsafe { text.read_volatile() })
}

#[tokio::main]
async fn main() -> multiprocess::Result<()> {
    let pool = ProcessPool::builder().build()?;
    let mut answers = pool.imap(parse, (0..DOCUMENTS).map(document));
    let (mut outcomes, mut crashed) = (BTreeMap::<_, u64>::new(), 0);
    for number in 0..DOCUMENTS {
        let outcome = match answers.next().await.expect("each document has an outcome") {
            Ok(first) => format!("answered {first:?}"),
            Err(Error::WorkerDied(death)) => {
                assert_eq!(number % 10, 7, "only bad documents crash");
                crashed += 1;
                format!("crashed with {}", death.exit)
            }
            Err(other) => return Err(other),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }

    println!("{:>9}  outcome", "documents");
    for (outcome, documents) in outcomes {
        println!("{documents:>9}  {outcome}");
    }
    assert_eq!(crashed * 10, DOCUMENTS, "exactly one in ten crashes");
    println!("{} workers were lost and replaced", pool.stats().deaths);
    pool.shutdown().await
}
