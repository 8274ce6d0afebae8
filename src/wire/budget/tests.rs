//! What hostile bytes ask for, and are refused.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread;

use serde::de::DeserializeOwned;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::*;

/// 2^60 as a varint.
const ENORMOUS: [u8; 9] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];

const DEEP: &str = "nested deeper than 128 levels";

#[derive(Debug, Serialize, Deserialize)]
enum List {
    Nil,
    Cons(Box<Self>),
}

#[derive(Debug, Deserialize)]
struct Tree(#[expect(dead_code, reason = "only its nesting matters")] Vec<Self>);

#[derive(Debug, Deserialize)]
struct Chain {
    #[expect(dead_code, reason = "only its nesting matters")]
    next: Option<Box<Self>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only its nesting matters")]
enum Fields {
    Tuple(u8, Box<Self>),
    Struct { next: Box<Self> },
    End,
}

type Sparse = Option<[u64; 32]>;

fn list(conses: usize) -> Vec<u8> {
    let list = (0..conses).fold(List::Nil, |list, _| List::Cons(Box::new(list)));
    postcard::to_stdvec(&list).expect("a list is plain data")
}

fn read<T: DeserializeOwned>(input: &[u8], budget: &mut Budget) -> Result<T, String> {
    deserialize(input, budget).map(|(value, _)| value).map_err(|failure| failure.to_string())
}

fn refusal<T: DeserializeOwned>(input: &[u8]) -> String {
    read::<T>(input, &mut Budget::for_len(input.len())).err().expect("the input is hostile")
}

/// The memory that `value` is charged for, which is also the least with which it is accepted.
fn price<T: Serialize + DeserializeOwned>(value: &T) -> usize {
    let bytes = postcard::to_stdvec(value).expect("the value is plain data");
    let mut ample = Budget::of(1 << 20);
    read::<T>(&bytes, &mut ample).expect("the budget is ample");
    let price = (1 << 20) - ample.memory_left;
    read::<T>(&bytes, &mut Budget::of(price)).expect("the budget is just enough");
    if let Some(less) = price.checked_sub(1) {
        let error = read::<T>(&bytes, &mut Budget::of(less)).err().expect("one byte is missing");
        assert_eq!(error, format!("would need more than {less} bytes of memory"));
    }
    price
}

/// Runs on a stack like that of a thread of a pool, whatever the test runner gives.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(2 << 20).spawn(test).expect("a thread can be started");
    thread.join().expect("the test passes");
}

#[test]
fn the_budget_grows_with_the_input_from_a_floor() {
    assert_eq!(Budget::for_len(0).memory_left, 64 << 20);
    assert_eq!(Budget::for_len(2 << 20).memory_left, 64 << 20);
    assert_eq!(Budget::for_len(16 << 20).memory_left, 512 << 20);
    assert_eq!(Budget::for_len(usize::MAX).memory_left, usize::MAX);
}

/// Were the length believed, these would run for centuries.
#[test]
#[expect(clippy::zero_sized_map_values, reason = "entries without size are the attack")]
fn nine_bytes_that_claim_units_without_end_are_refused() {
    let expected = "would need more than 67108864 bytes of memory";
    assert_eq!(refusal::<HashMap<(), ()>>(&ENORMOUS), expected);
    assert_eq!(refusal::<HashSet<()>>(&ENORMOUS), expected);
    assert_eq!(refusal::<BTreeMap<(), ()>>(&ENORMOUS), expected);
    assert_eq!(refusal::<Vec<()>>(&ENORMOUS), expected);
    assert_eq!(refusal::<Vec<[(); 3]>>(&ENORMOUS), expected);
}

#[test]
fn a_hundred_kilobytes_of_nesting_are_refused() {
    on_a_small_stack(|| {
        let input = vec![1; 100_000];
        assert_eq!(refusal::<List>(&input), DEEP);
        assert_eq!(refusal::<Tree>(&input), DEEP);
        assert_eq!(refusal::<Chain>(&input), DEEP);
        assert_eq!(refusal::<Fields>(&input), DEEP);
        assert_eq!(refusal::<Fields>(&vec![0; 100_000]), DEEP);
    });
}

#[test]
fn sixteen_megabytes_of_sparse_elements_are_refused() {
    let mut input = postcard::to_stdvec(&(16 << 20)).expect("a number is plain data");
    input.resize(input.len() + (16 << 20), 0);
    let expected = format!("would need more than {} bytes of memory", 32 * input.len());
    assert_eq!(refusal::<Vec<Sparse>>(&input), expected);
    assert_eq!(refusal::<Vec<Box<Sparse>>>(&input), expected);
}

#[test]
fn sparse_elements_in_many_small_vectors_are_refused() {
    let input = postcard::to_stdvec(&vec![vec![Sparse::None; 100]; 100]).expect("the value is plain data");
    let error = read::<Vec<Vec<Sparse>>>(&input, &mut Budget::of(1 << 20)).expect_err("they need 2.6 MB");
    assert_eq!(error, "would need more than 1048576 bytes of memory");
}

#[test]
fn a_length_word_of_all_ones_is_refused() {
    let input = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let memory = "would need more than 67108864 bytes of memory";
    assert_eq!(refusal::<Vec<u64>>(&input), memory);
    assert_eq!(refusal::<Vec<u8>>(&input), memory);
    assert_eq!(refusal::<String>(&input), postcard::Error::DeserializeUnexpectedEnd.to_string());
}

#[test]
fn a_hundred_and_twenty_eight_levels_pass_and_one_more_does_not() {
    on_a_small_stack(|| {
        // The `Nil` at the end is the 128th enum.
        read::<List>(&list(127), &mut Budget::for_len(0)).expect("this is as deep as allowed");
        assert_eq!(refusal::<List>(&list(128)), DEEP);
        // A newtype struct and its vector are two levels.
        let tree = |vectors: usize| [vec![1; vectors - 1], vec![0]].concat();
        read::<Tree>(&tree(64), &mut Budget::for_len(0)).expect("this is as deep as allowed");
        assert_eq!(refusal::<Tree>(&tree(65)), DEEP);
        // A struct and its option are two levels, `None` included.
        let chain = tree;
        read::<Chain>(&chain(64), &mut Budget::for_len(0)).expect("this is as deep as allowed");
        assert_eq!(refusal::<Chain>(&chain(65)), DEEP);
    });
}

#[test]
fn the_fields_of_a_variant_are_on_the_level_of_the_enum() {
    let tuples = |conses: usize| [vec![0; 2 * conses], vec![2]].concat();
    let structs = |conses: usize| [vec![1; conses], vec![2]].concat();
    on_a_small_stack(move || {
        for (input, longer) in [(tuples(127), tuples(128)), (structs(127), structs(128))] {
            read::<Fields>(&input, &mut Budget::for_len(0)).expect("this is as deep as allowed");
            assert_eq!(refusal::<Fields>(&longer), DEEP);
        }
    });
}

#[test]
fn depth_is_given_back_to_neighbours() {
    // The first two bytes are the length, 200.
    let input = [vec![0xc8, 0x01], list(100).repeat(200)].concat();
    let mut budget = Budget::for_len(input.len());
    let lists = read::<Vec<List>>(&input, &mut budget).expect("no list is too deep");
    assert_eq!((lists.len(), budget.depth_left), (200, MAX_DEPTH));
}

#[test]
fn collections_cost_what_their_elements_occupy() {
    assert_eq!(price(&vec![1_u64; 10]), 80);
    assert_eq!(price(&vec![(); 10]), 10 * UNIT_COST);
    assert_eq!(price(&vec![Sparse::None; 3]), 3 * size_of::<Sparse>());
    assert_eq!(price(&vec![vec![1_u16; 5]; 2]), 2 * size_of::<Vec<u16>>() + 20);
    assert_eq!(price(&HashMap::from([(1_u8, 2_u32), (3, 4)])), 10);
    assert_eq!(price(&BTreeMap::from([((), 1_u8)])), UNIT_COST + 1);
}

#[test]
fn strings_cost_their_length() {
    assert_eq!(price(&"four".to_owned()), 4);
    assert_eq!(price(&vec!["four".to_owned(); 3]), 3 * (size_of::<String>() + 4));
}

#[test]
fn fields_are_part_of_their_parent() {
    assert_eq!(price(&(1_u64, [2_u32; 8], Some(3_u8))), 0);
    assert_eq!(price(&vec![(1_u64, [2_u32; 8]); 2]), 2 * size_of::<(u64, [u32; 8])>());
}

#[test]
fn what_lies_behind_a_box_is_paid_for() {
    assert_eq!(price(&vec![Box::new(Sparse::None); 3]), 3 * size_of::<Sparse>());
    assert_eq!(price(&(0_u8, Some(Box::new([7_u64; 32])))), size_of::<[u64; 32]>() - size_of::<usize>());
}

/// Collects nothing, but remembers what a visitor would have reserved.
#[derive(Debug)]
struct Hint(Option<usize>);

impl<'de> Deserialize<'de> for Hint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert!(!deserializer.is_human_readable());
        deserializer.deserialize_seq(HintVisitor)
    }
}

struct HintVisitor;

impl<'de> Visitor<'de> for HintVisitor {
    type Value = Hint;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Hint, A::Error> {
        Ok(Hint(access.size_hint()))
    }
}

#[test]
fn a_length_is_only_a_hint_up_to_a_cap() {
    let hint = |input: &[u8]| read::<Hint>(input, &mut Budget::for_len(0)).expect("the length is readable").0;
    assert_eq!(hint(&[5]), Some(5));
    assert_eq!(hint(&ENORMOUS), Some(MAX_HINT));
}
