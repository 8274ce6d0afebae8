//! Which unit goes to which worker.

use super::alarms::Alarm;
use super::{Action, Boards, Condition, Ledger, Sent, Stage, UnitId, Worker};
use crate::backend::WorkerId;
use crate::os::SLOTS;
use crate::wire::CallHead;

/// Calls are sent ahead so that a worker has about this much to do while its replies travel.
const AHEAD_NS: u64 = 200_000;

impl<T: Clone> Ledger<T> {
    /// How many units a worker may have at once.
    pub(super) fn depth(&self) -> usize {
        let ahead = usize::try_from(AHEAD_NS / self.unit_ns.max(1)).unwrap_or(SLOTS);
        1 + ahead.clamp(1, SLOTS - 2)
    }

    /// Sends what waits as far as it can be; true if that was something.
    pub(super) fn assign(&mut self, out: &mut Vec<Action<T>>) -> bool {
        let mut sent = false;
        loop {
            while self.lanes.front().is_some_and(|unit| self.entry(*unit).is_none()) {
                self.lanes.pop();
                self.stale -= 1;
            }
            let Some(unit) = self.lanes.front().copied() else { return sent };
            let is_light = self.entry(unit).is_some_and(|entry| entry.is_light);
            let Some(worker) = self.choose(is_light) else { return sent };
            self.lanes.pop();
            self.send(worker, unit, out);
            sent = true;
        }
    }

    /// The worker that a unit is best sent to now. Only a light one is sent to a worker that is busy.
    pub(super) fn choose(&mut self, is_light: bool) -> Option<WorkerId> {
        if is_light && self.lets_idle() {
            return self.least_busy();
        }
        let idle = self.take_idle().or_else(|| self.opened());
        if idle.is_none() && is_light { self.least_busy() } else { idle }
    }

    pub(super) fn send(&mut self, id: WorkerId, unit: UnitId, out: &mut Vec<Action<T>>) {
        let call = self.fresh();
        let most = self.rules.max_tasks.unwrap_or(u32::MAX);
        let entry = &mut self.units[unit.key];
        let worker = self.workers.get_mut(&id).expect("a chosen worker lives");
        let slot = worker.free_slots.trailing_zeros();
        worker.free_slots &= !(1 << slot);
        let slot = u8::try_from(slot).expect("a slot is free while a worker has fewer calls than slots");
        let elements = (entry.elements - entry.done).min(most - worker.taken);
        let head = CallHead { call, slot, elements };
        worker.calls.push_back(Sent { head, unit, received: 0 });
        if worker.calls.len() == 1 {
            self.at_work.push(id);
        }
        entry.on = Some(id);
        entry.take_overdue();
        let (task, done, watched) = (entry.task.clone(), entry.done, entry.terms().are_watched());
        out.push(Action::Send { worker: id, head, task, done, watched });
        self.alarms.clear(&mut worker.alarm);
        let mut is_spent = false;
        if self.rules.max_tasks.is_some() {
            worker.taken += elements;
            is_spent = worker.taken >= most;
        }
        self.watch(unit);
        if is_spent {
            // Its successor can start meanwhile.
            self.start_missing(out);
        }
    }

    /// Removes a call from its worker, and frees its slot.
    pub(super) fn end_call(&mut self, id: WorkerId, call: u64) -> Option<Sent> {
        let worker = self.workers.get_mut(&id)?;
        let at = worker.calls.iter().position(|sent| sent.head.call == call)?;
        let sent = worker.calls.remove(at)?;
        worker.free_slots |= 1 << sent.head.slot;
        if worker.calls.is_empty() {
            worker.condition = Condition::Fine;
            self.at_work.retain(|other| *other != id);
        }
        Some(sent)
    }

    /// Takes a call back, unless it has started.
    pub(super) fn take_back(&mut self, id: WorkerId, head: CallHead, boards: &impl Boards) -> bool {
        if !boards.revoke(id, head.slot, head.call) {
            return false;
        }
        if let Some(sent) = self.end_call(id, head.call) {
            let worker = self.workers.get_mut(&id).expect("it has just had a call");
            worker.taken = worker.taken.saturating_sub(sent.head.elements);
            self.units[sent.unit.key].on = None;
        }
        true
    }

    /// Takes back what a worker has not started, so that it waits again, each in its old place.
    pub(super) fn take_all_back(&mut self, id: WorkerId, boards: &impl Boards) {
        let sent: Vec<_> = self.workers[&id].calls.iter().map(|sent| (sent.head, sent.unit)).collect();
        for (head, unit) in sent.into_iter().rev() {
            if self.take_back(id, head, boards) {
                self.wait_again(unit);
            }
        }
    }

    /// A unit that was sent waits again, before all others of its lane.
    pub(super) fn wait_again(&mut self, unit: UnitId) {
        let entry = &mut self.units[unit.key];
        entry.on = None;
        self.lanes.push_front(entry.lane, unit);
        self.watch(unit);
    }

    /// A worker may have room now.
    pub(super) fn went_on(&mut self, id: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        self.note_idle(id, out);
        // What is sent now, past this one, cannot be taken back yet.
        let sent_nothing = !self.assign(out);
        if sent_nothing && self.idle.last() == Some(&id) && !self.lets_idle() {
            self.steal(id, boards, out);
        }
        self.settle_phase(out);
    }

    pub(super) fn note_idle(&mut self, id: WorkerId, out: &mut Vec<Action<T>>) {
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.stage != Stage::Ready || !worker.calls.is_empty() || worker.condition == Condition::Idle {
            return;
        }
        if self.is_spent(worker) {
            return self.retire(id, out);
        }
        if self.waits_for_another(worker) {
            return;
        }
        let worker = self.workers.get_mut(&id).expect("it was just looked at");
        worker.condition = Condition::Idle;
        self.idle.push(id);
        if let Some(limit) = self.rules.idle_timeout {
            self.alarms.set(&mut worker.alarm, self.now, limit, Alarm::Worker(id));
        }
    }

    /// The worker that became idle last.
    fn take_idle(&mut self) -> Option<WorkerId> {
        let id = self.idle.pop()?;
        self.workers.get_mut(&id).expect("an idle worker lives").condition = Condition::Fine;
        Some(id)
    }

    /// A worker that had waited for another to be done, which is so since that one's calls were taken back.
    fn opened(&self) -> Option<WorkerId> {
        if self.at_work.len() == self.workers.len() {
            return None;
        }
        let opened = |worker: &Worker| worker.calls.is_empty() && self.is_open(worker);
        self.workers.iter().find(|(_, worker)| opened(worker)).map(|(id, _)| *id)
    }

    /// A worker that is not to be used any more.
    pub(super) fn forget_idle(&mut self, id: WorkerId) {
        self.idle.retain(|idle| *idle != id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.condition = Condition::Fine;
        }
    }

    /// Nothing waits, but another worker has more than it can do now: its last call comes here instead.
    pub(super) fn steal(&mut self, idle: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let Some(victim) = self.at_work.iter().copied().max_by_key(|id| self.workers[id].calls.len()) else {
            return;
        };
        let calls = &self.workers[&victim].calls;
        let Some(last) = calls.back().filter(|_| calls.len() > 1) else { return };
        let (head, unit) = (last.head, last.unit);
        if self.units[unit.key].wanted && self.take_back(victim, head, boards) {
            self.take_idle();
            self.send(idle, unit, out);
        }
    }
}
