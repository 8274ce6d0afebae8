//! Values that processes share, whoever is killed in the middle of what. `.ci/stress` does the same much more often.

use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use multiprocess::{Array, Event, OwnerDied, Process, RawArray, RawValue, Value};

use super::sync::{RUNS, fork, kill, rounds, scatter, wait_until};
use super::{children, threads};

super::cases!(
    a_child_writes_and_its_parent_reads,
    two_processes_add_to_what_they_share,
    a_copy_of_a_guard_writes_nothing,
    a_writer_that_is_killed_leaves_a_whole_value,
    a_holder_that_is_killed_leaves_its_values_to_whoever_waits,
);

/// A pattern of no size that is written in one instruction: it is whole if all its parts are the same.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Pattern([u64; 24]);

impl Pattern {
    fn of(number: u64) -> Self {
        Self([number; 24])
    }

    fn is_whole(self) -> bool {
        self == Self::of(self.0[0])
    }
}

// C106, C108
fn a_child_writes_and_its_parent_reads() {
    let (value, array) = (RawValue::new(Pattern::of(1)).expect(RUNS), Array::new(&[1_u8; 100]).expect(RUNS));
    let child = fork(|| {
        value.set(Pattern::of(2));
        array.blocking_lock().expect(RUNS).fill(2);
    });
    child.blocking_join().expect(RUNS);
    assert_eq!(value.get(), Pattern::of(2));
    assert_eq!(*array.blocking_lock().expect(RUNS), [2; 100]);
}

// C111
fn two_processes_add_to_what_they_share() {
    let (value, array) = (Value::new(0_u64).expect(RUNS), Array::new(&[0_u64; 16]).expect(RUNS));
    let (bins, rounds) = (RawArray::<u32>::zeroed(2).expect(RUNS), rounds(20_000));
    let adds = || {
        for _ in 0..rounds {
            *value.blocking_lock().expect(RUNS) += 1;
            array.blocking_lock().expect(RUNS).iter_mut().for_each(|element| *element += 1);
            bins.fetch_add(1, 1).expect(RUNS);
        }
    };
    let other = fork(adds);
    adds();
    other.blocking_join().expect(RUNS);
    let sum = u64::from(rounds) * 2;
    assert_eq!((*value.blocking_lock().expect(RUNS), u64::from(bins.get(1).expect(RUNS))), (sum, sum));
    assert_eq!(*array.blocking_lock().expect(RUNS), [sum; 16]);
    assert_eq!((threads().len(), children()), (1, 0));
}

fn a_copy_of_a_guard_writes_nothing() {
    let value = Value::new(1).expect(RUNS);
    let mut guard = Some(value.blocking_lock().expect(RUNS));
    let child = fork(|| {
        let mut copy = guard.take().expect("it is a copy of ours");
        *copy = 2;
        drop(copy);
    });
    child.blocking_join().expect(RUNS);
    assert!(guard.is_some() && value.get_lock().locked(), "it is ours");
    drop(guard);
    assert_eq!(*value.blocking_lock().expect(RUNS), 1);
}

// fault 88
fn a_writer_that_is_killed_leaves_a_whole_value() {
    let (value, stop) = (RawValue::new(Pattern::of(0)).expect(RUNS), Event::new().expect(RUNS));
    let reader = fork(|| {
        let (mut times, mut mixed) = (0_u64, 0_u64);
        while !stop.is_set() {
            mixed += u64::from(!value.get().is_whole());
            times += 1;
        }
        (times, mixed)
    });
    for round in 0..rounds(300) {
        let begun = Event::new().expect(RUNS);
        let victim: Process<()> = fork(|| {
            begun.set();
            for number in 1.. {
                value.set(Pattern::of(number));
            }
        });
        begun.blocking_wait();
        let end = Instant::now() + Duration::from_micros(scatter(round).into());
        wait_until(|| Instant::now() > end);
        kill(&victim);
        assert!(value.get().is_whole(), "round {round}");
        // Whoever writes next takes over from the dead.
        let number = u64::MAX - u64::from(round);
        value.set(Pattern::of(number));
        assert_eq!(value.get(), Pattern::of(number));
    }
    stop.set();
    let (times, mixed) = reader.blocking_join().expect("it does not wait for ever");
    assert!(times > 0 && mixed == 0, "{mixed} of {times} were mixed");
    assert_eq!(children(), 0);
}

// C105, fault 88
fn a_holder_that_is_killed_leaves_its_values_to_whoever_waits() {
    let value = Value::new(Pattern::of(0)).expect(RUNS);
    let array = Array::with_lock(&[0_u64; 24], value.get_lock()).expect(RUNS);
    let mut died = 0;
    for round in 0..rounds(300) {
        let begun = Event::new().expect(RUNS);
        let victim: Process<()> = fork(|| {
            begun.set();
            for number in 1.. {
                *value.blocking_lock().unwrap_or_else(OwnerDied::into_inner) = Pattern::of(number);
                array.blocking_lock().unwrap_or_else(OwnerDied::into_inner).fill(number);
            }
        });
        begun.blocking_wait();
        let end = Instant::now() + Duration::from_micros(scatter(round).into());
        wait_until(|| Instant::now() > end);
        kill(&victim);
        match value.blocking_lock() {
            Ok(guard) => assert!(guard.is_whole(), "round {round}: nobody has died with it"),
            Err(owner_died) => {
                died += 1;
                *owner_died.into_inner() = Pattern::of(0);
                array.blocking_lock().expect("it was put right").fill(0);
            }
        }
        let guard = array.blocking_lock().expect("it was put right");
        assert!(guard.iter().all(|element| *element == guard[0]), "round {round}");
    }
    assert!(died > 0, "some died while they held it");
    assert_eq!(children(), 0);
}
