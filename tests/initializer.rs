//! Initializers, and what a task can ask of the worker it runs in.

#![expect(clippy::needless_pass_by_value, reason = "arguments of tasks are owned")]

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt as _;
use multiprocess::{Error, Exit, Kind, Pool, ProcessPool, worker};
use support::gate::{Gate, pass, stand};
use support::tally::{Tally, mark};
use support::values::Unencodable;
use support::{end, exists, on_both, on_processes, pool, until};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

fn double(n: u32) -> u32 {
    n * 2
}

/// A state that no serde can write.
struct Log(Mutex<Vec<u32>>);

fn begin_log(first: u32) -> Log {
    Log(Mutex::new(vec![first]))
}

fn append(n: u32) -> Vec<u32> {
    let log = worker::state::<Log>().expect("the pool has an initializer");
    let mut log = log.0.lock().expect("no task panics while it holds it");
    log.push(n);
    log.clone()
}

// C162
async fn an_initializer_runs_once_in_every_worker<K: Kind>() {
    let tally = Tally::new();
    let builder = Pool::<K>::builder().workers(3).initializer(|key: String| mark(&key, 1), (tally.key(),));
    let pool = builder.build().expect("the pool starts");
    pool.ready().await.expect("they start");
    assert_eq!(tally.count(), 3);
    pool.map(double, 0..1_000).await.expect(RUNS);
    assert_eq!(tally.count(), 3);
    pool.resize(4).expect("it is open");
    pool.ready().await.expect("one more starts");
    assert_eq!(tally.count(), 4);
    end(pool).await;
}

// C162
async fn an_initializer_runs_before_the_first_task<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).initializer(begin_log, (7,)).build().expect("the pool starts");
    assert_eq!(pool.apply(append, (8,)).await.expect(RUNS), [7, 8]);
    end(pool).await;
}

// C162
async fn the_state_of_a_worker_lasts_from_task_to_task<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).initializer(begin_log, (0,)).build().expect("the pool starts");
    for n in 1..5 {
        assert!(pool.apply(append, (n,)).await.expect(RUNS).into_iter().eq(0..=n));
    }
    end(pool).await;
}

// C162
async fn every_worker_has_a_state_of_its_own<K: Kind>() {
    let pool = Pool::<K>::builder().workers(2).initializer(begin_log, (0,)).build().expect("the pool starts");
    let mut gate = Gate::new();
    let task = |key: String, n: u32| {
        pass(&key);
        append(n)
    };
    let handles = [1, 2].map(|n| pool.apply_async(task, (gate.key(), n)));
    gate.arrived().await;
    gate.arrived().await;
    gate.let_all_go();
    let [first, second] = handles;
    assert_eq!((first.await.expect(RUNS), second.await.expect(RUNS)), (vec![0, 1], vec![0, 2]));
    end(pool).await;
}

// C162
async fn a_state_is_found_by_its_type_only<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).initializer(|| 7_u32, ()).build().expect("the pool starts");
    let states = || (worker::state::<u32>().map(|state| *state), worker::state::<u64>().is_some());
    assert_eq!(pool.apply(states, ()).await.expect(RUNS), (Some(7), false));
    assert!(worker::state::<u32>().is_none(), "this is no worker");
    end(pool).await;
}

// C162
async fn without_an_initializer_there_is_no_state<K: Kind>() {
    let pool = pool::<K>(1);
    assert!(!pool.apply(|| worker::state::<()>().is_some(), ()).await.expect(RUNS));
    end(pool).await;
}

// C162
async fn an_initializer_may_have_many_arguments<K: Kind>() {
    let init = |a: u8, b: String, c: (u8, u8), d: Option<char>| format!("{a} {b} {c:?} {d:?}");
    let builder = Pool::<K>::builder().workers(1).initializer(init, (1, "two".to_owned(), (3, 4), Some('5')));
    let pool = builder.build().expect("the pool starts");
    let state =
        pool.apply(|| worker::state::<String>().map(|state| state.to_string()), ()).await.expect(RUNS);
    assert_eq!(state.as_deref(), Some("1 two (3, 4) Some('5')"));
    end(pool).await;
}

// C162
async fn a_fallible_initializer_gives_the_value_of_its_ok<K: Kind>() {
    let parse = |text: String| text.parse::<u32>();
    let builder = Pool::<K>::builder().workers(1).try_initializer(parse, ("42".to_owned(),));
    let pool = builder.build().expect("the pool starts");
    let state = pool.apply(|| worker::state::<u32>().map(|state| *state), ()).await.expect(RUNS);
    assert_eq!(state, Some(42));
    end(pool).await;
}

// C189
async fn an_initializer_whose_result_nobody_would_see_is_refused<K: Kind>() {
    let refused = Pool::<K>::builder().workers(1).initializer(|| "x".parse::<u32>(), ()).build();
    assert!(matches!(refused, Err(Error::Option { option: "initializer", .. })), "{refused:?}");
}

// C189
async fn arguments_of_an_initializer_that_cannot_be_encoded_are_refused<K: Kind>() {
    let refused = Pool::<K>::builder().workers(1).initializer(|_: Unencodable| (), (Unencodable,)).build();
    assert!(matches!(refused, Err(Error::Encode { what: "the arguments", .. })), "{refused:?}");
}

/// Fails the test unless all that was asked of the pool fails with the initializer's cause.
async fn all_fail_for<K: Kind>(pool: Pool<K>, cause: &str) {
    let is_it = |error: &Error| matches!(error, Error::Initializer { cause: it } if it.contains(cause));
    let pending: Vec<_> = (0..10).map(|n| pool.apply_async(double, (n,))).collect();
    let map = pool.map_async(double, 0..100);
    let stream = pool.imap(double, 0..100).collect::<Vec<_>>();
    for handle in pending {
        let error = handle.await.expect_err("no worker starts");
        assert!(is_it(&error), "{error}");
    }
    assert!(is_it(&map.await.expect_err("no worker starts")));
    let last = stream.await.pop().expect("an error comes last");
    assert!(is_it(&last.expect_err("no worker starts")));
    assert!(is_it(&pool.ready().await.expect_err("no worker starts")));
    assert!(is_it(&pool.apply(double, (1,)).await.expect_err("the pool is broken")));
    assert!(is_it(&pool.resize(3).expect_err("the pool is broken")));
    assert!(pool.worker_pids().is_empty());
    end(pool).await;
}

// C189
// fault 13
async fn an_initializer_that_panics_fails_all_calls_with_its_cause<K: Kind>() {
    let builder = Pool::<K>::builder().workers(2).initializer(|n: u32| assert_eq!(n, 0, "no luck"), (1,));
    all_fail_for(builder.build().expect("the pool starts"), "no luck").await;
}

// C189
// fault 13
async fn an_initializer_that_gives_an_error_fails_all_calls_with_its_cause<K: Kind>() {
    let connect = |url: String| Err::<(), _>(format!("no route to {url}"));
    let builder = Pool::<K>::builder().workers(2).try_initializer(connect, ("db:1".to_owned(),));
    all_fail_for(builder.build().expect("the pool starts"), "no route to db:1").await;
}

/// Fails in all workers but the first two.
fn first_two_only(key: String) -> Result<(), String> {
    mark(&key, 1);
    let before = std::fs::read(&key).map_err(|error| error.to_string())?.len();
    if before <= 2 { Ok(()) } else { Err("there are two already".into()) }
}

// fault 13
async fn an_initializer_that_exits_fails_all_calls_with_its_exit() {
    let exit = || -> u8 { std::process::exit(3) };
    let pool = ProcessPool::builder().workers(2).initializer(exit, ()).build().expect("the pool starts");
    let Err(Error::Broken { causes }) = pool.apply(double, (1,)).await else { panic!("no worker starts") };
    for cause in causes {
        assert!(matches!(&cause, Error::WorkerDied(death) if death.exit == Exit::Code(3)), "{cause:?}");
    }
    assert!(matches!(pool.ready().await, Err(Error::Broken { .. })), "it stays so");
    end(pool).await;
}

// fault 14
async fn a_crash_loop_starts_six_workers_and_then_no_more() {
    let tally = Tally::new();
    let crash = |key: String| -> u8 {
        mark(&key, 1);
        std::process::abort()
    };
    let builder = ProcessPool::builder().workers(1).initializer(crash, (tally.key(),));
    let pool = builder.build().expect("the pool starts");
    let Err(Error::Broken { causes }) = pool.apply(double, (1,)).await else { panic!("no worker starts") };
    assert_eq!((causes.len(), tally.count()), (6, 6));
    // Nothing of a broken pool lives that could start another one.
    pool.join().await.expect("a broken pool has ended");
    assert!(matches!(pool.apply(double, (1,)).await, Err(Error::Broken { .. })));
    assert_eq!((tally.count(), pool.stats().starting), (6, 0));
    drop(pool);
}

// C161
async fn a_worker_that_cannot_start_leaves_no_stray_ones() {
    let tally = Tally::new();
    // One after the other, so that it is known which two start.
    let builder = ProcessPool::builder().workers(1).try_initializer(first_two_only, (tally.key(),));
    let pool = builder.build().expect("the pool starts");
    pool.ready().await.expect("the first starts");
    pool.resize(2).expect("it is open");
    pool.ready().await.expect("the second starts");
    pool.resize(3).expect("it is open");
    until(|| tally.count() > 3).await;
    let pids = pool.worker_pids();
    assert_eq!(pids.len(), 2);
    assert_eq!(pool.apply(double, (1,)).await.expect("two workers are enough"), 2);
    end(pool).await;
    assert!(!pids.into_iter().any(exists));
}

// C162
async fn the_initializer_runs_again_in_a_replacement() {
    let tally = Tally::new();
    let builder = ProcessPool::builder().workers(1).initializer(|key: String| mark(&key, 1), (tally.key(),));
    let pool = builder.build().expect("the pool starts");
    let died = pool.apply(|| -> () { std::process::exit(3) }, ()).await;
    assert!(matches!(died, Err(Error::WorkerDied(_))), "{died:?}");
    assert_eq!(pool.apply(double, (1,)).await.expect("there is a replacement"), 2);
    assert_eq!(tally.count(), 2);
    end(pool).await;
}

// C189
async fn an_initializer_that_stands_still_can_be_terminated<K: Kind>() {
    let mut gate = Gate::new();
    let builder = Pool::<K>::builder().workers(1).initializer(stand, (gate.key(),));
    let pool = builder.build().expect("the pool starts");
    let handle = pool.apply_async(double, (1,));
    gate.arrived().await;
    assert_eq!((pool.stats().starting, pool.stats().workers), (1, 0));
    assert!(!handle.wait(Duration::ZERO).await);
    pool.terminate();
    assert!(matches!(handle.await, Err(Error::Cancelled { .. })));
    gate.let_all_go();
    pool.join().await.expect("it was terminated");
}

// C174
async fn a_task_knows_its_worker<K: Kind>() {
    let pool = Pool::<K>::builder().workers(2).name("render").build().expect("the pool starts");
    pool.ready().await.expect("they start");
    let mut gate = Gate::new();
    let task = |key: String| {
        pass(&key);
        worker::current().map(|worker| (worker.index, worker.id, worker.pool.clone(), worker.to_string()))
    };
    let handles = [(); 2].map(|()| pool.apply_async(task, (gate.key(),)));
    gate.arrived().await;
    gate.arrived().await;
    gate.let_all_go();
    let mut seen = BTreeSet::new();
    for handle in handles {
        let (index, id, name, text) = handle.await.expect(RUNS).expect("it runs in a worker");
        assert_eq!((name.as_str(), text), ("render", format!("render: worker {index}")));
        assert!(pool.worker_pids().contains(&id));
        seen.insert(index);
    }
    assert!(seen.into_iter().eq(0..2));
    assert!(worker::current().is_none(), "this is no worker");
    end(pool).await;
}

// C186
async fn nothing_is_cancelled_outside_of_tasks<K: Kind>() {
    let pool = pool::<K>(1);
    assert!(!worker::is_cancelled());
    assert!(!pool.apply(worker::is_cancelled, ()).await.expect(RUNS));
    assert_eq!(pool.map(|_: u8| worker::is_cancelled(), [1, 2]).await.expect(RUNS), [false, false]);
    end(pool).await;
}

// C221
async fn the_environment_and_directory_are_those_of_the_workers_only() {
    let builder = ProcessPool::builder().workers(1).env("MULTIPROCESS_TEST_COLOUR", "green").current_dir("/");
    let pool = builder.build().expect("the pool starts");
    let theirs = || (std::env::var("MULTIPROCESS_TEST_COLOUR").ok(), std::env::current_dir().ok());
    let (colour, directory) = pool.apply(theirs, ()).await.expect(RUNS);
    assert_eq!((colour.as_deref(), directory), (Some("green"), Some("/".into())));
    assert!(std::env::var_os("MULTIPROCESS_TEST_COLOUR").is_none());
    end(pool).await;
}

on_processes!(
    an_initializer_that_exits_fails_all_calls_with_its_exit,
    a_crash_loop_starts_six_workers_and_then_no_more,
    a_worker_that_cannot_start_leaves_no_stray_ones,
    the_initializer_runs_again_in_a_replacement,
    the_environment_and_directory_are_those_of_the_workers_only,
);

on_both!(
    an_initializer_runs_once_in_every_worker,
    an_initializer_runs_before_the_first_task,
    the_state_of_a_worker_lasts_from_task_to_task,
    every_worker_has_a_state_of_its_own,
    a_state_is_found_by_its_type_only,
    without_an_initializer_there_is_no_state,
    an_initializer_may_have_many_arguments,
    a_fallible_initializer_gives_the_value_of_its_ok,
    an_initializer_whose_result_nobody_would_see_is_refused,
    arguments_of_an_initializer_that_cannot_be_encoded_are_refused,
    an_initializer_that_panics_fails_all_calls_with_its_cause,
    an_initializer_that_gives_an_error_fails_all_calls_with_its_cause,
    an_initializer_that_stands_still_can_be_terminated,
    a_task_knows_its_worker,
    nothing_is_cancelled_outside_of_tasks,
);
