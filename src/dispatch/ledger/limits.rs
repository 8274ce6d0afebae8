//! Limits of time: calls that do not start or do not end in theirs, and workers that are ended for it.
//!
//! ```text
//! running ──time over──► asked to end ──half the grace──► condemned, SIGTERM ──the other half──► SIGKILL
//!                            │ ends                           its worker takes no more calls
//!                            └──► TimedOut, its worker goes on
//! ```

use std::time::{Duration, Instant};

use super::alarms::Alarm;
use super::entry::Entry;
use super::{Action, Boards, Killed, Ledger, Restart, Stage, UnitId};
use crate::backend::WorkerId;
use crate::error::{Error, Limit};
use crate::wire::CallHead;

/// A process that was killed and has not ended by then hangs in the kernel.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// A call whose element has used up its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overdue {
    /// Which element of the call, counted from 1.
    pub(super) element: u32,
    condemned: bool,
}

impl<T: Clone> Ledger<T> {
    /// When `tick` has something to do next.
    pub(in crate::dispatch) fn next_tick(&self) -> Option<Instant> {
        let restart = self.restarts.iter().map(|restart| restart.at).min();
        [restart, self.alarms.next(), self.pulse, self.watch.at()].into_iter().flatten().min()
    }

    /// Does what was to be done by now, one thing at a time: true if there is more. What follows from one must have been done before the
    /// next, which may look at a board.
    pub(in crate::dispatch) fn tick(
        &mut self,
        now: Instant,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) -> bool {
        self.notice(now);
        let due: Vec<Restart> = self.restarts.extract_if(.., |restart| restart.at <= now).collect();
        for restart in due {
            if self.living() < self.wanted() {
                self.start(Some(restart.index), out);
            }
        }
        match self.alarms.pop_due(now) {
            Some(Alarm::Unit(unit)) => self.look_at_unit(unit, boards, out),
            Some(Alarm::Worker(worker)) => self.look_at_worker(worker, boards, out),
            None if self.pulse.is_some_and(|due| due <= now) => self.take_pulse(now, boards, out),
            None => self.look(now, boards, out),
        }
        self.next_tick().is_some_and(|next| next <= now)
    }

    /// Sets the alarm of a unit for the first moment at which one of its limits may be reached.
    pub(super) fn watch(&mut self, unit: UnitId) {
        let Entry { on, limited: Some(limited), .. } = &mut self.units[unit.key] else { return };
        let until_start = limited.start_by.map(|at| at.saturating_duration_since(self.now));
        // It may start this very moment.
        let until_end = on.and(limited.terms.timeout);
        match [until_start, until_end].into_iter().flatten().min() {
            Some(after) => self.alarms.set(&mut limited.alarm, self.now, after, Alarm::Unit(unit)),
            None => self.alarms.clear(&mut limited.alarm),
        }
    }

    fn watch_after(&mut self, unit: UnitId, after: Duration) {
        if let Some(limited) = &mut self.units[unit.key].limited {
            self.alarms.set(&mut limited.alarm, self.now, after, Alarm::Unit(unit));
        }
    }

    fn look_at_unit(&mut self, unit: UnitId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let Some(entry) = self.units.get_mut(unit.key).filter(|entry| entry.serial == unit.serial) else {
            return;
        };
        let (on, Some(limited)) = (entry.on, &mut entry.limited) else { return };
        limited.alarm = None;
        let is_late = limited.start_by.is_some_and(|at| at <= self.now);
        match on {
            None if is_late => {
                self.stale += 1;
                self.never_started(unit, out);
                self.forget_stale();
                self.settle_phase(out);
            }
            None => self.watch(unit),
            Some(worker) if is_late && self.take_back(worker, self.head_of(worker, unit), boards) => {
                self.never_started(unit, out);
                self.went_on(worker, boards, out);
            }
            Some(worker) => self.look_at_running(worker, unit, is_late, boards, out),
        }
    }

    /// A unit that nobody has started fails.
    fn never_started(&mut self, unit: UnitId, out: &mut Vec<Action<T>>) {
        let entry = self.remove(unit);
        let after = entry.terms().queue_timeout.unwrap_or_default();
        let Entry { task, done, elements, .. } = entry;
        let elements = elements - done;
        self.stats.failed += u64::from(elements);
        out.push(Action::TimedOut { task, first: done, elements, limit: Limit::Queue, after });
    }

    fn look_at_running(
        &mut self,
        worker: WorkerId,
        unit: UnitId,
        has_started: bool,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) {
        let head = self.head_of(worker, unit);
        let Some(limited) = &mut self.units[unit.key].limited else { return };
        if has_started {
            limited.start_by = None;
        }
        let Some(limit) = limited.terms.timeout else { return self.watch(unit) };
        match boards.running(worker, head) {
            None => self.watch(unit),
            Some((element, _)) if limited.overdue.is_some_and(|overdue| overdue.element == element) => {
                self.escalate(worker, unit, head, boards, out);
            }
            Some((element, ran)) if ran >= limit && boards.expire(worker, head.slot, element) => {
                limited.overdue = Some(Overdue { element, condemned: false });
                self.watch_after(unit, self.rules.grace / 2);
            }
            Some((_, ran)) => {
                limited.overdue = None;
                // If its time is over and it is finished all the same, the next element has just begun.
                let left = limit.checked_sub(ran).filter(|left| !left.is_zero());
                self.watch_after(unit, left.unwrap_or(limit));
            }
        }
    }

    /// An element was asked to end and runs on.
    fn escalate(
        &mut self,
        worker: WorkerId,
        unit: UnitId,
        head: CallHead,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) {
        let limited = self.units[unit.key].limited.as_mut();
        let Some(overdue) = limited.and_then(|limited| limited.overdue.as_mut()) else { return };
        if overdue.condemned {
            return self.kill(worker, Killed::Unwanted, out);
        }
        if boards.condemn(worker, head.slot, overdue.element) {
            overdue.condemned = true;
            self.give_up(worker, boards, out);
            out.push(Action::Interrupt { worker });
        }
        self.watch_after(unit, self.rules.grace / 2);
    }

    pub(super) fn head_of(&self, worker: WorkerId, unit: UnitId) -> CallHead {
        let calls = &self.workers[&worker].calls;
        calls.iter().find(|sent| sent.unit == unit).expect("a unit on a worker is sent").head
    }

    /// A worker is going to be ended: it gets nothing more, and what it has not started runs elsewhere.
    pub(super) fn give_up(&mut self, id: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        self.dismiss(id, out);
        self.take_all_back(id, boards);
        self.start_missing(out);
        self.assign(out);
    }

    /// Ends a worker now. One that does not go is given up.
    pub(super) fn kill(&mut self, id: WorkerId, why: Killed, out: &mut Vec<Action<T>>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.killed = Some(why);
        self.alarms.set(&mut worker.alarm, self.now, STUCK_AFTER, Alarm::Worker(id));
        out.push(Action::Kill { worker: id });
    }

    fn look_at_worker(&mut self, id: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.alarm = None;
        if worker.killed.is_some() {
            self.stats.stuck += 1;
            self.lost(id, Error::still_there(), boards, out);
            out.push(Action::Abandon { worker: id });
        } else if worker.stage == Stage::Ready && worker.calls.is_empty() && self.living() > self.kept() {
            self.dismiss(id, out);
            out.push(Action::Stop { worker: id });
        }
    }
}
