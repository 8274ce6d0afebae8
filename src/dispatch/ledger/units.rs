//! Units from their submission to their cancellation.

use super::entry::{Entry, Limited};
use super::{Action, Boards, Cancelled, Killed, Ledger, Phase, Refused, UnitId};
use crate::dispatch::unit::Demand;
use crate::error::Error;

/// A unit that is to be queued.
#[derive(Debug)]
pub(in crate::dispatch) struct Submission<T> {
    pub(in crate::dispatch) task: T,
    pub(in crate::dispatch) elements: u32,
    /// It is small enough to be sent to a worker that is busy.
    pub(in crate::dispatch) is_light: bool,
    pub(in crate::dispatch) demand: Demand,
}

impl<T: Clone> Ledger<T> {
    /// An input has begun that is to be read to its end even if the pool is closed meanwhile.
    pub(in crate::dispatch) fn hold(&mut self) -> Result<(), Refused> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        self.holds += 1;
        Ok(())
    }

    /// Such an input was read to its end, or given up.
    pub(in crate::dispatch) fn release(&mut self, out: &mut Vec<Action<T>>) {
        self.holds -= 1;
        self.settle_phase(out);
    }

    /// Queues a unit.
    pub(in crate::dispatch) fn submit(
        &mut self,
        submission: Submission<T>,
        out: &mut Vec<Action<T>>,
    ) -> Result<UnitId, Refused> {
        let Submission { task, elements, is_light, demand } = submission;
        let Demand { lane, terms, start_by, is_held } = demand;
        if let Some(error) = self.refusal().filter(|_| !(is_held && self.phase == Phase::Closing)) {
            return Err(error);
        }
        let serial = self.fresh();
        let entry = Entry {
            task,
            serial,
            lane,
            elements,
            done: 0,
            on: None,
            wanted: true,
            is_light,
            limited: Limited::of(terms, start_by),
        };
        let unit = UnitId { key: self.units.insert(entry), serial };
        self.timed += usize::from(terms.timeout.is_some());
        self.stats.submitted += u64::from(elements);
        let others_wait = self.waiting() > 0;
        let worker = if others_wait { None } else { self.choose(is_light) };
        if let Some(worker) = worker {
            self.send(worker, unit, out);
        } else {
            self.lanes.push_back(lane, unit);
            self.watch(unit);
        }
        if others_wait && !self.idle.is_empty() {
            self.assign(out);
        }
        if self.rules.min_workers.is_some() {
            self.start_missing(out);
        }
        Ok(unit)
    }

    pub(in crate::dispatch) fn cancel(
        &mut self,
        unit: UnitId,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) -> Cancelled {
        let Some(entry) = self.entry(unit) else { return Cancelled::TooLate };
        if !entry.wanted {
            return Cancelled::TooLate;
        }
        let (rest, on, kills) =
            (u64::from(entry.elements - entry.done), entry.on, entry.terms().kill_on_drop);
        self.stats.cancelled += rest;
        let Some(worker) = on else {
            self.forget(unit, out);
            self.stale += 1;
            self.forget_stale();
            self.settle_phase(out);
            return Cancelled::BeforeStart;
        };
        let head = self.head_of(worker, unit);
        if self.take_back(worker, head, boards) {
            self.forget(unit, out);
            self.went_on(worker, boards, out);
            return Cancelled::BeforeStart;
        }
        boards.cancel(worker, head.slot);
        self.units[unit.key].wanted = false;
        let running = boards.running(worker, head).filter(|_| kills);
        if running.is_some_and(|(element, _)| boards.condemn(worker, head.slot, element)) {
            self.give_up(worker, boards, out);
            self.kill(worker, Killed::Unwanted, out);
        }
        Cancelled::WhileRunning
    }

    /// Cancels everything that has not started; how many elements that were.
    pub(in crate::dispatch) fn cancel_pending(
        &mut self,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
        error: impl Fn(&T) -> Error,
    ) -> u64 {
        let units = self.units.iter().filter(|(_, entry)| entry.wanted);
        let units = units.map(|(key, entry)| (UnitId { key, serial: entry.serial }, entry.on));
        let mut cancelled = 0;
        for (unit, on) in units.collect::<Vec<_>>() {
            let is_back = on.is_none_or(|worker| self.take_back(worker, self.head_of(worker, unit), boards));
            if !is_back {
                continue;
            }
            self.stale += usize::from(on.is_none());
            let Entry { task, done, elements, .. } = self.remove(unit);
            cancelled += u64::from(elements - done);
            let error = error(&task);
            out.push(Action::Fail { task, first: done, elements: elements - done, error });
        }
        self.stats.cancelled += cancelled;
        self.forget_stale();
        for worker in self.workers.keys().copied().collect::<Vec<_>>() {
            self.note_idle(worker, out);
        }
        self.settle_phase(out);
        cancelled
    }

    /// Takes a unit out, which is settled now.
    pub(super) fn remove(&mut self, unit: UnitId) -> Entry<T> {
        let mut entry = self.units.remove(unit.key);
        if let Some(limited) = &mut entry.limited {
            self.alarms.clear(&mut limited.alarm);
            self.timed -= usize::from(limited.terms.timeout.is_some());
        }
        entry
    }

    pub(super) fn forget(&mut self, unit: UnitId, out: &mut Vec<Action<T>>) {
        out.push(Action::Forget { task: self.remove(unit).task });
    }

    /// Cancelled units leave their numbers in the lanes until there are many.
    pub(super) fn forget_stale(&mut self) {
        if self.stale > 64 && self.stale > self.lanes.len() / 2 {
            let units = &self.units;
            self.lanes.retain(|unit| units.get(unit.key).is_some_and(|entry| entry.serial == unit.serial));
            self.stale = 0;
        }
    }
}
