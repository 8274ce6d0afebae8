//! 64 MiB there and back.
//!
//! Floor: the same bytes copied into a reused block and out of it again, once for each way, as two processes would do
//! it that share the block. It is memory of this process alone: once its pages are there, a copy takes the same time
//! whether they are shared or not, and faults are what makes large payloads slow.

use std::hint::black_box;

use multiprocess::ProcessPool;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

pub(crate) const MIB: usize = 64;
const ROUNDS: u32 = 10;

/// A small struct of a kind that tables are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    key: u64,
    value: f64,
    flags: u32,
    group: u32,
}

/// Bytes.
pub(crate) fn large(amount: Amount) -> Line {
    echo(amount, vec![0x5a_u8; MIB << 20])
}

/// Floats, of which each byte is another.
pub(crate) fn floats(amount: Amount) -> Line {
    let count = u32::try_from((MIB << 20) / size_of::<f64>()).expect("it is small");
    echo(amount, (0..count).map(|at| f64::from(at).sqrt()).collect())
}

/// Structs, which are encoded one by one. What counts is the memory that they take.
pub(crate) fn structs(amount: Amount) -> Line {
    let count = u32::try_from((MIB << 20) / size_of::<Row>()).expect("it is small");
    let row = |at| Row { key: u64::from(at), value: f64::from(at), flags: at & 0xff, group: at % 1000 };
    echo(amount, (0..count).map(row).collect())
}

fn echo<T>(amount: Amount, values: Vec<T>) -> Line
where
    T: Serialize + DeserializeOwned + Clone + PartialEq + Send + 'static,
{
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(1) }).expect("one worker is a pool");
    let bytes = vec![0x5a; MIB << 20];
    let (mut block, mut target) = (bytes.clone(), bytes.clone());
    let mut through_memory = || {
        let (time, ()) = timed(|| (0..2).for_each(|_| pass(&bytes, &mut block, &mut target)));
        vec![time]
    };
    let mut travels = Some(values.clone());
    let mut through_pool = || {
        let sent = travels.take().expect("it has come back");
        let (time, back) = timed(|| runtime.block_on(pool.apply(|values: Vec<T>| values, (sent,))));
        travels = Some(back.expect("the values come back"));
        vec![time]
    };
    // The first time is that of the page faults.
    through_memory();
    through_pool();
    let medians = in_turns(amount.of(ROUNDS), &mut through_pool, &mut through_memory);
    assert!(travels.as_ref() == Some(&values));
    runtime.block_on(pool.shutdown()).expect("the worker ends");
    let both_ways = f64::from(u32::try_from(2 * MIB).expect("it is small"));
    Line::new(both_ways / medians.case.as_secs_f64(), "MiB/s", both_ways / medians.floor.as_secs_f64())
}

/// One way: written by one side, read by the other.
pub(crate) fn pass(from: &[u8], block: &mut [u8], to: &mut [u8]) {
    block.copy_from_slice(from);
    to.copy_from_slice(black_box(block));
}
