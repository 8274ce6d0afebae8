//! Models of a slot, in which loom tries every order of what the pool and its worker do. `.ci/loom` runs them.

use std::sync::Arc;

use loom::thread;

use super::slot::{Finish, Slot, Start};

/// Runs the two sides of a new slot beside each other, and returns what each says.
fn beside<P: 'static, W: 'static>(
    prepare: fn(&Slot),
    pool: fn(&Slot) -> P,
    worker: fn(&Slot) -> W,
    check: impl Fn(&Slot, P, W) + Send + Sync + 'static,
) {
    loom::model(move || {
        let slot = Arc::new(Slot::new());
        prepare(&slot);
        let its = Arc::clone(&slot);
        let working = thread::spawn(move || worker(&its));
        let said = pool(&slot);
        let worked = working.join().expect("no thread of a model panics");
        check(&slot, said, worked);
    });
}

/// Call 1 runs, and its first element is watched.
fn watched(slot: &Slot) {
    slot.enter(1);
    assert!(slot.start(1), "nobody has taken it back");
    slot.begin_watched(1, 10);
}

#[test]
fn a_call_either_starts_or_is_taken_back() {
    beside(
        |slot| slot.enter(1),
        |slot| slot.revoke(1),
        |slot| slot.start(1),
        |slot, revoked, started| {
            assert!(revoked != started, "exactly one of the two succeeds");
            let expected = if started { Start::Begun(0) } else { Start::NotStarted };
            assert_eq!(slot.progress(1), expected);
        },
    );
}

#[test]
fn the_next_call_of_a_slot_inherits_nothing_from_the_one_that_was_taken_back() {
    let pool = |slot: &Slot| {
        slot.cancel();
        let revoked = slot.revoke(1);
        if revoked {
            slot.enter(2);
        }
        revoked
    };
    let worker = |slot: &Slot| {
        let first = slot.start(1);
        if slot.start(2) {
            assert!(!slot.is_cancelled(), "the other call was cancelled");
            assert_eq!(slot.progress(2), Start::Begun(0));
        }
        first
    };
    beside(|slot| slot.enter(1), pool, worker, |_, revoked, first| assert!(revoked != first));
}

#[test]
fn a_worker_that_finishes_in_time_is_never_ended_for_it() {
    beside(
        watched,
        |slot| (slot.expire(1), slot.condemn(1)),
        |slot| slot.finish(1),
        |_, (expired, condemned), finish| match finish {
            Finish::InTime => assert!(!expired && !condemned),
            Finish::Late => assert!(expired && !condemned),
            Finish::Condemned => assert!(condemned),
        },
    );
}

#[test]
fn what_is_condemned_without_a_warning_is_not_finished_either() {
    beside(
        watched,
        |slot| slot.condemn(1),
        |slot| slot.finish(1),
        |_, condemned, finish| {
            assert_eq!(finish, if condemned { Finish::Condemned } else { Finish::InTime });
        },
    );
}

#[test]
fn the_limit_of_one_element_never_hits_the_next() {
    let worker = |slot: &Slot| {
        let first = slot.finish(1);
        if first != Finish::Condemned {
            slot.begin_watched(2, 20);
            assert!(!slot.is_unwanted(), "its time has only begun");
            assert_eq!(slot.finish(2), Finish::InTime);
        }
        first
    };
    let pool = |slot: &Slot| slot.expire(1) | slot.condemn(1);
    beside(watched, pool, worker, |_, hit, first| assert_eq!(hit, first != Finish::InTime));
}

#[test]
fn an_element_never_seems_to_run_for_longer_than_it_does() {
    let worker = |slot: &Slot| {
        assert_eq!(slot.finish(1), Finish::InTime);
        slot.begin_watched(2, 20);
    };
    beside(
        watched,
        |slot| slot.running(1),
        worker,
        |_, running, ()| {
            let begun = running.map(|running| (u64::from(running.element), running.begun_ns));
            assert!(begun.is_none_or(|(element, begun_ns)| begun_ns >= 10 * element), "{begun:?}");
        },
    );
}

#[test]
fn a_death_is_laid_to_the_element_that_was_begun_last() {
    let worker = |slot: &Slot| {
        assert!(slot.start(1));
        slot.begin(1);
        slot.begin(2);
    };
    let pool = |slot: &Slot| slot.cancel();
    beside(
        |slot| slot.enter(1),
        pool,
        worker,
        |slot, (), ()| {
            assert_eq!(slot.progress(1), Start::Begun(2));
            assert!(slot.is_cancelled());
        },
    );
}
