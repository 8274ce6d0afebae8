//! One slot of the board: how far one call has come, as its worker and its pool agree on it without a message.
//!
//! ```text
//! the call      Queued ──worker──► Running          an element   Plain: nobody watches it, or it is finished
//!                  └────pool─────► Revoked                       Watched ──worker──► Plain      it is in time
//!                                                                   └─pool─► Overdue ──worker──► Plain    late
//!                                                                   │           └─pool─► Condemned
//!                                                                   └────────pool──────────► Condemned
//! ```
//!
//! 1. Each arrow is one exchange, and of two that begin at the same word exactly one succeeds: a call that was
//!    taken back never starts, and a worker that finishes an element in time is never ended for it.
//! 2. A slot is given to another call only once the pool has heard the last of the one before.

#[cfg(models)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(models))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use std::time::Duration;

const QUEUED: u64 = 0;
const RUNNING: u64 = 1;
const REVOKED: u64 = 2;

const PLAIN: u64 = 0;
const WATCHED: u64 = 1;
const OVERDUE: u64 = 2;
const CONDEMNED: u64 = 3;

#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Slot {
    /// `call << 2 | state`
    call: AtomicU64,
    /// `element << 2 | state`, the elements counted from 1; 0 before the first.
    element: AtomicU64,
    /// When the watched element was begun, nanoseconds of the monotonic clock.
    begun_ns: AtomicU64,
    /// Not 0: the caller no longer wants the result.
    cancelled: AtomicU32,
}

/// How far a call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// No element of it was begun.
    NotStarted,
    /// This many elements were begun, the last of them perhaps not finished.
    Begun(u32),
}

/// A watched element that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running {
    /// Its number in the call, counted from 1.
    pub(crate) element: u32,
    /// When it was begun, nanoseconds of the monotonic clock, as its worker says.
    pub(crate) begun_ns: u64,
}

impl Running {
    /// The element, and for how long it has run.
    pub(crate) fn so_far(self) -> (u32, Duration) {
        (self.element, Duration::from_nanos(super::clock::monotonic_ns().saturating_sub(self.begun_ns)))
    }
}

/// How a worker finds the element that it has just finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    InTime,
    /// Its time was over: it fails, whatever its value.
    Late,
    /// The pool is ending this worker for it, and settles the element itself.
    Condemned,
}

impl Slot {
    #[cfg(models)]
    pub(super) fn new() -> Self {
        let word = || AtomicU64::new(0);
        Self { call: word(), element: word(), begun_ns: word(), cancelled: AtomicU32::new(0) }
    }

    /// The pool's: a call is about to be sent.
    pub(super) fn enter(&self, call: u64) {
        self.element.store(0, Ordering::Relaxed);
        self.cancelled.store(0, Ordering::Relaxed);
        self.call.store(call << 2 | QUEUED, Ordering::Release);
    }

    /// The worker's: starts a call, unless it was taken back.
    pub(super) fn start(&self, call: u64) -> bool {
        exchange(&self.call, call << 2 | QUEUED, call << 2 | RUNNING)
    }

    /// The pool's: takes a call back, unless it has started.
    pub(super) fn revoke(&self, call: u64) -> bool {
        exchange(&self.call, call << 2 | QUEUED, call << 2 | REVOKED)
    }

    /// The worker's: an element is about to run.
    #[inline]
    pub(super) fn begin(&self, element: u32) {
        self.element.store(u64::from(element) << 2 | PLAIN, Ordering::Release);
    }

    /// The worker's: an element is about to run that the pool keeps an eye on.
    pub(super) fn begin_watched(&self, element: u32, now_ns: u64) {
        self.begun_ns.store(now_ns, Ordering::Relaxed);
        self.element.store(u64::from(element) << 2 | WATCHED, Ordering::Release);
    }

    /// The worker's: a watched element has come to its end.
    pub(super) fn finish(&self, element: u32) -> Finish {
        let element = u64::from(element) << 2;
        if exchange(&self.element, element | WATCHED, element | PLAIN) {
            Finish::InTime
        } else if exchange(&self.element, element | OVERDUE, element | PLAIN) {
            Finish::Late
        } else {
            Finish::Condemned
        }
    }

    /// The pool's: the watched element of a call that runs.
    pub(super) fn running(&self, call: u64) -> Option<Running> {
        let word = self.element.load(Ordering::Acquire);
        let begun_ns = self.begun_ns.load(Ordering::Relaxed);
        let runs = self.call.load(Ordering::Acquire) == call << 2 | RUNNING && word & 3 != PLAIN;
        let element = u32::try_from(word >> 2).ok()?;
        runs.then_some(Running { element, begun_ns })
    }

    /// The pool's: the time of a watched element is over. False if it is finished.
    pub(super) fn expire(&self, element: u32) -> bool {
        let element = u64::from(element) << 2;
        exchange(&self.element, element | WATCHED, element | OVERDUE)
    }

    /// The pool's: its worker is going to be ended for a watched element. False if that is finished.
    pub(super) fn condemn(&self, element: u32) -> bool {
        let element = u64::from(element) << 2;
        exchange(&self.element, element | OVERDUE, element | CONDEMNED)
            || exchange(&self.element, element | WATCHED, element | CONDEMNED)
    }

    /// The pool's: how far a call had come. Settled only once the worker is dead.
    pub(super) fn progress(&self, call: u64) -> Start {
        let word = self.call.load(Ordering::Acquire);
        if word == call << 2 | QUEUED || word == call << 2 | REVOKED {
            Start::NotStarted
        } else if word == call << 2 | RUNNING {
            let begun = self.element.load(Ordering::Acquire) >> 2;
            Start::Begun(u32::try_from(begun).unwrap_or(u32::MAX))
        } else {
            // The worker has overwritten its board: whatever it did, it is not done twice.
            Start::Begun(u32::MAX)
        }
    }

    /// The pool's: asks the task to end early.
    pub(super) fn cancel(&self) {
        self.cancelled.store(1, Ordering::Release);
    }

    /// The worker's: nobody wants the rest of the call.
    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire) != 0
    }

    /// The worker's: the element that runs had better end, be it that nobody wants it or that its time is over.
    pub(super) fn is_unwanted(&self) -> bool {
        self.is_cancelled() || self.element.load(Ordering::Acquire) & 3 >= OVERDUE
    }
}

fn exchange(word: &AtomicU64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}
