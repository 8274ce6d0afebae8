//! Everything the pool hands out is a standard future or stream: what others have written for those works on it.

mod support;

use std::pin::pin;
use std::time::Duration;

use futures::future::{self, Either, FutureExt as _, TryFutureExt as _};
use futures::stream::{FuturesOrdered, FuturesUnordered, StreamExt as _, TryStreamExt as _};
use multiprocess::{Apply, Error, Imap, Kind, Map, Pool, TaskHandle};
use support::gate::{Gate, stand};
use support::tally::{Tally, mark};
use support::{end, on_both, pool, until};
use tokio::task::JoinSet;

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";
const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(20);

fn double(n: u32) -> u32 {
    n * 2
}

fn breaks(n: u32) -> u32 {
    panic!("{n} is not wanted")
}

/// Compiles if it can be sent to another task, kept there, and moved while it is polled.
fn is_portable<T: Send + Unpin + 'static>() {}

#[test]
fn whatever_the_pool_hands_out_can_be_moved_to_another_task() {
    is_portable::<Apply<u32>>();
    is_portable::<Map<u32>>();
    is_portable::<Imap<u32>>();
    is_portable::<TaskHandle<u32>>();
    is_portable::<Pool<multiprocess::Processes>>();
}

// C138
async fn a_handle_can_be_shared_among_tasks<K: Kind>() {
    fn is_shareable<T: Sync>(_: &T) {}
    let pool = pool::<K>(1);
    let handle = pool.apply_async(double, (4,));
    is_shareable(&handle);
    is_shareable(&pool);
    let shared = handle.map_err(|error| error.to_string()).shared();
    let (first, second) = tokio::join!(shared.clone(), shared);
    assert_eq!((first, second), (Ok(8), Ok(8)));
    end(pool).await;
}

// C187
async fn join_waits_for_calls_of_different_types<K: Kind>() {
    let pool = pool::<K>(2);
    let (number, text, list) = tokio::join!(
        pool.apply(double, (1,)),
        pool.apply_async(|text: String| text + "!", ("hello".to_owned(),)),
        pool.map(double, 0..3),
    );
    assert_eq!(
        (number.expect(RUNS), text.expect(RUNS), list.expect(RUNS)),
        (2, "hello!".to_owned(), vec![0, 2, 4])
    );
    let all = tokio::try_join!(pool.apply(double, (1,)), pool.map(double, 0..2)).expect(RUNS);
    assert_eq!(all, (2, vec![0, 2]));
    let failed = tokio::try_join!(pool.apply(double, (1,)), pool.apply(breaks, (2,)));
    assert!(matches!(failed, Err(Error::Panicked(_))), "{failed:?}");
    end(pool).await;
}

// C187
async fn select_takes_the_first_to_complete<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let slow = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let fast = pool.apply_async(double, (4,));
    let Either::Right((value, slow)) = future::select(slow, fast).await else {
        panic!("it stands at the gate")
    };
    assert_eq!(value.expect(RUNS), 8);
    gate.let_all_go();
    slow.await.expect(RUNS);
    end(pool).await;
}

// C187, C208
async fn the_branch_that_select_drops_is_cancelled<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    tokio::select! {
        biased;
        _ = pool.apply(|key: String| mark(&key, 1), (tally.key(),)) => panic!("the worker is held"),
        _ = pool.map(|key: String| mark(&key, 1), vec![tally.key(); 9]) => panic!("the worker is held"),
        _ = pool.imap(|key: String| mark(&key, 1), vec![tally.key(); 9]).into_future() => panic!("the worker is held"),
        () = future::ready(()) => {}
    }
    gate.let_all_go();
    held.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C187
async fn select_all_and_try_join_all_see_the_first_failure<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let slow = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let failing = pool.apply_async(breaks, (1,));
    let failed = future::try_join_all([slow, failing]).await;
    assert!(matches!(failed, Err(Error::Panicked(_))), "it does not wait for the other: {failed:?}");
    let done = [1, 2, 3].map(|n| pool.apply_async(double, (n,)));
    let (first, index, others) = future::select_all(done).await;
    assert_eq!(first.expect(RUNS), [2, 4, 6][index]);
    assert_eq!(others.len(), 2);
    gate.let_all_go();
    end(pool).await;
}

// C187
async fn join_all_waits_for_all_whether_they_fail_or_not<K: Kind>() {
    let pool = pool::<K>(2);
    let handles = (0..10).map(|n| match n % 2 {
        0 => pool.apply_async(double, (n,)),
        _ => pool.apply_async(breaks, (n,)),
    });
    let results = future::join_all(handles).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
    end(pool).await;
}

// C187
async fn what_is_done_already_is_ready_at_once<K: Kind>() {
    let pool = pool::<K>(1);
    let done = pool.apply_async(double, (1,));
    assert!(done.wait(LONG).await);
    assert_eq!(done.now_or_never().expect("it is done").expect(RUNS), 2);
    end(pool).await;
}

// C187, C188
async fn a_timeout_leaves_the_handle_as_it_was<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let mut handle = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    assert!(tokio::time::timeout(SHORT, &mut handle).await.is_err());
    gate.let_all_go();
    tokio::time::timeout(LONG, handle).await.expect("it is let go").expect(RUNS);
    end(pool).await;
}

// C188
async fn a_timeout_around_a_call_cancels_it<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let call = pool.apply(|key: String| mark(&key, 1), (tally.key(),));
    assert!(tokio::time::timeout(SHORT, call).await.is_err());
    gate.let_all_go();
    held.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C188
async fn results_come_as_they_are_completed<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let slow = pool.apply_async(stand, (gate.key(),)).map_ok(|_| u32::MAX).boxed();
    gate.arrived().await;
    let fast = (0..10).map(|n| pool.apply(double, (n,)).boxed());
    let mut results: FuturesUnordered<_> = fast.chain([slow]).collect();
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(results.next().await.expect("ten are fast").expect(RUNS));
    }
    assert!(!seen.contains(&u32::MAX));
    gate.let_all_go();
    assert_eq!(results.next().await.expect("one is slow").expect(RUNS), u32::MAX);
    assert!(results.next().await.is_none());
    end(pool).await;
}

// C188
async fn results_come_in_the_order_they_were_asked_for<K: Kind>() {
    let pool = pool::<K>(2);
    let results: FuturesOrdered<_> = (0..50).map(|n| pool.apply_async(double, (n,))).collect();
    assert!(results.try_collect::<Vec<_>>().await.expect(RUNS).into_iter().eq((0..50).map(double)));
    end(pool).await;
}

// C187
async fn a_join_set_takes_calls_and_maps<K: Kind>() {
    let pool = pool::<K>(2);
    let mut set = JoinSet::new();
    for n in 0..10 {
        set.spawn(pool.apply(double, (n,)).map_ok(|n| vec![n]));
        set.spawn(pool.apply_async(double, (n,)).map_ok(|n| vec![n]));
        set.spawn(pool.map(double, [n]));
        set.spawn(pool.imap(double, [n]).try_collect());
    }
    let lists = set.join_all().await;
    let sum: u32 = lists.into_iter().map(|list| list.expect(RUNS)[0]).sum();
    assert_eq!(sum, 4 * 90);
    end(pool).await;
}

// C208
async fn aborting_a_spawned_call_cancels_it<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let spawned = tokio::spawn(pool.apply(|key: String| mark(&key, 1), (tally.key(),)));
    until(|| pool.stats().submitted == 2).await;
    spawned.abort();
    assert!(spawned.await.expect_err("it was aborted").is_cancelled());
    gate.let_all_go();
    held.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C138
async fn adaptors_of_futures_work_on_calls<K: Kind>() {
    let pool = pool::<K>(1);
    let chained = pool.apply(double, (1,)).and_then(|n| pool.apply(double, (n,))).map_ok(|n| n + 1);
    assert_eq!(chained.await.expect(RUNS), 5);
    let saved = pool.apply(breaks, (1,)).or_else(|_| pool.apply(double, (5,)));
    assert_eq!(saved.await.expect(RUNS), 10);
    assert_eq!(pool.apply(breaks, (1,)).unwrap_or_else(|_| 7).await, 7);
    assert_eq!(pool.map(double, 0..3).map_ok(|list| list.len()).await.expect(RUNS), 3);
    end(pool).await;
}

// C140
async fn adaptors_of_streams_work_on_maps<K: Kind>() {
    let pool = pool::<K>(2);
    let sum = pool.imap(double, 0..100).try_fold(0, |sum, n| future::ok(sum + n)).await.expect(RUNS);
    assert_eq!(sum, 9_900);
    let some: Vec<_> = pool
        .imap(double, 0..)
        .try_filter(|n| future::ready(n % 3 == 0))
        .take(4)
        .try_collect()
        .await
        .expect(RUNS);
    assert_eq!(some, [0, 6, 12, 18]);
    let chunks: Vec<_> = pool
        .imap_unordered(double, 0..10)
        .try_chunks(4)
        .map_ok(|chunk| chunk.len())
        .try_collect()
        .await
        .expect(RUNS);
    assert_eq!(chunks, [4, 4, 2]);
    let first_failure = pool.imap(breaks, 0..3).try_for_each(|_| future::ok(())).await;
    assert!(matches!(first_failure, Err(Error::Panicked(_))));
    end(pool).await;
}

// C140
async fn a_stream_of_results_is_the_input_of_the_next<K: Kind>() {
    let pool = pool::<K>(2);
    let first = pool.imap(double, 0..100).map(|result| result.expect(RUNS));
    let second = pool.imap_stream(double, first);
    assert!(second.try_collect::<Vec<_>>().await.expect(RUNS).into_iter().eq((0..100).map(|n| 4 * n)));
    end(pool).await;
}

// C140
async fn two_streams_are_merged<K: Kind>() {
    let pool = pool::<K>(2);
    let merged = futures::stream::select(pool.imap(double, 0..50), pool.imap_unordered(double, 50..100));
    let mut all: Vec<_> = merged.try_collect().await.expect(RUNS);
    all.sort_unstable();
    assert!(all.into_iter().eq((0..100).map(double)));
    end(pool).await;
}

// C140
async fn calls_are_buffered_by_a_stream_of_them<K: Kind>() {
    let pool = pool::<K>(2);
    let calls = futures::stream::iter(0..100).map(|n| pool.apply(double, (n,)));
    let all: Vec<_> = calls.buffered(8).try_collect().await.expect(RUNS);
    assert!(all.into_iter().eq((0..100).map(double)));
    end(pool).await;
}

// C138
async fn a_call_can_be_polled_by_one_task_and_then_by_another<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let mut call = pool.apply(stand, (gate.key(),));
    tokio::select! {
        biased;
        _ = &mut call => panic!("it stands at the gate"),
        () = gate.arrived() => {}
    }
    let elsewhere = tokio::spawn(call);
    gate.let_all_go();
    elsewhere.await.expect("it does not panic").expect(RUNS);
    end(pool).await;
}

// C138
async fn a_map_can_be_polled_by_one_task_and_then_by_another<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let mut map = pool.map(stand, vec![gate.key(); 3]);
    tokio::select! {
        biased;
        _ = &mut map => panic!("it stands at the gate"),
        () = gate.arrived() => {}
    }
    let elsewhere = tokio::spawn(map);
    gate.let_all_go();
    for _ in 1..3 {
        gate.arrived().await;
        gate.let_all_go();
    }
    assert_eq!(elsewhere.await.expect("it does not panic").expect(RUNS).len(), 3);
    end(pool).await;
}

// C138
async fn calls_are_pinned_like_any_future<K: Kind>() {
    let pool = pool::<K>(1);
    let mut call = pin!(pool.apply(double, (2,)));
    assert_eq!(call.as_mut().await.expect(RUNS), 4);
    let boxed: future::BoxFuture<'static, _> = Box::pin(pool.apply(double, (3,)));
    assert_eq!(boxed.await.expect(RUNS), 6);
    end(pool).await;
}

on_both!(
    a_handle_can_be_shared_among_tasks,
    join_waits_for_calls_of_different_types,
    select_takes_the_first_to_complete,
    the_branch_that_select_drops_is_cancelled,
    select_all_and_try_join_all_see_the_first_failure,
    join_all_waits_for_all_whether_they_fail_or_not,
    what_is_done_already_is_ready_at_once,
    a_timeout_leaves_the_handle_as_it_was,
    a_timeout_around_a_call_cancels_it,
    results_come_as_they_are_completed,
    results_come_in_the_order_they_were_asked_for,
    a_join_set_takes_calls_and_maps,
    aborting_a_spawned_call_cancels_it,
    adaptors_of_futures_work_on_calls,
    adaptors_of_streams_work_on_maps,
    a_stream_of_results_is_the_input_of_the_next,
    two_streams_are_merged,
    calls_are_buffered_by_a_stream_of_them,
    a_call_can_be_polled_by_one_task_and_then_by_another,
    a_map_can_be_polled_by_one_task_and_then_by_another,
    calls_are_pinned_like_any_future,
);
