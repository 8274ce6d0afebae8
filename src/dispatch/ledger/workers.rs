//! Workers from their start to their end, and what comes from them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Action, Boards, Ledger, Restart, Sent, Stage, Worker};
use crate::backend::WorkerId;
use crate::error::Error;
use crate::os::{SLOTS, Start};
use crate::wire::{CallHead, Reply};

/// What a worker says of its time is believed up to this: about thirteen days.
const LONGEST_UNIT_NS: u64 = 1 << 50;
const ALL_SLOTS: u32 = u32::MAX;
const _: () = assert!(SLOTS == 32, "the slots of a worker are the bits of a word");

/// More failed starts in a row than this, and no worker that works: the pool gives up.
pub(super) const MOST_FAILURES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<T: Clone> Ledger<T> {
    /// Starts the workers that are missing.
    pub(in crate::dispatch) fn start_missing(&mut self, out: &mut Vec<Action<T>>) {
        while self.needs_workers() && self.living() + self.restarts.len() < self.target {
            self.start(None, out);
        }
    }

    pub(super) fn living(&self) -> usize {
        self.workers.values().filter(|worker| worker.stage != Stage::Ending).count()
    }

    pub(super) fn start(&mut self, index: Option<usize>, out: &mut Vec<Action<T>>) {
        let taken = |index: &usize| self.workers.values().any(|worker| worker.index == *index);
        let index = index.filter(|index| !taken(index));
        let mut free = (0..=self.workers.len()).filter(|index| !taken(index));
        let index = index.or_else(|| free.next()).expect("there are more numbers than workers");
        let id = WorkerId(self.fresh());
        let worker = Worker {
            index,
            stage: Stage::Starting,
            calls: VecDeque::new(),
            free_slots: ALL_SLOTS,
            has_worked: false,
        };
        self.workers.insert(id, worker);
        out.push(Action::Start { worker: id, index });
    }

    /// A worker takes calls. False if it is not wanted any more.
    pub(in crate::dispatch) fn ready(
        &mut self,
        id: WorkerId,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) -> bool {
        let Some(worker) = self.workers.get_mut(&id) else { return false };
        if worker.stage != Stage::Starting {
            return false;
        }
        worker.stage = Stage::Ready;
        self.went_on(id, boards, out);
        true
    }

    /// Results have come from a worker.
    ///
    /// # Errors
    ///
    /// What the worker must not have sent.
    pub(in crate::dispatch) fn reply(
        &mut self,
        id: WorkerId,
        mut reply: Reply,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) -> Result<(), String> {
        reply.elapsed_ns = reply.elapsed_ns.min(LONGEST_UNIT_NS);
        let worker = self.workers.get_mut(&id).ok_or("it is not known any more")?;
        if worker.stage == Stage::Ending && worker.calls.is_empty() {
            // Its calls were settled when the pool was terminated.
            return Ok(());
        }
        let sent = worker.calls.iter_mut().find(|sent| sent.head.call == reply.call);
        let sent =
            sent.ok_or_else(|| format!("it replied to call {}, which it does not have", reply.call))?;
        let received = sent.received.checked_add(reply.elements).filter(|all| *all <= sent.head.elements);
        let received = received.ok_or("it replied with more results than the call has elements")?;
        let complete = received == sent.head.elements;
        if complete != reply.last || sent.head.slot != reply.slot || (reply.elements == 0) {
            return Err(format!("its reply to call {} does not fit the call", reply.call));
        }
        sent.received = received;
        worker.has_worked = true;
        let unit = sent.unit;
        let entry = &mut self.units[unit.key];
        let first = entry.done;
        entry.done += reply.elements;
        if entry.wanted {
            self.stats.completed += u64::from(reply.elements);
            out.push(Action::Deliver { task: entry.task.clone(), first, reply });
        }
        self.causes.clear();
        if complete {
            self.forget(unit, out);
            self.take_back(id, reply.call);
            self.unit_ns = (self.unit_ns * 7 + reply.elapsed_ns) / 8;
            self.went_on(id, boards, out);
        }
        Ok(())
    }

    /// A worker is gone, or could not be started. `progress` tells how far its calls had come.
    pub(in crate::dispatch) fn lost(
        &mut self,
        id: WorkerId,
        cause: Error,
        now: Instant,
        mut progress: impl FnMut(CallHead) -> Start,
        out: &mut Vec<Action<T>>,
    ) {
        let Some(worker) = self.workers.remove(&id) else { return };
        self.idle.retain(|idle| *idle != id);
        let mut has_worked = worker.has_worked;
        // From the last to the first, so that those put back stand in their order again.
        for sent in worker.calls.iter().rev() {
            let begun = match progress(sent.head) {
                Start::NotStarted => 0,
                Start::Begun(begun) => begun.min(sent.head.elements),
            };
            has_worked |= begun > 0;
            self.unsend(sent, begun.saturating_sub(sent.received), out);
        }
        if worker.stage != Stage::Ending {
            self.stats.deaths += 1;
            self.replace(worker.index, has_worked, cause, now, out);
        }
        self.assign(out);
        self.settle_phase(out);
    }

    /// A call of a lost worker: `lost` elements that were begun fail, the others wait again.
    pub(super) fn unsend(&mut self, sent: &Sent, lost: u32, out: &mut Vec<Action<T>>) {
        let entry = &mut self.units[sent.unit.key];
        entry.on = None;
        let first = entry.done;
        entry.done += lost;
        if lost > 0 && entry.wanted {
            self.stats.failed += u64::from(lost);
            out.push(Action::Died { task: entry.task.clone(), first, elements: lost });
        }
        if entry.done >= entry.elements || !entry.wanted {
            self.forget(sent.unit, out);
        } else {
            self.lanes.push_front(entry.lane, sent.unit);
        }
    }

    pub(super) fn replace(
        &mut self,
        index: usize,
        has_worked: bool,
        cause: Error,
        now: Instant,
        out: &mut Vec<Action<T>>,
    ) {
        if has_worked {
            self.causes.clear();
        } else {
            self.causes.push(cause);
        }
        let failures = self.causes.len();
        let works = self.workers.values().any(|worker| worker.stage == Stage::Ready);
        if failures > MOST_FAILURES && !works {
            return self.break_down(out);
        }
        if !self.needs_workers() || self.living() + self.restarts.len() >= self.target {
            return;
        }
        match u32::try_from(failures).unwrap_or(u32::MAX) {
            0 | 1 => self.start(Some(index), out),
            failures => {
                let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 2).min(16)).min(LONGEST_PAUSE);
                self.restarts.push(Restart { index, at: now + pause });
            }
        }
    }

    /// When `tick` has something to do next.
    pub(in crate::dispatch) fn next_tick(&self) -> Option<Instant> {
        self.restarts.iter().map(|restart| restart.at).min()
    }

    /// Starts the workers whose time has come.
    pub(in crate::dispatch) fn tick(&mut self, now: Instant, out: &mut Vec<Action<T>>) {
        let due = self.restarts.extract_if(.., |restart| restart.at <= now).collect::<Vec<_>>();
        for restart in due {
            if self.living() < self.target {
                self.start(Some(restart.index), out);
            }
        }
    }
}
