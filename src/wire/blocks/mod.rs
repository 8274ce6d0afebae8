//! Large parts of values, each in a block of shared memory that is used again and again: the frame names the block instead of carrying the bytes.
//!
//! ```text
//! pool                                   worker
//! arguments ──Lease──► Block  ──Run──►   Block, read only; the pool has it to itself again once the call is answered
//! Block, freed when dropped  ◄──Reply──  Lease ◄── result
//! ```
//!
//! A *part* is one argument, or the result. It lies as a whole in the record of its element or in a block of its own.

mod block;
mod freight;
mod lease;
mod store;

pub(crate) use block::{Block, Place};
pub(crate) use freight::{Freight, Parts, Stowed};
pub(crate) use lease::Lease;
pub(crate) use store::Store;

/// A part of so many bytes goes into a block, where there is one.
pub(crate) const LARGE: usize = 128 * 1024;
