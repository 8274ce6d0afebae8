//! Random events, and the invariants that hold whatever they are.

use std::time::Duration;

use proptest::prelude::*;

use super::world::World;
use crate::backend::WorkerId;
use crate::dispatch::terms::{Rules, Terms};

#[derive(Debug, Clone)]
enum Event {
    Submit { lane: u64, elements: u32, terms: Terms },
    Ready(usize),
    Begin(usize),
    Reply(usize),
    Outgrow(usize),
    Finish(usize),
    Lose(usize),
    LoseKilled(usize),
    FailStart(usize),
    Silence(usize),
    Cancel(usize),
    CancelPending,
    Resize(usize),
    Pass(Duration),
    Close,
    Terminate,
}

fn terms() -> impl Strategy<Value = Terms> {
    let limit = || prop::option::of((1..200_u64).prop_map(Duration::from_millis));
    let plain = Just(Terms::default());
    let limited = (limit(), limit(), 0..3_u32, any::<bool>()).prop_map(
        |(timeout, queue_timeout, retries, kill_on_drop)| Terms {
            timeout,
            queue_timeout,
            retries,
            kill_on_drop,
        },
    );
    prop_oneof![plain, limited]
}

fn rules() -> impl Strategy<Value = Rules> {
    let idle = prop::option::of((1..100_u64).prop_map(Duration::from_millis));
    (prop::option::of(1..4_u32), prop::option::of(0..3_usize), idle, 0..100_u64).prop_map(
        |(max_tasks, min_workers, idle_timeout, grace)| Rules {
            max_tasks,
            min_workers: min_workers.or(idle_timeout.map(|_| 0)),
            idle_timeout,
            grace: Duration::from_millis(grace),
            heartbeat: Some(Duration::from_millis(400)),
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let submit = (0..3_u64, 1..6_u32, terms()).prop_map(|(lane, elements, terms)| Event::Submit {
        lane,
        elements,
        terms,
    });
    prop_oneof![
        8 => submit,
        4 => any::<usize>().prop_map(Event::Ready),
        6 => any::<usize>().prop_map(Event::Begin),
        4 => any::<usize>().prop_map(Event::Reply),
        1 => any::<usize>().prop_map(Event::Outgrow),
        6 => any::<usize>().prop_map(Event::Finish),
        2 => any::<usize>().prop_map(Event::Lose),
        2 => any::<usize>().prop_map(Event::LoseKilled),
        1 => any::<usize>().prop_map(Event::FailStart),
        1 => any::<usize>().prop_map(Event::Silence),
        2 => any::<usize>().prop_map(Event::Cancel),
        1 => (1..5_usize).prop_map(Event::Resize),
        3 => (0..150_u64).prop_map(|ms| Event::Pass(Duration::from_millis(ms))),
        1 => Just(Event::Pass(Duration::from_secs(6))),
        1 => prop_oneof![
            20 => Just(Event::CancelPending),
            1 => Just(Event::Close),
            1 => Just(Event::Terminate),
        ],
    ]
}

fn on_one(world: &mut World, of: fn(&World) -> &Vec<WorkerId>, which: usize, act: fn(&mut World, WorkerId)) {
    let workers = of(world);
    if !workers.is_empty() {
        let worker = workers[which % workers.len()];
        act(world, worker);
    }
}

fn silence(world: &mut World, worker: WorkerId) {
    world.boards.silent.borrow_mut().insert(worker);
}

fn apply(world: &mut World, event: Event) {
    match event {
        Event::Submit { lane, elements, terms } => drop(world.submit_with(lane, elements, terms, false)),
        Event::Ready(which) if !world.starting.is_empty() => world.make_ready(which % world.starting.len()),
        Event::Begin(which) => on_one(world, |world| &world.ready, which, World::begin),
        Event::Reply(which) => on_one(world, |world| &world.ready, which, World::reply),
        Event::Outgrow(which) => on_one(
            world,
            |world| &world.ready,
            which,
            |world, worker| {
                world.reply_as(worker, true);
            },
        ),
        Event::Finish(which) => on_one(world, |world| &world.ready, which, World::finish_call),
        Event::Lose(which) => on_one(world, |world| &world.ready, which, World::lose),
        Event::LoseKilled(which) => on_one(world, |world| &world.killed, which, World::lose),
        Event::FailStart(which) => on_one(world, |world| &world.starting, which, World::lose),
        Event::Silence(which) => on_one(world, |world| &world.ready, which, silence),
        Event::Cancel(which) if !world.ids.is_empty() => drop(world.cancel(which % world.ids.len())),
        Event::CancelPending => drop(world.cancel_pending()),
        Event::Resize(workers) => world.resize(workers),
        Event::Close => world.close(),
        Event::Terminate => world.terminate(),
        Event::Pass(time) => world.pass_evenly(time),
        Event::Ready(_) | Event::Cancel(_) => world.pass(Duration::from_millis(20)),
    }
}

proptest! {
    #[test]
    fn whatever_happens_each_element_is_settled_once_and_runs_as_often_as_it_may(
        workers in 1..5_usize,
        rules in rules(),
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut world = World::with_rules(workers, rules);
        for event in events {
            apply(&mut world, event);
        }
        world.close();
        world.drain();
        world.check();
    }
}
