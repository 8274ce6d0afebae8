//! Very short calls are left to as many workers as there are cores, though others idle: to wake a process takes longer than such a call does, and none would run
//! sooner for it.
//!
//! A call that is long after all sends no word of it. So while a worker idles and calls are kept from it, the ledger looks every few milliseconds: a worker that
//! still has what it had the last time is stuck. It counts no more, gets nothing more until it answers, and what it has not started goes to others.

use std::time::{Duration, Instant};

use super::{Action, Boards, Condition, Ledger, Stage, Worker};
use crate::backend::WorkerId;
use crate::os::Start;

/// Units are very short below this. To wake a process takes some 25 to 50 us.
const SHORT_NS: u64 = 20_000;
/// More than this is not counted for one unit. One that was long only because others had the core makes no difference so, and two or three in a row do.
const LONG_NS: u64 = 16 * SHORT_NS;
/// Workers are looked at so long after a call was kept from one that idles. Where a core is shared, each has to wait for some milliseconds now and then.
const LOOK_AFTER: Duration = Duration::from_millis(5);

/// Moving average of how long units keep their workers.
#[derive(Debug)]
pub(super) struct Usual(u64);

impl Default for Usual {
    /// Nothing is known to be short.
    fn default() -> Self {
        Self(LONG_NS)
    }
}

impl Usual {
    pub(super) fn note(&mut self, ns: u64) {
        self.0 = (self.0 * 31 + ns.min(LONG_NS)) / 32;
    }
}

/// Whether calls are kept from workers that idle, and when that is looked at.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Somebody idles, and some call is not sent to him.
    is_needed: bool,
    next: Option<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// The last call that was sent before it was set.
    last: u64,
}

impl Watch {
    pub(super) fn at(&self) -> Option<Instant> {
        self.next.map(|look| look.at)
    }
}

impl<T: Clone> Ledger<T> {
    /// True if a look must be set.
    pub(in crate::dispatch) fn needs_look(&self) -> bool {
        self.watch.is_needed && self.watch.next.is_none()
    }

    pub(in crate::dispatch) fn set_look(&mut self, now: Instant) {
        self.watch.next = now.checked_add(LOOK_AFTER).map(|at| Look { at, last: self.next });
    }

    /// True if those that idle are left to it, since it would take longer to wake one than to wait for those at work.
    pub(super) fn lets_idle(&mut self) -> bool {
        let is_quick = self.usual.0 < SHORT_NS && !self.idle.is_empty();
        let is_awake = |id: &&WorkerId| self.may_get_more(&self.workers[id]);
        let lets = is_quick && self.at_work.iter().filter(is_awake).nth(self.rules.cores - 1).is_some();
        self.watch.is_needed |= lets;
        lets
    }

    /// The worker that has the least to do of those at work, unless all have enough.
    pub(super) fn least_busy(&self) -> Option<WorkerId> {
        let depth = self.depth();
        let loads = self.at_work.iter().filter_map(|id| {
            let worker = &self.workers[id];
            self.may_get_more(worker).then_some((worker.calls.len(), *id))
        });
        loads.min().filter(|(calls, _)| *calls < depth).map(|(_, id)| id)
    }

    fn may_get_more(&self, worker: &Worker) -> bool {
        worker.condition != Condition::Stuck && self.is_open(worker)
    }

    /// Looks for workers that are stuck, if it is time.
    pub(super) fn look(&mut self, now: Instant, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let Some(look) = self.watch.next.filter(|look| look.at <= now) else { return };
        self.watch = Watch::default();
        if self.idle.is_empty() {
            return;
        }
        let stuck: Vec<_> = self.at_work.iter().copied().filter(|id| self.stands(*id, look.last)).collect();
        for id in &stuck {
            let worker = self.workers.get_mut(id).expect("it was just looked at");
            worker.condition = Condition::Stuck;
            let first = worker.calls.front().map(|sent| boards.progress(*id, sent.head));
            if first.is_some_and(|first| first != Start::NotStarted) {
                self.usual.note(LONG_NS);
            }
            self.take_all_back(*id, boards);
        }
        for id in stuck {
            self.note_last_idle(id, out);
        }
        self.assign(out);
        self.settle_phase(out);
        let waits = self.waiting() > 0 || self.at_work.iter().any(|id| self.workers[id].calls.len() > 1);
        self.watch.is_needed = waits && !self.idle.is_empty();
    }

    /// It was not known to be stuck, and still has what it had.
    fn stands(&self, id: WorkerId, last: u64) -> bool {
        let worker = &self.workers[&id];
        let is_watched = worker.stage == Stage::Ready && worker.condition != Condition::Stuck;
        is_watched && worker.calls.front().is_some_and(|sent| sent.head.call <= last)
    }

    /// Even its first call has not started: if it idles now, the others come before it.
    fn note_last_idle(&mut self, id: WorkerId, out: &mut Vec<Action<T>>) {
        self.note_idle(id, out);
        if self.idle.last() == Some(&id) {
            self.idle.rotate_right(1);
        }
    }
}
