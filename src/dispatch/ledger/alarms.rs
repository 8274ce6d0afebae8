//! What is to be looked at, and when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::UnitId;
use crate::backend::WorkerId;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    Unit(UnitId),
    Worker(WorkerId),
}

/// An alarm that is set. Whoever set it keeps this, so that it can be set anew or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AlarmId {
    at: Instant,
    number: u64,
}

#[derive(Debug, Default)]
pub(super) struct Alarms {
    set: BTreeMap<AlarmId, Alarm>,
    next: u64,
}

impl Alarms {
    /// Sets an alarm for `after` from now, in place of the one that `slot` holds. A time beyond what the clock can hold never comes.
    pub(super) fn set(&mut self, slot: &mut Option<AlarmId>, now: Instant, after: Duration, alarm: Alarm) {
        self.clear(slot);
        if let Some(at) = now.checked_add(after) {
            self.next += 1;
            let id = AlarmId { at, number: self.next };
            self.set.insert(id, alarm);
            *slot = Some(id);
        }
    }

    pub(super) fn clear(&mut self, slot: &mut Option<AlarmId>) {
        if let Some(id) = slot.take() {
            self.set.remove(&id);
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first_key_value().map(|(id, _)| id.at)
    }

    /// The next alarm whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Alarm> {
        let first = self.set.first_entry().filter(|first| first.key().at <= now)?;
        Some(first.remove())
    }
}
