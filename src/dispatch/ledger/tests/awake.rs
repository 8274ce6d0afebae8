//! Very short calls, which wake no more workers than there are cores.

use std::collections::HashSet;
use std::time::Duration;

use super::world::{Doing, Running, Unit, World};
use crate::backend::WorkerId;
use crate::dispatch::terms::{Rules, Terms};

/// A worker is seen to be stuck after two looks at most.
const SOON: Duration = Duration::from_millis(10);

/// A pool of 8 workers on 2 cores, whose calls have been very short so far.
fn quick() -> World {
    let mut world = World::running_with(8, Rules { cores: 2, ..Rules::default() });
    world.has_been_quick();
    world
}

fn submit(world: &mut World, calls: usize) -> Vec<Unit> {
    (0..calls).map(|_| world.submit(1)).collect()
}

fn calls_of(world: &World) -> Vec<Running> {
    let calls = world.boards.calls.borrow();
    calls.values().filter(|call| call.doing != Doing::Revoked).cloned().collect()
}

fn workers_of(world: &World) -> HashSet<WorkerId> {
    calls_of(world).into_iter().map(|call| call.worker).collect()
}

/// All workers but these do what they have until they have nothing.
fn finish_all_but(world: &mut World, held: &[WorkerId]) {
    while let Some(worker) = workers_of(world).into_iter().find(|worker| !held.contains(worker)) {
        world.finish_call(worker);
    }
}

#[test]
fn very_short_calls_wake_no_more_workers_than_there_are_cores() {
    let mut world = quick(); // C175
    submit(&mut world, 200);
    assert_eq!(workers_of(&world).len(), 2);
    assert_eq!(world.ledger.stats().idle, 6);
    while world.ledger.stats().queued > 0 {
        let busy = workers_of(&world);
        for worker in &busy {
            world.finish_call(*worker);
        }
        assert!(busy.len() <= 2 && workers_of(&world).is_subset(&busy), "they go on with what waits");
    }
    world.close();
    world.drain();
    world.check();
}

#[test]
fn longer_calls_have_a_worker_each() {
    let mut world = World::running_with(8, Rules { cores: 2, ..Rules::default() });
    submit(&mut world, 8);
    assert_eq!(workers_of(&world).len(), 8);
}

#[test]
fn a_call_behind_one_that_is_suddenly_long_does_not_wait_while_others_idle() {
    let mut world = quick();
    let units = submit(&mut world, 100);
    let (slow, other) = (world.worker_of(units[0]), world.worker_of(units[1]));
    world.begin(slow);
    world.begin(other);
    world.pass_evenly(SOON);
    assert_eq!(workers_of(&world).len(), 8, "what had not begun went to all the others");
    finish_all_but(&mut world, &[slow, other]);
    assert_eq!(world.settled.iter().sum::<u32>(), 98);
    world.close();
    world.drain();
    world.check();
}

#[test]
fn a_worker_that_is_stuck_gets_nothing_more_until_it_answers() {
    let mut world = quick();
    let units = submit(&mut world, 10);
    let slow = world.worker_of(units[0]);
    world.begin(slow);
    finish_all_but(&mut world, &[slow]);
    world.pass_evenly(SOON);
    finish_all_but(&mut world, &[slow]);
    for _ in 0..100 {
        let unit = world.submit(1);
        assert_ne!(world.worker_of(unit), slow);
        world.finish_call(world.worker_of(unit));
    }
    world.finish_call(slow);
    let used = submit(&mut world, 2).into_iter().map(|unit| world.worker_of(unit)).collect::<Vec<_>>();
    assert!(used.contains(&slow), "it was used last");
}

#[test]
fn a_long_call_beside_short_ones_is_no_reason_to_wake_others() {
    let mut world = quick();
    let slow = world.submit(1);
    let slow = world.worker_of(slow);
    world.begin(slow);
    for _ in 0..100 {
        submit(&mut world, 20);
        finish_all_but(&mut world, &[slow]);
        world.pass_evenly(Duration::from_micros(100));
    }
    submit(&mut world, 20);
    assert_eq!(workers_of(&world).len(), 3, "it does not count");
}

#[test]
fn the_limit_of_a_call_that_is_kept_from_idle_workers_holds() {
    let mut world = quick();
    let first = submit(&mut world, 2);
    for unit in &first {
        world.begin(world.worker_of(*unit));
    }
    let terms = Terms { queue_timeout: Some(SOON * 2), ..Terms::default() };
    let limited = world.submit_on(1, terms);
    world.pass_evenly(SOON);
    let worker = world.worker_of(limited);
    assert!(first.iter().all(|unit| world.worker_of(*unit) != worker));
    world.begin(worker);
    world.pass_evenly(SOON * 2);
    assert!(world.timed_out.is_empty());
}

#[test]
fn a_worker_that_has_not_even_begun_is_the_last_to_be_tried_again() {
    let mut world = quick();
    let units = submit(&mut world, 2);
    let before = workers_of(&world);
    world.pass_evenly(SOON);
    // Nothing is kept from anybody: each of the two had a worker of its own.
    assert_eq!(units.len(), 2);
    assert_eq!(calls_of(&world).len(), 2);
    submit(&mut world, 1);
    world.pass_evenly(SOON);
    let now = workers_of(&world);
    assert!(now.is_disjoint(&before), "{now:?}, and not {before:?}");
}

#[test]
fn workers_that_end_after_some_calls_do_not_keep_calls_from_others() {
    let rules = Rules { cores: 2, max_tasks: Some(3), ..Rules::default() };
    let mut world = World::running_with(8, rules);
    for _ in 0..100 {
        submit(&mut world, 5);
        for worker in world.ready.clone() {
            world.finish_call(worker);
        }
        world.make_all_ready();
        for worker in world.stopped.clone() {
            world.lose(worker);
        }
    }
    let units = submit(&mut world, 20);
    workers_of(&world).into_iter().take(2).for_each(|worker| world.begin(worker));
    world.pass_evenly(SOON);
    assert!(workers_of(&world).len() > 2, "of {}", units.len());
    world.close();
    world.drain();
    world.check();
}

#[test]
fn nothing_is_looked_at_while_nothing_is_under_way() {
    let mut world = quick();
    submit(&mut world, 50);
    finish_all_but(&mut world, &[]);
    world.pass_evenly(Duration::from_secs(20));
    assert_eq!(world.ledger.next_tick(), None);
}
