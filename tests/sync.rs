//! Locks and semaphores, between the threads and tasks of one process. `tests/fork/sync.rs` has them between processes.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use multiprocess::{
    Barrier, BoundedSemaphore, Condition, Error, Event, Lock, LockGuard, OwnerDied, RLock, Semaphore,
};
use support::alone::alone;
use support::census::{Census, until};
use support::executor::block_on;
use support::foreign::{exit_code, fork};
use support::{run, run_outside};

/// A moment that is over before anything can happen that does not.
const MOMENT: Duration = Duration::from_millis(20);

/// What the tests expect of what has no reason to fail.
const RUNS: &str = "it has no reason to fail";

/// Does something on a thread of its own and waits for it.
fn elsewhere<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(act).join().expect("it does not panic"))
}

// C080
#[test]
fn a_lock_is_acquired_once_and_released_once() {
    let lock = Lock::new().expect(RUNS);
    assert!(!lock.locked());
    lock.blocking_acquire().expect(RUNS).forget();
    assert!(lock.locked() && lock.try_acquire().is_none());
    lock.release().expect("it is acquired");
    assert!(!lock.locked());
    assert!(matches!(lock.release(), Err(Error::NotAcquired)));
}

// C083
#[test]
fn a_guard_releases_its_lock_at_the_end_of_its_scope() {
    let lock = Lock::new().expect(RUNS);
    {
        let _guard = lock.blocking_acquire().expect(RUNS);
        assert!(lock.locked());
    }
    assert!(!lock.locked());
    let panics = || {
        let _guard = lock.blocking_acquire().expect(RUNS);
        std::panic::resume_unwind(Box::new(()));
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    assert!(!lock.locked(), "a panic releases it too");
}

#[test]
fn all_clones_of_a_lock_are_the_same_lock() {
    let lock = Lock::new().expect(RUNS);
    let clone = lock.clone();
    let _guard = lock.blocking_acquire().expect(RUNS);
    assert!(clone.try_acquire().is_none());
}

#[test]
fn a_guard_that_was_released_by_somebody_else_releases_nothing() {
    let lock = Lock::new().expect(RUNS);
    let guard = lock.blocking_acquire().expect(RUNS);
    lock.release().expect("it is acquired");
    drop(guard);
    assert!(lock.try_acquire().is_some());
}

#[test]
fn futures_and_threads_wait_for_the_same_lock() {
    run(async {
        let (lock, count) = (Lock::new().expect(RUNS), Arc::new(AtomicU32::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (lock, count) = (lock.clone(), Arc::clone(&count));
                thread::spawn(move || (0..1_000).for_each(|_| add_one(&lock.blocking_acquire(), &count)))
            })
            .collect();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (lock, count) = (lock.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    for _ in 0..1_000 {
                        add_one(&lock.acquire().await, &count);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        assert_eq!(count.load(Ordering::Relaxed), 8_000);
        assert!(!lock.locked());
    });
}

/// Not by one operation, so that it shows if two do it at once.
fn add_one(_guard: &multiprocess::Acquired<LockGuard<'_>>, count: &AtomicU32) {
    let before = count.load(Ordering::Relaxed);
    count.store(before + 1, Ordering::Relaxed);
}

#[test]
fn a_thousand_futures_all_get_their_turn() {
    run(async {
        let lock = Lock::new().expect(RUNS);
        let guard = lock.acquire().await.expect(RUNS);
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let lock = lock.clone();
                tokio::spawn(async move { drop(lock.acquire().await) })
            })
            .collect();
        drop(guard);
        for task in tasks {
            task.await.expect("it does not panic");
        }
    });
}

#[test]
fn a_lock_is_awaited_under_any_executor() {
    run_outside(|| {
        let lock = Lock::new().expect(RUNS);
        let guard = lock.blocking_acquire().expect(RUNS);
        let its = lock.clone();
        let waits = thread::spawn(move || block_on(async { drop(its.acquire().await) }));
        drop(guard);
        waits.join().expect("it does not panic");
    });
}

// fault 89
#[test]
fn a_future_that_is_dropped_takes_a_wake_up_from_nobody() {
    run(async {
        for _ in 0..200 {
            let lock = Lock::new().expect(RUNS);
            let guard = lock.acquire().await.expect(RUNS);
            let (dropped, waits) = (lock.clone(), lock.clone());
            let dropped = tokio::spawn(async move { drop(dropped.acquire().await) });
            let waits = tokio::spawn(async move { drop(waits.acquire().await) });
            tokio::task::yield_now().await;
            drop(guard);
            dropped.abort();
            waits.await.expect("it does not panic");
        }
    });
}

#[test]
fn a_lock_that_is_held_is_not_had_in_time() {
    run(async {
        let lock = Lock::new().expect(RUNS);
        let guard = lock.acquire().await.expect(RUNS);
        let began = Instant::now();
        assert!(lock.acquire_timeout(MOMENT).await.is_none());
        assert!(lock.blocking_acquire_timeout(MOMENT).is_none());
        assert!(began.elapsed() >= MOMENT * 2);
        assert!(lock.acquire_timeout(Duration::ZERO).await.is_none());
        drop(guard);
        assert!(lock.acquire_timeout(Duration::ZERO).await.is_some());
        assert!(lock.blocking_acquire_timeout(Duration::MAX).is_some());
    });
}

// C082
#[test]
fn a_thread_acquires_an_rlock_again_and_releases_it_as_often() {
    let lock = RLock::new().expect(RUNS);
    for _ in 0..3 {
        lock.blocking_acquire().expect(RUNS).forget();
    }
    for _ in 0..3 {
        assert!(elsewhere(|| lock.try_acquire().is_none()));
        lock.release().expect("it is ours");
    }
    assert!(!lock.locked());
    assert!(matches!(lock.release(), Err(Error::NotAcquired)));
}

// C082
#[test]
fn only_its_owner_may_release_an_rlock() {
    let lock = RLock::new().expect(RUNS);
    lock.blocking_acquire().expect(RUNS).forget();
    assert!(matches!(elsewhere(|| lock.release()), Err(Error::NotOwner)));
    assert!(lock.locked());
    lock.release().expect("it is ours");
}

// C082
#[test]
fn a_task_owns_an_rlock_on_whichever_thread_it_runs() {
    run(async {
        let lock = RLock::new().expect(RUNS);
        let (held, holds) = tokio::sync::oneshot::channel();
        let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
        let its = lock.clone();
        let task = tokio::spawn(async move {
            let outer = its.acquire().await.expect(RUNS);
            held.send(()).expect("the test waits for it");
            goes_on.await.expect("the test says so");
            let inner = its.acquire().await.expect(RUNS);
            drop(outer);
            assert!(its.locked());
            drop(inner);
        });
        holds.await.expect("it acquires it");
        let other = lock.clone();
        let other = tokio::spawn(async move { other.try_acquire().is_none() });
        assert!(other.await.expect("it does not panic"), "it is another task's");
        go_on.send(()).expect("it waits for it");
        task.await.expect("it does not panic");
        assert!(!lock.locked());
    });
}

// C084
#[test]
fn a_semaphore_counts_its_permits_and_may_be_released_beyond_them() {
    let semaphore = Semaphore::new(2).expect(RUNS);
    for left in [1, 0] {
        semaphore.blocking_acquire().expect(RUNS).forget();
        assert_eq!(semaphore.value(), left);
    }
    assert!(semaphore.try_acquire().is_none());
    for permits in [1, 2, 3] {
        semaphore.release().expect("it has no bound");
        assert_eq!(semaphore.value(), permits);
    }
}

// C084
#[test]
fn a_permit_is_given_back_when_its_guard_is_dropped() {
    let semaphore = Semaphore::new(1).expect(RUNS);
    let permit = semaphore.blocking_acquire().expect(RUNS);
    assert_eq!(semaphore.value(), 0);
    drop(permit);
    assert_eq!(semaphore.value(), 1);
}

// C085
#[test]
fn a_bounded_semaphore_is_not_released_beyond_its_permits() {
    let semaphore = BoundedSemaphore::new(2).expect(RUNS);
    semaphore.blocking_acquire().expect(RUNS).forget();
    semaphore.release().expect("one is spent");
    assert!(matches!(semaphore.release(), Err(Error::TooManyReleases { bound: 2 })));
    let _permit = semaphore.blocking_acquire().expect(RUNS);
    assert!(semaphore.release().is_err(), "its guard gives it back");
    assert_eq!(semaphore.value(), 1);
}

// C086
#[test]
fn a_permit_that_there_is_not_is_not_had_in_time() {
    run(async {
        let semaphore = Semaphore::new(0).expect(RUNS);
        let began = Instant::now();
        assert!(semaphore.acquire_timeout(Duration::ZERO).await.is_none());
        assert!(semaphore.acquire_timeout(MOMENT).await.is_none());
        assert!(semaphore.blocking_acquire_timeout(MOMENT).is_none());
        assert!(began.elapsed() >= MOMENT * 2);
    });
}

#[test]
fn never_more_hold_a_permit_than_there_are() {
    run(async {
        let semaphore = Semaphore::new(3).expect(RUNS);
        let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (semaphore, now, most) = (semaphore.clone(), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    for _ in 0..100 {
                        let _permit = semaphore.acquire().await.expect(RUNS);
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
        assert_eq!((most.load(Ordering::SeqCst), semaphore.value()), (3, 3));
    });
}

#[test]
fn the_error_of_a_dead_holder_gives_the_guard() {
    fn into_inner(died: OwnerDied<LockGuard<'_>>) -> LockGuard<'_> {
        died.into_inner()
    }
    let lock = Lock::new().expect(RUNS);
    let guard = lock.blocking_acquire().unwrap_or_else(into_inner);
    assert!(lock.locked());
    drop(guard);
}

#[test]
fn in_a_forked_child_of_a_program_with_threads_futures_go_on_waiting() {
    alone(|| {
        let lock = Lock::new().expect(RUNS);
        let guard = lock.blocking_acquire().expect(RUNS);
        assert!(block_on(lock.acquire_timeout(MOMENT)).is_none(), "the crate has a thread now");
        let pid = fork(|| assert!(block_on(lock.acquire()).is_ok()));
        assert_eq!(exit_code(pid), None, "it waits");
        drop(guard);
        let mut code = None;
        until("the child has had it", || {
            code = exit_code(pid);
            code.is_some()
        });
        assert_eq!(code, Some(0));
        assert!(!lock.locked());
    });
}

#[test]
fn nothing_is_left_of_what_was_dropped() {
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            run(async {
                let (lock, event) = (Lock::new().expect(RUNS), Event::new().expect(RUNS));
                let guard = lock.acquire().await.expect(RUNS);
                assert!(lock.acquire_timeout(MOMENT).await.is_none());
                assert!(!event.wait_timeout(MOMENT).await);
                drop(guard);
                let condition = Condition::with_lock(&lock).expect(RUNS);
                let guard = condition.acquire().await.expect(RUNS);
                drop(guard.wait_timeout(MOMENT).await.expect(RUNS));
                let (semaphore, barrier) = (Semaphore::new(1).expect(RUNS), Barrier::new(2).expect(RUNS));
                drop(semaphore.acquire().await.expect(RUNS));
                assert!(barrier.wait_timeout(MOMENT).await.is_err());
            });
            before.settles();
        }
    });
}
