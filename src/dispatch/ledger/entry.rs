//! What the ledger keeps of a unit. Most callers ask for nothing but a result, and a million calls may wait: what is about limits stands elsewhere.

use std::time::Instant;

use super::alarms::AlarmId;
use super::limits::Overdue;
use crate::backend::WorkerId;
use crate::dispatch::lanes::LaneId;
use crate::dispatch::terms::Terms;

pub(super) struct Entry<T> {
    pub(super) task: T,
    pub(super) serial: u64,
    pub(super) lane: LaneId,
    pub(super) elements: u32,
    pub(super) done: u32,
    /// The worker it is on, if it does not wait.
    pub(super) on: Option<WorkerId>,
    pub(super) wanted: bool,
    /// It is small enough to be sent to a worker that is busy.
    pub(super) is_light: bool,
    /// Only if its caller asks for more than its result.
    pub(super) limited: Option<Box<Limited>>,
}

/// What the limits of a unit are, and how far they have come.
#[derive(Default)]
pub(super) struct Limited {
    pub(super) terms: Terms,
    /// It fails if it has not started by then.
    pub(super) start_by: Option<Instant>,
    /// How often the first elements behind those that are done have cost a worker.
    pub(super) attempts: u32,
    /// How many elements that is so of.
    pub(super) tried: u32,
    pub(super) overdue: Option<Overdue>,
    pub(super) alarm: Option<AlarmId>,
}

impl<T> Entry<T> {
    pub(super) fn terms(&self) -> Terms {
        self.limited.as_ref().map_or_else(Terms::default, |limited| limited.terms)
    }

    /// How often the elements that come next have cost a worker.
    pub(super) fn attempts(&self) -> u32 {
        self.limited.as_ref().map_or(0, |limited| limited.attempts)
    }

    /// The next so many elements are settled.
    pub(super) fn settle(&mut self, elements: u32) {
        self.done += elements;
        if let Some(limited) = &mut self.limited {
            limited.settle(elements);
        }
    }

    /// It does not wait for its start any more.
    pub(super) fn has_begun(&mut self) {
        if let Some(limited) = &mut self.limited {
            limited.start_by = None;
        }
    }

    /// The element whose time is over, which is then forgotten.
    pub(super) fn take_overdue(&mut self) -> Option<Overdue> {
        self.limited.as_mut()?.overdue.take()
    }

    /// So many elements have cost a worker. True if they may run again.
    pub(super) fn may_run_again(&mut self, elements: u32) -> bool {
        let Some(limited) = self.limited.as_mut().filter(|_| self.wanted) else { return false };
        let may = limited.attempts < limited.terms.retries;
        if may {
            limited.attempts += 1;
            limited.tried = limited.tried.max(elements);
        }
        may
    }
}

impl Limited {
    /// Nothing, if there are no limits.
    pub(super) fn of(terms: Terms, start_by: Option<Instant>) -> Option<Box<Self>> {
        let is_limited = start_by.is_some() || terms != Terms::default();
        is_limited.then(|| Box::new(Self { terms, start_by, ..Self::default() }))
    }

    fn settle(&mut self, elements: u32) {
        self.tried = self.tried.saturating_sub(elements);
        if self.tried == 0 {
            self.attempts = 0;
        }
    }
}
