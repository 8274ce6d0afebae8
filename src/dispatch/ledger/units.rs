//! Units from their submission to their cancellation.

use super::{Action, Boards, Cancelled, Entry, Ledger, Phase, Refused, UnitId};
use crate::dispatch::lanes::LaneId;

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

    /// Queues a unit. `is_held` says that its input holds the pool open.
    pub(in crate::dispatch) fn submit(
        &mut self,
        task: T,
        lane: LaneId,
        elements: u32,
        bytes: usize,
        is_held: bool,
        out: &mut Vec<Action<T>>,
    ) -> Result<UnitId, Refused> {
        if let Some(error) = self.refusal().filter(|_| !(is_held && self.phase == Phase::Closing)) {
            return Err(error);
        }
        let serial = self.fresh();
        let entry = Entry { task, serial, lane, elements, done: 0, bytes, on: None, wanted: true };
        let unit = UnitId { key: self.units.insert(entry), serial };
        self.stats.submitted += u64::from(elements);
        let others_wait = self.lanes.len() > self.stale;
        self.lanes.push_back(lane, unit);
        if !others_wait || !self.idle.is_empty() {
            self.assign(out);
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
        let (rest, on) = (u64::from(entry.elements - entry.done), entry.on);
        self.stats.cancelled += rest;
        let Some(worker) = on else {
            self.forget(unit, out);
            self.stale += 1;
            self.forget_stale();
            self.settle_phase(out);
            return Cancelled::BeforeStart;
        };
        let sent = &self.workers[&worker].calls;
        let head = sent.iter().find(|sent| sent.unit == unit).expect("a unit on a worker is sent").head;
        if boards.revoke(worker, head.slot, head.call) {
            self.take_back(worker, head.call);
            self.forget(unit, out);
            self.went_on(worker, boards, out);
            return Cancelled::BeforeStart;
        }
        boards.cancel(worker, head.slot);
        self.units[unit.key].wanted = false;
        Cancelled::WhileRunning
    }

    pub(super) fn forget(&mut self, unit: UnitId, out: &mut Vec<Action<T>>) {
        out.push(Action::Forget { task: self.units.remove(unit.key).task });
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
