//! The ledger: what is known of all units and workers, and what follows from each event. It does no I/O and reads no clock.
//!
//! 1. A unit is settled exactly once: its last element is answered, or it fails as a whole, and then it is gone.
//! 2. An element that a worker has begun is sent again only if its caller allows it; one that was not is never lost.
//! 3. Every event ends with all work assigned that can be.
//!
//! ```text
//! submit ─► lanes ──assign──► a worker's calls ──reply──► settled
//!              ▲                    │ worker lost
//!              ├── not begun ───────┤
//!              └── may be retried ──┴── begun ──────────► settled, `WorkerDied` or `TimedOut`
//! ```

mod alarms;
mod assign;
mod awake;
mod entry;
mod limits;
mod losses;
mod phases;
mod pulse;
#[cfg(any(test, fuzzing))]
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the tests use more of it than the fuzz target")
)]
mod tests;
mod units;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use slab::Slab;

use self::alarms::{AlarmId, Alarms};
use self::entry::Entry;
use super::lanes::Lanes;
use super::stats::Stats;
use super::terms::Rules;
use crate::backend::{Vitals, WorkerId};
use crate::error::{Error, Limit};
use crate::os::Start;
use crate::wire::{CallHead, Reply};

pub(super) use units::Submission;

#[cfg(fuzzing)]
pub(crate) use self::tests::run_ledger;

/// A unit's place in the ledger, never valid again once it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnitId {
    key: usize,
    serial: u64,
}

/// What the pool sees of the boards of its workers, and of the workers themselves.
pub(super) trait Boards {
    fn revoke(&self, worker: WorkerId, slot: u8, call: u64) -> bool;
    fn cancel(&self, worker: WorkerId, slot: u8);
    /// The watched element that runs, and for how long it has.
    fn running(&self, worker: WorkerId, head: CallHead) -> Option<(u32, Duration)>;
    fn expire(&self, worker: WorkerId, slot: u8, element: u32) -> bool;
    fn condemn(&self, worker: WorkerId, slot: u8, element: u32) -> bool;
    fn progress(&self, worker: WorkerId, head: CallHead) -> Start;
    fn vitals(&self, worker: WorkerId) -> Vitals;
}

/// What is to be done about an event, in this order.
#[derive(Debug)]
pub(super) enum Action<T> {
    /// Start a worker.
    Start { worker: WorkerId, index: usize },
    /// Send elements of a unit from `done` on, as many as the head says.
    Send { worker: WorkerId, head: CallHead, task: T, done: u32, watched: bool },
    /// Hand the results that the event came with to their unit, as those of the elements from `first` on.
    Deliver { task: T, first: u32, reply: Reply },
    /// These elements had been begun by a worker that died, the last time of so many.
    Died { worker: WorkerId, task: T, first: u32, elements: u32, attempts: u32 },
    /// These elements did not start or end in time.
    TimedOut { task: T, first: u32, elements: u32, limit: Limit, after: Duration },
    /// The rest of a unit fails, and it is settled.
    Fail { task: T, first: u32, elements: u32, error: Error },
    /// Nobody wants this unit any more. It is the caller's to drop, outside of any lock.
    Forget { task: T },
    /// Tell a worker that nothing more will come.
    Stop { worker: WorkerId },
    /// Ask a worker for a sign of life.
    Ping { worker: WorkerId },
    /// Ask a worker's process to end.
    Interrupt { worker: WorkerId },
    /// End a worker now.
    Kill { worker: WorkerId },
    /// End a worker now for what it does.
    Accuse { worker: WorkerId, why: String },
    /// Forget a worker that does not end, whatever is done.
    Abandon { worker: WorkerId },
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

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    /// Told that nothing more will come, or being ended.
    Ending,
}

/// How it goes for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Fine,
    /// It is one of those that idle.
    Idle,
    /// It does not come on, and gets nothing more until it answers.
    Stuck,
}

/// Why the pool has killed a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    /// It is not wanted any more.
    Unwanted,
    /// For what it did, which counts as a death.
    AtFault,
}

struct Worker {
    index: usize,
    stage: Stage,
    calls: VecDeque<Sent>,
    free_slots: u32,
    has_worked: bool,
    /// Elements that it was sent and that were not taken back.
    taken: u32,
    /// It uses more memory than it may.
    outgrown: bool,
    /// It takes the place of this one as soon as that is done.
    after: Option<WorkerId>,
    killed: Option<Killed>,
    condition: Condition,
    life: pulse::Life,
    alarm: Option<AlarmId>,
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
    rules: Rules,
    /// As of the last event that came with a time; see `keeps_time`.
    now: Instant,
    phase: Phase,
    broken: Option<Error>,
    units: Slab<Entry<T>>,
    /// Units with a limit of their running time.
    timed: usize,
    /// Inputs that a pool which is being closed still reads to their end.
    holds: usize,
    lanes: Lanes<UnitId>,
    stale: usize,
    workers: BTreeMap<WorkerId, Worker>,
    /// Workers with nothing to do, the one used last at the end: it is used again first.
    idle: Vec<WorkerId>,
    /// Workers with calls.
    at_work: Vec<WorkerId>,
    watch: awake::Watch,
    restarts: Vec<Restart>,
    alarms: Alarms,
    /// When the workers are next asked for a sign of life.
    pulse: Option<Instant>,
    /// Why workers ended before they had done anything, since any worker last did something.
    causes: Vec<Error>,
    next: u64,
    /// Moving average of how long a unit keeps its worker.
    unit_ns: u64,
    usual: awake::Usual,
    stats: Stats,
}

const ASSUMED_UNIT_NS: u64 = 1_000_000;

impl<T: Clone> Ledger<T> {
    pub(super) fn new(target: usize, rules: Rules, now: Instant) -> Self {
        Self {
            target,
            rules,
            now,
            phase: Phase::Open,
            broken: None,
            units: Slab::new(),
            timed: 0,
            holds: 0,
            lanes: Lanes::default(),
            stale: 0,
            workers: BTreeMap::new(),
            idle: Vec::new(),
            at_work: Vec::new(),
            watch: awake::Watch::default(),
            restarts: Vec::new(),
            alarms: Alarms::default(),
            pulse: None,
            causes: Vec::new(),
            next: 1,
            unit_ns: ASSUMED_UNIT_NS,
            usual: awake::Usual::default(),
            stats: Stats::default(),
        }
    }

    /// True if events must come with their time.
    pub(super) fn keeps_time(&self) -> bool {
        self.timed > 0 || self.rules.idle_timeout.is_some()
    }

    /// The time of the event that follows.
    pub(super) fn notice(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The worker that a unit is on, if it is the only one.
    pub(super) fn worker_of(&self, unit: UnitId) -> Option<WorkerId> {
        if self.units.len() == 1 { self.entry(unit)?.on } else { None }
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

    /// Units that wait for a worker.
    fn waiting(&self) -> usize {
        self.lanes.len() - self.stale
    }

    pub(super) fn stats(&self) -> Stats {
        let count = |stage| self.workers.values().filter(|worker| worker.stage == stage).count();
        Stats {
            workers: self.ready_workers().count(),
            starting: count(Stage::Starting) + self.restarts.len(),
            idle: self.idle.len(),
            queued: self.waiting(),
            running: self.units.len() - self.waiting(),
            ..self.stats
        }
    }

    /// Workers that take calls, in the order of their starts.
    pub(super) fn ready_workers(&self) -> impl Iterator<Item = WorkerId> {
        let ready = |(id, worker): (&WorkerId, &Worker)| self.is_ready(worker).then_some(*id);
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
}
