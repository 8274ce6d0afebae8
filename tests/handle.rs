//! Handles: futures that need not be awaited, their callbacks, and what cancelling does.

#![expect(clippy::needless_pass_by_value, reason = "arguments of tasks are owned")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use multiprocess::{Error, Kind, Pool, TaskHandle, worker};
use support::gate::{Gate, stand};
use support::tally::{Tally, mark};
use support::values::Unencodable;
use support::{end, on_both, pool};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";
/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(20);

fn double(n: u32) -> u32 {
    n * 2
}

fn fails(n: u32) -> u32 {
    panic!("{n} is not wanted")
}

/// A task that stands at the gate and holds the only worker, so that nothing behind it starts.
async fn held<K: Kind>(pool: &Pool<K>, gate: &mut Gate) -> TaskHandle<u32> {
    let handle = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    handle
}

// C138
async fn awaiting_a_handle_waits_for_the_result<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let mut handle = held(&pool, &mut gate).await;
    assert!((&mut handle).now_or_never().is_none(), "it stands at the gate");
    gate.let_all_go();
    handle.await.expect(RUNS);
    end(pool).await;
}

// C139, C186
async fn get_gives_up_in_time_and_the_task_goes_on<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let handle = held(&pool, &mut gate).await;
    let began = Instant::now();
    let late = handle.get(SHORT).await;
    assert!(matches!(late, Err(Error::TimedOut { after: SHORT, .. })), "{late:?}");
    assert!(began.elapsed() >= SHORT);
    assert!(matches!(handle.get(Duration::ZERO).await, Err(Error::TimedOut { .. })));
    gate.let_all_go();
    handle.get(LONG).await.expect(RUNS);
    end(pool).await;
}

// C186
async fn a_result_is_taken_once<K: Kind>() {
    let pool = pool::<K>(1);
    let handle = pool.apply_async(double, (4,));
    assert_eq!(handle.get(LONG).await.expect(RUNS), 8);
    let again = handle.get(LONG).await;
    assert!(matches!(again, Err(Error::Taken { .. })), "{again:?}");
    end(pool).await;
}

// C186
async fn a_limit_without_end_is_no_limit<K: Kind>() {
    let pool = pool::<K>(1);
    let handle = pool.apply_async(double, (4,));
    assert!(handle.wait(Duration::MAX).await);
    assert_eq!(handle.get(Duration::MAX).await.expect(RUNS), 8);
    end(pool).await;
}

// C186
async fn wait_tells_whether_the_task_is_done<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let handle = held(&pool, &mut gate).await;
    assert!(!handle.wait(SHORT).await);
    assert!(!handle.is_finished());
    gate.let_all_go();
    assert!(handle.wait(LONG).await);
    assert!(handle.is_finished());
    handle.await.expect(RUNS);
    end(pool).await;
}

// C187
async fn several_may_wait_for_one_handle<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let handle = held(&pool, &mut gate).await;
    let open = async { gate.let_all_go() };
    let waiting = tokio::join!(handle.wait(LONG), handle.wait(LONG), open, handle.wait(LONG));
    assert_eq!(waiting, (true, true, (), true));
    handle.await.expect(RUNS);
    end(pool).await;
}

// C138
async fn every_handle_has_a_number_of_its_own<K: Kind>() {
    let pool = pool::<K>(1);
    let handles: Vec<_> = (0..10).map(|n| pool.apply_async(fails, (n,))).collect();
    for pair in handles.windows(2) {
        assert!(pair[0].id() < pair[1].id());
    }
    for handle in handles {
        let id = handle.id();
        let Err(Error::Panicked(panic)) = handle.await else { panic!("it fails") };
        assert!(panic.task.ends_with(&format!("#{id}")), "{} does not name {id}", panic.task);
    }
    end(pool).await;
}

// C138
async fn a_dropped_handle_detaches_its_task<K: Kind>() {
    let pool = pool::<K>(1);
    let tally = Tally::new();
    drop(pool.apply_async(|key: String| mark(&key, 1), (tally.key(),)));
    drop(pool.map_async(|key: String| mark(&key, 1), vec![tally.key(); 10]));
    end(pool).await;
    assert_eq!(tally.count(), 11);
}

// C186
async fn a_task_that_is_cancelled_before_it_starts_never_runs<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let first = held(&pool, &mut gate).await;
    // Some of them have been sent ahead to the worker, the others wait in the queue.
    let handles: Vec<_> =
        (0..10).map(|_| pool.apply_async(|key: String| mark(&key, 1), (tally.key(),))).collect();
    for handle in handles {
        assert!(handle.cancel());
        assert!(handle.is_finished());
        assert!(!handle.cancel(), "it is cancelled already");
        let cancelled = handle.await;
        assert!(matches!(cancelled, Err(Error::Cancelled { .. })), "{cancelled:?}");
    }
    assert_eq!(pool.stats().cancelled, 10);
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

/// Says that it runs, and when it sees that it is cancelled.
fn until_cancelled(gate: String, tally: String) {
    support::gate::pass(&gate);
    while !worker::is_cancelled() {
        std::thread::yield_now();
    }
    mark(&tally, 1);
}

// C186
async fn a_task_that_runs_sees_that_it_is_cancelled<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let handle = pool.apply_async(until_cancelled, (gate.key(), tally.key()));
    gate.arrived().await;
    gate.let_all_go();
    assert!(handle.cancel());
    assert!(matches!(handle.await, Err(Error::Cancelled { .. })));
    assert_eq!(pool.apply(double, (2,)).await.expect("the worker goes on"), 4);
    assert_eq!(tally.count(), 1);
    end(pool).await;
}

// C186
async fn the_next_task_is_not_cancelled_along<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    let second = pool.apply_async(worker::is_cancelled, ());
    assert!(first.cancel());
    gate.let_all_go();
    assert!(!second.await.expect(RUNS));
    end(pool).await;
}

// C186
async fn what_is_done_cannot_be_cancelled<K: Kind>() {
    let pool = pool::<K>(1);
    let handle = pool.apply_async(double, (1,));
    assert!(handle.wait(LONG).await);
    assert!(!handle.cancel());
    assert_eq!(handle.await.expect(RUNS), 2);
    end(pool).await;
}

// C208
async fn abort_on_drop_cancels_with_the_handle<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let first = held(&pool, &mut gate).await;
    drop(pool.apply_async(|key: String| mark(&key, 1), (tally.key(),)).abort_on_drop());
    drop(pool.map_async(|key: String| mark(&key, 1), vec![tally.key(); 10]).abort_on_drop());
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C208
async fn dropping_a_call_cancels_it<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let first = held(&pool, &mut gate).await;
    let mut call = pool.apply(|key: String| mark(&key, 1), (tally.key(),));
    assert!((&mut call).now_or_never().is_none(), "this starts it");
    let unpolled = pool.apply(|key: String| mark(&key, 1), (tally.key(),));
    drop((call, unpolled));
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C208
async fn dropping_a_map_cancels_it<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let first = held(&pool, &mut gate).await;
    let mut map = pool.map(|key: String| mark(&key, 1), vec![tally.key(); 100]);
    assert!((&mut map).now_or_never().is_none(), "this starts it");
    drop(map);
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C186
async fn cancelling_a_map_cancels_what_has_not_started<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let first = held(&pool, &mut gate).await;
    let map = pool.map_async(|key: String| mark(&key, 1), vec![tally.key(); 100]);
    support::until(|| pool.stats().submitted > 1).await;
    assert!(map.cancel());
    assert!(matches!(map.await, Err(Error::Cancelled { .. })));
    // Its driver takes back what it had sent when the runtime drops it.
    support::until(|| pool.stats().queued == 0 && pool.stats().running == 1).await;
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C150
async fn the_first_failure_cancels_the_rest_of_a_map<K: Kind>() {
    let pool = pool::<K>(1);
    let tally = Tally::new();
    let task = |key: String, n: u32| {
        assert!(n != 0, "the first fails");
        mark(&key, 1);
    };
    let key = tally.key();
    let input = (0..1_000_000).map(move |n| (key.clone(), n));
    let failed = pool.starmap(task, input).chunksize(1).await;
    assert!(matches!(failed, Err(Error::Panicked(_))), "{failed:?}");
    end(pool).await;
    assert!(tally.count() < 1_000, "{} have run", tally.count());
}

// C134, C185
async fn a_callback_gets_the_value_and_an_error_callback_the_error<K: Kind>() {
    let pool = pool::<K>(1);
    let (sender, receiver) = channel();
    let (values, errors) = (sender.clone(), sender);
    let observed = |handle: TaskHandle<u32>| {
        let (values, errors) = (values.clone(), errors.clone());
        let value = move |n: &u32| values.send(format!("value {n}")).expect("the test listens");
        let error = move |error: &Error| {
            errors.send(format!("error {}", matches!(error, Error::Panicked(_)))).expect("the test listens");
        };
        handle.callback(value).error_callback(error)
    };
    assert_eq!(observed(pool.apply_async(double, (3,))).await.expect(RUNS), 6);
    assert!(matches!(observed(pool.apply_async(fails, (3,))).await, Err(Error::Panicked(_))));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["value 6", "error true"]);
    end(pool).await;
}

// C134
async fn the_callback_of_a_map_gets_the_list_once<K: Kind>() {
    let pool = pool::<K>(2);
    let (sender, receiver) = channel();
    let lists = sender.clone();
    let map = pool.map_async(double, 0..4).callback(move |list| {
        lists.send(list.clone()).expect("the test listens");
    });
    assert_eq!(map.await.expect(RUNS), [0, 2, 4, 6]);
    let failing = pool.map_async(fails, 0..4).callback(|_| panic!("there is no list"));
    let failing = failing.error_callback(move |_| sender.send(Vec::new()).expect("the test listens"));
    assert!(matches!(failing.await, Err(Error::Panicked(_))));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [vec![0, 2, 4, 6], vec![]]);
    end(pool).await;
}

// C155
async fn an_argument_that_cannot_be_encoded_reaches_the_error_callback<K: Kind>() {
    let pool = pool::<K>(1);
    let (sender, receiver) = channel();
    let handle = pool.apply_async(|_: Unencodable| (), (Unencodable,)).error_callback(move |error| {
        sender.send(error.to_string()).expect("the test listens");
    });
    let failed = handle.await.expect_err("it cannot be encoded");
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [failed.to_string()]);
    end(pool).await;
}

// C185
async fn a_cancelled_task_reaches_the_error_callback<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    let (sender, receiver) = channel();
    let handle = pool.apply_async(double, (1,)).error_callback(move |error| {
        sender.send(matches!(error, Error::Cancelled { .. })).expect("the test listens");
    });
    assert!(handle.cancel());
    assert!(matches!(handle.await, Err(Error::Cancelled { .. })));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [true]);
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
}

// C185
async fn callbacks_run_in_the_order_they_were_attached<K: Kind>() {
    let pool = pool::<K>(1);
    let (sender, receiver) = channel();
    let mut handle = pool.apply_async(double, (1,));
    for n in 0..10 {
        let sender = sender.clone();
        handle = handle.callback(move |_| sender.send(n).expect("the test listens"));
    }
    handle.await.expect(RUNS);
    assert!(receiver.try_iter().eq(0..10));
    end(pool).await;
}

// C185
async fn a_callback_that_comes_late_runs_before_the_handle_is_ready<K: Kind>() {
    let pool = pool::<K>(1);
    for n in 0..100 {
        let (sender, receiver) = channel();
        let handle = pool.apply_async(double, (n,));
        assert!(handle.wait(LONG).await);
        let handle = handle.callback(move |n| sender.send(*n).expect("the test listens"));
        assert_eq!(handle.await.expect(RUNS), 2 * n);
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2 * n]);
    }
    end(pool).await;
}

// C185
async fn a_callback_that_comes_late_runs_for_a_dropped_handle<K: Kind>() {
    let pool = pool::<K>(1);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let handle = pool.apply_async(double, (4,));
    assert!(handle.wait(LONG).await);
    drop(handle.callback(move |n| sender.send(*n).expect("the test listens")));
    assert_eq!(receiver.await, Ok(8));
    end(pool).await;
}

// C185, C186
async fn a_callback_that_comes_when_the_result_is_taken_holds_nothing_up<K: Kind>() {
    let pool = pool::<K>(1);
    let handle = pool.apply_async(double, (4,));
    assert_eq!(handle.get(LONG).await.expect(RUNS), 8);
    let handle = handle.callback(|_| panic!("there is nothing left to be shown"));
    assert!(handle.wait(Duration::MAX).await, "it has finished");
    let again = handle.get(LONG).await;
    assert!(matches!(again, Err(Error::Taken { .. })), "{again:?}");
    end(pool).await;
}

// C185
async fn callbacks_run_for_a_handle_that_nobody_awaits<K: Kind>() {
    let pool = pool::<K>(1);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    drop(pool.apply_async(double, (4,)).callback(move |n| sender.send(*n).expect("the test listens")));
    assert_eq!(receiver.await, Ok(8));
    end(pool).await;
}

// C157, C185, C200
async fn a_callback_that_panics_fails_its_own_handle_only<K: Kind>() {
    let pool = pool::<K>(1);
    let (sender, receiver) = channel();
    let handle = pool.apply_async(double, (1,)).callback(|_| panic!("the callback breaks"));
    let handle = handle.callback(move |n| sender.send(*n).expect("the test listens"));
    let failed = handle.await;
    let Err(Error::Callback(panic)) = failed else { panic!("unexpected: {failed:?}") };
    assert!(panic.message.contains("the callback breaks"));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2], "the other callback has run");
    assert_eq!(pool.apply_async(double, (2,)).await.expect("later results come"), 4);
    assert_eq!(pool.map(double, 0..3).await.expect("later results come"), [0, 2, 4]);
    end(pool).await;
}

// C199
async fn a_callback_may_make_calls<K: Kind>() {
    let pool = pool::<K>(1);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let again = pool.clone();
    let handle = pool.apply_async(double, (1,)).callback(move |n| {
        let second = again.apply_async(double, (*n,));
        sender.send(second).expect("the test listens");
    });
    assert_eq!(handle.await.expect(RUNS), 2);
    let second = receiver.await.expect("the callback has run");
    assert_eq!(second.await.expect(RUNS), 4);
    end(pool).await;
}

// C185
async fn every_task_of_many_runs_its_callback_once<K: Kind>() {
    let pool = pool::<K>(2);
    let calls = Arc::new(AtomicU32::new(0));
    let handles: Vec<_> = (0..500)
        .map(|n| {
            let calls = Arc::clone(&calls);
            let count = move |_: &u32| {
                calls.fetch_add(1, Ordering::SeqCst);
            };
            pool.apply_async(double, (n,)).callback(count)
        })
        .collect();
    for handle in handles {
        handle.await.expect(RUNS);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 500);
    end(pool).await;
}

// C186
async fn start_makes_a_call_or_map_eager<K: Kind>() {
    let pool = pool::<K>(1);
    let tally = Tally::new();
    let call = pool.apply(|key: String| mark(&key, 1), (tally.key(),)).start();
    let map = pool.map(|key: String| mark(&key, 2), vec![tally.key(); 3]).chunksize(2).start();
    assert!(call.wait(LONG).await && map.wait(LONG).await);
    assert_eq!(tally.count(), 4);
    call.await.expect(RUNS);
    assert_eq!(map.await.expect(RUNS).len(), 3);
    end(pool).await;
}

// C186
async fn a_call_that_was_polled_can_be_started<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let first = held(&pool, &mut gate).await;
    let mut call = pool.apply(|key: String| mark(&key, 1), (tally.key(),));
    assert!((&mut call).now_or_never().is_none(), "this starts it");
    drop(call.start());
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 1, "a started call outlives its handle");
}

// C186
async fn calls_and_maps_are_lazy<K: Kind>() {
    let pool = pool::<K>(1);
    let tally = Tally::new();
    let call = pool.apply(|key: String| mark(&key, 1), (tally.key(),));
    let map = pool.map(|key: String| mark(&key, 1), [tally.key()]);
    assert_eq!(pool.apply(double, (1,)).await.expect(RUNS), 2);
    assert_eq!(pool.stats().submitted, 1);
    drop((call, map));
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

on_both!(
    awaiting_a_handle_waits_for_the_result,
    get_gives_up_in_time_and_the_task_goes_on,
    a_result_is_taken_once,
    a_limit_without_end_is_no_limit,
    wait_tells_whether_the_task_is_done,
    several_may_wait_for_one_handle,
    every_handle_has_a_number_of_its_own,
    a_dropped_handle_detaches_its_task,
    a_task_that_is_cancelled_before_it_starts_never_runs,
    a_task_that_runs_sees_that_it_is_cancelled,
    the_next_task_is_not_cancelled_along,
    what_is_done_cannot_be_cancelled,
    abort_on_drop_cancels_with_the_handle,
    dropping_a_call_cancels_it,
    dropping_a_map_cancels_it,
    cancelling_a_map_cancels_what_has_not_started,
    the_first_failure_cancels_the_rest_of_a_map,
    a_callback_gets_the_value_and_an_error_callback_the_error,
    the_callback_of_a_map_gets_the_list_once,
    an_argument_that_cannot_be_encoded_reaches_the_error_callback,
    a_cancelled_task_reaches_the_error_callback,
    callbacks_run_in_the_order_they_were_attached,
    a_callback_that_comes_late_runs_before_the_handle_is_ready,
    a_callback_that_comes_late_runs_for_a_dropped_handle,
    a_callback_that_comes_when_the_result_is_taken_holds_nothing_up,
    callbacks_run_for_a_handle_that_nobody_awaits,
    a_callback_that_panics_fails_its_own_handle_only,
    a_callback_may_make_calls,
    every_task_of_many_runs_its_callback_once,
    start_makes_a_call_or_map_eager,
    a_call_that_was_polled_can_be_started,
    calls_and_maps_are_lazy,
);
