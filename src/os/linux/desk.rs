//! A desk: where one frame is handed to a process that polls for it, past the pipe.
//!
//! ```text
//!   receiver                sender
//!
//!   Away ◄──────────────┐
//!    │ sits down        │ leaves, takes, or looks into the pipe
//!    ▼                  │
//!   There ──────────────┤
//!    │ exchange         │
//!    ├──────► Busy ──► Full       a frame lies here
//!    └──────► Rung                there is something in the pipe
//! ```
//!
//! 1. A frame is put down only in front of a receiver, who takes it before he leaves: none is ever left lying.
//! 2. Who has sat down looks into the pipe once more: what was written before went unannounced.
//! 3. Each side believes of the other only that a frame may lie here, and copies it before it looks at it.

#[cfg(models)]
use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering};
#[cfg(models)]
use loom::thread::yield_now;
#[cfg(not(models))]
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
#[cfg(not(models))]
use std::thread::yield_now;

/// Bytes of the largest frame that is handed over so.
#[cfg(not(models))]
pub(crate) const DESK_ROOM: usize = 1024 - 8;
#[cfg(models)]
pub(crate) const DESK_ROOM: usize = 2;

/// So often others may run while a frame is being put down, which takes less than a microsecond unless its sender dies.
#[cfg(not(models))]
const PATIENCE: u32 = 1_000;
#[cfg(models)]
const PATIENCE: u32 = 3;

const AWAY: u32 = 0;
const THERE: u32 = 1;
const BUSY: u32 = 2;
const FULL: u32 = 3;
const RUNG: u32 = 4;

#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Desk {
    state: AtomicU32,
    length: AtomicU32,
    frame: [AtomicU8; DESK_ROOM],
}

/// What a receiver finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// Something is in the pipe.
    Rung,
    Frame(Vec<u8>),
    /// A frame is being put down for unusually long: its sender stands still. It has to be looked for again.
    Unfinished,
}

impl Desk {
    #[cfg(models)]
    pub(super) fn new() -> Self {
        let (state, length) = (AtomicU32::new(AWAY), AtomicU32::new(0));
        Self { state, length, frame: std::array::from_fn(|_| AtomicU8::new(0)) }
    }

    /// The receiver's: true if he was not there. Then he has to look into the pipe.
    pub(crate) fn sit_down(&self) -> bool {
        self.state.load(Ordering::Relaxed) == AWAY && self.exchange(AWAY, THERE)
    }

    /// The receiver's: what was put down. Whoever takes it is away then.
    #[inline]
    pub(crate) fn look(&self) -> Found {
        match self.state.load(Ordering::Acquire) {
            FULL if self.exchange(FULL, BUSY) => self.take(),
            RUNG if self.exchange(RUNG, AWAY) => Found::Rung,
            _ => Found::Nothing,
        }
    }

    /// The receiver's: he looks no more, and takes what was put down last.
    pub(crate) fn leave(&self) -> Found {
        for _ in 0..PATIENCE {
            if self.exchange(THERE, AWAY) {
                return Found::Nothing;
            }
            match (self.look(), self.state.load(Ordering::Acquire)) {
                (Found::Nothing, AWAY) => return Found::Nothing,
                (Found::Nothing, _) => yield_now(),
                (found, _) => return found,
            }
        }
        Found::Unfinished
    }

    fn take(&self) -> Found {
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let frame = self.frame.iter().take(length).map(|byte| byte.load(Ordering::Relaxed)).collect();
        self.state.store(AWAY, Ordering::Release);
        Found::Frame(frame)
    }

    /// The sender's: puts a frame in front of the receiver; false if he is not there or the frame is too large.
    pub(crate) fn put(&self, frame: &[u8]) -> bool {
        if frame.len() > DESK_ROOM || !self.is_attended() || !self.exchange(THERE, BUSY) {
            return false;
        }
        for (place, byte) in self.frame.iter().zip(frame) {
            place.store(*byte, Ordering::Relaxed);
        }
        self.length.store(u32::try_from(frame.len()).expect("a desk is small"), Ordering::Relaxed);
        self.state.store(FULL, Ordering::Release);
        true
    }

    /// The sender's: tells a receiver who is there to look into the pipe. Comes behind the write.
    pub(crate) fn ring(&self) {
        if self.is_attended() {
            self.exchange(THERE, RUNG);
        }
    }

    fn is_attended(&self) -> bool {
        self.state.load(Ordering::Relaxed) == THERE
    }

    fn exchange(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::{BUSY, DESK_ROOM, Desk, Found, Ordering};

    fn desk() -> Desk {
        Desk { state: 0.into(), length: 0.into(), frame: std::array::from_fn(|_| 0.into()) }
    }

    #[test]
    fn a_frame_is_put_down_only_in_front_of_a_receiver_and_taken_once() {
        let desk = desk();
        assert!(!desk.put(b"early"));
        assert!(desk.sit_down() && !desk.sit_down(), "he sits down once");
        assert!(desk.put(b"frame") && !desk.put(b"another"));
        assert_eq!(desk.look(), Found::Frame(b"frame".to_vec()));
        assert_eq!((desk.look(), desk.leave()), (Found::Nothing, Found::Nothing));
    }

    #[test]
    fn whoever_leaves_takes_what_lies_there() {
        let desk = desk();
        assert!(desk.sit_down() && desk.put(b"frame"));
        assert_eq!(desk.leave(), Found::Frame(b"frame".to_vec()));
        assert!(desk.sit_down());
        desk.ring();
        assert_eq!(desk.leave(), Found::Rung);
        assert_eq!(desk.leave(), Found::Nothing);
    }

    #[test]
    fn what_is_too_large_is_not_put_down_and_the_largest_is() {
        let desk = desk();
        assert!(desk.sit_down() && !desk.put(&[7; DESK_ROOM + 1]));
        assert!(desk.put(&[7; DESK_ROOM]));
        assert_eq!(desk.look(), Found::Frame(vec![7; DESK_ROOM]));
    }

    #[test]
    fn a_sender_that_has_died_is_not_waited_for_for_ever() {
        let desk = desk();
        desk.state.store(BUSY, Ordering::Relaxed);
        assert_eq!(desk.leave(), Found::Unfinished);
    }

    #[test]
    fn a_length_beyond_the_desk_reads_no_further() {
        let desk = desk();
        assert!(desk.sit_down() && desk.put(b"frame"));
        desk.length.store(u32::MAX, Ordering::Relaxed);
        assert!(matches!(desk.look(), Found::Frame(frame) if frame.len() == DESK_ROOM));
    }
}
