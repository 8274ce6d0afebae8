//! Calls and maps: what goes in, what comes out, and what fails alone.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use multiprocess::{Error, Kind, Payload, Pool};
use serde::{Deserialize, Serialize};
use support::tally::{Tally, mark};
use support::values::{Holding, MarksWhenDropped, PanicsWhenEncoded, Undecodable, Unencodable};
use support::{end, on_both, pool};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

// C130
async fn up_to_eight_arguments_arrive_in_their_order<K: Kind>() {
    let pool = pool::<K>(1);
    let (one, two, three, four) = ("1".to_owned(), 2_u64, '3', Some(4.0));
    let four_of_them = |a: String, b: u64, c: char, d: Option<f64>| format!("{a}{b}{c}{d:?}");
    assert_eq!(pool.apply(|| 0, ()).await.expect(RUNS), 0);
    assert_eq!(pool.apply(|a: String| a, (one.clone(),)).await.expect(RUNS), one);
    assert_eq!(
        pool.apply(|a: u64, b: String| (b, a), (two, one.clone())).await.expect(RUNS),
        (one.clone(), 2)
    );
    let spread = pool.apply(|a: u8, b: u8, c: char| (c, b, a), (1, 2, three)).await.expect(RUNS);
    assert_eq!(spread, ('3', 2, 1));
    let text = pool.apply(four_of_them, (one, two, three, four)).await.expect(RUNS);
    assert_eq!(text, "123Some(4.0)");
    end(pool).await;
}

/// Functions of five to eight arguments, which they put in a list.
macro_rules! listing {
    ($($(#[$lint:meta])? $name:ident($($argument:ident)+)),+) => {
        $(
            $(#[$lint])?
            fn $name($($argument: u8),+) -> Vec<u8> {
                vec![$($argument),+]
            }
        )+
    };
}

listing!(
    five(first second third fourth fifth),
    six(first second third fourth fifth sixth),
    seven(first second third fourth fifth sixth seventh),
    #[expect(clippy::too_many_arguments, reason = "it is about many arguments")]
    eight(first second third fourth fifth sixth seventh eighth)
);

// C130
async fn functions_of_many_arguments_are_tasks_too<K: Kind>() {
    let pool = pool::<K>(1);
    assert_eq!(pool.apply(five, (1, 2, 3, 4, 5)).await.expect(RUNS), [1, 2, 3, 4, 5]);
    assert_eq!(pool.apply(six, (1, 2, 3, 4, 5, 6)).await.expect(RUNS), [1, 2, 3, 4, 5, 6]);
    assert_eq!(pool.apply(seven, (1, 2, 3, 4, 5, 6, 7)).await.expect(RUNS), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(pool.apply(eight, (1, 2, 3, 4, 5, 6, 7, 8)).await.expect(RUNS), [1, 2, 3, 4, 5, 6, 7, 8]);
    end(pool).await;
}

/// Arguments with names, whose names are those of our own parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Named {
    f: i32,
    args: Vec<i32>,
    task: Option<Box<Named>>,
    items: BTreeMap<String, (u128, ())>,
}

// C167
async fn named_arguments_travel_as_a_struct<K: Kind>() {
    let pool = pool::<K>(1);
    let items = BTreeMap::from([("self".to_owned(), (u128::MAX, ()))]);
    let part = Named { f: i32::MIN, args: vec![1, -2], task: None, items };
    let whole = Named { task: Some(Box::new(part.clone())), ..part };
    let (back, f) = pool.apply(|named: Named| (named.clone(), named.f), (whole.clone(),)).await.expect(RUNS);
    assert_eq!((back, f), (whole, i32::MIN));
    end(pool).await;
}

fn twice<T: Clone + Payload>(value: T) -> (T, T) {
    (value.clone(), value)
}

// C130
async fn each_instance_of_a_generic_function_is_a_task<K: Kind>() {
    let pool = pool::<K>(1);
    assert_eq!(pool.apply(twice::<u8>, (7,)).await.expect(RUNS), (7, 7));
    let text = "seven".to_owned();
    assert_eq!(pool.apply(twice::<String>, (text.clone(),)).await.expect(RUNS), (text.clone(), text));
    assert_eq!(pool.map(twice::<bool>, [true]).await.expect(RUNS), [(true, true)]);
    end(pool).await;
}

async fn later(n: u32) -> u32 {
    tokio::task::yield_now().await;
    n + 1
}

// C130
async fn a_future_that_a_task_returns_is_awaited_in_the_worker<K: Kind>() {
    let pool = pool::<K>(1);
    assert_eq!(pool.apply(later, (1,)).await.expect(RUNS), 2);
    assert_eq!(pool.apply(async |n: u32| later(n).await * 10, (1,)).await.expect(RUNS), 20);
    assert_eq!(pool.apply(|n: u32| async move { n }, (5,)).await.expect(RUNS), 5);
    assert_eq!(pool.map(later, 0..3).await.expect(RUNS), [1, 2, 3]);
    assert_eq!(pool.starmap(async |a: u32, b: u32| a + b, [(1, 2)]).await.expect(RUNS), [3]);
    end(pool).await;
}

// C130
async fn an_async_task_may_spawn_and_use_timers<K: Kind>() {
    let pool = pool::<K>(1);
    let task = async |n: u32| {
        let spawned = tokio::spawn(later(n));
        let limit = std::time::Duration::from_mins(1);
        tokio::time::timeout(limit, spawned).await.is_ok_and(|joined| joined.is_ok_and(|n| n == 2))
    };
    assert!(pool.apply(task, (1,)).await.expect(RUNS));
    end(pool).await;
}

fn halved(n: u32) -> Result<u32, String> {
    if n.is_multiple_of(2) { Ok(n / 2) } else { Err(format!("{n} is odd")) }
}

// C130
async fn a_result_that_a_task_returns_is_its_value<K: Kind>() {
    let pool = pool::<K>(1);
    assert_eq!(pool.apply(halved, (4,)).await.expect(RUNS), Ok(2));
    assert_eq!(pool.apply(halved, (5,)).await.expect(RUNS), Err("5 is odd".to_owned()));
    let all = pool.map(halved, [2, 3]).await.expect("an `Err` of a task is no failure of the map");
    assert_eq!(all, [Ok(1), Err("3 is odd".to_owned())]);
    end(pool).await;
}

// C131
async fn a_map_keeps_the_order_of_its_input<K: Kind>() {
    let pool = pool::<K>(2);
    let squares = pool.map(|x: u64| x * x, 0..1_000).await.expect(RUNS);
    assert!(squares.into_iter().eq((0..1_000).map(|x| x * x)));
    end(pool).await;
}

// C131, C168
async fn a_map_keeps_its_order_in_chunks_of_any_size<K: Kind>() {
    let pool = pool::<K>(2);
    for chunksize in [1, 6, 39, 40, 50, usize::MAX] {
        let map = pool.map(|x: u64| x * x, 0..40).chunksize(chunksize);
        assert!(map.await.expect(RUNS).into_iter().eq((0..40).map(|x| x * x)), "chunks of {chunksize}");
    }
    end(pool).await;
}

// C131, C171
async fn a_map_of_many_small_chunks_does_not_stall<K: Kind>() {
    let pool = pool::<K>(2);
    let doubled = |n: u32| n * 2;
    let expected = || (0..20_000).map(|n| n * 2);
    assert!(pool.map(doubled, 0..20_000).chunksize(1).await.expect(RUNS).into_iter().eq(expected()));
    assert!(pool.map(doubled, 0..20_000).buffer(5).await.expect(RUNS).into_iter().eq(expected()));
    end(pool).await;
}

// C168
async fn chunks_and_buffers_of_nothing_are_refused<K: Kind>() {
    let pool = pool::<K>(1);
    let no_chunk = pool.map(|x: u64| x, 0..40).chunksize(0).await;
    assert!(matches!(no_chunk, Err(Error::Option { option: "chunksize", .. })), "{no_chunk:?}");
    let no_buffer = pool.map(|x: u64| x, 0..40).buffer(0).await;
    assert!(matches!(no_buffer, Err(Error::Option { option: "buffer", .. })), "{no_buffer:?}");
    end(pool).await;
}

// C132, C168
async fn starmap_spreads_tuples_over_the_arguments<K: Kind>() {
    let pool = pool::<K>(2);
    let powers = pool.starmap(u64::pow, [(2, 10), (3, 3), (7, 0)]).await.expect(RUNS);
    assert_eq!(powers, [1_024, 27, 1]);
    let several = (0..20_u32).zip(20..).map(|(a, b)| (a, b, b - a));
    let sums = pool.starmap(|a: u32, b: u32, c: u32| a + b + c, several).chunksize(3).await.expect(RUNS);
    assert!(sums.into_iter().eq((0..20).map(|a| a + (a + 20) + 20)));
    end(pool).await;
}

// C132
async fn starmap_async_yields_the_list<K: Kind>() {
    let pool = pool::<K>(2);
    let handle = pool.starmap_async(|a: i32, b: i32| a - b, (0..100).map(|a| (a, 2 * a)));
    assert!(handle.await.expect(RUNS).into_iter().eq((0..100).map(|a| -a)));
    end(pool).await;
}

// C133
async fn map_async_yields_the_list<K: Kind>() {
    let pool = pool::<K>(2);
    let handle = pool.map_async(|x: u64| x * x, 0..100);
    assert!(handle.await.expect(RUNS).into_iter().eq((0..100).map(|x| x * x)));
    end(pool).await;
}

// C136, C147
async fn a_map_of_nothing_is_an_empty_list<K: Kind>() {
    let pool = pool::<K>(2);
    let nothing = std::iter::empty::<u32>;
    assert!(pool.map(|x: u32| x, nothing()).await.expect(RUNS).is_empty());
    assert!(pool.map(|x: u32| x, nothing()).chunksize(1).await.expect(RUNS).is_empty());
    assert!(pool.starmap(|x: u32, _: u32| x, Vec::new()).await.expect(RUNS).is_empty());
    assert!(pool.map_async(|x: u32| x, nothing()).await.expect(RUNS).is_empty());
    end(pool).await;
}

/// Fails the test unless the pool still answers.
async fn still_answers<K: Kind>(pool: &Pool<K>) {
    assert_eq!(pool.map(|x: u32| x + 1, 0..3).await.expect("the pool goes on"), [1, 2, 3]);
}

// C135, C190
async fn an_argument_that_cannot_be_encoded_fails_its_call<K: Kind>() {
    let pool = pool::<K>(1);
    let refused = pool.apply(|_: Unencodable| (), (Unencodable,)).await;
    assert!(matches!(refused, Err(Error::Encode { what: "the arguments", .. })), "{refused:?}");
    let panicked = pool.apply_async(|_: PanicsWhenEncoded| (), (PanicsWhenEncoded,)).await;
    assert!(matches!(panicked, Err(Error::Encode { what: "the arguments", .. })), "{panicked:?}");
    still_answers(&pool).await;
    end(pool).await;
}

// C190, C202
async fn failing_calls_among_good_ones_all_settle<K: Kind>() {
    let pool = pool::<K>(2);
    let calls: Vec<_> = (0..100_u32)
        .map(|n| (pool.apply_async(|_: Unencodable| (), (Unencodable,)), pool.apply_async(|n: u32| n, (n,))))
        .collect();
    for (n, (failing, good)) in (0..).zip(calls) {
        assert!(matches!(failing.await, Err(Error::Encode { .. })));
        assert_eq!(good.await.expect(RUNS), n);
    }
    end(pool).await;
}

// C135
async fn an_element_that_cannot_be_encoded_fails_its_map<K: Kind>() {
    let pool = pool::<K>(2);
    let refused = pool.map(|_: Unencodable| (), (0..3).map(|_| Unencodable)).await;
    assert!(matches!(refused, Err(Error::Encode { what: "the arguments", .. })), "{refused:?}");
    let panicked = pool.map_async(|_: PanicsWhenEncoded| (), (0..3).map(|_| PanicsWhenEncoded)).await;
    assert!(matches!(panicked, Err(Error::Encode { what: "the arguments", .. })), "{panicked:?}");
    still_answers(&pool).await;
    end(pool).await;
}

/// Counts up, and panics instead of giving element `at`.
fn input_that_fails(at: u32) -> impl Iterator<Item = u32> + Send + 'static {
    (0..10).inspect(move |n| assert_ne!(*n, at, "the input is broken"))
}

// C137, C150
async fn an_input_that_panics_fails_its_map<K: Kind>() {
    let pool = pool::<K>(2);
    for at in [0, 1, 4] {
        let failed = pool.map(|x: u32| x, input_that_fails(at)).await;
        let Err(Error::Input(panic)) = failed else { panic!("unexpected: {failed:?}") };
        assert!(panic.message.contains("the input is broken"), "{panic:?}");
        let failed = pool.map_async(|x: u32| x, input_that_fails(at)).await;
        assert!(matches!(failed, Err(Error::Input(_))), "{failed:?}");
        still_answers(&pool).await;
    }
    end(pool).await;
}

fn breaks(n: u32) -> u32 {
    assert!(n < 3, "{n} is too many");
    n
}

// C150, C151
async fn a_panic_comes_back_with_its_message_place_and_task<K: Kind>() {
    let pool = pool::<K>(1);
    let failed = pool.apply(breaks, (3,)).await;
    let Err(Error::Panicked(panic)) = failed else { panic!("unexpected: {failed:?}") };
    assert_eq!(panic.message, "3 is too many");
    assert!(panic.location.contains("tests/pool.rs"), "{}", panic.location);
    assert!(panic.backtrace.contains("breaks"), "{}", panic.backtrace);
    assert!(panic.task.contains("breaks"), "{}", panic.task);
    still_answers(&pool).await;
    end(pool).await;
}

// C150
async fn the_first_panic_fails_a_map<K: Kind>() {
    let pool = pool::<K>(2);
    let failed = pool.map(breaks, 0..100).await;
    assert!(
        matches!(&failed, Err(Error::Panicked(panic)) if panic.message.contains("is too many")),
        "{failed:?}"
    );
    still_answers(&pool).await;
    end(pool).await;
}

// C150
async fn a_panic_without_a_text_is_an_error_all_the_same<K: Kind>() {
    let pool = pool::<K>(1);
    let failed = pool.apply(|| -> () { std::panic::panic_any(7_u8) }, ()).await;
    assert!(matches!(failed, Err(Error::Panicked(_))), "{failed:?}");
    still_answers(&pool).await;
    end(pool).await;
}

// C152
async fn large_errors_hang_neither_the_map_nor_the_end<K: Kind>() {
    let pool = pool::<K>(2);
    let failed = pool.map(|_: u32| -> u32 { panic!("{}", "x".repeat(1 << 20)) }, 0..50).chunksize(1).await;
    assert!(matches!(failed, Err(Error::Panicked(_))));
    end(pool).await;
}

// C153, C172
async fn the_caller_keeps_no_arguments<K: Kind>() {
    let pool = pool::<K>(1);
    let watched = Arc::new(());
    let call = pool.apply_async(|_: Holding| (), (Holding::of(&watched),));
    let map = pool.map_async(|_: Holding| (), vec![Holding::of(&watched); 10]);
    let wait = std::time::Duration::from_mins(1);
    assert!(call.wait(wait).await && map.wait(wait).await);
    assert_eq!(Arc::strong_count(&watched), 1, "the handles live, and the arguments are gone");
    drop((call, map));
    end(pool).await;
}

// C153
async fn a_map_that_fails_drops_its_input<K: Kind>() {
    let pool = pool::<K>(1);
    let watched = Arc::new(());
    let input = vec![Holding::of(&watched); 1_000];
    let failed = pool.map(|_: Holding| -> () { panic!("it fails") }, input).await;
    assert!(matches!(failed, Err(Error::Panicked(_))));
    assert_eq!(Arc::strong_count(&watched), 1);
    end(pool).await;
}

// C173
async fn the_worker_drops_arguments_right_after_the_task<K: Kind>() {
    let pool = pool::<K>(1);
    let tally = Tally::new();
    let argument = MarksWhenDropped { key: tally.key(), has_travelled: false };
    pool.apply(|_: MarksWhenDropped| (), (argument,)).await.expect(RUNS);
    assert_eq!(tally.count(), 1);
    end(pool).await;
}

// C156
async fn a_result_that_cannot_be_encoded_fails_alone<K: Kind>() {
    let pool = pool::<K>(1);
    let before =
        pool.apply(|| multiprocess::worker::current().map(|worker| worker.id), ()).await.expect(RUNS);
    for _ in 0..20 {
        let failed = pool.apply(|| Unencodable, ()).await;
        assert!(matches!(failed, Err(Error::Encode { what: "the result", .. })), "{failed:?}");
        let failed = pool.apply(|| PanicsWhenEncoded, ()).await;
        assert!(matches!(failed, Err(Error::Encode { .. } | Error::Panicked(_))), "{failed:?}");
    }
    let after = pool.apply(|| multiprocess::worker::current().map(|worker| worker.id), ()).await.expect(RUNS);
    assert_eq!(before, after, "the worker has survived");
    end(pool).await;
}

// C156, C194
async fn a_result_that_cannot_be_decoded_fails_alone<K: Kind>() {
    let pool = pool::<K>(1);
    let failed = pool.apply(|| Undecodable, ()).await;
    assert!(matches!(failed, Err(Error::Decode { what: "the result", .. })), "{failed:?}");
    still_answers(&pool).await;
    end(pool).await;
}

// C191, C203
async fn an_argument_that_cannot_be_decoded_fails_alone<K: Kind>() {
    let pool = pool::<K>(1);
    let failed = pool.apply(|_: Undecodable| (), (Undecodable,)).await;
    assert!(matches!(failed, Err(Error::Decode { what: "the arguments", .. })), "{failed:?}");
    still_answers(&pool).await;
    end(pool).await;
}

// C131
async fn every_element_runs_exactly_once<K: Kind>() {
    let pool = pool::<K>(2);
    let tally = Tally::new();
    let input: Vec<_> = (0..200).map(|n| (tally.key(), n)).collect();
    pool.starmap(|key: String, n: u8| mark(&key, n), input).await.expect(RUNS);
    let mut marks = tally.marks();
    marks.sort_unstable();
    assert!(marks.into_iter().eq(0..200));
    end(pool).await;
}

on_both!(
    up_to_eight_arguments_arrive_in_their_order,
    functions_of_many_arguments_are_tasks_too,
    named_arguments_travel_as_a_struct,
    each_instance_of_a_generic_function_is_a_task,
    a_future_that_a_task_returns_is_awaited_in_the_worker,
    an_async_task_may_spawn_and_use_timers,
    a_result_that_a_task_returns_is_its_value,
    a_map_keeps_the_order_of_its_input,
    a_map_keeps_its_order_in_chunks_of_any_size,
    a_map_of_many_small_chunks_does_not_stall,
    chunks_and_buffers_of_nothing_are_refused,
    starmap_spreads_tuples_over_the_arguments,
    starmap_async_yields_the_list,
    map_async_yields_the_list,
    a_map_of_nothing_is_an_empty_list,
    an_argument_that_cannot_be_encoded_fails_its_call,
    failing_calls_among_good_ones_all_settle,
    an_element_that_cannot_be_encoded_fails_its_map,
    an_input_that_panics_fails_its_map,
    a_panic_comes_back_with_its_message_place_and_task,
    the_first_panic_fails_a_map,
    a_panic_without_a_text_is_an_error_all_the_same,
    large_errors_hang_neither_the_map_nor_the_end,
    the_caller_keeps_no_arguments,
    a_map_that_fails_drops_its_input,
    the_worker_drops_arguments_right_after_the_task,
    a_result_that_cannot_be_encoded_fails_alone,
    a_result_that_cannot_be_decoded_fails_alone,
    an_argument_that_cannot_be_decoded_fails_alone,
    every_element_runs_exactly_once,
);
