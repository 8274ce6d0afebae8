//! Bytes as values of many shapes, the first byte says which: a value is refused, or it comes back as it was; and no
//! more memory is taken than the budget says.

#![no_main]

#[path = "values/counting.rs"]
mod counting;
#[path = "values/shapes.rs"]
mod shapes;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use multiprocess::fuzzing::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use counting::{Counting, peak_of};
use shapes::{Chain, Fields, Json, List, Mixed, Nest, Sparse, Tree};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A growing vector holds its old and its new room for a moment, and the new is twice the old.
const SPARE: usize = 3;
/// A node of a `BTreeMap` has room for 11 entries, even if it holds one.
const NODE: usize = 11;

/// The memory that values in so many bytes may occupy where the crate is built for fuzzing.
fn budget(bytes: usize) -> usize {
    (1 << 20).max(32 * bytes)
}

fuzz_target!(|input: &[u8]| {
    let Some((shape, bytes)) = input.split_first() else { return };
    match shape % 22 {
        0 => check::<List>(bytes, SPARE),
        1 => check::<Tree>(bytes, SPARE),
        2 => check::<Chain>(bytes, SPARE),
        3 => check::<Fields>(bytes, SPARE),
        4 => check::<HashMap<(), ()>>(bytes, SPARE),
        5 => check::<HashSet<()>>(bytes, SPARE),
        6 => check::<BTreeMap<(), ()>>(bytes, NODE),
        7 => check::<Vec<()>>(bytes, SPARE),
        8 => check::<Vec<[(); 3]>>(bytes, SPARE),
        9 => check::<Vec<Sparse>>(bytes, SPARE),
        10 => check::<Vec<Box<Sparse>>>(bytes, SPARE),
        11 => check::<Vec<Vec<Sparse>>>(bytes, SPARE),
        12 => check::<String>(bytes, SPARE),
        13 => check::<Vec<u8>>(bytes, SPARE),
        14 => check::<HashMap<String, Vec<Option<u32>>>>(bytes, SPARE),
        15 => check::<BTreeMap<u8, [u64; 32]>>(bytes, NODE),
        16 => check::<Vec<BTreeSet<[u64; 32]>>>(bytes, NODE),
        17 => check::<VecDeque<LinkedList<()>>>(bytes, SPARE),
        18 => check::<Nest>(bytes, NODE),
        19 => check::<Json>(bytes, NODE),
        20 => check::<Mixed>(bytes, NODE),
        _ => check::<Vec<Vec<Vec<HashSet<[(); 0]>>>>>(bytes, SPARE),
    }
});

/// Decodes the bytes, and what they were decoded to once more.
fn check<T: Debug + PartialEq + Serialize + DeserializeOwned + 'static>(bytes: &[u8], spare: usize) {
    let (value, peak) = peak_of(|| decode::<T>(bytes));
    assert!(peak <= spare * budget(bytes.len()), "{peak} bytes of memory for {}", bytes.len());
    if let Ok(value) = value {
        let written = encode(&value).expect("what was decoded can be encoded");
        assert_eq!(decode::<T>(&written).as_ref(), Ok(&value));
    }
}
