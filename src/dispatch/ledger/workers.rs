//! Workers from their start to their end, and what comes from them.

use std::collections::VecDeque;

use super::pulse::Life;
use super::{Action, Boards, Condition, Ledger, Phase, Sent, Stage, Worker};
use crate::backend::WorkerId;
use crate::os::SLOTS;
use crate::wire::Reply;

/// What a worker says of its time is believed up to this: about thirteen days.
const LONGEST_UNIT_NS: u64 = 1 << 50;
const ALL_SLOTS: u32 = u32::MAX;
const _: () = assert!(SLOTS == 32, "the slots of a worker are the bits of a word");

impl<T: Clone> Ledger<T> {
    /// How many workers there should be now.
    pub(super) fn wanted(&self) -> usize {
        match self.rules.min_workers {
            None => self.target,
            Some(_) => self.units.len().clamp(self.kept(), self.target),
        }
    }

    /// How many workers stay however idle they are.
    pub(super) fn kept(&self) -> usize {
        self.rules.min_workers.map_or(self.target, |least| least.min(self.target))
    }

    /// True while workers that end are replaced.
    pub(super) fn needs_workers(&self) -> bool {
        self.phase == Phase::Open || (self.phase == Phase::Closing && self.has_work())
    }

    /// As many workers take calls as there should be.
    pub(in crate::dispatch) fn is_complete(&self) -> bool {
        self.ready_workers().count() >= self.wanted()
    }

    /// It takes calls.
    pub(super) fn is_ready(&self, worker: &Worker) -> bool {
        worker.stage == Stage::Ready && !self.is_spent(worker)
    }

    /// It takes calls now.
    pub(super) fn is_open(&self, worker: &Worker) -> bool {
        self.is_ready(worker) && !self.waits_for_another(worker)
    }

    /// It takes no more calls, and ends when it has done those it has.
    pub(super) fn is_spent(&self, worker: &Worker) -> bool {
        worker.outgrown || self.rules.max_tasks.is_some_and(|most| worker.taken >= most)
    }

    /// The worker whose place it takes is still at work.
    pub(super) fn waits_for_another(&self, worker: &Worker) -> bool {
        let before = worker.after.and_then(|before| self.workers.get(&before));
        before.is_some_and(|before| before.stage == Stage::Ready && !before.calls.is_empty())
    }

    /// Workers that are not on their way out.
    pub(super) fn living(&self) -> usize {
        self.workers.values().filter(|worker| self.is_living(worker)).count()
    }

    fn is_living(&self, worker: &Worker) -> bool {
        worker.stage != Stage::Ending && !self.is_spent(worker)
    }

    /// Starts the workers that are missing.
    pub(in crate::dispatch) fn start_missing(&mut self, out: &mut Vec<Action<T>>) {
        while self.needs_workers() && self.living() + self.restarts.len() < self.wanted() {
            self.start(None, out);
        }
    }

    pub(super) fn start(&mut self, index: Option<usize>, out: &mut Vec<Action<T>>) {
        let living = || self.workers.values().filter(|worker| self.is_living(worker));
        let taken = |index: &usize| living().any(|worker| worker.index == *index);
        let index = index.filter(|index| !taken(index));
        let mut free = (0..=self.workers.len()).filter(|index| !taken(index));
        let index = index.or_else(|| free.next()).expect("there are more numbers than workers");
        let is_before = |worker: &Worker| worker.index == index && worker.stage == Stage::Ready;
        let after = self.workers.iter().find(|(_, worker)| is_before(worker)).map(|(id, _)| *id);
        let id = WorkerId(self.fresh());
        let worker = Worker {
            index,
            stage: Stage::Starting,
            calls: VecDeque::new(),
            free_slots: ALL_SLOTS,
            has_worked: false,
            taken: 0,
            outgrown: false,
            after,
            killed: None,
            condition: Condition::Fine,
            life: Life::default(),
            alarm: None,
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
        sent.take(&reply)?;
        worker.has_worked = true;
        worker.condition = Condition::Fine;
        let unit = sent.unit;
        let entry = &mut self.units[unit.key];
        let first = entry.done;
        entry.settle(reply.elements);
        entry.has_begun();
        if entry.wanted {
            self.stats.completed += u64::from(reply.elements);
            out.push(Action::Deliver { task: entry.task.clone(), first, reply });
        }
        self.causes.clear();
        if reply.last {
            self.call_ended(id, reply, boards, out);
        }
        Ok(())
    }

    fn call_ended(&mut self, id: WorkerId, reply: Reply, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        let Some(sent) = self.end_call(id, reply.call) else { return };
        let entry = &self.units[sent.unit.key];
        if entry.done == entry.elements || !entry.wanted {
            self.forget(sent.unit, out);
        } else {
            self.wait_again(sent.unit);
        }
        if reply.outgrown {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.outgrown = true;
            }
            self.take_all_back(id, boards);
            self.start_missing(out);
        }
        self.unit_ns = (self.unit_ns * 7 + reply.elapsed_ns) / 8;
        self.usual.note(reply.elapsed_ns);
        self.went_on(id, boards, out);
    }

    /// A worker gets nothing more from now on.
    pub(super) fn dismiss(&mut self, id: WorkerId, out: &mut Vec<Action<T>>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.stage = Stage::Ending;
        self.alarms.clear(&mut worker.alarm);
        self.forget_idle(id);
        self.open_successor(id, out);
    }

    /// A worker that is spent and has done all it had ends.
    pub(super) fn retire(&mut self, id: WorkerId, out: &mut Vec<Action<T>>) {
        self.stats.recycled += 1;
        self.dismiss(id, out);
        out.push(Action::Stop { worker: id });
    }

    /// The worker that waits for this one to be done need not wait any more.
    pub(super) fn open_successor(&mut self, id: WorkerId, out: &mut Vec<Action<T>>) {
        let successor = self.workers.iter_mut().find(|(_, worker)| worker.after == Some(id));
        if let Some((successor, worker)) = successor {
            let successor = *successor;
            worker.after = None;
            self.note_idle(successor, out);
        }
    }
}

impl Sent {
    /// Notes what was answered.
    ///
    /// # Errors
    ///
    /// Why that cannot be.
    fn take(&mut self, reply: &Reply) -> Result<(), String> {
        let received = self.received.checked_add(reply.elements).filter(|all| *all <= self.head.elements);
        let received = received.ok_or("it replied with more results than the call has elements")?;
        let complete = received == self.head.elements || reply.outgrown;
        if complete != reply.last || self.head.slot != reply.slot || reply.elements == 0 {
            return Err(format!("its reply to call {} does not fit the call", reply.call));
        }
        self.received = received;
        Ok(())
    }
}
