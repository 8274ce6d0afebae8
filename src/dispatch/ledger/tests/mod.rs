//! The ledger by itself: no process, no thread, and a clock that the test steps.

#[cfg(test)]
mod awake;
mod events;
#[cfg(fuzzing)]
mod fuzzed;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod random;
mod world;

use std::time::Duration;

use self::world::World;
use super::losses::MOST_FAILURES;
use super::{Cancelled, Phase};
use crate::dispatch::terms::Terms;
use crate::error::Error;
use crate::wire::Reply;

#[cfg(fuzzing)]
pub(crate) use self::fuzzed::run_ledger;

#[test]
fn a_call_goes_to_the_worker_that_was_used_last() {
    let mut world = World::running(3); // C175
    let unit = world.submit(1);
    let first = world.boards.calls.borrow().values().next().expect("it was sent").worker;
    for _ in 0..5 {
        world.finish_call(first);
        world.submit(1);
        let worker = world.boards.calls.borrow().values().next().expect("it was sent").worker;
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
    let (busy, other) = (world.worker_of(slow), world.worker_of(quick));
    world.begin(busy);
    let waits_behind = world.worker_of(behind);
    let idle = if waits_behind == busy { other } else { busy };
    world.finish_call(idle);
    assert_eq!(world.worker_of(behind), idle, "it was taken back and sent to the idle worker");
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
    world.submit_with(7, 1, Terms::default(), true).expect("its input holds the pool");
    world.finish_call(world.ready[0]);
    assert!(world.stopped.is_empty(), "the input has not ended");
    world.release();
    world.drain();
    world.check();
}

#[test]
fn a_dishonest_reply_is_refused() {
    let mut world = World::running(1); // fault 25
    world.submit(3);
    let worker = world.ready[0];
    let call = world.oldest_call(worker).expect("it was sent").head;
    let honest = Reply {
        call: call.call,
        slot: call.slot,
        elements: 3,
        last: true,
        outgrown: false,
        elapsed_ns: 1,
        handles: 0,
        stowed: None,
    };
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
