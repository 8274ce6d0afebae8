//! Models of what processes share here, in which loom tries every order of what they do. `.ci/loom` runs them. A wake-up that
//! is lost is a deadlock, which loom reports.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::sync::atomic::AtomicU32;
use loom::thread;

use super::barrier::Barrier;
use super::event::Event;
use super::lock::Lock;
use super::semaphore::Semaphore;
use super::sleepers::Sleepers;
use super::waiting;
use crate::wait::block_on;

/// Holds the lock for a moment, in which nobody else does.
fn hold(lock: &Lock, holders: &AtomicU32, in_future: bool) {
    let guard = if in_future { block_on(lock.acquire()) } else { lock.blocking_acquire() };
    assert_eq!(holders.fetch_add(1, Ordering::Relaxed), 0, "somebody else holds it");
    holders.fetch_sub(1, Ordering::Relaxed);
    drop(guard.expect("nobody dies in a model"));
}

fn holds(lock: &Lock, holders: &Arc<AtomicU32>, in_future: bool) -> Box<dyn FnOnce() + Send> {
    let (lock, holders) = (lock.clone(), Arc::clone(holders));
    Box::new(move || hold(&lock, &holders, in_future))
}

// fault 89
#[test]
fn a_lock_has_one_holder_and_wakes_each_thread_that_waits() {
    loom::model(|| {
        let (lock, holders) = (Lock::new().expect("it is memory"), Arc::new(AtomicU32::new(0)));
        let first = lock.blocking_acquire().expect("nobody dies in a model");
        let other = thread::spawn(holds(&lock, &holders, false));
        let third = thread::spawn(holds(&lock, &holders, false));
        drop(first);
        other.join().expect("no thread of a model panics");
        third.join().expect("no thread of a model panics");
        assert!(!lock.locked());
    });
}

// fault 89
#[test]
fn a_lock_wakes_threads_and_futures_that_wait_beside_each_other() {
    loom::model(|| {
        let (lock, holders) = (Lock::new().expect("it is memory"), Arc::new(AtomicU32::new(0)));
        let first = lock.blocking_acquire().expect("nobody dies in a model");
        let other = thread::spawn(holds(&lock, &holders, true));
        let third = thread::spawn(holds(&lock, &holders, false));
        drop(first);
        other.join().expect("no thread of a model panics");
        third.join().expect("no thread of a model panics");
    });
}

// fault 89
#[test]
fn a_waiter_that_gives_up_leaves_the_wake_up_to_the_next() {
    loom::model(|| {
        let (lock, holders) = (Lock::new().expect("it is memory"), Arc::new(AtomicU32::new(0)));
        let first = lock.blocking_acquire().expect("nobody dies in a model");
        let waits = thread::spawn(holds(&lock, &holders, false));
        let its = lock.clone();
        // Looks twice, with a bit left, and sleeps once in between if need be: that is a wait whose time is over.
        let gives_up = thread::spawn(move || drop(its.look_and_give_up()));
        drop(first);
        waits.join().expect("no thread of a model panics");
        gives_up.join().expect("no thread of a model panics");
    });
}

#[test]
fn a_set_frees_whoever_waits() {
    loom::model(|| {
        let event = Event::new().expect("it is memory");
        let (blocks, awaits) = (event.clone(), event.clone());
        let other = thread::spawn(move || blocks.blocking_wait());
        let third = thread::spawn(move || block_on(awaits.wait()));
        event.set();
        other.join().expect("no thread of a model panics");
        third.join().expect("no thread of a model panics");
    });
}

#[test]
fn a_flag_that_is_cleared_at_once_has_freed_whoever_had_left_his_bit() {
    loom::model(|| {
        let event = Event::new().expect("it is memory");
        let sets = event.clone();
        let other = thread::spawn(move || {
            sets.set();
            sets.clear();
            sets.set();
        });
        event.blocking_wait();
        other.join().expect("no thread of a model panics");
    });
}

// fault 89
#[test]
fn a_permit_wakes_whoever_waits_for_it() {
    loom::model(|| {
        let semaphore = Semaphore::new(0).expect("it is memory");
        let blocks = semaphore.clone();
        let other =
            thread::spawn(move || blocks.blocking_acquire().expect("nobody dies in a model").forget());
        semaphore.release().expect("there is room for one more");
        other.join().expect("no thread of a model panics");
        assert_eq!(semaphore.value(), 0);
    });
}

// fault 89
#[test]
fn a_notification_wakes_whoever_sleeps() {
    loom::model(|| {
        let sleepers = Arc::new(Sleepers::new().expect("it is memory"));
        let sleeps = |sleepers: &Arc<Sleepers>| {
            let sleepers = Arc::clone(sleepers);
            thread::spawn(move || {
                let sleeper = sleepers.join();
                let look = |look| sleeper.look(look).then_some(());
                waiting::block(sleepers.shared(), None, look).expect("a wait without an end finds something");
                assert!(sleeper.wake());
            })
        };
        let other = sleeps(&sleepers);
        while sleepers.waiting() < 1 {
            thread::yield_now();
        }
        sleepers.notify(1);
        other.join().expect("no thread of a model panics");
        assert_eq!(sleepers.waiting(), 0);
    });
}

// fault 89
#[test]
fn a_sleeper_that_gives_up_was_notified_or_leaves_the_notification_to_the_other() {
    loom::model(|| {
        let sleepers = Arc::new(Sleepers::new().expect("it is memory"));
        let (first, second) = (sleepers.join(), sleepers.join());
        let notifies = Arc::clone(&sleepers);
        let other = thread::spawn(move || notifies.notify(1));
        drop(first);
        let look = |look| second.look(look).then_some(());
        waiting::block(sleepers.shared(), None, look).expect("a wait without an end finds something");
        assert!(second.wake());
        other.join().expect("no thread of a model panics");
    });
}

// fault 89
#[test]
fn all_pass_a_barrier_when_the_last_is_there() {
    loom::model(|| {
        let barrier = Barrier::new(2).expect("it is memory");
        let its = barrier.clone();
        let other = thread::spawn(move || its.blocking_wait().expect("nobody breaks it"));
        let ours = block_on(barrier.wait()).expect("nobody breaks it");
        assert_eq!(ours + other.join().expect("no thread of a model panics"), 1);
        assert_eq!(barrier.n_waiting(), 0);
    });
}
