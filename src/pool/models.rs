//! Models of the cell, in which loom tries every order of what its threads do. `.ci/loom` runs them.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::AbortHandle;
use loom::future::block_on;
use loom::thread;

use super::cell::{Cell, Stop};
use crate::dispatch::Unit;
use crate::error::{Error, Result};
use crate::task::{Label, Task};

fn cell() -> Arc<Cell<u32>> {
    let label = Label { name: || "task", id: 1, max: 0, timeout: None };
    Cell::new(Unit::new(Task::of(|| 1_u32), label, 1))
}

/// Does something to the cell on a thread of its own.
fn beside<T: 'static>(cell: &Arc<Cell<u32>>, act: fn(&Arc<Cell<u32>>) -> T) -> thread::JoinHandle<T> {
    let cell = Arc::clone(cell);
    thread::spawn(move || act(&cell))
}

fn ended<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("no thread of a model panics")
}

/// Waits for the result and takes it. A wake-up that is lost is a deadlock, which loom reports.
fn take(cell: &Cell<u32>) -> Option<Result<u32>> {
    block_on(poll_fn(|cx| cell.poll(cx)))
}

fn counted() -> (Arc<AtomicU32>, impl FnOnce(&Result<u32>) + Send + 'static) {
    let times = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&times);
    let note = move |_: &Result<u32>| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    (times, note)
}

#[test]
fn whoever_waits_hears_of_the_result() {
    loom::model(|| {
        let cell = cell();
        let settling = beside(&cell, |cell| cell.settle(Ok(7)));
        assert!(matches!(take(&cell), Some(Ok(7))));
        assert!(ended(settling));
    });
}

#[test]
fn two_that_wait_both_hear_of_the_result_and_one_of_them_takes_it() {
    loom::model(|| {
        let cell = cell();
        let other = beside(&cell, |cell| take(cell).is_some());
        let settling = beside(&cell, |cell| cell.settle(Ok(7)));
        let took = take(&cell).is_some();
        assert!(took != ended(other), "the result is taken once");
        assert!(ended(settling));
    });
}

// fault 74
#[test]
fn of_a_result_and_a_cancellation_one_wins_and_is_what_is_taken() {
    loom::model(|| {
        let cell = cell();
        let settling = beside(&cell, |cell| cell.settle(Ok(7)));
        let cancelling = beside(&cell, |cell| cell.cancel());
        let taken = take(&cell).expect("it is taken for the first time");
        let (settled, cancelled) = (ended(settling), ended(cancelling));
        assert!(settled != cancelled, "exactly one of the two wins");
        assert_eq!(matches!(taken, Ok(7)), settled);
        assert_eq!(matches!(taken, Err(Error::Cancelled { .. })), cancelled);
    });
}

#[test]
fn a_callback_runs_once_and_before_the_result_is_taken_whenever_it_was_attached() {
    loom::model(|| {
        let cell = cell();
        let settling = beside(&cell, |cell| cell.settle(Ok(7)));
        let (times, count) = counted();
        cell.attach(Box::new(count));
        assert!(matches!(take(&cell), Some(Ok(7))));
        assert_eq!(times.load(Ordering::Relaxed), 1);
        assert!(ended(settling));
    });
}

#[test]
fn two_callbacks_run_although_the_second_is_attached_while_the_first_runs() {
    loom::model(|| {
        let cell = cell();
        let settling = beside(&cell, |cell| cell.settle(Ok(7)));
        let ((first, count_first), (second, count_second)) = (counted(), counted());
        cell.attach(Box::new(count_first));
        cell.attach(Box::new(count_second));
        assert!(matches!(take(&cell), Some(Ok(7))));
        assert_eq!((first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)), (1, 1));
        assert!(ended(settling));
    });
}

// fault 74
#[test]
fn a_callback_sees_what_has_won_and_nothing_else() {
    loom::model(|| {
        let cell = cell();
        let seen = Arc::new(AtomicU32::new(0));
        let see = Arc::clone(&seen);
        cell.attach(Box::new(move |result| {
            see.fetch_add(*result.as_ref().unwrap_or(&1), Ordering::Relaxed);
        }));
        let settling = beside(&cell, |cell| cell.settle(Ok(7)));
        let cancelled = cell.cancel();
        assert_eq!(take(&cell).expect("it is taken for the first time").is_err(), cancelled);
        assert_eq!(seen.load(Ordering::Relaxed), if cancelled { 1 } else { 7 });
        assert!(ended(settling) != cancelled);
    });
}

/// What drives a call, and how often it was stopped.
struct Driven(AtomicU32);

impl Stop for Driven {
    fn stop(&self) {
        // A moment in which others may go on.
        thread::yield_now();
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// fault 74
#[test]
fn whoever_hears_of_a_cancellation_finds_the_call_stopped() {
    loom::model(|| {
        let cell = cell();
        let driven = Arc::new(Driven(AtomicU32::new(0)));
        let (driver, _) = AbortHandle::new_pair();
        cell.driven(driver, Arc::<Driven>::clone(&driven));
        let cancelling = beside(&cell, |cell| cell.cancel());
        assert!(matches!(take(&cell), Some(Err(Error::Cancelled { .. }))));
        assert_eq!(driven.0.load(Ordering::Relaxed), 1);
        assert!(ended(cancelling));
    });
}

// fault 74
#[test]
fn a_call_that_is_cancelled_while_it_is_submitted_is_told_so_when_that_is_over() {
    loom::model(|| {
        let cell = cell();
        let over = Arc::new(AtomicU32::new(0));
        let submitting = {
            let (cell, over) = (Arc::clone(&cell), Arc::clone(&over));
            thread::spawn(move || {
                if cell.begin_submission() {
                    thread::yield_now();
                    over.store(1, Ordering::Relaxed);
                    cell.refused(Error::Closed);
                }
                over.store(1, Ordering::Relaxed);
            })
        };
        let cancelled = cell.cancel();
        let taken = take(&cell).expect("it is taken for the first time");
        let was_over = over.load(Ordering::Relaxed) == 1;
        ended(submitting);
        match taken {
            Err(Error::Cancelled { .. }) => assert!(cancelled),
            Err(Error::Closed) => assert!(!cancelled && was_over),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn what_drives_a_call_is_stopped_once_whenever_the_call_is_cancelled() {
    loom::model(|| {
        let cell = cell();
        let cancelling = beside(&cell, |cell| cell.cancel());
        let driven = Arc::new(Driven(AtomicU32::new(0)));
        let (driver, registration) = AbortHandle::new_pair();
        cell.driven(driver, Arc::<Driven>::clone(&driven));
        assert!(ended(cancelling), "nothing else has settled it");
        assert_eq!(driven.0.load(Ordering::Relaxed), 1);
        assert!(registration.handle().is_aborted());
    });
}

#[test]
fn a_callback_that_comes_when_the_result_is_taken_holds_nobody_up() {
    loom::model(|| {
        let cell = cell();
        let settling = beside(&cell, |cell| cell.settle(Ok(7)));
        let attaching = beside(&cell, |cell| cell.attach(Box::new(|_| ())));
        assert!(matches!(take(&cell), Some(Ok(7))));
        ended(attaching);
        block_on(poll_fn(|cx| cell.poll_settled(cx)));
        assert!(take(&cell).is_none());
        assert!(ended(settling));
    });
}
