//! Who has which block: one word for each, which both processes may change.
//!
//! ```text
//! free ──take──► busy ──release──► free       by whoever writes to the blocks, and whoever has read one
//! free ──hold──► held ──put back─► free       by whoever gives the pages of free blocks back
//! ```
//!
//! The rest of a word says how many bytes of its block are reserved. Only whoever writes to the blocks relies on that; a process that spoils its marks
//! spoils its own payloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::board::Board;

const FREE: u64 = 0;
const BUSY: u64 = 1;
const HELD: u64 = 2;
const STATE: u64 = 3;

/// The marks of an arena.
#[derive(Debug)]
pub(crate) enum Marks {
    /// Of one that only this process lends.
    Own(Box<[AtomicU64]>),
    /// Of a worker's results, on its board.
    OnBoard(Arc<Board>),
}

/// A free block that was taken, and how many bytes of it are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) block: usize,
    pub(crate) reserved: u64,
}

impl Marks {
    pub(crate) fn own(blocks: usize) -> Self {
        Self::Own((0..blocks).map(|_| AtomicU64::new(FREE)).collect())
    }

    fn words(&self) -> &[AtomicU64] {
        match self {
            Self::Own(words) => words,
            Self::OnBoard(board) => board.marks(),
        }
    }

    fn exchange(&self, block: usize, from: u64, to: u64) -> bool {
        self.words()[block].compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the first free block, so that few are in use and stay warm.
    pub(crate) fn take(&self) -> Option<Taken> {
        (0..self.words().len()).find_map(|block| {
            let word = self.words()[block].load(Ordering::Relaxed);
            let taken = word & STATE == FREE && self.exchange(block, word, word | BUSY);
            taken.then_some(Taken { block, reserved: word & !STATE })
        })
    }

    /// The writer's, of a block that it has taken: notes how much of it is reserved.
    pub(crate) fn note(&self, taken: Taken) {
        self.words()[taken.block].store((taken.reserved & !STATE) | BUSY, Ordering::Release);
    }

    /// Whoever had the block is done with it.
    pub(crate) fn release(&self, block: usize) {
        self.words()[block].fetch_and(!STATE, Ordering::AcqRel);
    }

    /// Keeps a free block from being taken; how much of it is reserved. Nothing if it is in use.
    pub(crate) fn hold(&self, block: usize) -> Option<u64> {
        let word = self.words()[block].load(Ordering::Relaxed);
        let held = word & STATE == FREE && self.exchange(block, word, word | HELD);
        held.then_some(word & !STATE)
    }

    /// A block that was held is free again, and so much of it is reserved.
    pub(crate) fn put_back(&self, block: usize, reserved: u64) {
        self.words()[block].store((reserved & !STATE) | FREE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::board::Board;
    use super::{Marks, Taken};

    #[test]
    fn the_first_free_block_is_taken_and_comes_back_as_it_was() {
        let marks = Marks::own(2);
        assert_eq!(marks.take(), Some(Taken { block: 0, reserved: 0 }));
        marks.note(Taken { block: 0, reserved: 4096 });
        assert_eq!(marks.take(), Some(Taken { block: 1, reserved: 0 }));
        assert_eq!((marks.take(), marks.hold(0)), (None, None), "all are in use");
        marks.release(0);
        assert_eq!(marks.take(), Some(Taken { block: 0, reserved: 4096 }));
    }

    #[test]
    fn a_block_whose_pages_are_given_back_is_not_taken_meanwhile() {
        let (board, memory) = Board::create().expect("there is memory");
        let worker = Marks::OnBoard(Arc::new(Board::attach(&memory).expect("it is a board")));
        let pool = Marks::OnBoard(Arc::new(board));
        worker.note(Taken { block: 0, reserved: 8192 });
        pool.release(0);
        assert_eq!(pool.hold(0), Some(8192));
        assert_eq!(worker.take().map(|taken| taken.block), Some(1));
        pool.put_back(0, 4096);
        assert_eq!(worker.take(), Some(Taken { block: 0, reserved: 4096 }));
    }
}
