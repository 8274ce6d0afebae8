//! Events, conditions and barriers, between the threads and tasks of one process. `tests/fork/sync.rs` has them between
//! processes.

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use multiprocess::{Barrier, Condition, Error, Event};
use support::{run, run_outside, until};

/// A moment that is over before anything can happen that does not.
const MOMENT: Duration = Duration::from_millis(20);

/// What the tests expect of what has no reason to fail.
const RUNS: &str = "it has no reason to fail";

/// Polls a future once; true if it is not ready.
fn waits_for_something<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

// C094
#[test]
fn an_event_is_set_and_cleared() {
    run(async {
        let event = Event::new().expect(RUNS);
        assert!(!event.is_set() && !event.wait_timeout(Duration::ZERO).await);
        assert!(!event.blocking_wait_timeout(MOMENT));
        event.set();
        event.wait().await;
        event.blocking_wait();
        assert!(event.is_set() && event.wait_timeout(Duration::ZERO).await);
        event.clear();
        assert!(!event.is_set() && !event.wait_timeout(MOMENT).await);
    });
}

// C094
#[test]
fn a_set_frees_all_that_wait_also_if_it_is_cleared_at_once() {
    run(async {
        for _ in 0..50 {
            let (event, begun) = (Event::new().expect(RUNS), Arc::new(AtomicU32::new(0)));
            let tasks: Vec<_> = (0..3)
                .map(|_| {
                    let (event, begun) = (event.clone(), Arc::clone(&begun));
                    tokio::spawn(async move {
                        let mut waits = Box::pin(event.wait());
                        // The first poll has noted how often it was set.
                        assert!(waits_for_something(&mut waits));
                        begun.fetch_add(1, Ordering::SeqCst);
                        waits.await;
                    })
                })
                .collect();
            until(|| begun.load(Ordering::SeqCst) == 3).await;
            event.set();
            event.clear();
            for task in tasks {
                task.await.expect("it does not panic");
            }
        }
    });
}

/// So many that wait for a condition, every other of them blocking a thread. Each says in the end whether it was notified.
fn sleepers(condition: &Condition, count: usize, limit: Duration) -> Vec<tokio::task::JoinHandle<bool>> {
    let sleeper = |number| {
        let condition = condition.clone();
        if number % 2 == 0 {
            tokio::spawn(async move {
                let guard = condition.acquire().await.expect(RUNS);
                guard.wait_timeout(limit).await.expect(RUNS).1
            })
        } else {
            tokio::task::spawn_blocking(move || {
                let guard = condition.blocking_acquire().expect(RUNS);
                guard.blocking_wait_timeout(limit).expect(RUNS).1
            })
        }
    };
    (0..count).map(sleeper).collect()
}

async fn woken(sleepers: Vec<tokio::task::JoinHandle<bool>>) -> usize {
    let woken = futures::future::try_join_all(sleepers).await.expect("no sleeper panics");
    woken.into_iter().filter(|notified| *notified).count()
}

// C087
#[test]
fn each_notification_wakes_one_sleeper() {
    run(async {
        let condition = Condition::new().expect(RUNS);
        let sleepers = sleepers(&condition, 6, Duration::MAX);
        until(|| condition.waiting() == 6).await;
        for left in (0..6).rev() {
            condition.notify();
            assert_eq!(condition.waiting(), left);
            until(|| sleepers.iter().filter(|sleeper| !sleeper.is_finished()).count() == left).await;
        }
        assert_eq!(woken(sleepers).await, 6);
    });
}

// C088
#[test]
fn notify_all_wakes_all_sleepers_and_those_whose_time_was_over_count_no_more() {
    run(async {
        let condition = Condition::new().expect(RUNS);
        assert_eq!(woken(sleepers(&condition, 4, MOMENT)).await, 0);
        assert_eq!(condition.waiting(), 0);
        let sleepers = sleepers(&condition, 6, Duration::MAX);
        until(|| condition.waiting() == 6).await;
        condition.notify_all();
        assert_eq!(woken(sleepers).await, 6);
    });
}

// C089
#[test]
fn notify_n_wakes_so_many_and_never_more_than_there_are() {
    run(async {
        let condition = Condition::new().expect(RUNS);
        let sleepers = sleepers(&condition, 6, Duration::MAX);
        until(|| condition.waiting() == 6).await;
        condition.notify_n(2);
        assert_eq!(condition.waiting(), 4);
        until(|| sleepers.iter().filter(|sleeper| sleeper.is_finished()).count() == 2).await;
        condition.notify_n(4);
        assert_eq!(woken(sleepers).await, 6);
        condition.notify_n(3);
        let guard = condition.acquire().await.expect(RUNS);
        assert!(!guard.wait_timeout(MOMENT).await.expect(RUNS).1, "those before it are gone");
    });
}

// C090
#[test]
fn a_wait_whose_time_is_over_holds_the_lock_again() {
    run(async {
        let condition = Condition::new().expect(RUNS);
        let guard = condition.acquire().await.expect(RUNS);
        let (guard, notified) = guard.wait_timeout(MOMENT).await.expect(RUNS);
        assert!(!notified && condition.lock().locked());
        let (guard, notified) = guard.blocking_wait_timeout(MOMENT).expect(RUNS);
        assert!(!notified && condition.lock().locked());
        drop(guard);
        assert!(!condition.lock().locked());
    });
}

// C091
#[test]
fn wait_for_goes_on_until_it_holds() {
    run(async {
        let (condition, state) = (Condition::new().expect(RUNS), Arc::new(AtomicU32::new(0)));
        let (waits, its) = (condition.clone(), Arc::clone(&state));
        let task = tokio::spawn(async move {
            let guard = waits.acquire().await.expect(RUNS);
            drop(guard.wait_for(|| its.load(Ordering::Relaxed) == 4).await.expect(RUNS));
        });
        for n in 1..=4 {
            until(|| condition.waiting() == 1).await;
            let _guard = condition.acquire().await.expect(RUNS);
            state.store(n, Ordering::Relaxed);
            condition.notify();
        }
        task.await.expect("it does not panic");
    });
}

// C092
#[test]
fn what_never_holds_is_waited_for_as_long_as_was_said_whoever_notifies() {
    run(async {
        let condition = Condition::new().expect(RUNS);
        let waits = condition.clone();
        let began = Instant::now();
        let task = tokio::spawn(async move {
            let guard = waits.acquire().await.expect(RUNS);
            guard.wait_for_timeout(|| false, MOMENT * 3).await.expect(RUNS).1
        });
        until(|| {
            condition.notify();
            task.is_finished()
        })
        .await;
        assert!(!task.await.expect("it does not panic"));
        assert!(began.elapsed() >= MOMENT * 3);
    });
}

// fault 89
#[test]
fn a_sleeper_that_is_dropped_hands_its_notification_on() {
    run(async {
        let condition = Condition::new().expect(RUNS);
        let mut first = Box::pin(async { condition.acquire().await.expect(RUNS).wait().await });
        assert!(waits_for_something(&mut first));
        let mut second = Box::pin(async { condition.acquire().await.expect(RUNS).wait().await });
        assert!(waits_for_something(&mut second));
        condition.notify();
        drop(first);
        drop(second.await.expect(RUNS));
    });
}

// C097
#[test]
fn each_party_gets_another_number() {
    run(async {
        let barrier = Barrier::new(5).expect(RUNS);
        for _ in 0..20 {
            let parties = (0..5).map(|_| barrier.wait());
            let mut numbers = futures::future::try_join_all(parties).await.expect("nobody breaks it");
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2, 3, 4]);
        }
    });
}

// C095, C096, C104
#[test]
fn the_parties_of_a_barrier_stay_in_step() {
    run_outside(|| {
        let barrier = Barrier::new(5).expect(RUNS);
        let rounds: Vec<AtomicU32> = (0..5).map(|_| AtomicU32::new(0)).collect();
        thread::scope(|scope| {
            for own in 0..5 {
                let (barrier, rounds) = (&barrier, &rounds);
                scope.spawn(move || {
                    for round in 1..=200 {
                        rounds[own].store(round, Ordering::SeqCst);
                        barrier.blocking_wait().expect("nobody breaks it");
                        let in_step = |its: &AtomicU32| its.load(Ordering::SeqCst).abs_diff(round) <= 1;
                        assert!(rounds.iter().all(in_step), "{rounds:?}");
                        barrier.blocking_wait().expect("nobody breaks it");
                    }
                });
            }
        });
    });
}

// C098
#[test]
fn the_action_runs_once_in_each_round_before_any_goes_on() {
    run(async {
        let rounds = Arc::new(AtomicU32::new(0));
        let its = Arc::clone(&rounds);
        let barrier = Barrier::new(3).expect(RUNS).action(move || {
            its.fetch_add(1, Ordering::SeqCst);
        });
        for round in 1..=10 {
            let party = || async {
                barrier.wait().await.expect("nobody breaks it");
                assert_eq!(rounds.load(Ordering::SeqCst), round);
            };
            tokio::join!(party(), party(), party());
        }
    });
}

#[test]
fn a_panic_of_the_action_breaks_the_barrier() {
    let barrier = Barrier::new(1).expect(RUNS).action(|| std::panic::resume_unwind(Box::new(())));
    let waits = || barrier.blocking_wait();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(waits)).is_err());
    assert!(barrier.broken());
}

// C099, C101
#[test]
fn an_abort_breaks_the_barrier_until_it_is_reset() {
    run(async {
        let barrier = Barrier::new(2).expect(RUNS);
        let mut waits = Box::pin(barrier.wait());
        assert!(waits_for_something(&mut waits));
        assert_eq!(barrier.n_waiting(), 1);
        barrier.abort();
        assert!(matches!(waits.await, Err(Error::BrokenBarrier)));
        assert!(barrier.broken() && barrier.wait().await.is_err());
        barrier.reset();
        assert!(!barrier.broken());
        assert!(tokio::join!(barrier.wait(), barrier.wait()).0.is_ok());
    });
}

// C100
#[test]
fn a_reset_breaks_the_round_of_those_that_wait_and_no_other() {
    run(async {
        let barrier = Barrier::new(2).expect(RUNS);
        let mut waits = Box::pin(barrier.wait());
        assert!(waits_for_something(&mut waits));
        barrier.reset();
        let next = futures::future::join(barrier.wait(), barrier.wait()).await;
        assert!(next.0.is_ok() && next.1.is_ok());
        assert!(matches!(waits.await, Err(Error::BrokenBarrier)));
    });
}

// C102
#[test]
fn a_party_that_comes_too_late_finds_the_barrier_broken() {
    run(async {
        let barrier = Barrier::new(2).expect(RUNS);
        assert!(matches!(barrier.wait_timeout(MOMENT).await, Err(Error::BrokenBarrier)));
        assert!(matches!(barrier.wait().await, Err(Error::BrokenBarrier)));
        let barrier = Barrier::new(2).expect(RUNS).timeout(MOMENT);
        assert!(matches!(barrier.blocking_wait(), Err(Error::BrokenBarrier)));
        assert!(barrier.broken());
    });
}

// C103
#[test]
fn a_barrier_of_one_is_passed_at_once() {
    let barrier = Barrier::new(1).expect(RUNS);
    assert_eq!((barrier.parties(), barrier.blocking_wait().expect("nobody breaks it")), (1, 0));
}

#[test]
fn a_party_that_is_dropped_has_not_arrived() {
    run(async {
        let barrier = Barrier::new(2).expect(RUNS);
        let mut waits = Box::pin(barrier.wait());
        assert!(waits_for_something(&mut waits));
        drop(waits);
        assert_eq!(barrier.n_waiting(), 0);
        assert!(tokio::join!(barrier.wait(), barrier.wait()).1.is_ok());
    });
}

#[test]
fn a_barrier_has_between_one_and_a_thousand_parties() {
    for parties in [0, 1_001] {
        assert!(matches!(Barrier::new(parties), Err(Error::Option { option: "parties", .. })));
    }
}
