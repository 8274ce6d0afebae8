//! Which unit goes to which worker.

use super::alarms::Alarm;
use super::{Action, Boards, Ledger, Sent, Stage, UnitId};
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

    pub(super) fn assign(&mut self, out: &mut Vec<Action<T>>) {
        loop {
            while self.lanes.front().is_some_and(|unit| self.entry(*unit).is_none()) {
                self.lanes.pop();
                self.stale -= 1;
            }
            let Some(unit) = self.lanes.front().copied() else { return };
            let is_light = self.entry(unit).is_some_and(|entry| entry.is_light);
            let Some(worker) = self.choose(is_light) else { return };
            self.lanes.pop();
            self.send(worker, unit, out);
        }
    }

    /// The worker that a unit is best sent to now. Only a light one is sent to a worker that is busy.
    pub(super) fn choose(&mut self, is_light: bool) -> Option<WorkerId> {
        if let Some(worker) = self.idle.pop() {
            return Some(worker);
        }
        if !is_light {
            return None;
        }
        let depth = self.depth();
        let open = self.workers.iter().filter(|(_, worker)| self.is_open(worker));
        let least = open.min_by_key(|(_, worker)| worker.calls.len());
        least.filter(|(_, worker)| worker.calls.len() < depth).map(|(id, _)| *id)
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
    pub(super) fn end_call(&mut self, worker: WorkerId, call: u64) -> Option<Sent> {
        let worker = self.workers.get_mut(&worker)?;
        let at = worker.calls.iter().position(|sent| sent.head.call == call)?;
        let sent = worker.calls.remove(at)?;
        worker.free_slots |= 1 << sent.head.slot;
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
        self.assign(out);
        if self.idle.last() == Some(&id) {
            self.steal(id, boards, out);
        }
        self.settle_phase(out);
    }

    pub(super) fn note_idle(&mut self, id: WorkerId, out: &mut Vec<Action<T>>) {
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.stage != Stage::Ready || !worker.calls.is_empty() || self.idle.contains(&id) {
            return;
        }
        if self.is_spent(worker) {
            return self.retire(id, out);
        }
        if self.waits_for_another(worker) {
            return;
        }
        self.idle.push(id);
        if let Some(limit) = self.rules.idle_timeout {
            let worker = self.workers.get_mut(&id).expect("it was just looked at");
            self.alarms.set(&mut worker.alarm, self.now, limit, Alarm::Worker(id));
        }
    }

    /// Nothing waits, but another worker has more than it can do now: its last call comes here instead.
    pub(super) fn steal(&mut self, idle: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let loaded = self.workers.iter().filter(|(_, worker)| worker.calls.len() > 1);
        let Some((victim, worker)) = loaded.max_by_key(|(_, worker)| worker.calls.len()) else { return };
        let (victim, last) = (*victim, &worker.calls[worker.calls.len() - 1]);
        let (head, unit) = (last.head, last.unit);
        if self.units[unit.key].wanted && self.take_back(victim, head, boards) {
            self.idle.pop();
            self.send(idle, unit, out);
        }
    }
}
