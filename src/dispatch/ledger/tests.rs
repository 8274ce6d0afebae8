//! The ledger by itself: no process, no thread, and a clock that the test steps.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::workers::MOST_FAILURES;
use super::{Action, Boards, Cancelled, Ledger, Phase, UnitId};
use crate::backend::WorkerId;
use crate::dispatch::lanes::LaneId;
use crate::error::Error;
use crate::os::Start;
use crate::wire::{CallHead, Reply};

/// The units of these tests are numbers.
type Unit = usize;

/// What a call is doing on a worker that exists only here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Queued,
    Running { begun: u32 },
    Revoked,
}

#[derive(Debug, Clone)]
struct Running {
    worker: WorkerId,
    head: CallHead,
    unit: Unit,
    done: u32,
    doing: Doing,
    sent: u32,
}

/// All boards of a pool.
#[derive(Default)]
struct Table(RefCell<HashMap<u64, Running>>);

impl Boards for Table {
    fn revoke(&self, _worker: WorkerId, _slot: u8, call: u64) -> bool {
        let mut calls = self.0.borrow_mut();
        let call = calls.get_mut(&call).expect("only calls that were sent are revoked");
        let queued = call.doing == Doing::Queued;
        if queued {
            call.doing = Doing::Revoked;
        }
        queued
    }

    fn cancel(&self, _worker: WorkerId, _slot: u8) {}
}

/// A ledger, workers that do what they are told when the test says so, and an account of all elements.
struct World {
    ledger: Ledger<Unit>,
    boards: Table,
    now: Instant,
    starting: Vec<WorkerId>,
    ready: Vec<WorkerId>,
    stopped: Vec<WorkerId>,
    killed: Vec<WorkerId>,
    starts: usize,
    ids: Vec<UnitId>,
    executed: HashMap<(Unit, u32), u32>,
    /// Elements of each unit that were answered, failed, or given up by their caller.
    settled: Vec<u32>,
    elements: Vec<u32>,
    cancelled: Vec<bool>,
    order: Vec<Unit>,
    failures: Vec<(Unit, Error)>,
}

impl World {
    fn new(workers: usize) -> Self {
        let mut world = Self {
            ledger: Ledger::new(workers),
            boards: Table::default(),
            now: Instant::now(),
            starting: Vec::new(),
            ready: Vec::new(),
            stopped: Vec::new(),
            killed: Vec::new(),
            starts: 0,
            ids: Vec::new(),
            executed: HashMap::new(),
            settled: Vec::new(),
            elements: Vec::new(),
            cancelled: Vec::new(),
            order: Vec::new(),
            failures: Vec::new(),
        };
        let mut out = Vec::new();
        world.ledger.start_missing(&mut out);
        world.follow(out);
        world
    }

    fn running(workers: usize) -> Self {
        let mut world = Self::new(workers);
        while !world.starting.is_empty() {
            world.make_ready(0);
        }
        world
    }

    fn follow(&mut self, actions: Vec<Action<Unit>>) {
        for action in actions {
            match action {
                Action::Start { worker, .. } => {
                    self.starts += 1;
                    self.starting.push(worker);
                }
                Action::Send { worker, head, task: unit, done } => {
                    self.order.push(unit);
                    let call = Running { worker, head, unit, done, doing: Doing::Queued, sent: 0 };
                    self.boards.0.borrow_mut().insert(head.call, call);
                }
                Action::Deliver { task: unit, first, reply } => self.settle(unit, first, reply.elements),
                Action::Died { task: unit, first, elements } => self.settle(unit, first, elements),
                Action::Fail { task: unit, first, elements, error } => {
                    self.settle(unit, first, elements);
                    self.failures.push((unit, error));
                }
                Action::Forget { .. } => {}
                Action::Stop { worker } => self.stopped.push(worker),
                Action::Kill { worker } => self.killed.push(worker),
            }
        }
    }

    fn settle(&mut self, unit: Unit, first: u32, elements: u32) {
        assert_eq!(first, self.settled[unit], "elements of a unit are settled in their order");
        self.settled[unit] += elements;
    }

    fn submit_to(&mut self, lane: u64, elements: u32) -> Result<Unit, Error> {
        let unit = self.elements.len();
        self.elements.push(elements);
        self.settled.push(0);
        self.cancelled.push(false);
        let mut out = Vec::new();
        let id = self.ledger.submit(unit, LaneId(lane), elements, 10, false, &mut out);
        self.follow(out);
        match id {
            Ok(id) => {
                self.ids.push(id);
                Ok(unit)
            }
            Err(error) => {
                self.elements.pop();
                self.settled.pop();
                self.cancelled.pop();
                Err(error)
            }
        }
    }

    fn submit(&mut self, elements: u32) -> Unit {
        self.submit_to(0, elements).expect("the pool is open")
    }

    fn make_ready(&mut self, which: usize) {
        let worker = self.starting.remove(which);
        let mut out = Vec::new();
        if self.ledger.ready(worker, &self.boards, &mut out) {
            self.ready.push(worker);
        }
        self.follow(out);
    }

    fn oldest_call(&self, worker: WorkerId) -> Option<Running> {
        let calls = self.boards.0.borrow();
        let of_worker = calls.values().filter(|call| call.worker == worker && call.doing != Doing::Revoked);
        of_worker.min_by_key(|call| call.head.call).cloned()
    }

    /// The worker begins the next element of its oldest call.
    fn begin(&mut self, worker: WorkerId) {
        let Some(mut call) = self.oldest_call(worker) else { return };
        let begun = match call.doing {
            Doing::Queued => 0,
            Doing::Running { begun } => begun,
            Doing::Revoked => unreachable!("those were left out"),
        };
        if begun < call.head.elements {
            *self.executed.entry((call.unit, call.done + begun)).or_default() += 1;
            call.doing = Doing::Running { begun: begun + 1 };
            self.boards.0.borrow_mut().insert(call.head.call, call);
        }
    }

    /// The worker sends all results it has.
    fn reply(&mut self, worker: WorkerId) {
        let Some(mut call) = self.oldest_call(worker) else { return };
        let Doing::Running { begun } = call.doing else { return };
        let fresh = begun - call.sent;
        if fresh == 0 {
            return;
        }
        call.sent = begun;
        let last = begun == call.head.elements;
        let reply =
            Reply { call: call.head.call, slot: call.head.slot, elements: fresh, last, elapsed_ns: 1_000 };
        if last {
            self.boards.0.borrow_mut().remove(&call.head.call);
        } else {
            self.boards.0.borrow_mut().insert(call.head.call, call);
        }
        let mut out = Vec::new();
        self.ledger.reply(worker, reply, &self.boards, &mut out).expect("the reply is honest");
        self.follow(out);
    }

    fn finish_call(&mut self, worker: WorkerId) {
        let Some(call) = self.oldest_call(worker) else { return };
        (0..call.head.elements).for_each(|_| self.begin(worker));
        self.reply(worker);
    }

    /// The worker is gone.
    fn lose(&mut self, worker: WorkerId) {
        for list in [&mut self.starting, &mut self.ready, &mut self.stopped, &mut self.killed] {
            list.retain(|other| *other != worker);
        }
        let mut out = Vec::new();
        let calls = self.boards.0.borrow().clone();
        let progress = |head: CallHead| match calls[&head.call].doing {
            Doing::Running { begun } => Start::Begun(begun),
            Doing::Queued | Doing::Revoked => Start::NotStarted,
        };
        self.ledger.lost(worker, Error::Closed, self.now, progress, &mut out);
        self.boards.0.borrow_mut().retain(|_, call| call.worker != worker);
        self.follow(out);
    }

    fn cancel(&mut self, unit: Unit) -> Cancelled {
        let mut out = Vec::new();
        let cancelled = self.ledger.cancel(self.ids[unit], &self.boards, &mut out);
        if cancelled != Cancelled::TooLate {
            self.cancelled[unit] = true;
        }
        self.follow(out);
        cancelled
    }

    fn close(&mut self) {
        let mut out = Vec::new();
        self.ledger.close(&mut out);
        self.follow(out);
    }

    fn terminate(&mut self) {
        let mut out = Vec::new();
        self.ledger.terminate(&mut out, |_| Error::Closed);
        self.follow(out);
    }

    fn resize(&mut self, workers: usize) {
        let mut out = Vec::new();
        self.ledger.resize(workers, &mut out);
        self.follow(out);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let mut out = Vec::new();
        self.ledger.tick(self.now, &mut out);
        self.follow(out);
    }

    /// Everybody does what is to be done until nothing is left.
    fn drain(&mut self) {
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

    /// Invariant 1: each element is settled once. Invariant 2: it runs at most once.
    fn check(&self) {
        for (element, times) in &self.executed {
            assert!(*times <= 1, "{element:?} ran {times} times");
        }
        for (unit, settled) in self.settled.iter().enumerate() {
            let all = self.elements[unit];
            assert!(*settled <= all, "unit {unit} was settled more than once");
            assert!(*settled == all || self.cancelled[unit], "unit {unit} was not settled");
        }
    }
}

#[test]
fn a_call_goes_to_the_worker_that_was_used_last() {
    let mut world = World::running(3); // C175
    let unit = world.submit(1);
    let first = world.boards.0.borrow().values().next().expect("it was sent").worker;
    for _ in 0..5 {
        world.finish_call(first);
        world.submit(1);
        let worker = world.boards.0.borrow().values().next().expect("it was sent").worker;
        assert_eq!(worker, first);
    }
    assert_eq!(world.settled[unit], 1);
}

#[test]
fn submissions_take_turns() {
    let mut world = World::running(1);
    let held = world.submit_to(1, 1).expect("the pool is open");
    for _ in 0..40 {
        world.submit_to(1, 1).expect("the pool is open");
    }
    let single = world.submit_to(0, 1).expect("the pool is open");
    let worker = world.ready[0];
    while world.settled[single] == 0 {
        world.finish_call(worker);
    }
    let before = world.order.iter().position(|unit| *unit == single).expect("it was sent");
    assert!(before < 6, "the single call came {before}th, after {held}");
}

#[test]
fn what_waits_behind_a_busy_worker_goes_to_one_that_becomes_idle() {
    let mut world = World::running(2);
    let [slow, quick, behind] = [1, 1, 1].map(|elements| world.submit(elements));
    let of = |world: &World, unit| {
        let calls = world.boards.0.borrow();
        let call = calls.values().find(|call| call.unit == unit && call.doing != Doing::Revoked);
        call.expect("it was sent").worker
    };
    let (busy, other) = (of(&world, slow), of(&world, quick));
    world.begin(busy);
    let waits_behind = of(&world, behind);
    let idle = if waits_behind == busy { other } else { busy };
    world.finish_call(idle);
    assert_eq!(of(&world, behind), idle, "it was taken back and sent to the idle worker");
}

#[test]
fn a_worker_that_dies_costs_the_element_it_had_begun_and_no_other() {
    let mut world = World::running(1);
    let chunk = world.submit(5);
    let worker = world.ready[0];
    world.begin(worker);
    world.begin(worker);
    world.reply(worker);
    world.begin(worker);
    world.lose(worker);
    assert_eq!(world.settled[chunk], 3, "two were answered, one died");
    world.close();
    world.drain();
    world.check();
    assert_eq!(world.executed.len(), 5, "the other two ran elsewhere");
}

#[test]
fn a_cancelled_call_that_was_sent_ahead_never_runs() {
    let mut world = World::running(1);
    world.submit(1);
    let ahead = world.submit(1);
    let worker = world.ready[0];
    world.begin(worker);
    assert_eq!(world.cancel(ahead), Cancelled::BeforeStart);
    assert_eq!(world.cancel(ahead), Cancelled::TooLate);
    world.close();
    world.drain();
    assert!(!world.executed.contains_key(&(ahead, 0)));
    world.check();
}

#[test]
fn a_call_that_is_cancelled_while_it_runs_is_passed_over() {
    let mut world = World::running(1);
    let unit = world.submit(1);
    let worker = world.ready[0];
    world.begin(worker);
    assert_eq!(world.cancel(unit), Cancelled::WhileRunning);
    world.reply(worker);
    assert_eq!(world.settled[unit], 0);
    assert_eq!(world.ledger.stats().idle, 1);
}

#[test]
fn workers_that_never_start_break_the_pool_in_bounded_time() {
    let mut world = World::new(1);
    let unit = world.submit(1);
    for _ in 0..100 {
        match world.starting.first() {
            Some(worker) => world.lose(*worker),
            None => world.pass(Duration::from_secs(1)),
        }
    }
    assert_eq!(world.starts, MOST_FAILURES + 1); // fault 14
    assert!(matches!(world.failures[..], [(failed, Error::Broken { .. })] if failed == unit));
    assert_eq!(*world.ledger.phase(), Phase::Broken);
    assert!(matches!(world.submit_to(0, 1), Err(Error::Broken { .. })));
    assert!(world.ledger.is_finished());
}

#[test]
fn a_failed_start_is_tried_again_after_a_pause() {
    let mut world = World::new(1);
    world.lose(world.starting[0]);
    assert_eq!(world.starting.len(), 1, "the first time at once");
    world.lose(world.starting[0]);
    assert!(world.starting.is_empty());
    let at = world.ledger.next_tick().expect("it will be tried");
    world.pass((at - world.now).saturating_sub(Duration::from_millis(1)));
    assert!(world.starting.is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.starting.len(), 1);
    world.make_ready(0);
    world.submit(1);
    world.finish_call(world.ready[0]);
    world.lose(world.ready[0]);
    assert_eq!(world.starting.len(), 1, "a worker that has worked is replaced at once");
}

#[test]
fn a_poisonous_task_never_breaks_the_pool() {
    let mut world = World::running(2);
    for _ in 0..50 {
        world.submit(1);
    }
    for _ in 0..50 {
        while !world.starting.is_empty() {
            world.make_ready(0);
        }
        let worker = world.ready[0];
        world.begin(worker);
        world.lose(worker);
    }
    assert_eq!(*world.ledger.phase(), Phase::Open);
    world.close();
    world.drain();
    world.check();
}

#[test]
fn a_closed_pool_ends_when_all_is_settled() {
    let mut world = World::running(2);
    world.submit(3);
    world.close();
    assert!(matches!(world.submit_to(0, 1), Err(Error::Closed))); // C205
    assert!(!world.ledger.is_finished());
    world.drain();
    world.check();
}

#[test]
fn a_terminated_pool_settles_everything_at_once() {
    let mut world = World::running(2);
    for _ in 0..100 {
        world.submit(2);
    }
    world.begin(world.ready[0]);
    world.terminate();
    assert_eq!(world.settled.iter().sum::<u32>(), 200); // C146
    assert_eq!(world.killed.len(), 2);
    world.drain();
    world.check();
}

#[test]
fn an_input_that_holds_the_pool_is_read_to_its_end() {
    let mut world = World::running(1);
    world.ledger.hold().expect("the pool is open");
    world.close();
    let mut out = Vec::new();
    world.elements.push(1);
    world.settled.push(0);
    world.cancelled.push(false);
    let id = world.ledger.submit(0, LaneId(7), 1, 1, true, &mut out).expect("its input holds the pool");
    world.ids.push(id);
    world.follow(out);
    world.finish_call(world.ready[0]);
    assert!(world.stopped.is_empty(), "the input has not ended");
    let mut out = Vec::new();
    world.ledger.release(&mut out);
    world.follow(out);
    world.drain();
    world.check();
}

#[test]
fn a_dishonest_reply_is_refused() {
    let mut world = World::running(1); // fault 25
    world.submit(3);
    let worker = world.ready[0];
    let call = world.oldest_call(worker).expect("it was sent").head;
    let honest = Reply { call: call.call, slot: call.slot, elements: 3, last: true, elapsed_ns: 1 };
    let dishonest = [
        Reply { call: call.call + 1, ..honest },
        Reply { slot: call.slot + 1, ..honest },
        Reply { elements: 4, ..honest },
        Reply { elements: u32::MAX, ..honest },
        Reply { elements: 0, last: false, ..honest },
        Reply { elements: 2, last: true, ..honest },
        Reply { elements: 3, last: false, ..honest },
    ];
    for reply in dishonest {
        let refused = world.ledger.reply(worker, reply, &world.boards, &mut Vec::new());
        assert!(refused.is_err(), "{reply:?}");
    }
    world.ledger.reply(worker, honest, &world.boards, &mut Vec::new()).expect("it is honest");
    let again = world.ledger.reply(worker, honest, &world.boards, &mut Vec::new());
    assert!(again.is_err(), "a reply counts once");
}

#[test]
fn a_pool_grows_and_shrinks() {
    let mut world = World::running(2);
    world.resize(4);
    assert_eq!(world.starting.len(), 2);
    while !world.starting.is_empty() {
        world.make_ready(0);
    }
    for _ in 0..4 {
        world.submit(1);
    }
    world.resize(1);
    assert!(world.stopped.is_empty(), "all of them are busy");
    for worker in world.ready.clone() {
        world.finish_call(worker);
    }
    assert_eq!(world.stopped.len(), 3); // C219
    assert_eq!(world.ledger.stats().workers, 1);
}

#[derive(Debug, Clone)]
enum Event {
    Submit { lane: u64, elements: u32 },
    Ready(usize),
    Begin(usize),
    Reply(usize),
    Finish(usize),
    Lose(usize),
    FailStart(usize),
    Cancel(usize),
    Resize(usize),
    Pass,
    Close,
    Terminate,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..3_u64, 1..6_u32).prop_map(|(lane, elements)| Event::Submit { lane, elements }),
        4 => any::<usize>().prop_map(Event::Ready),
        6 => any::<usize>().prop_map(Event::Begin),
        4 => any::<usize>().prop_map(Event::Reply),
        6 => any::<usize>().prop_map(Event::Finish),
        2 => any::<usize>().prop_map(Event::Lose),
        1 => any::<usize>().prop_map(Event::FailStart),
        2 => any::<usize>().prop_map(Event::Cancel),
        1 => (1..5_usize).prop_map(Event::Resize),
        1 => Just(Event::Pass),
        1 => prop_oneof![20 => Just(Event::Pass), 1 => Just(Event::Close), 1 => Just(Event::Terminate)],
    ]
}

fn on_one(world: &mut World, of: fn(&World) -> &Vec<WorkerId>, which: usize, act: fn(&mut World, WorkerId)) {
    let workers = of(world);
    if !workers.is_empty() {
        let worker = workers[which % workers.len()];
        act(world, worker);
    }
}

fn apply(world: &mut World, event: Event) {
    match event {
        Event::Submit { lane, elements } => drop(world.submit_to(lane, elements)),
        Event::Ready(which) if !world.starting.is_empty() => world.make_ready(which % world.starting.len()),
        Event::Begin(which) => on_one(world, |world| &world.ready, which, World::begin),
        Event::Reply(which) => on_one(world, |world| &world.ready, which, World::reply),
        Event::Finish(which) => on_one(world, |world| &world.ready, which, World::finish_call),
        Event::Lose(which) => on_one(world, |world| &world.ready, which, World::lose),
        Event::FailStart(which) => on_one(world, |world| &world.starting, which, World::lose),
        Event::Cancel(which) if !world.ids.is_empty() => drop(world.cancel(which % world.ids.len())),
        Event::Resize(workers) => world.resize(workers),
        Event::Close => world.close(),
        Event::Terminate => world.terminate(),
        Event::Pass | Event::Ready(_) | Event::Cancel(_) => world.pass(Duration::from_millis(20)),
    }
}

proptest! {
    #[test]
    fn whatever_happens_each_element_is_settled_once_and_runs_at_most_once(
        workers in 1..5_usize,
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut world = World::new(workers);
        for event in events {
            apply(&mut world, event);
        }
        world.close();
        world.drain();
        world.check();
    }
}
