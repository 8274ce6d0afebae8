//! The ledger: what is known of all units and workers, and what follows from each event. It does no I/O and reads no clock.
//!
//! 1. A unit is settled exactly once: its last element is answered, or it fails as a whole, and then it is gone.
//! 2. An element that a worker has begun is never sent again; one that was not is never lost.
//! 3. Every event ends with all work assigned that can be.
//!
//! ```text
//! submit ─► lanes ──assign──► a worker's calls ──reply──► settled
//!              ▲                    │ worker lost
//!              └── not begun ───────┴── begun ──────────► settled, `WorkerDied`
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use slab::Slab;

use super::lanes::{LaneId, Lanes};
use super::stats::Stats;
use crate::backend::WorkerId;
use crate::error::Error;
use crate::os::{SLOTS, Start};
use crate::wire::{CallHead, Reply};

/// A unit's place in the ledger, never valid again once it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitId {
    key: usize,
    serial: u64,
}

/// What the pool sees of the boards of its workers.
pub(super) trait Boards {
    fn revoke(&self, worker: WorkerId, slot: u8, call: u64) -> bool;
    fn cancel(&self, worker: WorkerId, slot: u8);
}

/// What is to be done about an event, in this order.
#[derive(Debug)]
pub(super) enum Action<T> {
    /// Start a worker.
    Start { worker: WorkerId, index: usize },
    /// Send a unit from element `done` on.
    Send { worker: WorkerId, head: CallHead, task: T, done: u32 },
    /// Hand the results that the event came with to their unit, as those of the elements from `first` on.
    Deliver { task: T, first: u32, reply: Reply },
    /// These elements had been begun by a worker that died.
    Died { task: T, first: u32, elements: u32 },
    /// The rest of a unit fails, and it is settled.
    Fail { task: T, first: u32, elements: u32, error: Error },
    /// Nobody wants this unit any more. It is the caller's to drop, outside of any lock.
    Forget { task: T },
    /// Tell a worker that nothing more will come.
    Stop { worker: WorkerId },
    /// End a worker now.
    Kill { worker: WorkerId },
}

/// Why a unit was not taken.
pub(super) type Refused = Error;

/// What came of cancelling a unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// It had not started, and never will.
    BeforeStart,
    /// It runs; its results will be passed over.
    WhileRunning,
    /// It was settled already.
    TooLate,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    Open,
    /// Takes no more units; ends when all are settled.
    Closing,
    /// Ends now.
    Terminated,
    /// Workers cannot be started.
    Broken,
}

struct Entry<T> {
    task: T,
    serial: u64,
    lane: LaneId,
    elements: u32,
    done: u32,
    bytes: usize,
    /// The worker it is on, if it does not wait.
    on: Option<WorkerId>,
    wanted: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    /// Told that nothing more will come, or being killed.
    Ending,
}

struct Worker {
    index: usize,
    stage: Stage,
    calls: VecDeque<Sent>,
    free_slots: u32,
    has_worked: bool,
}

/// A unit on a worker.
struct Sent {
    head: CallHead,
    unit: UnitId,
    received: u32,
}

/// A worker that is started again, at its time.
struct Restart {
    index: usize,
    at: Instant,
}

pub(super) struct Ledger<T> {
    target: usize,
    phase: Phase,
    broken: Option<Error>,
    units: Slab<Entry<T>>,
    /// Inputs that a pool which is being closed still reads to their end.
    holds: usize,
    lanes: Lanes<UnitId>,
    stale: usize,
    workers: BTreeMap<WorkerId, Worker>,
    /// Workers with nothing to do, the one used last at the end: it is used again first.
    idle: Vec<WorkerId>,
    restarts: Vec<Restart>,
    /// Why workers ended before they had done anything, since any worker last did something.
    causes: Vec<Error>,
    next: u64,
    /// Moving average of how long a unit keeps its worker.
    unit_ns: u64,
    stats: Stats,
}

const ALL_SLOTS: u32 = u32::MAX;
const _: () = assert!(SLOTS == 32, "the slots of a worker are the bits of a word");

/// More failed starts in a row than this, and no worker that works: the pool gives up.
const MOST_FAILURES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Calls are sent ahead so that a worker has about this much to do while its replies travel.
const AHEAD_NS: u64 = 200_000;
/// Only units up to this size are sent ahead: a larger one would fill the pipe of a busy worker.
const AHEAD_BYTES: usize = 64 * 1024;
const ASSUMED_UNIT_NS: u64 = 1_000_000;

impl<T: Clone> Ledger<T> {
    pub(super) fn new(target: usize) -> Self {
        Self {
            target,
            phase: Phase::Open,
            broken: None,
            units: Slab::new(),
            holds: 0,
            lanes: Lanes::default(),
            stale: 0,
            workers: BTreeMap::new(),
            idle: Vec::new(),
            restarts: Vec::new(),
            causes: Vec::new(),
            next: 1,
            unit_ns: ASSUMED_UNIT_NS,
            stats: Stats::default(),
        }
    }

    pub(super) fn target(&self) -> usize {
        self.target
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Why the pool takes nothing more, if it does not.
    pub(super) fn refusal(&self) -> Option<Error> {
        match self.phase {
            Phase::Open => None,
            Phase::Broken => self.broken.clone(),
            Phase::Closing | Phase::Terminated => Some(Error::Closed),
        }
    }

    /// Nothing is left to be done, and no worker lives.
    pub(super) fn is_finished(&self) -> bool {
        let settled = match self.phase {
            Phase::Open => false,
            Phase::Closing => !self.has_work(),
            Phase::Terminated | Phase::Broken => self.units.is_empty(),
        };
        settled && self.workers.is_empty()
    }

    fn has_work(&self) -> bool {
        !self.units.is_empty() || self.holds > 0
    }

    /// True while workers that end are replaced.
    fn needs_workers(&self) -> bool {
        self.phase == Phase::Open || (self.phase == Phase::Closing && self.has_work())
    }

    /// As many workers take calls as the pool is to have.
    pub(super) fn is_complete(&self) -> bool {
        self.workers.values().filter(|worker| worker.stage == Stage::Ready).count() >= self.target
    }

    pub(super) fn stats(&self) -> Stats {
        let count = |stage| self.workers.values().filter(|worker| worker.stage == stage).count();
        Stats {
            workers: count(Stage::Ready),
            starting: count(Stage::Starting) + self.restarts.len(),
            idle: self.idle.len(),
            queued: self.lanes.len() - self.stale,
            running: self.units.len() - (self.lanes.len() - self.stale),
            ..self.stats
        }
    }

    /// Workers that take calls, in the order of their starts.
    pub(super) fn ready_workers(&self) -> impl Iterator<Item = WorkerId> {
        let ready = |(id, worker): (&WorkerId, &Worker)| (worker.stage == Stage::Ready).then_some(*id);
        self.workers.iter().filter_map(ready)
    }

    /// True if a worker is being started or lives.
    pub(super) fn knows(&self, worker: WorkerId) -> bool {
        self.workers.contains_key(&worker)
    }

    /// The calls of a worker, each with the number of its elements that were answered.
    pub(super) fn calls_of(&self, worker: WorkerId) -> Vec<(CallHead, u32)> {
        let calls = self.workers.get(&worker).map(|worker| &worker.calls);
        calls.into_iter().flatten().map(|sent| (sent.head, sent.received)).collect()
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn entry(&self, unit: UnitId) -> Option<&Entry<T>> {
        self.units.get(unit.key).filter(|entry| entry.serial == unit.serial)
    }

    // Units.

    /// An input has begun that is to be read to its end even if the pool is closed meanwhile.
    pub(super) fn hold(&mut self) -> Result<(), Refused> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        self.holds += 1;
        Ok(())
    }

    /// Such an input was read to its end, or given up.
    pub(super) fn release(&mut self, out: &mut Vec<Action<T>>) {
        self.holds -= 1;
        self.settle_phase(out);
    }

    /// Queues a unit. `is_held` says that its input holds the pool open.
    pub(super) fn submit(
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

    pub(super) fn cancel(
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

    fn forget(&mut self, unit: UnitId, out: &mut Vec<Action<T>>) {
        out.push(Action::Forget { task: self.units.remove(unit.key).task });
    }

    /// Cancelled units leave their numbers in the lanes until there are many.
    fn forget_stale(&mut self) {
        if self.stale > 64 && self.stale > self.lanes.len() / 2 {
            let units = &self.units;
            self.lanes.retain(|unit| units.get(unit.key).is_some_and(|entry| entry.serial == unit.serial));
            self.stale = 0;
        }
    }

    // Assignment.

    /// How many units a worker may have at once.
    fn depth(&self) -> usize {
        let ahead = usize::try_from(AHEAD_NS / self.unit_ns.max(1)).unwrap_or(SLOTS);
        1 + ahead.clamp(1, SLOTS - 2)
    }

    fn assign(&mut self, out: &mut Vec<Action<T>>) {
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
    fn choose(&mut self, bytes: usize) -> Option<WorkerId> {
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

    fn send(&mut self, id: WorkerId, unit: UnitId, out: &mut Vec<Action<T>>) {
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
    fn take_back(&mut self, worker: WorkerId, call: u64) -> Option<Sent> {
        let worker = self.workers.get_mut(&worker)?;
        let at = worker.calls.iter().position(|sent| sent.head.call == call)?;
        let sent = worker.calls.remove(at)?;
        worker.free_slots |= 1 << sent.head.slot;
        Some(sent)
    }

    /// A worker may have room now.
    fn went_on(&mut self, id: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
        self.note_idle(id);
        self.assign(out);
        if self.idle.last() == Some(&id) {
            self.steal(id, boards, out);
        }
        self.settle_phase(out);
    }

    fn note_idle(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        if worker.stage == Stage::Ready && worker.calls.is_empty() && !self.idle.contains(&id) {
            self.idle.push(id);
        }
    }

    /// Nothing waits, but another worker has more than it can do now: its last call comes here instead.
    fn steal(&mut self, idle: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) {
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

    // Workers.

    /// Starts the workers that are missing.
    pub(super) fn start_missing(&mut self, out: &mut Vec<Action<T>>) {
        while self.needs_workers() && self.living() + self.restarts.len() < self.target {
            self.start(None, out);
        }
    }

    fn living(&self) -> usize {
        self.workers.values().filter(|worker| worker.stage != Stage::Ending).count()
    }

    fn start(&mut self, index: Option<usize>, out: &mut Vec<Action<T>>) {
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
    pub(super) fn ready(&mut self, id: WorkerId, boards: &impl Boards, out: &mut Vec<Action<T>>) -> bool {
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
    pub(super) fn reply(
        &mut self,
        id: WorkerId,
        reply: Reply,
        boards: &impl Boards,
        out: &mut Vec<Action<T>>,
    ) -> Result<(), String> {
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
            self.unit_ns = (self.unit_ns * 7 + reply.elapsed_ns.min(1 << 50)) / 8;
            self.went_on(id, boards, out);
        }
        Ok(())
    }

    /// A worker is gone, or could not be started. `progress` tells how far its calls had come.
    pub(super) fn lost(
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
    fn unsend(&mut self, sent: &Sent, lost: u32, out: &mut Vec<Action<T>>) {
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

    fn replace(
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
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.restarts.iter().map(|restart| restart.at).min()
    }

    /// Starts the workers whose time has come.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Action<T>>) {
        let due = self.restarts.extract_if(.., |restart| restart.at <= now).collect::<Vec<_>>();
        for restart in due {
            if self.living() < self.target {
                self.start(Some(restart.index), out);
            }
        }
    }

    // The pool as a whole.

    pub(super) fn close(&mut self, out: &mut Vec<Action<T>>) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.settle_phase(out);
        }
    }

    pub(super) fn terminate(&mut self, out: &mut Vec<Action<T>>, error: impl Fn(&T) -> Error) {
        if self.phase != Phase::Broken {
            self.phase = Phase::Terminated;
        }
        let settled = self.end_all(out, error);
        self.stats.cancelled += settled;
    }

    fn break_down(&mut self, out: &mut Vec<Action<T>>) {
        let causes = std::mem::take(&mut self.causes);
        let error = match causes.last() {
            Some(initializer @ Error::Initializer { .. }) => initializer.clone(),
            _ => Error::Broken { causes },
        };
        self.phase = Phase::Broken;
        self.broken = Some(error.clone());
        let settled = self.end_all(out, |_| error.clone());
        self.stats.failed += settled;
    }

    /// Fails all units and ends all workers; the number of elements that failed so.
    fn end_all(&mut self, out: &mut Vec<Action<T>>, error: impl Fn(&T) -> Error) -> u64 {
        let mut settled = 0;
        for entry in self.units.drain() {
            if !entry.wanted {
                out.push(Action::Forget { task: entry.task });
                continue;
            }
            let (first, elements) = (entry.done, entry.elements - entry.done);
            settled += u64::from(elements);
            let error = error(&entry.task);
            out.push(Action::Fail { task: entry.task, first, elements, error });
        }
        self.lanes = Lanes::default();
        self.stale = 0;
        self.restarts.clear();
        self.idle.clear();
        for (id, worker) in &mut self.workers {
            worker.stage = Stage::Ending;
            worker.calls.clear();
            out.push(Action::Kill { worker: *id });
        }
        settled
    }

    /// More workers are started; of too many, those that are idle or starting end now, the others when they next
    /// have nothing to do.
    pub(super) fn resize(&mut self, target: usize, out: &mut Vec<Action<T>>) {
        self.target = target;
        self.start_missing(out);
        self.settle_phase(out);
    }

    /// Ends workers that are not needed any more.
    fn settle_phase(&mut self, out: &mut Vec<Action<T>>) {
        let closing = self.phase == Phase::Closing && !self.has_work();
        if closing {
            self.restarts.clear();
        }
        let mut surplus = if closing { usize::MAX } else { self.living().saturating_sub(self.target) };
        if surplus == 0 {
            return;
        }
        for (id, worker) in self.workers.iter_mut().rev() {
            if surplus == 0 {
                break;
            }
            let action = match worker.stage {
                Stage::Starting => Action::Kill { worker: *id },
                Stage::Ready if worker.calls.is_empty() => Action::Stop { worker: *id },
                Stage::Ready | Stage::Ending => continue,
            };
            worker.stage = Stage::Ending;
            self.idle.retain(|idle| idle != id);
            surplus = surplus.saturating_sub(1);
            out.push(action);
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
