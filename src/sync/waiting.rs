//! Waiting for a word to change: on a thread, or in a future.
//!
//! Whoever looks and finds nothing leaves a bit in the word, in the same exchange. Whoever changes the word sees the bit and
//! rings. A waiter wakes now and then by itself, to see whether those it waits for live: the one that would have rung may
//! have been killed just before it could.

use std::time::{Duration, Instant};

use crate::os::Shared;
use crate::wait::within;

/// Somebody blocks a thread until the word has changed.
pub(super) const PARKED: u64 = 1 << 62;
/// Somebody waits in a future until the word has changed.
pub(super) const LISTENING: u64 = 1 << 63;
/// Both.
pub(super) const WAITED_FOR: u64 = PARKED | LISTENING;

/// How often one looks before one sleeps: what is held for a moment only is had sooner so.
const SPINS: u32 = 20;
/// After so long one sees for the first time whether those one waits for live.
const FIRST: Duration = Duration::from_millis(1);
/// And so often in the long run.
const LONGEST: Duration = Duration::from_millis(64);

/// One look at a word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// The bit to leave if there is nothing.
    pub(crate) announce: u64,
    /// See also whether those who hold it live, which takes system calls.
    pub(crate) closely: bool,
}

impl Look {
    /// The only look of somebody who does not wait.
    pub(crate) const ONCE: Self = Self { announce: 0, closely: true };
}

/// Rings for those that have left their bit: for all of them, or for one that blocks a thread and all futures.
#[inline]
pub(crate) fn ring(shared: &Shared, left: u64, parked: u32) {
    if left & WAITED_FOR != 0 {
        shared.ring(if left & PARKED == 0 { 0 } else { parked }, left & LISTENING != 0);
    }
}

/// What a wait without an end has found.
pub(crate) fn endless<T>(found: Option<T>) -> T {
    found.expect("a wait without an end finds something")
}

/// The end of a wait that lasts so long. A limit beyond what the clock can hold is none.
pub(crate) fn end_of(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}

/// Blocks until a look finds something; nothing if none has by then.
pub(crate) fn block<T>(
    shared: &Shared,
    end: Option<Instant>,
    mut look: impl FnMut(Look) -> Option<T>,
) -> Option<T> {
    for _ in 0..if cfg!(models) { 0 } else { SPINS } {
        if let Some(found) = look(Look { announce: 0, closely: false }) {
            return Some(found);
        }
        std::hint::spin_loop();
    }
    let mut waiting = shared.quick().begin(end);
    while waiting.once_more() {
        if let Some(found) = look(Look { announce: 0, closely: false }) {
            waiting.came();
            return Some(found);
        }
    }
    let mut pace = Pace::new(end);
    loop {
        let rings = shared.rings();
        let (closely, nap) = pace.next();
        if let Some(found) = look(Look { announce: PARKED, closely }) {
            waiting.came();
            return Some(found);
        }
        shared.park(rings, nap?);
    }
}

/// Waits until a look finds something; nothing if none has by then. Dropping it takes a wake-up from nobody: all futures have been woken.
pub(crate) async fn wait<T>(
    shared: &Shared,
    end: Option<Instant>,
    mut look: impl FnMut(Look) -> Option<T>,
) -> Option<T> {
    let mut pace = Pace::new(end);
    loop {
        let rings = shared.rings();
        let (closely, nap) = pace.next();
        if let Some(found) = look(Look { announce: LISTENING, closely }) {
            return Some(found);
        }
        listen(shared, rings, nap?).await;
    }
}

#[cfg(not(models))]
async fn listen(shared: &Shared, rings: u32, nap: Duration) {
    let _rung = within(nap, shared.listen(rings)).await;
}

#[cfg(models)]
async fn listen(shared: &Shared, rings: u32, _nap: Duration) {
    shared.listen(rings).await;
}

/// When to look closely, and for how long to sleep until then.
struct Pace {
    end: Option<Instant>,
    interval: Duration,
    due: Instant,
}

impl Pace {
    fn new(end: Option<Instant>) -> Self {
        Self { end, interval: FIRST, due: Instant::now() + FIRST }
    }

    /// Whether to look closely now, and the sleep after it; no sleep if the time is over.
    fn next(&mut self) -> (bool, Option<Duration>) {
        if cfg!(models) {
            // There is no time in the models.
            return (false, Some(LONGEST));
        }
        let now = Instant::now();
        let over = self.end.is_some_and(|end| now >= end);
        let closely = over || now >= self.due;
        if closely {
            self.due = now + self.interval;
            self.interval = (self.interval * 2).min(LONGEST);
        }
        let until = self.end.map_or(self.due, |end| end.min(self.due));
        (closely, (!over).then(|| until.saturating_duration_since(now)))
    }
}
