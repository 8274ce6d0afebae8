//! A ledger, workers that do what they are told when the test says so, and an account of all elements.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::super::{Action, Boards, Cancelled, Ledger, Submission, UnitId};
use crate::backend::{Vitals, WorkerId};
use crate::dispatch::lanes::LaneId;
use crate::dispatch::terms::{Rules, Terms};
use crate::dispatch::unit::Demand;
use crate::error::{Error, Limit};
use crate::os::Start;
use crate::wire::{CallHead, Reply};

/// The units of these tests are numbers.
pub(super) type Unit = usize;

/// What a call is doing on a worker that exists only here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Queued,
    Running { begun: u32 },
    Revoked,
}

/// How the pool and the worker stand about the element that was begun last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    Plain,
    Watched,
    Overdue,
    Condemned,
}

#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) worker: WorkerId,
    pub(super) head: CallHead,
    pub(super) unit: Unit,
    done: u32,
    pub(super) doing: Doing,
    sent: u32,
    watched: bool,
    pub(super) watch: Watch,
    begun_at: Instant,
}

/// All boards of a pool.
pub(super) struct Table {
    pub(super) calls: RefCell<HashMap<u64, Running>>,
    now: Cell<Instant>,
    /// Workers that were stopped, as by SIGSTOP.
    pub(super) silent: RefCell<HashSet<WorkerId>>,
    /// Workers that answer and do nothing else.
    still: RefCell<HashSet<WorkerId>>,
    moved: Cell<u64>,
}

impl Table {
    /// Moves the element that runs from one of these states to another, if it is in one.
    fn exchange(&self, worker: WorkerId, slot: u8, element: u32, from: &[Watch], to: Watch) -> bool {
        let mut calls = self.calls.borrow_mut();
        let runs = Doing::Running { begun: element };
        let is_it = |call: &&mut Running| {
            (call.worker, call.head.slot, call.doing) == (worker, slot, runs) && from.contains(&call.watch)
        };
        calls.values_mut().find(is_it).map(|call| call.watch = to).is_some()
    }
}

impl Table {
    pub(super) fn stand_still(&self, worker: WorkerId) {
        self.still.borrow_mut().insert(worker);
    }
}

impl Boards for Table {
    fn revoke(&self, _worker: WorkerId, _slot: u8, call: u64) -> bool {
        let mut calls = self.calls.borrow_mut();
        let call = calls.get_mut(&call).expect("only calls that were sent are revoked");
        let queued = call.doing == Doing::Queued;
        if queued {
            call.doing = Doing::Revoked;
        }
        queued
    }

    fn cancel(&self, _worker: WorkerId, _slot: u8) {}

    fn running(&self, _worker: WorkerId, head: CallHead) -> Option<(u32, Duration)> {
        let calls = self.calls.borrow();
        let call = calls.get(&head.call).filter(|call| call.watch != Watch::Plain)?;
        let Doing::Running { begun } = call.doing else { return None };
        Some((begun, self.now.get() - call.begun_at))
    }

    fn expire(&self, worker: WorkerId, slot: u8, element: u32) -> bool {
        self.exchange(worker, slot, element, &[Watch::Watched], Watch::Overdue)
    }

    fn condemn(&self, worker: WorkerId, slot: u8, element: u32) -> bool {
        self.exchange(worker, slot, element, &[Watch::Watched, Watch::Overdue], Watch::Condemned)
    }

    fn progress(&self, _worker: WorkerId, head: CallHead) -> Start {
        match self.calls.borrow().get(&head.call).map(|call| call.doing) {
            Some(Doing::Running { begun }) => Start::Begun(begun),
            Some(Doing::Queued | Doing::Revoked) | None => Start::NotStarted,
        }
    }

    fn vitals(&self, worker: WorkerId) -> Vitals {
        let answered = !self.silent.borrow().contains(&worker);
        let moves = answered && !self.still.borrow().contains(&worker);
        self.moved.set(self.moved.get() + 1);
        Vitals { answered, moved: if moves { self.moved.get() } else { 0 }, mid_frame: false }
    }
}

pub(super) struct World {
    pub(super) ledger: Ledger<Unit>,
    pub(super) boards: Table,
    pub(super) now: Instant,
    pub(super) starting: Vec<WorkerId>,
    pub(super) ready: Vec<WorkerId>,
    pub(super) stopped: Vec<WorkerId>,
    pub(super) killed: Vec<WorkerId>,
    pub(super) interrupted: Vec<WorkerId>,
    pub(super) accused: Vec<(WorkerId, String)>,
    pub(super) abandoned: Vec<WorkerId>,
    pub(super) pings: usize,
    pub(super) starts: usize,
    /// The numbers that workers were started with.
    pub(super) indexes: HashMap<WorkerId, usize>,
    pub(super) ids: Vec<UnitId>,
    pub(super) executed: HashMap<(Unit, u32), u32>,
    /// Elements of each unit that were answered, failed, or given up by their caller.
    pub(super) settled: Vec<u32>,
    pub(super) elements: Vec<u32>,
    pub(super) terms: Vec<Terms>,
    pub(super) cancelled: Vec<bool>,
    pub(super) order: Vec<Unit>,
    pub(super) failures: Vec<(Unit, Error)>,
    pub(super) timed_out: Vec<(Unit, u32, Limit)>,
    /// Units whose worker died under them, with the number of attempts.
    pub(super) died: Vec<(Unit, u32)>,
}

impl World {
    pub(super) fn new(workers: usize) -> Self {
        Self::with_rules(workers, Rules::default())
    }

    pub(super) fn with_rules(workers: usize, rules: Rules) -> Self {
        let now = Instant::now();
        let mut world = Self {
            ledger: Ledger::new(workers, rules, now),
            boards: Table {
                calls: RefCell::default(),
                now: Cell::new(now),
                silent: RefCell::default(),
                still: RefCell::default(),
                moved: Cell::new(0),
            },
            now,
            starting: Vec::new(),
            ready: Vec::new(),
            stopped: Vec::new(),
            killed: Vec::new(),
            interrupted: Vec::new(),
            accused: Vec::new(),
            abandoned: Vec::new(),
            pings: 0,
            starts: 0,
            indexes: HashMap::new(),
            ids: Vec::new(),
            executed: HashMap::new(),
            settled: Vec::new(),
            elements: Vec::new(),
            terms: Vec::new(),
            cancelled: Vec::new(),
            order: Vec::new(),
            failures: Vec::new(),
            timed_out: Vec::new(),
            died: Vec::new(),
        };
        let mut out = Vec::new();
        world.ledger.start_missing(&mut out);
        world.follow(out);
        world
    }

    pub(super) fn running(workers: usize) -> Self {
        Self::running_with(workers, Rules::default())
    }

    pub(super) fn running_with(workers: usize, rules: Rules) -> Self {
        let mut world = Self::with_rules(workers, rules);
        world.make_all_ready();
        world
    }

    /// Calls have been very short so far.
    pub(super) fn has_been_quick(&mut self) {
        (0..200).for_each(|_| self.ledger.usual.note(1_000));
    }

    pub(super) fn make_all_ready(&mut self) {
        while !self.starting.is_empty() {
            self.make_ready(0);
        }
    }

    fn follow(&mut self, actions: Vec<Action<Unit>>) {
        for action in actions {
            match action {
                Action::Start { worker, index } => {
                    self.starts += 1;
                    self.indexes.insert(worker, index);
                    self.starting.push(worker);
                }
                Action::Send { worker, head, task: unit, done, watched } => {
                    self.order.push(unit);
                    let (doing, sent, watch, begun_at) = (Doing::Queued, 0, Watch::Plain, self.now);
                    let call = Running { worker, head, unit, done, doing, sent, watched, watch, begun_at };
                    self.boards.calls.borrow_mut().insert(head.call, call);
                }
                Action::Deliver { task: unit, first, reply } => self.settle(unit, first, reply.elements),
                Action::Died { task: unit, first, elements, attempts, .. } => {
                    self.settle(unit, first, elements);
                    self.died.push((unit, attempts));
                }
                Action::TimedOut { task: unit, first, elements, limit, .. } => {
                    self.settle(unit, first, elements);
                    self.timed_out.push((unit, first, limit));
                }
                Action::Fail { task: unit, first, elements, error } => {
                    self.settle(unit, first, elements);
                    self.failures.push((unit, error));
                }
                Action::Forget { .. } => {}
                Action::Stop { worker } => self.stopped.push(worker),
                Action::Ping { .. } => self.pings += 1,
                Action::Interrupt { worker } => self.interrupted.push(worker),
                Action::Kill { worker } => self.killed.push(worker),
                Action::Accuse { worker, why } => self.accused.push((worker, why)),
                Action::Abandon { worker } => {
                    self.abandoned.push(worker);
                    self.bury(worker);
                }
            }
        }
        self.set_look();
    }

    fn set_look(&mut self) {
        if self.ledger.needs_look() {
            self.ledger.set_look(self.now);
        }
    }

    fn settle(&mut self, unit: Unit, first: u32, elements: u32) {
        assert_eq!(first, self.settled[unit], "elements of a unit are settled in their order");
        self.settled[unit] += elements;
    }

    pub(super) fn submit_with(
        &mut self,
        lane: u64,
        elements: u32,
        terms: Terms,
        is_held: bool,
    ) -> Result<Unit, Error> {
        let unit = self.elements.len();
        self.elements.push(elements);
        self.terms.push(terms);
        self.settled.push(0);
        self.cancelled.push(false);
        let mut out = Vec::new();
        self.ledger.notice(self.now);
        let start_by = terms.queue_timeout.map(|limit| self.now + limit);
        let demand = Demand { lane: LaneId(lane), terms, start_by, is_held };
        let submission = Submission { task: unit, elements, is_light: true, demand };
        let id = self.ledger.submit(submission, &mut out);
        self.follow(out);
        match id {
            Ok(id) => {
                self.ids.push(id);
                Ok(unit)
            }
            Err(error) => {
                self.elements.pop();
                self.terms.pop();
                self.settled.pop();
                self.cancelled.pop();
                Err(error)
            }
        }
    }

    pub(super) fn submit_to(&mut self, lane: u64, elements: u32) -> Result<Unit, Error> {
        self.submit_with(lane, elements, Terms::default(), false)
    }

    pub(super) fn submit(&mut self, elements: u32) -> Unit {
        self.submit_to(0, elements).expect("the pool is open")
    }

    pub(super) fn submit_on(&mut self, elements: u32, terms: Terms) -> Unit {
        self.submit_with(0, elements, terms, false).expect("the pool is open")
    }

    pub(super) fn make_ready(&mut self, which: usize) {
        let worker = self.starting.remove(which);
        let mut out = Vec::new();
        self.ledger.notice(self.now);
        if self.ledger.ready(worker, &self.boards, &mut out) {
            self.ready.push(worker);
        }
        self.follow(out);
    }

    pub(super) fn oldest_call(&self, worker: WorkerId) -> Option<Running> {
        let calls = self.boards.calls.borrow();
        let of_worker = calls.values().filter(|call| call.worker == worker && call.doing != Doing::Revoked);
        of_worker.min_by_key(|call| call.head.call).cloned()
    }

    /// The worker a unit is on.
    pub(super) fn worker_of(&self, unit: Unit) -> WorkerId {
        let calls = self.boards.calls.borrow();
        let call = calls.values().find(|call| call.unit == unit && call.doing != Doing::Revoked);
        call.expect("it was sent").worker
    }

    /// The worker begins the next element of its oldest call. One that was condemned ends instead.
    pub(super) fn begin(&mut self, worker: WorkerId) {
        let Some(mut call) = self.oldest_call(worker) else { return };
        let begun = match call.doing {
            Doing::Queued => 0,
            Doing::Running { begun } => begun,
            Doing::Revoked => unreachable!("those were left out"),
        };
        if call.watch == Watch::Condemned {
            return self.lose(worker);
        }
        if begun < call.head.elements {
            *self.executed.entry((call.unit, call.done + begun)).or_default() += 1;
            call.doing = Doing::Running { begun: begun + 1 };
            call.watch = if call.watched { Watch::Watched } else { Watch::Plain };
            call.begun_at = self.now;
            self.boards.calls.borrow_mut().insert(call.head.call, call);
        }
    }

    /// The worker sends all results it has, the call's last one among them if it has outgrown its memory.
    pub(super) fn reply_as(&mut self, worker: WorkerId, outgrown: bool) {
        let Some(mut call) = self.oldest_call(worker) else { return };
        let Doing::Running { begun } = call.doing else { return };
        let fresh = begun - call.sent;
        if fresh == 0 {
            return;
        }
        if call.watch == Watch::Condemned {
            return self.lose(worker);
        }
        (call.sent, call.watch) = (begun, Watch::Plain);
        let last = begun == call.head.elements || outgrown;
        let (head, elements, elapsed_ns) = (call.head, fresh, 1_000);
        let reply = Reply {
            call: head.call,
            slot: head.slot,
            elements,
            last,
            outgrown,
            elapsed_ns,
            handles: 0,
            stowed: None,
        };
        if last {
            self.boards.calls.borrow_mut().remove(&head.call);
        } else {
            self.boards.calls.borrow_mut().insert(head.call, call);
        }
        let mut out = Vec::new();
        self.ledger.notice(self.now);
        self.ledger.reply(worker, reply, &self.boards, &mut out).expect("the reply is honest");
        self.follow(out);
    }

    pub(super) fn reply(&mut self, worker: WorkerId) {
        self.reply_as(worker, false);
    }

    pub(super) fn finish_call(&mut self, worker: WorkerId) {
        let Some(call) = self.oldest_call(worker) else { return };
        (0..call.head.elements).for_each(|_| self.begin(worker));
        self.reply(worker);
    }

    /// The worker is gone.
    pub(super) fn lose(&mut self, worker: WorkerId) {
        let mut out = Vec::new();
        self.ledger.notice(self.now);
        self.ledger.lost(worker, Error::Closed, &self.boards, &mut out);
        self.bury(worker);
        self.follow(out);
    }

    fn bury(&mut self, worker: WorkerId) {
        for list in [&mut self.starting, &mut self.ready, &mut self.stopped, &mut self.killed] {
            list.retain(|other| *other != worker);
        }
        self.boards.calls.borrow_mut().retain(|_, call| call.worker != worker);
    }

    pub(super) fn cancel(&mut self, unit: Unit) -> Cancelled {
        let mut out = Vec::new();
        self.ledger.notice(self.now);
        let cancelled = self.ledger.cancel(self.ids[unit], &self.boards, &mut out);
        if cancelled != Cancelled::TooLate {
            self.cancelled[unit] = true;
        }
        self.follow(out);
        cancelled
    }

    pub(super) fn cancel_pending(&mut self) -> u64 {
        let mut out = Vec::new();
        self.ledger.notice(self.now);
        let cancelled = self.ledger.cancel_pending(&self.boards, &mut out, |_| Error::Closed);
        self.follow(out);
        cancelled
    }

    pub(super) fn close(&mut self) {
        let mut out = Vec::new();
        self.ledger.close(&mut out);
        self.follow(out);
    }

    pub(super) fn release(&mut self) {
        let mut out = Vec::new();
        self.ledger.release(&mut out);
        self.follow(out);
    }

    pub(super) fn terminate(&mut self) {
        let mut out = Vec::new();
        self.ledger.notice(self.now);
        self.ledger.terminate(&mut out, |_| Error::Closed);
        self.follow(out);
    }

    pub(super) fn resize(&mut self, workers: usize) {
        let mut out = Vec::new();
        self.ledger.resize(workers, &mut out);
        self.follow(out);
    }

    /// Time passes at once, as it does for a program that stands still.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.boards.now.set(self.now);
        let mut more = true;
        while more {
            let mut out = Vec::new();
            more = self.ledger.tick(self.now, &self.boards, &mut out);
            self.follow(out);
        }
        self.set_pulse();
    }

    /// Time passes, and what is due is done on time.
    pub(super) fn pass_evenly(&mut self, time: Duration) {
        self.set_pulse();
        let end = self.now + time;
        while let Some(next) = self.ledger.next_tick().filter(|next| *next <= end) {
            self.pass(next.saturating_duration_since(self.now));
        }
        self.pass(end - self.now);
    }

    fn set_pulse(&mut self) {
        if self.ledger.needs_pulse() {
            self.ledger.set_pulse(self.now);
        }
    }

    /// Everybody does what is to be done until nothing is left.
    pub(super) fn drain(&mut self) {
        for _ in 0..10_000 {
            if self.ledger.is_finished() {
                return;
            }
            if !self.starting.is_empty() {
                self.make_ready(0);
            }
            for worker in self.ready.clone() {
                self.finish_call(worker);
            }
            for worker in [&self.stopped[..], &self.killed[..]].concat() {
                self.lose(worker);
            }
            self.pass(Duration::from_secs(10));
        }
        panic!("the pool does not end: {:?}", self.ledger.stats());
    }

    /// Invariant 1: each element is settled once. Invariant 2: it runs at most once, or as often as its caller allows.
    pub(super) fn check(&self) {
        for (element, times) in &self.executed {
            let most = 1 + self.terms[element.0].retries;
            assert!(*times <= most, "{element:?} ran {times} times of at most {most}");
        }
        for (unit, settled) in self.settled.iter().enumerate() {
            let all = self.elements[unit];
            assert!(*settled <= all, "unit {unit} was settled more than once");
            assert!(*settled == all || self.cancelled[unit], "unit {unit} was not settled");
        }
    }
}
