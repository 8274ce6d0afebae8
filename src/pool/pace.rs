//! How much of a map's input travels at once, and how much is under way.

use crate::error::{Error, Result};

/// A chunk is meant to keep a worker this long.
const CHUNK_NS: u64 = 1_000_000;
/// A chunk takes no more than about this many bytes.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// The next chunk has at most this many times the elements of the largest so far.
const GROWTH: u32 = 8;
/// Chunks under way for each worker: the one that runs, and some that wait, more of them if they are short.
const FEWEST_AHEAD: usize = 3;
pub(super) const MOST_AHEAD: usize = 64;
/// Work that is sent ahead for each worker should last this long.
const AHEAD_NS: u64 = 2_000_000;

/// Options of a map, set before it starts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) chunksize: Option<u32>,
    pub(super) buffer: Option<usize>,
}

impl Options {
    /// What is wrong with them.
    pub(super) fn check(self) -> Result<()> {
        if self.chunksize == Some(0) {
            return Err(Error::option("chunksize", "a chunk has at least one element"));
        }
        if self.buffer == Some(0) {
            return Err(Error::option("buffer", "at least one element must be under way"));
        }
        Ok(())
    }
}

/// How long elements take, and how many make a chunk.
#[derive(Debug, Default)]
pub(super) struct Pace {
    element_ns: u64,
    pub(super) largest: u32,
}

impl Pace {
    pub(super) fn note(&mut self, elapsed_ns: u64, elements: u32) {
        if elapsed_ns == 0 {
            return;
        }
        let element_ns = (elapsed_ns / u64::from(elements.max(1))).max(1);
        self.element_ns =
            if self.element_ns == 0 { element_ns } else { (self.element_ns * 3 + element_ns) / 4 };
    }

    /// Elements of the next chunk: about `CHUNK_NS` of work, and not so many at the end that workers wait for one.
    pub(super) fn elements(&self, remaining: Option<usize>, workers: usize) -> u32 {
        if self.element_ns == 0 {
            return 1;
        }
        let timely = u32::try_from(CHUNK_NS / self.element_ns).unwrap_or(u32::MAX);
        let grown = timely.min(self.largest.saturating_mul(GROWTH));
        let share = remaining.map_or(usize::MAX, |remaining| remaining / (2 * workers));
        grown.min(u32::try_from(share).unwrap_or(u32::MAX)).max(1)
    }

    pub(super) fn chunks_ahead(&self, chunksize: Option<u32>) -> usize {
        if self.element_ns == 0 {
            return FEWEST_AHEAD;
        }
        let chunk = u64::from(chunksize.unwrap_or(self.largest).max(1));
        let chunk_ns = self.element_ns.saturating_mul(chunk).max(1);
        usize::try_from(AHEAD_NS / chunk_ns).unwrap_or(MOST_AHEAD).clamp(FEWEST_AHEAD, MOST_AHEAD)
    }
}
