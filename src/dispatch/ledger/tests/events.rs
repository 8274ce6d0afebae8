//! Everything that can happen to a ledger, be it by chance or by the bytes of a fuzzer.

use std::time::Duration;

use super::world::World;
use crate::backend::WorkerId;
use crate::dispatch::terms::{Rules, Terms};

#[derive(Debug, Clone)]
pub(super) enum Event {
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

/// Lets all of it happen to a pool, which comes to its end then, and checks the invariants.
pub(super) fn run(workers: usize, rules: Rules, events: impl IntoIterator<Item = Event>) {
    let mut world = World::with_rules(workers, rules);
    world.has_been_quick();
    for event in events {
        apply(&mut world, event);
    }
    world.close();
    world.drain();
    world.check();
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
