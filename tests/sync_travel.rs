//! Locks and the like as arguments and results: whoever has been sent one has the same one.

mod support;

use std::collections::BTreeSet;

use multiprocess::{
    Barrier, BoundedSemaphore, Condition, Error, Event, Kind, Lock, Process, ProcessPool, RLock, Semaphore,
};
use serde::{Deserialize, Serialize};
use support::foreign::SIGKILL;
use support::tally::{Tally, mark};
use support::{death, end, on_both, on_processes, pool};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

/// Reads a number from a file and writes the next one, as nobody may do beside another.
fn count_up(lock: Lock, path: String, times: u32) {
    for _ in 0..times {
        let _guard = lock.blocking_acquire().expect("nobody has died with it");
        let text = std::fs::read_to_string(&path).expect("the file is there");
        let number: u32 = if text.is_empty() { 0 } else { text.parse().expect("it is a number") };
        std::fs::write(&path, (number + 1).to_string()).expect("it can be written");
    }
}

// C080, C083
async fn a_lock_keeps_tasks_apart<K: Kind>() {
    let (pool, lock, file) = (pool::<K>(3), Lock::new().expect("there is room"), Tally::new());
    let calls: Vec<_> = (0..6).map(|_| (lock.clone(), file.key(), 50)).collect();
    pool.starmap(count_up, calls).chunksize(1).await.expect(RUNS);
    assert_eq!(file.marks(), b"300");
    assert!(!lock.locked());
    end(pool).await;
}

// C081
async fn a_holder_is_seen_by_others<K: Kind>() {
    let (pool, lock) = (pool::<K>(1), Lock::new().expect("there is room"));
    let looks = |lock: Lock| (lock.locked(), lock.try_acquire().is_none());
    let guard = lock.acquire().await.expect("nobody has died with it");
    assert_eq!(pool.apply(looks, (lock.clone(),)).await.expect(RUNS), (true, true));
    drop(guard);
    assert_eq!(pool.apply(looks, (lock.clone(),)).await.expect(RUNS), (false, false));
    end(pool).await;
}

// C082
async fn a_lock_that_may_be_taken_again_is_one_owners<K: Kind>() {
    let (pool, lock) = (pool::<K>(1), RLock::new().expect("there is room"));
    let thrice = |lock: RLock| {
        let guards: Vec<_> =
            (0..3).map(|_| lock.blocking_acquire().expect("nobody has died with it")).collect();
        guards.len()
    };
    assert_eq!(pool.apply(thrice, (lock.clone(),)).await.expect(RUNS), 3);
    assert!(!lock.locked(), "all were given back");
    end(pool).await;
}

// C084, C085
async fn permits_are_counted_over_all<K: Kind>() {
    let pool = pool::<K>(1);
    let semaphore = Semaphore::new(2).expect("there is room");
    let takes = |semaphore: Semaphore| {
        let first = semaphore.try_acquire().expect("there is one").expect("nobody has died with it");
        first.forget();
        semaphore.value()
    };
    assert_eq!(pool.apply(takes, (semaphore.clone(),)).await.expect(RUNS), 1);
    assert_eq!(semaphore.value(), 1);
    semaphore.release().expect("it was taken");
    let bounded = BoundedSemaphore::new(1).expect("there is room");
    let too_many = |semaphore: BoundedSemaphore| semaphore.release().is_err();
    assert!(pool.apply(too_many, (bounded,)).await.expect(RUNS));
    end(pool).await;
}

// C094
async fn an_event_that_a_task_sets_wakes_whoever_waits<K: Kind>() {
    let (pool, event) = (pool::<K>(2), Event::new().expect("there is room"));
    let waits = pool.apply_async(|event: Event| event.blocking_wait(), (event.clone(),));
    let sets = pool.apply_async(|event: Event| event.set(), (event.clone(),));
    event.wait().await;
    waits.await.expect(RUNS);
    sets.await.expect(RUNS);
    assert!(event.is_set());
    end(pool).await;
}

// C087, C091
async fn a_condition_is_told_across_processes<K: Kind>() {
    let (pool, condition) = (pool::<K>(1), Condition::new().expect("there is room"));
    let file = Tally::new();
    let waits = |condition: Condition, key: String| {
        let guard = condition.blocking_acquire().expect("nobody has died with it");
        let came = || !std::fs::read(&key).expect("the file is there").is_empty();
        drop(guard.blocking_wait_for(came).expect("nobody has died with it"));
    };
    let waiting = pool.apply_async(waits, (condition.clone(), file.key()));
    support::until(|| condition.waiting() == 1).await;
    let guard = condition.acquire().await.expect("nobody has died with it");
    mark(&file.key(), 1);
    condition.notify();
    drop(guard);
    waiting.await.expect(RUNS);
    end(pool).await;
}

// C095, C097
async fn parties_of_a_barrier_pass_together<K: Kind>() {
    let (pool, barrier) = (pool::<K>(3), Barrier::new(4).expect("there is room"));
    let passes = |barrier: Barrier| barrier.blocking_wait().expect("nobody breaks it");
    let calls: Vec<_> = (0..3).map(|_| pool.apply_async(passes, (barrier.clone(),))).collect();
    let mut places = BTreeSet::from([barrier.wait().await.expect("nobody breaks it")]);
    for call in calls {
        places.insert(call.await.expect(RUNS));
    }
    assert!(places.into_iter().eq(0..4), "each has a place of its own");
    end(pool).await;
}

/// Two of them in a type of the program's own.
#[derive(Serialize, Deserialize)]
struct Gates {
    name: String,
    events: Vec<Event>,
    lock: Option<Lock>,
}

async fn they_nest_and_come_back<K: Kind>() {
    let pool = pool::<K>(1);
    let events = (0..3).map(|_| Event::new().expect("there is room")).collect();
    let gates = Gates { name: "three".into(), events, lock: Some(Lock::new().expect("there is room")) };
    let first = gates.events[0].clone();
    let sets = |gates: Gates| {
        gates.events[0].set();
        Gates { name: format!("{} again", gates.name), ..gates }
    };
    let back = pool.apply(sets, (gates,)).await.expect(RUNS);
    assert_eq!(back.name, "three again");
    assert!(first.is_set() && back.events[0].is_set() && !back.events[1].is_set());
    back.events[0].clear();
    assert!(!first.is_set(), "it is the same one");
    assert!(back.lock.is_some_and(|lock| !lock.locked()));
    end(pool).await;
}

async fn a_barrier_with_an_action_stays<K: Kind>() {
    let (pool, barrier) = (pool::<K>(1), Barrier::new(2).expect("there is room").action(|| ()));
    let refused = pool.apply(|_: Barrier| (), (barrier,)).await.expect_err("its action is a closure");
    assert!(matches!(&refused, Error::Encode { .. }) && refused.to_string().contains("action"), "{refused}");
    end(pool).await;
}

on_both!(
    a_lock_keeps_tasks_apart,
    a_holder_is_seen_by_others,
    a_lock_that_may_be_taken_again_is_one_owners,
    permits_are_counted_over_all,
    an_event_that_a_task_sets_wakes_whoever_waits,
    a_condition_is_told_across_processes,
    parties_of_a_barrier_pass_together,
    they_nest_and_come_back,
    a_barrier_with_an_action_stays,
);

// C105
async fn whoever_waits_for_a_task_that_died_is_told_and_has_the_lock() {
    let (pool, lock) = (pool::<multiprocess::Processes>(1), Lock::new().expect("there is room"));
    let dies = |lock: Lock| -> u8 {
        lock.blocking_acquire().expect("nobody has died with it").forget();
        support::foreign::raise(SIGKILL);
        0
    };
    death(pool.apply(dies, (lock.clone(),)).await);
    let died = lock.acquire().await.map(drop).expect_err("its holder has died");
    drop(died.into_inner());
    assert!(lock.acquire().await.is_ok(), "and from now on it is as ever");
    end(pool).await;
}

// C042 says it of queues: what was sent can be sent on.
async fn a_grandchild_has_it_too() {
    let event = Event::new().expect("there is room");
    let passes_on = |event: Event| {
        let pool = ProcessPool::new(1).expect("the pool starts");
        pool.blocking_apply(|event: Event| event.set(), (event,)).expect(RUNS);
        pool.blocking_shutdown().expect("it ends");
    };
    let process = Process::spawn(passes_on, (event.clone(),)).expect("it starts");
    event.wait().await;
    process.join().await.expect("it returns");
}

// C244
async fn what_one_start_method_has_made_another_one_has() {
    use multiprocess::{Context, StartMethod};
    let lock = Lock::new().expect("there is room");
    let guard = lock.acquire().await.expect("nobody has died with it");
    for method in [StartMethod::Spawn, StartMethod::Forkserver] {
        let process =
            Context::new(method).spawn(|lock: Lock| lock.locked(), (lock.clone(),)).expect("it starts");
        assert!(process.join().await.expect("it returns"), "{method}");
    }
    drop(guard);
}

on_processes!(
    whoever_waits_for_a_task_that_died_is_told_and_has_the_lock,
    a_grandchild_has_it_too,
    what_one_start_method_has_made_another_one_has,
);
