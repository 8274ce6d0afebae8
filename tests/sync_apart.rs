//! Locks and the like between tasks that are apart, in processes and on threads: what is waited for in vain, and how rounds end.

mod support;

use std::time::{Duration, Instant};

use futures::future;
use multiprocess::{Barrier, BoundedSemaphore, Condition, Error, Kind, Semaphore};
use support::{end, on_both, pool, until};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";
/// What nobody waits for.
const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(20);

on_both!(
    a_bound_holds_for_all,
    a_permit_that_another_task_has_is_not_had_in_time,
    so_many_sleepers_wake_as_are_notified,
    a_wait_in_vain_takes_its_time_and_holds_the_lock_again,
    an_abort_reaches_all_parties_until_the_barrier_is_reset,
    a_reset_frees_the_parties_that_wait,
    a_party_that_comes_too_late_finds_the_barrier_broken,
    a_barrier_of_one_is_passed_at_once,
);

fn broken<T: std::fmt::Debug>(result: multiprocess::Result<T>) -> bool {
    matches!(result, Err(Error::BrokenBarrier))
}

// C085
async fn a_bound_holds_for_all<K: Kind>() {
    let (pool, semaphore) = (pool::<K>(1), BoundedSemaphore::new(2).expect("there is room"));
    let takes = |semaphore: BoundedSemaphore| {
        semaphore.try_acquire().expect("there is one").expect("nobody has died with it").forget();
    };
    pool.apply(takes, (semaphore.clone(),)).await.expect(RUNS);
    semaphore.release().expect("a task has taken it");
    let releases =
        |semaphore: BoundedSemaphore| matches!(semaphore.release(), Err(Error::TooManyReleases { bound: 2 }));
    assert!(pool.apply(releases, (semaphore.clone(),)).await.expect(RUNS));
    assert_eq!(semaphore.value(), 2);
    end(pool).await;
}

// C086
async fn a_permit_that_another_task_has_is_not_had_in_time<K: Kind>() {
    let (pool, semaphore) = (pool::<K>(1), Semaphore::new(1).expect("there is room"));
    let permit = semaphore.acquire().await.expect("nobody has died with it");
    let waits = |semaphore: Semaphore| {
        let at_once = semaphore.try_acquire().is_none();
        let nothing = semaphore.blocking_acquire_timeout(Duration::ZERO).is_none();
        let began = Instant::now();
        let in_vain = semaphore.blocking_acquire_timeout(SHORT).is_none();
        at_once && nothing && in_vain && began.elapsed() >= SHORT
    };
    assert!(pool.apply(waits, (semaphore.clone(),)).await.expect(RUNS));
    drop(permit);
    end(pool).await;
}

// C089
async fn so_many_sleepers_wake_as_are_notified<K: Kind>() {
    let (pool, condition) = (pool::<K>(6), Condition::new().expect("there is room"));
    let sleeps = |condition: Condition| {
        let guard = condition.blocking_acquire().expect("nobody has died with it");
        drop(guard.blocking_wait().expect("nobody has died with it"));
    };
    let sleepers: Vec<_> = (0..6).map(|_| pool.apply_async(sleeps, (condition.clone(),))).collect();
    until(|| condition.waiting() == 6).await;
    condition.notify_n(2);
    until(|| sleepers.iter().filter(|sleeper| sleeper.is_finished()).count() == 2).await;
    assert_eq!(condition.waiting(), 4);
    condition.notify_n(4);
    future::try_join_all(sleepers).await.expect(RUNS);
    condition.notify_n(3);
    assert_eq!(condition.waiting(), 0);
    end(pool).await;
}

// C090, C092
async fn a_wait_in_vain_takes_its_time_and_holds_the_lock_again<K: Kind>() {
    let (pool, condition) = (pool::<K>(1), Condition::new().expect("there is room"));
    let waits = |condition: Condition| {
        let began = Instant::now();
        let guard = condition.blocking_acquire().expect("nobody has died with it");
        let (guard, notified) = guard.blocking_wait_timeout(SHORT).expect("nobody has died with it");
        let first = !notified && condition.lock().locked() && began.elapsed() >= SHORT;
        let waited = guard.blocking_wait_for_timeout(|| false, SHORT * 2);
        let (guard, held) = waited.expect("nobody has died with it");
        drop(guard);
        first && !held && began.elapsed() >= SHORT * 3
    };
    assert!(pool.apply(waits, (condition.clone(),)).await.expect(RUNS));
    assert!(!condition.lock().locked());
    end(pool).await;
}

// C099, C101
async fn an_abort_reaches_all_parties_until_the_barrier_is_reset<K: Kind>() {
    let (pool, barrier) = (pool::<K>(2), Barrier::new(3).expect("there is room"));
    let waits = |barrier: Barrier| broken(barrier.blocking_wait());
    let parties: Vec<_> = (0..2).map(|_| pool.apply_async(waits, (barrier.clone(),))).collect();
    until(|| barrier.n_waiting() == 2).await;
    barrier.abort();
    assert_eq!(future::try_join_all(parties).await.expect(RUNS), [true, true]);
    assert!(pool.apply(waits, (barrier.clone(),)).await.expect(RUNS), "it stays broken");
    barrier.reset();
    let passes = |barrier: Barrier| barrier.blocking_wait().is_ok();
    let parties: Vec<_> = (0..2).map(|_| pool.apply_async(passes, (barrier.clone(),))).collect();
    barrier.wait().await.expect("it works again");
    assert_eq!(future::try_join_all(parties).await.expect(RUNS), [true, true]);
    end(pool).await;
}

// C100
async fn a_reset_frees_the_parties_that_wait<K: Kind>() {
    let (pool, barrier) = (pool::<K>(2), Barrier::new(3).expect("there is room"));
    let waits = |barrier: Barrier| broken(barrier.blocking_wait());
    let parties: Vec<_> = (0..2).map(|_| pool.apply_async(waits, (barrier.clone(),))).collect();
    until(|| barrier.n_waiting() == 2).await;
    barrier.reset();
    assert!(!barrier.broken());
    assert_eq!(future::try_join_all(parties).await.expect(RUNS), [true, true]);
    let passes = |barrier: Barrier| barrier.blocking_wait().is_ok();
    let parties: Vec<_> = (0..2).map(|_| pool.apply_async(passes, (barrier.clone(),))).collect();
    barrier.wait().await.expect("it works again");
    assert_eq!(future::try_join_all(parties).await.expect(RUNS), [true, true]);
    end(pool).await;
}

// C102
async fn a_party_that_comes_too_late_finds_the_barrier_broken<K: Kind>() {
    let (pool, barrier) = (pool::<K>(1), Barrier::new(2).expect("there is room").timeout(SHORT));
    let waits = |barrier: Barrier| {
        let began = Instant::now();
        broken(barrier.blocking_wait()) && began.elapsed() >= SHORT
    };
    assert!(pool.apply(waits, (barrier.clone(),)).await.expect(RUNS), "its limit has come along");
    assert!(broken(barrier.wait_timeout(LONG).await) && barrier.broken());
    end(pool).await;
}

// C103
async fn a_barrier_of_one_is_passed_at_once<K: Kind>() {
    let (pool, barrier) = (pool::<K>(1), Barrier::new(1).expect("there is room"));
    let passes = |barrier: Barrier| barrier.blocking_wait().ok();
    assert_eq!(pool.apply(passes, (barrier.clone(),)).await.expect(RUNS), Some(0));
    assert_eq!(barrier.wait().await.expect("it is the only one"), 0);
    end(pool).await;
}
