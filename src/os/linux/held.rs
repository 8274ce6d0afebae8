//! Replies that a worker has finished and not written to its pipe yet, as they stand on its board.
//!
//! ```text
//! first        how many replies the worker has written to its pipe before these
//! bytes        how many bytes of the area are whole frames
//! ```
//!
//! 1. A reply stands here before the next call begins, so that a crash of that takes no finished one along.
//! 2. Replies are numbered through, so that one that stands here and comes through the pipe too is told once.
//! 3. The pool may read while the worker writes: what it read counts if `first` is afterwards what it was.

#[cfg(models)]
use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(models))]
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// One byte of the area.
pub(super) type Byte = AtomicU8;

#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Held {
    first: AtomicU64,
    bytes: AtomicU32,
}

impl Held {
    #[cfg(models)]
    pub(super) fn new() -> Self {
        Self { first: AtomicU64::new(0), bytes: AtomicU32::new(0) }
    }

    /// The worker's: puts frames behind those that are held, at this place in the area.
    pub(super) fn add(&self, area: &[Byte], at: usize, frames: &[u8]) {
        let places = &area[at..at + frames.len()];
        for (place, byte) in places.iter().zip(frames) {
            place.store(*byte, Ordering::Relaxed);
        }
        let end = u32::try_from(at + frames.len()).expect("the area is small");
        self.bytes.store(end, Ordering::Release);
    }

    /// The worker's: so many more replies have gone into the pipe, and none is held.
    pub(super) fn written(&self, replies: u64) {
        self.bytes.store(0, Ordering::Relaxed);
        let first = self.first.load(Ordering::Relaxed);
        self.first.store(first + replies, Ordering::Release);
        // Whoever reads a byte of a later frame sees that number too.
        fence(Ordering::Release);
    }

    /// The pool's: the frames that are held, with the number of the first; nothing if there are none, or others by now.
    pub(super) fn read(&self, area: &[Byte]) -> Option<(u64, Vec<u8>)> {
        let first = self.first.load(Ordering::Acquire);
        let bytes = usize::try_from(self.bytes.load(Ordering::Acquire)).ok()?;
        let held = area.get(..bytes).filter(|held| !held.is_empty())?;
        let held: Vec<u8> = held.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        fence(Ordering::Acquire);
        (self.first.load(Ordering::Relaxed) == first).then_some((first, held))
    }
}
