//! Which unit goes to which worker.

use super::{Action, Boards, Ledger, Sent, Stage, UnitId};
use crate::backend::WorkerId;
use crate::os::SLOTS;
use crate::wire::CallHead;

/// Calls are sent ahead so that a worker has about this much to do while its replies travel.
const AHEAD_NS: u64 = 200_000;
/// Only units up to this size are sent ahead: a larger one would fill the pipe of a busy worker.
const AHEAD_BYTES: usize = 64 * 1024;

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
            let bytes = self.entry(unit).map_or(0, |entry| entry.bytes);
            let Some(worker) = self.choose(bytes) else { return };
            self.lanes.pop();
            self.send(worker, unit, out);
        }
    }

    /// The worker that a unit of this size is best sent to now.
    pub(super) fn choose(&mut self, bytes: usize) -> Option<WorkerId> {
        if let Some(worker) = self.idle.pop() {
            return Some(worker);
        }
        if bytes > AHEAD_BYTES {
            return None;
        }
        let depth = self.depth();
        let ready = self.workers.iter().filter(|(_, worker)| worker.stage == Stage::Ready);
        let least = ready.min_by_key(|(_, worker)| worker.calls.len());
        least.filter(|(_, worker)| worker.calls.len() < depth).map(|(id, _)| *id)
    }

    pub(super) fn send(&mut self, id: WorkerId, unit: UnitId, out: &mut Vec<Action<T>>) {
        let call = self.fresh();
        let entry = &mut self.units[unit.key];
        let worker = self.workers.get_mut(&id).expect("a chosen worker lives");
        let slot = worker.free_slots.trailing_zeros();
        worker.free_slots &= !(1 << slot);
        let slot = u8::try_from(slot).expect("a slot is free while a worker has fewer calls than slots");
        let head = CallHead { call, slot, elements: entry.elements - entry.done };
        worker.calls.push_back(Sent { head, unit, received: 0 });
        entry.on = Some(id);
        out.push(Action::Send { worker: id, head, task: entry.task.clone(), done: entry.done });
    }

    /// Removes a call from its worker, and frees its slot.
    pub(super) fn take_back(&mut self, worker: WorkerId, call: u64) -> Option<Sent> {
        let worker = self.workers.get_mut(&worker)?;
        let at = worker.calls.iter().position(|sent| sent.head.call == call)?;
        let sent = worker.calls.remove(at)?;
        worker.free_slots |= 1 << sent.head.slot;
        Some(sent)
    }

    /// A worker may have room now.
    pub(super) fn went_on(&mut self, id: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        self.note_idle(id);
        self.assign(out);
        if self.idle.last() == Some(&id) {
            self.steal(id, boards, out);
        }
        self.settle_phase(out);
    }

    pub(super) fn note_idle(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.stage == Stage::Ready && worker.calls.is_empty() && !self.idle.contains(&id) {
            self.idle.push(id);
        }
    }

    /// Nothing waits, but another worker has more than it can do now: its last call comes here instead.
    pub(super) fn steal(&mut self, idle: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let loaded = self.workers.iter().filter(|(_, worker)| worker.calls.len() > 1);
        let Some((victim, worker)) = loaded.max_by_key(|(_, worker)| worker.calls.len()) else { return };
        let (victim, last) = (*victim, &worker.calls[worker.calls.len() - 1]);
        let (head, unit) = (last.head, last.unit);
        if self.units[unit.key].wanted && boards.revoke(victim, head.slot, head.call) {
            self.take_back(victim, head.call);
            self.idle.pop();
            self.send(idle, unit, out);
        }
    }
}
