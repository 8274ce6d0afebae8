//! Where the values of tasks are decoded from: a record, and the blocks of its large parts.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::blocks::{Block, Parts};
use super::budget::Budget;
use super::number::{is_number, take_number};
use super::{bulk, value};

/// One encoded element, of one part or several.
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
    /// Numbers and rows of them are as they lie in memory.
    is_raw: bool,
    /// The parts that lie in blocks, and which part comes next.
    blocks: &'a [(u8, Arc<Block>)],
    part: u8,
    budget: Budget,
}

const NONE: &Parts = &Parts::new();

impl<'a> Input<'a> {
    /// Values that another image may have encoded.
    pub(crate) fn plain(record: &'a [u8]) -> Self {
        Self::with(record, NONE, false)
    }

    /// Arguments or the result of a task.
    #[inline]
    pub(crate) fn new(record: &'a [u8], blocks: &'a Parts) -> Self {
        Self::with(record, blocks, true)
    }

    #[inline]
    fn with(rest: &'a [u8], blocks: &'a Parts, is_raw: bool) -> Self {
        let elsewhere: usize = blocks.iter().map(|(_, block)| block.len()).sum();
        Self { rest, is_raw, blocks, part: 0, budget: Budget::for_len(rest.len() + elsewhere) }
    }

    /// Takes the next part.
    ///
    /// # Errors
    ///
    /// The text of the cause when it is no such value, or exceeds the budget of its element.
    #[inline]
    pub(crate) fn take<T: DeserializeOwned + 'static>(&mut self) -> Result<T, String> {
        if !self.blocks.is_empty() && self.blocks[0].0 == self.part {
            return self.take_block();
        }
        self.part += 1;
        if self.is_raw
            && let Some(taken) = bulk::take(self.rest, &mut self.budget)
        {
            let (value, rest) = taken?;
            self.rest = rest;
            return Ok(value);
        }
        if self.is_raw && is_number::<T>() {
            return take_number(&mut self.rest).ok_or_else(|| "the input ends within the value".into());
        }
        value::take(&mut self.rest, &mut self.budget)
    }

    #[cold]
    fn take_block<T: DeserializeOwned + 'static>(&mut self) -> Result<T, String> {
        let ((_, block), later) = self.blocks.split_first().expect("it was looked at");
        (self.part, self.blocks) = (self.part + 1, later);
        if let Some(value) = bulk::read(block, &mut self.budget) {
            return value;
        }
        let bytes = block.read::<u8>()?;
        let mut rest = &bytes[..];
        let value = value::take(&mut rest, &mut self.budget)?;
        if rest.is_empty() { Ok(value) } else { Err(trail(rest, "the value")) }
    }

    /// Nothing trails behind what was taken.
    ///
    /// # Errors
    ///
    /// The text that says how much does.
    #[inline]
    pub(crate) fn end(&self, what: &str) -> Result<(), String> {
        if self.rest.is_empty() && self.blocks.is_empty() { Ok(()) } else { Err(self.trailing(what)) }
    }

    #[cold]
    fn trailing(&self, what: &str) -> String {
        match self.blocks {
            [] => trail(self.rest, what),
            blocks => format!("{} blocks trail behind {what}", blocks.len()),
        }
    }

    /// The one part that it is.
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take), and when something trails behind it.
    #[inline]
    pub(crate) fn only<T: DeserializeOwned + 'static>(mut self) -> Result<T, String> {
        let value = self.take()?;
        self.end("the value").map(|()| value)
    }
}

fn trail(rest: &[u8], what: &str) -> String {
    format!("{} bytes trail behind {what}", rest.len())
}
