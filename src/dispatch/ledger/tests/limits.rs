//! Limits of time, memory and tasks, signs of life, and workers that come and go as they are needed.

use std::time::Duration;

use super::super::{Cancelled, Stats};
use super::world::{Watch, World};
use crate::dispatch::terms::{Rules, Terms};
use crate::error::Limit;

const LIMIT: Duration = Duration::from_millis(100);
const GRACE: Duration = Duration::from_millis(50);
const MOMENT: Duration = Duration::from_millis(1);
/// One moment before the limit.
const ALMOST: Duration = Duration::from_millis(99);

fn timed() -> Terms {
    Terms { timeout: Some(LIMIT), ..Terms::default() }
}

fn stats(world: &World) -> Stats {
    world.ledger.stats()
}

// fault 19
#[test]
fn a_task_whose_time_is_over_is_asked_then_told_then_made_to_end() {
    let mut world = World::running(1);
    let unit = world.submit_on(1, timed());
    let worker = world.ready[0];
    world.pass_evenly(LIMIT * 3);
    world.begin(worker);
    world.pass_evenly(ALMOST);
    assert_eq!(world.oldest_call(worker).expect("it runs").watch, Watch::Watched, "its time starts with it");
    world.pass_evenly(MOMENT);
    assert_eq!(world.oldest_call(worker).expect("it runs").watch, Watch::Overdue);
    assert!(world.interrupted.is_empty());
    world.pass_evenly(GRACE / 2);
    assert_eq!((&world.interrupted[..], &world.killed[..]), (&[worker][..], &[][..]));
    assert_eq!(world.starting.len(), 1, "its successor need not wait for its end");
    world.pass_evenly(GRACE / 2);
    assert_eq!(world.killed, [worker]);
    world.lose(worker);
    assert_eq!(world.timed_out, [(unit, 0, Limit::Run)]);
    assert_eq!((stats(&world).failed, stats(&world).deaths), (1, 0));
    world.close();
    world.drain();
    world.check();
}

#[test]
fn a_task_that_ends_when_it_is_asked_keeps_its_worker() {
    let mut world = World::running(1);
    world.submit_on(1, timed());
    let worker = world.ready[0];
    world.begin(worker);
    world.pass_evenly(LIMIT + MOMENT);
    world.reply(worker);
    let next = world.submit_on(1, timed());
    world.begin(worker);
    world.pass_evenly(ALMOST);
    assert!(world.interrupted.is_empty(), "the second has its own time");
    world.reply(worker);
    assert_eq!((world.settled[next], world.starts), (1, 1));
}

#[test]
fn a_task_that_ends_in_time_sets_off_nothing() {
    let mut world = World::running(1);
    world.submit_on(1, timed());
    let worker = world.ready[0];
    world.finish_call(worker);
    world.pass_evenly(LIMIT * 10);
    assert!(world.interrupted.is_empty() && world.killed.is_empty());
    assert_eq!(world.ledger.next_tick(), None, "nothing is left to be looked at");
}

#[test]
fn each_element_of_a_chunk_has_its_own_time_and_the_others_run_elsewhere() {
    let mut world = World::running(1);
    let chunk = world.submit_on(5, timed());
    let worker = world.ready[0];
    for _ in 0..2 {
        world.begin(worker);
        world.pass_evenly(LIMIT / 2 + MOMENT);
    }
    world.reply(worker);
    world.begin(worker);
    world.pass_evenly(LIMIT + GRACE + MOMENT);
    assert_eq!(world.killed, [worker]);
    world.lose(worker);
    assert_eq!((&world.timed_out[..], world.settled[chunk]), (&[(chunk, 2, Limit::Run)][..], 3));
    world.close();
    world.drain();
    world.check();
    assert_eq!(world.executed.len(), 5);
}

#[test]
fn what_was_sent_ahead_to_a_worker_that_is_ended_does_not_wait_for_its_end() {
    let mut world = World::running(1);
    let endless = world.submit_on(1, timed());
    let ahead = world.submit(1);
    let worker = world.ready[0];
    world.begin(worker);
    world.pass_evenly(LIMIT + GRACE / 2 + MOMENT);
    world.make_ready(0);
    let successor = *world.ready.last().expect("it has just started");
    world.finish_call(successor);
    assert_eq!((world.settled[ahead], world.settled[endless]), (1, 0));
}

// fault 20
#[test]
fn a_worker_that_does_not_die_is_given_up_and_its_task_fails() {
    let mut world = World::running(1);
    let unit = world.submit_on(1, timed());
    let worker = world.ready[0];
    world.begin(worker);
    world.pass_evenly(LIMIT + GRACE + Duration::from_secs(5));
    assert_eq!(world.abandoned, [worker]);
    assert_eq!(world.timed_out, [(unit, 0, Limit::Run)]);
    assert_eq!(stats(&world).stuck, 1);
    world.lose(worker);
    world.close();
    world.drain();
    world.check();
}

// fault 20
#[test]
fn a_terminated_pool_does_not_wait_for_ever_for_a_worker_that_does_not_die() {
    let mut world = World::running(2);
    world.submit(1);
    world.terminate();
    assert!(!world.ledger.is_finished());
    world.pass_evenly(Duration::from_secs(6));
    assert!(world.ledger.is_finished());
}

// fault 84
#[test]
fn a_call_that_has_not_started_in_time_never_does() {
    let mut world = World::running(1);
    let worker = world.ready[0];
    let running = world.submit(1);
    world.begin(worker);
    let terms = Terms { queue_timeout: Some(LIMIT), ..Terms::default() };
    let [ahead, waiting] = [1, 1].map(|elements| world.submit_on(elements, terms));
    let behind = world.submit(1);
    world.pass_evenly(LIMIT);
    assert_eq!(world.timed_out, [(ahead, 0, Limit::Queue), (waiting, 0, Limit::Queue)]);
    (0..3).for_each(|_| world.finish_call(worker));
    assert_eq!((world.settled[running], world.settled[behind]), (1, 1));
    assert!(!world.executed.contains_key(&(ahead, 0)));
    world.close();
    world.drain();
    world.check();
}

// fault 84
#[test]
fn a_call_that_has_started_does_not_fail_for_having_waited() {
    let mut world = World::running(1);
    let terms = Terms { queue_timeout: Some(LIMIT), ..timed() };
    let unit = world.submit_on(1, terms);
    let worker = world.ready[0];
    world.pass_evenly(ALMOST);
    world.begin(worker);
    world.pass_evenly(ALMOST);
    world.reply(worker);
    assert_eq!((world.settled[unit], &world.timed_out[..]), (1, &[][..]));
}

// fault 15, 83
#[test]
fn a_task_that_may_be_retried_costs_one_worker_more_for_each_retry() {
    let mut world = World::running(1);
    let unit = world.submit_on(3, Terms { retries: 2, ..Terms::default() });
    let finish = world.ready[0];
    world.begin(finish);
    world.reply(finish);
    for attempt in 1..=3 {
        assert_eq!(world.settled[unit], 1, "attempt {attempt}");
        let worker = *world.ready.last().expect("there is one");
        world.begin(worker);
        world.lose(worker);
        world.make_all_ready();
    }
    assert_eq!(world.died, [(unit, 3)]);
    assert_eq!(world.executed[&(unit, 1)], 3);
    assert_eq!((stats(&world).retried, stats(&world).failed), (2, 1));
    world.close();
    world.drain();
    world.check();
    assert_eq!(
        world.executed[&(unit, 2)],
        1,
        "each element has its own attempts, and this one needs no second"
    );
}

// fault 83
#[test]
fn several_elements_that_are_lost_together_share_their_attempts() {
    let mut world = World::running(1);
    let unit = world.submit_on(2, Terms { retries: 1, ..Terms::default() });
    let first = world.ready[0];
    world.begin(first);
    world.begin(first);
    world.lose(first);
    world.make_all_ready();
    let second = world.ready[0];
    world.begin(second);
    world.reply(second);
    world.begin(second);
    world.lose(second);
    assert_eq!(world.died, [(unit, 2)], "its second attempt was its last");
    world.check();
}

// fault 17, C176
#[test]
fn a_worker_that_has_done_its_tasks_is_replaced_and_its_successor_waits_for_it() {
    let rules = Rules { max_tasks: Some(2), ..Rules::default() };
    let mut world = World::running_with(1, rules);
    let first = world.ready[0];
    let chunk = world.submit(3);
    assert_eq!(
        world.oldest_call(first).expect("it was sent").head.elements,
        2,
        "it gets no more than it may do"
    );
    assert_eq!(world.starting.len(), 1, "its successor starts at once");
    world.make_ready(0);
    let second = world.ready[1];
    assert!(world.oldest_call(second).is_none(), "one worker works at a time");
    assert_eq!(world.indexes[&second], world.indexes[&first]);
    let behind = world.submit(1);
    world.finish_call(first);
    assert_eq!((&world.stopped[..], world.settled[chunk]), (&[first][..], 2));
    world.finish_call(second);
    world.make_all_ready();
    world.finish_call(second);
    assert_eq!((world.settled[chunk], world.settled[behind]), (3, 1));
    assert_eq!(stats(&world).recycled, 2);
    world.close();
    world.drain();
    world.check();
}

// fault 17
#[test]
fn ten_thousand_tasks_pass_whatever_the_limit_and_the_number_of_workers() {
    for (limit, workers) in [(1, 1), (1, 4), (2, 3), (3, 2)] {
        let rules = Rules { max_tasks: Some(limit), ..Rules::default() };
        let mut world = World::with_rules(workers, rules);
        for _ in 0..2_500 {
            world.submit(4);
        }
        world.close();
        while !world.ledger.is_finished() {
            world.make_all_ready();
            world.ready.clone().into_iter().for_each(|worker| world.finish_call(worker));
            let ended = [&world.stopped[..], &world.killed[..]].concat();
            for worker in ended {
                world.lose(worker);
            }
        }
        world.check();
        assert_eq!(world.executed.len(), 10_000);
        assert!(world.starts >= 10_000 / limit as usize);
    }
}

// C218
#[test]
fn a_worker_that_has_outgrown_its_memory_leaves_the_rest_of_its_call_to_another() {
    let mut world = World::running(1);
    let chunk = world.submit(5);
    let ahead = world.submit(1);
    let worker = world.ready[0];
    world.begin(worker);
    world.begin(worker);
    world.reply_as(worker, true);
    assert_eq!((world.settled[chunk], &world.stopped[..]), (2, &[worker][..]));
    assert_eq!((stats(&world).recycled, stats(&world).deaths), (1, 0));
    world.lose(worker);
    world.make_ready(0);
    let next = world.ready[0];
    world.finish_call(next);
    world.finish_call(next);
    assert_eq!((world.settled[chunk], world.settled[ahead]), (5, 1));
    world.close();
    world.drain();
    world.check();
}

// C216
#[test]
fn workers_come_with_the_work_and_go_when_they_are_idle() {
    let rules = Rules { min_workers: Some(1), idle_timeout: Some(LIMIT), ..Rules::default() };
    let mut world = World::running_with(4, rules);
    assert_eq!(world.starts, 1);
    let units: Vec<_> = (0..3).map(|_| world.submit(1)).collect();
    assert_eq!(world.starts, 3, "one for each call");
    world.make_all_ready();
    world.ready.clone().into_iter().for_each(|worker| world.finish_call(worker));
    assert!(units.iter().all(|unit| world.settled[*unit] == 1));
    world.pass_evenly(ALMOST);
    assert!(world.stopped.is_empty());
    world.pass_evenly(MOMENT);
    assert_eq!(world.stopped.len(), 2, "one stays");
    world.stopped.clone().into_iter().for_each(|worker| world.lose(worker));
    assert_eq!((world.starts, stats(&world).workers), (3, 1), "those that went are not replaced");
    for _ in 0..2 {
        world.submit(1);
    }
    assert_eq!(world.starts, 4, "they come back on demand");
    world.close();
    world.drain();
    world.check();
}

#[test]
fn a_worker_that_is_used_now_and_then_is_never_idle_for_long() {
    let rules = Rules { min_workers: Some(0), idle_timeout: Some(LIMIT), ..Rules::default() };
    let mut world = World::with_rules(1, rules);
    assert_eq!(world.starts, 0);
    for _ in 0..10 {
        world.submit(1);
        world.make_all_ready();
        world.finish_call(world.ready[0]);
        world.pass_evenly(ALMOST);
    }
    assert_eq!((world.starts, world.stopped.len()), (1, 0));
    world.pass_evenly(MOMENT);
    assert_eq!(world.stopped.len(), 1);
}

fn beating() -> Rules {
    Rules { heartbeat: Some(Duration::from_secs(4)), ..Rules::default() }
}

// fault 18
#[test]
fn a_worker_that_gives_no_sign_of_life_is_ended_and_its_task_has_died() {
    let mut world = World::running_with(1, beating());
    let unit = world.submit(1);
    let worker = world.ready[0];
    world.begin(worker);
    world.pass_evenly(Duration::from_secs(20));
    assert!(world.accused.is_empty() && world.pings > 10, "it answers, however long its task takes");
    world.boards.silent.borrow_mut().insert(worker);
    world.pass_evenly(Duration::from_secs(4));
    assert_eq!((world.accused.len(), &world.killed[..]), (1, &[worker][..]));
    assert!(world.accused[0].1.contains("no sign of life"), "{}", world.accused[0].1);
    world.lose(worker);
    assert_eq!((&world.died[..], stats(&world).deaths), (&[(unit, 1)][..], 1));
}

#[test]
fn nobody_is_asked_for_a_sign_of_life_while_nothing_is_to_be_done() {
    let mut world = World::running_with(2, beating());
    world.submit(1);
    world.finish_call(world.ready[1]);
    world.pass_evenly(Duration::from_mins(1));
    assert_eq!((world.pings, world.ledger.next_tick()), (0, None));
}

// fault 21
#[test]
fn a_pool_that_stood_still_itself_accuses_nobody() {
    let mut world = World::running_with(1, beating());
    world.submit(1);
    let worker = world.ready[0];
    world.begin(worker);
    world.pass_evenly(Duration::from_secs(2));
    world.boards.silent.borrow_mut().insert(worker);
    for _ in 0..10 {
        world.pass(Duration::from_secs(2));
    }
    assert!(world.accused.is_empty(), "each time it was late itself");
    world.pass_evenly(Duration::from_secs(4));
    assert_eq!(world.accused.len(), 1, "now it was not");
}

// fault 28
#[test]
fn a_worker_that_answers_but_takes_nothing_in_is_ended_too() {
    let mut world = World::running_with(1, beating());
    let unit = world.submit(1);
    let worker = world.ready[0];
    world.boards.stand_still(worker);
    world.pass_evenly(Duration::from_secs(5));
    assert!(world.accused[0].1.contains("did not start"), "{}", world.accused[0].1);
    world.lose(worker);
    world.make_ready(0);
    world.finish_call(world.ready[0]);
    assert_eq!(world.settled[unit], 1, "it had not started, so that it runs elsewhere");
}

#[test]
fn of_two_workers_that_are_ended_at_once_neither_is_sent_what_the_other_had() {
    let mut world = World::running_with(2, beating());
    let units = [1; 3].map(|elements| world.submit(elements));
    for worker in world.ready.clone() {
        world.begin(worker);
        world.boards.silent.borrow_mut().insert(worker);
    }
    assert_eq!(world.order.len(), units.len(), "one is sent ahead");
    world.pass_evenly(Duration::from_secs(5));
    assert_eq!(world.accused.len(), 2);
    assert_eq!(world.order.len(), units.len(), "that one waits for another worker");
    world.close();
    world.drain();
    world.check();
}

#[test]
fn giving_up_a_task_that_is_killed_on_drop_ends_its_worker_at_once() {
    let mut world = World::running(1);
    let unit = world.submit_on(1, Terms { kill_on_drop: true, ..Terms::default() });
    let worker = world.ready[0];
    world.begin(worker);
    let ahead = world.submit(1);
    assert_eq!(world.cancel(unit), Cancelled::WhileRunning);
    assert_eq!((&world.killed[..], world.starting.len()), (&[worker][..], 1));
    world.lose(worker);
    world.make_ready(0);
    world.finish_call(world.ready[0]);
    assert_eq!((world.settled[unit], world.settled[ahead], stats(&world).deaths), (0, 1, 0));
}

// C208
#[test]
fn what_has_not_started_can_be_cancelled_all_at_once() {
    let mut world = World::running(1);
    let running = world.submit(2);
    let worker = world.ready[0];
    world.begin(worker);
    for _ in 0..50 {
        world.submit(2);
    }
    assert_eq!(world.cancel_pending(), 100);
    assert_eq!(world.failures.len(), 50);
    world.finish_call(worker);
    assert_eq!(world.settled[running], 2);
    world.close();
    world.drain();
    world.check();
}
