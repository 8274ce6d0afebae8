//! A serde adapter that decodes postcard from untrusted bytes within a depth limit and a memory budget.
//!
//! Plain postcard believes its input: 9 bytes can ask for 2^60 map entries of no size, 100 KB of nesting
//! overflow the stack, and 16 MiB of one-byte elements grow into gigabytes of values. The adapter stands
//! between postcard and the type that is decoded, on every level, and refuses before the memory is reserved
//! or the stack is used.
//!
//! ```text
//!   T::deserialize ──▶ Budgeted ──────────▶ postcard::Deserializer     what the type asks for
//!   T's Visitor    ◀── BudgetedVisitor ◀──┘                            what the bytes hold
//!                        └─▶ BudgetedSeq, BudgetedMap, BudgetedEnum ─▶ BudgetedSeed ─▶ one level deeper
//! ```
//!
//! # What counts
//!
//! - Depth: a sequence, tuple, tuple struct, map, struct, enum, option (`None` too) or newtype struct is one
//!   level. Numbers, strings, byte buffers and units are none, and the fields of an enum variant belong to
//!   the level of the enum.
//! - Memory: an element of a sequence costs its size, a map entry the sizes of key and value, each at least
//!   1, so that units cannot be had without end; a string or byte buffer costs its length. The fields of a
//!   tuple or struct are part of their parent. A value larger than the slot it is decoded for lies behind a
//!   `Box` or the like, and the rest is charged as well.
//!
//! The sum is what the values occupy, not what the allocator hands out: spare capacity at most doubles a
//! vector or hash map, and a small `BTreeMap` has nodes with room for 11 entries.

use std::fmt;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

/// How many levels a value may nest.
pub(crate) const MAX_DEPTH: usize = 128;

/// Small inputs may grow to this much, so that sparse but honest values pass.
const LEAST_MEMORY: usize = 64 << 20;

/// An empty `String` or `Vec` is one byte on the wire and 24 in memory, so honest input grows this much and
/// hardly more.
const MEMORY_PER_BYTE: usize = 32;

/// A visitor may reserve memory for this many elements before it has seen one of them.
const MAX_HINT: usize = 4096;

/// What decoding may still use; several values can share one.
#[derive(Debug)]
pub(crate) struct Budget {
    depth_left: usize,
    memory_left: usize,
    memory: usize,
    /// A refusal on its way up through a foreign error type, which has no room for it.
    stowed: Option<Refusal>,
}

impl Budget {
    /// The budget for `len` bytes of input: 64 MiB, or 32 times the input where that is more.
    #[must_use]
    pub(crate) fn for_len(len: usize) -> Self {
        Self::of(LEAST_MEMORY.max(len.saturating_mul(MEMORY_PER_BYTE)))
    }

    const fn of(memory: usize) -> Self {
        Self { depth_left: MAX_DEPTH, memory_left: memory, memory, stowed: None }
    }

    /// Pays for `bytes` of memory.
    #[inline]
    pub(crate) fn charge<E>(&mut self, bytes: usize) -> Result<(), Failure<E>> {
        if bytes > self.memory_left {
            return Err(self.overdrawn());
        }
        self.memory_left -= bytes;
        Ok(())
    }

    /// Refuses a length that could not be paid for to its end, before the first element is built.
    ///
    /// This takes all elements to be as large as the first. That holds for every collection; only a
    /// hand-written visitor could read a sequence of mixed types.
    fn foresee<E>(&self, elements: Option<usize>, cost: usize) -> Result<(), Failure<E>> {
        match elements {
            Some(elements) if elements.saturating_mul(cost) > self.memory_left => Err(self.overdrawn()),
            _ => Ok(()),
        }
    }

    #[cold]
    fn overdrawn<E>(&self) -> Failure<E> {
        Failure::refused(Refusal::Memory(self.memory))
    }

    #[inline]
    fn enter<E>(&mut self, bytes: usize) -> Result<(), Failure<E>> {
        self.charge(bytes)?;
        if self.depth_left == 0 {
            return Err(Failure::refused(Refusal::Deep));
        }
        self.depth_left -= 1;
        Ok(())
    }

    #[inline]
    const fn leave(&mut self) {
        self.depth_left += 1;
    }

    /// Turns a failure into the error of the deserializer below, and keeps what that error cannot hold.
    #[cold]
    fn stow<E: de::Error>(&mut self, failure: Failure<E>) -> E {
        match *failure.0 {
            Cause::Wire(error) => error,
            Cause::Refused(refusal) => {
                self.stowed = Some(refusal);
                E::custom("refused by the budget or by the type")
            }
        }
    }

    /// Undoes [`Budget::stow`] once the error is back from the deserializer below.
    #[cold]
    fn unstow<E>(&mut self, error: E) -> Failure<E> {
        match self.stowed.take() {
            Some(refusal) => Failure::refused(refusal),
            None => Failure::wire(error),
        }
    }
}

/// Why a value was refused although its bytes could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Deep,
    #[error("would need more than {0} bytes of memory")]
    Memory(usize),
    /// The type's own `Deserialize` found the value wrong; postcard would drop the text.
    #[error("{0}")]
    Value(String),
}

/// Why decoding failed, over a deserializer whose error is `E`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause<E> {
    #[error("{0}")]
    Refused(Refusal),
    #[error("{0}")]
    Wire(E),
}

/// The error of the adapter.
///
/// Boxed, because a result that outgrows two registers costs the loop over the elements more than all charges
/// together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure<E>(Box<Cause<E>>);

impl<E> Failure<E> {
    #[cold]
    fn refused(refusal: Refusal) -> Self {
        Self(Box::new(Cause::Refused(refusal)))
    }

    #[cold]
    pub(crate) fn wire(error: E) -> Self {
        Self(Box::new(Cause::Wire(error)))
    }

    pub(crate) fn cause(&self) -> &Cause<E> {
        &self.0
    }
}

impl<E: std::error::Error> de::Error for Failure<E> {
    #[cold]
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::refused(Refusal::Value(message.to_string()))
    }
}

/// Decodes one value from the front of `input` and returns it with the bytes behind it.
#[inline]
pub(crate) fn deserialize<'de, T: Deserialize<'de>>(
    input: &'de [u8],
    budget: &mut Budget,
) -> Result<(T, &'de [u8]), Failure<postcard::Error>> {
    let mut source = postcard::Deserializer::from_flavor(Unhinted(postcard::de_flavors::Slice::new(input)));
    let value = T::deserialize(Budgeted { source: &mut source, budget, paid: size_of::<T>() })?;
    let rest = source.finalize().map_err(Failure::wire)?;
    Ok((value, rest))
}

/// A slice that does not tell how many bytes are left.
///
/// Postcard withholds the length of a sequence that exceeds the bytes left, and exactly those lengths are to
/// be judged here.
struct Unhinted<'de>(postcard::de_flavors::Slice<'de>);

impl<'de> postcard::de_flavors::Flavor<'de> for Unhinted<'de> {
    type Remainder = &'de [u8];
    type Source = &'de [u8];

    #[inline]
    fn pop(&mut self) -> postcard::Result<u8> {
        self.0.pop()
    }

    #[inline]
    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'de [u8]> {
        self.0.try_take_n(count)
    }

    #[inline]
    fn finalize(self) -> postcard::Result<&'de [u8]> {
        self.0.finalize()
    }
}

/// A deserializer that charges a budget for what it reads from `source`.
pub(crate) struct Budgeted<'b, D> {
    source: D,
    budget: &'b mut Budget,
    /// The size of the slot that the value is decoded for, which is charged already.
    paid: usize,
}

impl<'de, D: Deserializer<'de>> Budgeted<'_, D> {
    /// Reads a value without levels of its own.
    #[inline]
    fn flat<V: Visitor<'de>>(
        self,
        visitor: V,
        read: impl FnOnce(D, BudgetedVisitor<'_, V>) -> Result<V::Value, D::Error>,
    ) -> Result<V::Value, Failure<D::Error>> {
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements: Elements::Paid };
        read(self.source, visitor).map_err(|error| self.budget.unstow(error))
    }

    /// Reads a value that is one level of the nesting.
    #[inline]
    fn nested<V: Visitor<'de>>(
        self,
        visitor: V,
        elements: Elements,
        read: impl FnOnce(D, BudgetedVisitor<'_, V>) -> Result<V::Value, D::Error>,
    ) -> Result<V::Value, Failure<D::Error>> {
        self.budget.enter(size_of::<V::Value>().saturating_sub(self.paid))?;
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements };
        let outcome = read(self.source, visitor);
        self.budget.leave();
        outcome.map_err(|error| self.budget.unstow(error))
    }
}

macro_rules! read_flat {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.flat(visitor, |source, visitor| source.$method(visitor))
        }
    )*};
}

macro_rules! read_nested {
    ($($method:ident($($argument:ident: $type:ty),*) $elements:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            self.nested(visitor, Elements::$elements, |source, visitor| source.$method($($argument,)* visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Budgeted<'_, D> {
    type Error = Failure<D::Error>;

    read_flat! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    read_nested! {
        deserialize_option() Paid
        deserialize_newtype_struct(name: &'static str) Paid
        deserialize_seq() Charged
        deserialize_tuple(len: usize) Paid
        deserialize_tuple_struct(name: &'static str, len: usize) Paid
        deserialize_map() Charged
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) Paid
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) Paid
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.flat(visitor, |source, visitor| source.deserialize_unit_struct(name, visitor))
    }

    /// Fixed, because the number of an enum variant arrives through a deserializer of serde that claims to be
    /// readable.
    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Whether elements cost memory of their own, or are part of a parent that has been paid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Elements {
    Charged,
    Paid,
}

impl Elements {
    /// The cost of one element of type `T`; never 0 for a charged one, because its number is up to the input.
    #[inline]
    fn cost<T>(self) -> usize {
        match self {
            Self::Charged => size_of::<T>().max(1),
            Self::Paid => 0,
        }
    }
}

/// The visitor of the type, told of compounds only through the adapters below.
struct BudgetedVisitor<'b, V> {
    visitor: V,
    budget: &'b mut Budget,
    elements: Elements,
}

macro_rules! visit_number {
    ($($method:ident: $type:ty,)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value).map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

macro_rules! visit_buffer {
    ($($method:ident: $type:ty,)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            let charged = self.budget.charge(value.len());
            charged.and_then(|()| self.visitor.$method(value)).map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

macro_rules! visit_nothing {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self) -> Result<V::Value, E> {
            self.visitor.$method().map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

macro_rules! visit_wrapped {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<D: Deserializer<'de>>(self, source: D) -> Result<V::Value, D::Error> {
            let within = Budgeted { source, budget: &mut *self.budget, paid: size_of::<V::Value>() };
            self.visitor.$method(within).map_err(|failure| self.budget.stow(failure))
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for BudgetedVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    visit_number! {
        visit_bool: bool, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128,
        visit_f32: f32, visit_f64: f64, visit_char: char,
    }

    visit_buffer! {
        visit_str: &str, visit_borrowed_str: &'de str, visit_string: String,
        visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8], visit_byte_buf: Vec<u8>,
    }

    visit_nothing! { visit_none visit_unit }

    visit_wrapped! { visit_some visit_newtype_struct }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = BudgetedSeq { access, budget: &mut *self.budget, elements: self.elements, begun: false };
        self.visitor.visit_seq(access).map_err(|failure| self.budget.stow(failure))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = BudgetedMap { access, budget: &mut *self.budget, elements: self.elements, begun: false };
        self.visitor.visit_map(access).map_err(|failure| self.budget.stow(failure))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = BudgetedEnum { access, budget: &mut *self.budget };
        self.visitor.visit_enum(access).map_err(|failure| self.budget.stow(failure))
    }
}

/// One element, key or value, which is charged when it turns out to be there.
struct BudgetedSeed<'b, S> {
    seed: S,
    budget: &'b mut Budget,
    cost: usize,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for BudgetedSeed<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<S::Value, D::Error> {
        let charged = self.budget.charge(self.cost);
        let within = Budgeted { source, budget: &mut *self.budget, paid: size_of::<S::Value>() };
        charged.and_then(|()| self.seed.deserialize(within)).map_err(|failure| self.budget.stow(failure))
    }
}

struct BudgetedSeq<'b, A> {
    access: A,
    budget: &'b mut Budget,
    elements: Elements,
    begun: bool,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for BudgetedSeq<'_, A> {
    type Error = Failure<A::Error>;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Self::Error> {
        let cost = self.elements.cost::<S::Value>();
        if !self.begun {
            self.begun = true;
            self.budget.foresee(self.access.size_hint(), cost)?;
        }
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost };
        self.access.next_element_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint().map(|elements| elements.min(MAX_HINT))
    }
}

struct BudgetedMap<'b, A> {
    access: A,
    budget: &'b mut Budget,
    elements: Elements,
    begun: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for BudgetedMap<'_, A> {
    type Error = Failure<A::Error>;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        let cost = self.elements.cost::<S::Value>();
        if !self.begun {
            self.begun = true;
            self.budget.foresee(self.access.size_hint(), cost)?;
        }
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost };
        self.access.next_key_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        let cost = self.elements.cost::<S::Value>();
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost };
        self.access.next_value_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint().map(|entries| entries.min(MAX_HINT))
    }
}

struct BudgetedEnum<'b, A> {
    access: A,
    budget: &'b mut Budget,
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for BudgetedEnum<'b, A> {
    type Error = Failure<A::Error>;
    type Variant = BudgetedVariant<'b, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), Self::Error> {
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost: 0 };
        match self.access.variant_seed(seed) {
            Ok((value, access)) => Ok((value, BudgetedVariant { access, budget: self.budget })),
            Err(error) => Err(self.budget.unstow(error)),
        }
    }
}

struct BudgetedVariant<'b, A> {
    access: A,
    budget: &'b mut Budget,
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for BudgetedVariant<'_, A> {
    type Error = Failure<A::Error>;

    #[inline]
    fn unit_variant(self) -> Result<(), Self::Error> {
        self.access.unit_variant().map_err(Failure::wire)
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Self::Error> {
        let seed = BudgetedSeed { seed, budget: &mut *self.budget, cost: 0 };
        self.access.newtype_variant_seed(seed).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements: Elements::Paid };
        self.access.tuple_variant(len, visitor).map_err(|error| self.budget.unstow(error))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let visitor = BudgetedVisitor { visitor, budget: &mut *self.budget, elements: Elements::Paid };
        self.access.struct_variant(fields, visitor).map_err(|error| self.budget.unstow(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};
    use std::thread;

    use serde::de::DeserializeOwned;
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
        let input =
            postcard::to_stdvec(&vec![vec![Sparse::None; 100]; 100]).expect("the value is plain data");
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
        assert_eq!(price(&vec![(); 10]), 10);
        assert_eq!(price(&vec![Sparse::None; 3]), 3 * size_of::<Sparse>());
        assert_eq!(price(&vec![vec![1_u16; 5]; 2]), 2 * size_of::<Vec<u16>>() + 20);
        assert_eq!(price(&HashMap::from([(1_u8, 2_u32), (3, 4)])), 10);
        assert_eq!(price(&BTreeMap::from([((), 1_u8)])), 2);
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
        let hint =
            |input: &[u8]| read::<Hint>(input, &mut Budget::for_len(0)).expect("the length is readable").0;
        assert_eq!(hint(&[5]), Some(5));
        assert_eq!(hint(&ENORMOUS), Some(MAX_HINT));
    }
}
