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
//! - Memory: an element of a sequence costs its size, a map entry the sizes of key and value, and what has no
//!   size 16, so that units cannot be had without end; a string or byte buffer costs its length. The fields of a
//!   tuple or struct are part of their parent. A value larger than the slot it is decoded for lies behind a
//!   `Box` or the like, and the rest is charged as well.
//!
//! The sum is what the values occupy, not what the allocator hands out: spare capacity at most doubles a
//! vector or hash map, and a small `BTreeMap` has nodes with room for 11 entries.

mod access;
mod visitor;

use std::fmt;

use serde::de::{self, Deserialize};

use visitor::Budgeted;

/// How many levels a value may nest.
pub(crate) const MAX_DEPTH: usize = 128;

/// Small inputs may grow to this much, so that sparse but honest values pass. A fuzzer reaches less of it sooner.
const LEAST_MEMORY: usize = if cfg!(fuzzing) { 1 << 20 } else { 64 << 20 };

/// An empty `String` or `Vec` is one byte on the wire and 24 in memory, so honest input grows this much and
/// hardly more.
const MEMORY_PER_BYTE: usize = 32;

/// What an element of no size costs.
const UNIT_COST: usize = 16;

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
    #[inline]
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

#[cfg(test)]
mod tests;
