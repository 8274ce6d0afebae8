//! Tasks that may run again after their worker has died.

#![expect(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod support;

use std::collections::BTreeSet;

use futures::StreamExt as _;
use multiprocess::{Error, Exit, Kind, ProcessPool};
use support::foreign::{SIGABRT, SIGKILL, raise};
use support::tally::{Tally, tell};
use support::{end, on_both, on_processes, pool};

on_both!(a_panic_is_no_reason_to_run_again);

on_processes!(
    a_task_that_may_be_retried_runs_again_on_another_worker,
    a_task_that_kills_all_its_workers_fails_with_the_number_of_them,
    the_retries_of_the_pool_hold_for_calls_that_say_nothing,
    an_element_is_retried_alone_and_the_others_run_once,
    a_poisonous_task_takes_no_other_along,
);

/// Tells the worker it runs on; dies under the first so many attempts.
fn fragile(key: String, deaths: usize) -> usize {
    tell(&key, &std::process::id().to_string());
    let attempts = std::fs::read_to_string(&key).expect("the tally is there").lines().count();
    if attempts <= deaths {
        std::process::abort();
    }
    attempts
}

async fn a_panic_is_no_reason_to_run_again<K: Kind>() {
    let (pool, tally) = (pool::<K>(1), Tally::new());
    let task = |key: String| -> u8 {
        tell(&key, "here");
        panic!("as always")
    };
    assert!(matches!(pool.apply(task, (tally.key(),)).retries(3).await, Err(Error::Panicked(_))));
    assert_eq!(tally.lines().len(), 1);
    end(pool).await;
}

// fault 15, 83
async fn a_task_that_may_be_retried_runs_again_on_another_worker() {
    let pool = ProcessPool::new(2).expect("the pool starts");
    let tally = Tally::new();
    assert_eq!(pool.apply(fragile, (tally.key(), 2)).retries(2).await.expect("the third goes well"), 3);
    let workers: BTreeSet<_> = tally.lines().into_iter().collect();
    assert_eq!(workers.len(), 3, "each attempt had its own worker");
    let stats = pool.stats();
    assert_eq!((stats.retried, stats.deaths, stats.failed, stats.completed), (2, 2, 0, 1));
    end(pool).await;
}

// fault 15
async fn a_task_that_kills_all_its_workers_fails_with_the_number_of_them() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    let tally = Tally::new();
    let error = pool.apply(fragile, (tally.key(), 99)).retries(2).await.expect_err("it always dies");
    let text = error.to_string();
    assert!(text.contains("the last of 3 workers"), "{text}");
    let Error::WorkerDied(death) = error else { panic!("{error:?}") };
    assert_eq!((death.attempts, death.exit), (3, Exit::Signal(SIGABRT)));
    assert_eq!(tally.lines().len(), 3);
    // Without retries it runs once.
    match pool.apply(raise, (SIGKILL,)).await {
        Err(Error::WorkerDied(death)) => assert_eq!(death.attempts, 1),
        other => panic!("it killed itself, but got {other:?}"),
    }
    end(pool).await;
}

async fn the_retries_of_the_pool_hold_for_calls_that_say_nothing() {
    let pool = ProcessPool::builder().workers(1).retries(1).build().expect("the pool starts");
    let tally = Tally::new();
    assert_eq!(pool.apply_async(fragile, (tally.key(), 1)).await.expect("the second goes well"), 2);
    let tally = Tally::new();
    let result = pool.apply(fragile, (tally.key(), 1)).retries(0).await;
    assert!(matches!(result, Err(Error::WorkerDied(_))), "{result:?}");
    end(pool).await;
}

async fn an_element_is_retried_alone_and_the_others_run_once() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    let (all, deaths) = (Tally::new(), Tally::new());
    let (key, fatal) = (all.key(), deaths.key());
    let input = (0..10_usize).map(move |n| (n, key.clone(), fatal.clone()));
    let task = |(n, key, fatal): (usize, String, String)| {
        tell(&key, &n.to_string());
        if n == 6 { fragile(fatal, 2) } else { n }
    };
    let results: Vec<_> = pool.imap(task, input).chunksize(10).retries(2).collect().await;
    let results: Vec<_> = results.into_iter().map(|result| result.expect("the third goes well")).collect();
    assert_eq!(results, [0, 1, 2, 3, 4, 5, 3, 7, 8, 9]);
    let mut told = all.lines();
    told.sort_unstable();
    assert_eq!(told, ["0", "1", "2", "3", "4", "5", "6", "6", "6", "7", "8", "9"]);
    end(pool).await;
}

// fault 15
async fn a_poisonous_task_takes_no_other_along() {
    let pool = ProcessPool::new(2).expect("the pool starts");
    let tally = Tally::new();
    let poison = pool.apply(fragile, (tally.key(), 99)).retries(5).start();
    let good = pool.map(|n: u32| n + 1, 0..1_000).chunksize(1).await.expect("they are healthy");
    assert!(good.into_iter().eq(1..=1_000));
    assert!(poison.await.is_err());
    assert_eq!(tally.lines().len(), 6);
    end(pool).await;
}
