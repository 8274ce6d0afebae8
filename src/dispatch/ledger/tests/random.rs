//! Random events, and the invariants that hold whatever they are.

use std::time::Duration;

use proptest::prelude::*;

use super::events::{Event, run};
use crate::dispatch::terms::{Rules, Terms};

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
    (prop::option::of(1..4_u32), prop::option::of(0..3_usize), idle, 0..100_u64, 1..4_usize).prop_map(
        |(max_tasks, min_workers, idle_timeout, grace, cores)| Rules {
            max_tasks,
            min_workers: min_workers.or(idle_timeout.map(|_| 0)),
            idle_timeout,
            grace: Duration::from_millis(grace),
            heartbeat: Some(Duration::from_millis(400)),
            cores,
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

proptest! {
    #[test]
    fn whatever_happens_each_element_is_settled_once_and_runs_as_often_as_it_may(
        workers in 1..5_usize,
        rules in rules(),
        events in prop::collection::vec(event(), 0..200),
    ) {
        run(workers, rules, events);
    }
}
