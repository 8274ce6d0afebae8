//! What a manager has itself: dict, list and so on, from other processes and threads.

mod support;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future;
use multiprocess::{
    ArrayProxy, BarrierProxy, BoundedSemaphoreProxy, ConditionProxy, DictProxy, Error, EventProxy,
    JoinableQueueProxy, ListProxy, LockProxy, Manager, NamespaceProxy, Process, QueueProxy, RLockProxy,
    SemaphoreProxy, SetProxy, ValueProxy,
};
use support::gate::{Gate, pass};
use support::run;
use support::twins::{Handle as _, Twin, on_twins, start};

const CALLED: &str = "the manager lives";
const RUNS: &str = "the task has no reason to fail";
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_hours(1);

on_twins!(
    containers_are_used_from_elsewhere,
    queues_are_used_from_elsewhere,
    locks_are_used_from_elsewhere,
    events_barriers_and_conditions_are_used_from_elsewhere,
    a_list_in_a_dict_is_one_list_for_all,
);

async fn manager() -> Manager {
    Manager::start().await.expect("a child can be started")
}

async fn ends(manager: Manager) {
    manager.shutdown().await.expect("it lives until now");
}

fn text(text: &str) -> String {
    text.to_owned()
}

// C237
async fn containers_are_used_from_elsewhere<T: Twin>() {
    type Containers = (DictProxy<String, u32>, ListProxy<u32>, SetProxy<u32>, ArrayProxy<u32>);
    fn change((dict, list, set, array): Containers, value: ValueProxy<u32>, names: NamespaceProxy) {
        dict.blocking_insert(&"b".to_owned(), &2).expect(CALLED);
        list.blocking_push(&2).expect(CALLED);
        set.blocking_insert(&2).expect(CALLED);
        array.blocking_set(1, &2).expect(CALLED);
        value.blocking_set(&2).expect(CALLED);
        names.blocking_set("two", &2_u32).expect(CALLED);
    }
    let manager = manager().await;
    let (dict, list) = (manager.dict().await.expect(CALLED), manager.list().await.expect(CALLED));
    let (set, value) = (manager.set().await.expect(CALLED), manager.value(&1).await.expect(CALLED));
    let (names, array) =
        (manager.namespace().await.expect(CALLED), manager.array([1, 1]).await.expect(CALLED));
    dict.insert(&text("a"), &1).await.expect(CALLED);
    list.push(&1).await.expect(CALLED);
    let containers = (dict.clone(), list.clone(), set.clone(), array.clone());
    start::<T, _, _, _>(change, (containers, value.clone(), names.clone())).join().await.expect(RUNS);
    assert_eq!(dict.items().await.expect(CALLED), [(text("a"), 1), (text("b"), 2)]);
    assert_eq!(list.to_vec().await.expect(CALLED), [1, 2]);
    assert_eq!(set.to_vec().await.expect(CALLED), [2]);
    assert_eq!(array.to_vec().await.expect(CALLED), [1, 2]);
    assert_eq!(value.get().await.expect(CALLED), 2);
    assert_eq!(names.get::<u32>("two").await.expect(CALLED), Some(2));
    ends(manager).await;
}

// C232 C238
#[test]
fn a_dict_does_what_maps_do() {
    run(async {
        let manager = manager().await;
        let dict = manager.dict::<String, Vec<u32>>().await.expect(CALLED);
        assert!(dict.is_empty().await.expect(CALLED));
        assert_eq!(dict.insert(&text("a"), &vec![1]).await.expect(CALLED), None);
        assert_eq!(dict.insert(&text("a"), &vec![2]).await.expect(CALLED), Some(vec![1]));
        assert_eq!(dict.set_default(&text("a"), &vec![9]).await.expect(CALLED), [2]);
        assert_eq!(dict.set_default(&text("b"), &vec![9]).await.expect(CALLED), [9]);
        dict.extend([(text("c"), vec![3]), (text("a"), vec![4])]).await.expect(CALLED);
        assert_eq!(dict.keys().await.expect(CALLED), ["a", "b", "c"]);
        assert_eq!(dict.values().await.expect(CALLED), [vec![4], vec![9], vec![3]]);
        assert_eq!(dict.pop_last().await.expect(CALLED), Some((text("c"), vec![3])));
        assert_eq!(dict.remove(&text("b")).await.expect(CALLED), Some(vec![9]));
        assert_eq!(dict.remove(&text("b")).await.expect(CALLED), None);
        assert_eq!(dict.get(&text("b")).await.expect(CALLED), None);
        assert!(!dict.contains_key(&text("b")).await.expect(CALLED));
        assert_eq!(dict.update(&text("a"), Vec::push, (5,)).await.expect(CALLED), Some(()));
        assert_eq!(dict.update(&text("x"), Vec::push, (5,)).await.expect(CALLED), None);
        assert_eq!(dict.update_or(&text("x"), &vec![7], Vec::len, ()).await.expect(CALLED), 1);
        let panics = dict.update(&text("a"), |_: &mut Vec<u32>| -> () { panic!("no more paper") }, ()).await;
        assert!(matches!(panics, Err(Error::Panicked(_))));
        let expected = HashMap::from([(text("a"), vec![4, 5]), (text("x"), vec![7])]);
        assert_eq!(dict.to_map().await.expect(CALLED), expected);
        dict.clear().await.expect(CALLED);
        assert_eq!((dict.len().await.expect(CALLED), dict.pop_last().await.expect(CALLED)), (0, None));
        ends(manager).await;
    });
}

// C230
#[test]
fn what_is_iterated_over_may_change_meanwhile() {
    run(async {
        let manager = manager().await;
        let dict = manager.dict::<u32, u32>().await.expect(CALLED);
        dict.extend((0..5_000).map(|n| (n, n))).await.expect(CALLED);
        let (mut entries, mut seen) = (dict.pages(), Vec::new());
        while let Some((key, _)) = entries.next().await.expect(CALLED) {
            if key == 100 {
                for gone in 4_000..4_100 {
                    dict.remove(&gone).await.expect(CALLED);
                }
                dict.insert(&9_999, &0).await.expect(CALLED);
            }
            seen.push(key);
        }
        let there = (0..4_000).chain(4_100..5_000).chain([9_999]);
        assert!(seen.into_iter().eq(there));
        assert_eq!(entries.next().await.expect(CALLED), None, "it has come to its end");

        let list = manager.list::<u32>().await.expect(CALLED);
        list.extend(0..2_500).await.expect(CALLED);
        let mut items = list.pages();
        let mut count = 0;
        while let Some(item) = items.next().await.expect(CALLED) {
            assert_eq!(item, count);
            count += 1;
        }
        assert_eq!(count, 2_500);
        ends(manager).await;
    });
}

// C229 C238
#[test]
fn a_list_does_what_vectors_do() {
    run(async {
        let manager = manager().await;
        let list = manager.list::<u32>().await.expect(CALLED);
        list.extend(0..5).await.expect(CALLED);
        assert_eq!(list.slice(1..3).await.expect(CALLED), [1, 2]);
        assert_eq!(list.slice(3..100).await.expect(CALLED), [3, 4]);
        assert!(list.slice(7..9).await.expect(CALLED).is_empty());
        list.repeat(2).await.expect(CALLED);
        assert_eq!(list.to_vec().await.expect(CALLED), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
        assert!(matches!(list.repeat(u32::MAX).await, Err(Error::Full)));
        list.truncate(4).await.expect(CALLED);
        list.reverse().await.expect(CALLED);
        assert_eq!(list.pop().await.expect(CALLED), Some(0));
        list.insert(1, &7).await.expect(CALLED);
        list.insert(100, &8).await.expect(CALLED);
        assert_eq!(list.remove(0).await.expect(CALLED), Some(3));
        assert_eq!(list.remove(100).await.expect(CALLED), None);
        assert_eq!(list.set(0, &6).await.expect(CALLED), Some(7));
        assert_eq!(list.set(100, &6).await.expect(CALLED), None);
        assert_eq!(
            list.update(0, |item: &mut u32, by: u32| *item -= by, (1,)).await.expect(CALLED),
            Some(())
        );
        assert_eq!(list.to_vec().await.expect(CALLED), [5, 2, 1, 8]);
        assert_eq!(list.position(&8).await.expect(CALLED), Some(3));
        assert_eq!(list.position(&9).await.expect(CALLED), None);
        list.set_all([1]).await.expect(CALLED);
        assert_eq!(list.get(0).await.expect(CALLED), Some(1));
        list.clear().await.expect(CALLED);
        assert!(list.is_empty().await.expect(CALLED) && list.pop().await.expect(CALLED).is_none());
        ends(manager).await;
    });
}

// C237
#[test]
fn an_array_stays_as_long_as_it_is() {
    run(async {
        let manager = manager().await;
        let array = manager.array(0..5_u32).await.expect(CALLED);
        assert_eq!((array.len().await.expect(CALLED), array.get(4).await.expect(CALLED)), (5, 4));
        array.set(4, &7).await.expect(CALLED);
        assert_eq!(array.swap(4, &8).await.expect(CALLED), 7);
        array.set_slice(1, [6, 5]).await.expect(CALLED);
        assert_eq!(array.slice(1..5).await.expect(CALLED), [6, 5, 3, 8]);
        assert!(array.slice(5..5).await.expect(CALLED).is_empty());
        let subtract = |item: &mut u32, by: u32| {
            *item -= by;
            *item
        };
        assert_eq!(array.update(0, subtract, (0,)).await.expect(CALLED), 0);
        assert!(matches!(array.update(0, subtract, (1,)).await, Err(Error::Panicked(_))));
        assert_eq!(array.position(&3).await.expect(CALLED), Some(3));
        assert_eq!(array.position(&9).await.expect(CALLED), None);

        let missing = |start, end| Err(Error::OutOfRange { start, end, length: 5 });
        let same = |found: Result<u32, Error>, expected: Result<u32, Error>| {
            assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        };
        same(array.get(5).await, missing(5, 6));
        same(array.set(u64::MAX, &0).await.map(|()| 0), missing(usize::MAX, usize::MAX));
        same(array.swap(7, &0).await, missing(7, 8));
        same(array.update(9, subtract, (0,)).await, missing(9, 10));
        same(array.slice(4..6).await.map(|_| 0), missing(4, 6));
        let backwards = std::ops::Range { start: 3, end: 2 };
        same(array.slice(backwards).await.map(|_| 0), missing(3, 2));
        same(array.set_slice(4, [0, 0]).await.map(|()| 0), missing(4, 6));
        assert_eq!(array.to_vec().await.expect(CALLED), [0, 6, 5, 3, 8], "nothing was done");

        array.fill(&1).await.expect(CALLED);
        let (mut items, mut count) = (array.pages(), 0);
        while items.next().await.expect(CALLED) == Some(1) {
            count += 1;
        }
        assert_eq!(count, 5);
        let none = manager.array::<u32>([]).await.expect(CALLED);
        assert!(none.is_empty().await.expect(CALLED) && none.to_vec().await.expect(CALLED).is_empty());
        ends(manager).await;
    });
}

// C231 C233
async fn a_list_in_a_dict_is_one_list_for_all<T: Twin>() {
    type Lists = DictProxy<String, ListProxy<u32>>;
    fn push(lists: Lists) {
        let list = lists.blocking_get(&"a".to_owned()).expect(CALLED).expect("it was put in");
        list.blocking_push(&2).expect(CALLED);
    }
    let manager = manager().await;
    let (lists, list) = (manager.dict().await.expect(CALLED), manager.list().await.expect(CALLED));
    list.push(&1).await.expect(CALLED);
    lists.insert(&text("a"), &list).await.expect(CALLED);
    start::<T, _, _, _>(push, (lists.clone(),)).join().await.expect(RUNS);
    assert_eq!(list.to_vec().await.expect(CALLED), [1, 2]);
    let removed = lists.remove(&text("a")).await.expect(CALLED).expect("it was put in");
    assert!(removed == list);
    drop((list, lists));
    assert_eq!(removed.to_vec().await.expect(CALLED), [1, 2], "a proxy keeps it");

    let own = manager.list::<ListProxy<()>>().await.expect(CALLED);
    let itself: ListProxy<()> = {
        let found = manager.publish("own", &own).await.expect(CALLED);
        assert!(found);
        manager.list().await.expect(CALLED)
    };
    own.push(&itself).await.expect(CALLED);
    drop((own, itself));
    ends(manager).await;
}

// C234
#[test]
fn queues_stand_in_lists_and_dicts() {
    run(async {
        let manager = manager().await;
        let (list, dict) = (
            manager.list::<QueueProxy<u32>>().await.expect(CALLED),
            manager.dict::<String, QueueProxy<u32>>().await.expect(CALLED),
        );
        for number in 0..3 {
            let queue = manager.queue().await.expect(CALLED);
            list.push(&queue).await.expect(CALLED);
            dict.insert(&number.to_string(), &queue).await.expect(CALLED);
        }
        let queue = list.get(1).await.expect(CALLED).expect("there are three");
        queue.put(&7).await.expect(CALLED);
        let queue = dict.get(&text("1")).await.expect(CALLED).expect("there are three");
        assert_eq!(queue.get().await.expect(CALLED), 7);
        assert_eq!(list.pages().next().await.expect(CALLED).map(|queue| queue == queue), Some(true));
        ends(manager).await;
    });
}

// C235
#[test]
fn a_namespace_has_values_of_different_types() {
    run(async {
        let manager = manager().await;
        let names = manager.namespace().await.expect(CALLED);
        names.set("number", &1_u32).await.expect(CALLED);
        names.set("text", &text("a")).await.expect(CALLED);
        names.set("number", &vec![2_u8]).await.expect(CALLED);
        assert_eq!(names.get::<Vec<u8>>("number").await.expect(CALLED), Some(vec![2]));
        assert!(matches!(
            names.get::<String>("number").await,
            Err(Error::DecodeMessage { .. }) | Ok(Some(_))
        ));
        assert_eq!(names.names().await.expect(CALLED), ["number", "text"]);
        assert!(names.remove("number").await.expect(CALLED) && !names.remove("number").await.expect(CALLED));
        assert!(
            !names.contains("number").await.expect(CALLED) && names.contains("text").await.expect(CALLED)
        );
        assert_eq!(names.get::<u32>("number").await.expect(CALLED), None);
        ends(manager).await;
    });
}

#[test]
fn a_set_has_each_item_once() {
    run(async {
        let manager = manager().await;
        let set = manager.set::<u32>().await.expect(CALLED);
        assert!(set.insert(&1).await.expect(CALLED) && !set.insert(&1).await.expect(CALLED));
        set.extend([3, 2, 1]).await.expect(CALLED);
        assert_eq!(set.to_vec().await.expect(CALLED), [1, 3, 2]);
        assert_eq!(set.pop_last().await.expect(CALLED), Some(2));
        assert!(set.remove(&3).await.expect(CALLED) && !set.remove(&3).await.expect(CALLED));
        assert_eq!(set.to_set().await.expect(CALLED), HashSet::from([1]));
        assert!(set.contains(&1).await.expect(CALLED) && set.len().await.expect(CALLED) == 1);
        set.clear().await.expect(CALLED);
        assert!(set.is_empty().await.expect(CALLED));
        ends(manager).await;
    });
}

// C226 C228 C237
async fn queues_are_used_from_elsewhere<T: Twin>() {
    fn work(jobs: JoinableQueueProxy<u32>, results: QueueProxy<u32>) {
        while let Ok(job) = jobs.blocking_get() {
            results.blocking_put(&(job * job)).expect(CALLED);
            jobs.blocking_task_done().expect(CALLED);
        }
    }
    let manager = manager().await;
    let (jobs, results) =
        (manager.joinable_queue().await.expect(CALLED), manager.queue().await.expect(CALLED));
    let workers: Vec<_> =
        (0..2).map(|_| start::<T, _, _, _>(work, (jobs.clone(), results.clone()))).collect();
    for job in 0..20 {
        jobs.put(&job).await.expect(CALLED);
    }
    jobs.join().await.expect(CALLED);
    assert_eq!(results.len().await.expect(CALLED), 20);
    jobs.close().await.expect(CALLED);
    for worker in workers {
        worker.join().await.expect(RUNS);
    }
    let mut squares = Vec::new();
    while let Some(square) = results.try_get().await.expect(CALLED) {
        squares.push(square);
    }
    squares.sort_unstable();
    assert!(squares.into_iter().eq((0..20).map(|n| n * n)));
    assert!(matches!(jobs.task_done().await, Err(Error::TooManyDone)));
    ends(manager).await;
}

// C228
#[test]
fn a_queue_is_empty_full_and_closed_as_others_are() {
    run(async {
        let manager = manager().await;
        let none = manager.bounded_queue::<u32>(0).await;
        assert!(matches!(none, Err(Error::Option { option: "bounded_queue", .. })));
        let queue = manager.bounded_queue(2).await.expect(CALLED);
        assert_eq!(queue.try_get().await.expect(CALLED), None);
        assert_eq!(queue.get_timeout(SHORT).await.expect(CALLED), None);
        queue.try_put(&1).await.expect(CALLED);
        queue.put_timeout(&2, LONG).await.expect(CALLED);
        assert!(queue.is_full().await.expect(CALLED));
        assert!(matches!(queue.try_put(&3).await, Err(Error::Full)));
        assert!(matches!(queue.put_timeout(&3, SHORT).await, Err(Error::Full)));
        let (put, got) = future::join(queue.put(&3), async {
            // One that waits for room, and whoever makes it.
            queue.get().await
        })
        .await;
        put.expect(CALLED);
        assert_eq!(got.expect(CALLED), 1);
        queue.close().await.expect(CALLED);
        assert!(matches!(queue.put(&4).await, Err(Error::Closed)));
        assert_eq!((queue.get().await.expect(CALLED), queue.get().await.expect(CALLED)), (2, 3));
        assert!(matches!(queue.get().await, Err(Error::Closed)));
        assert!(matches!(queue.try_get().await, Err(Error::Closed)));
        assert!(queue.is_closed().await.expect(CALLED) && queue.is_empty().await.expect(CALLED));
        ends(manager).await;
    });
}

// fault 97
#[test]
fn a_get_of_a_client_that_is_gone_takes_no_item() {
    fn get(queue: QueueProxy<u32>, key: String) {
        pass(&key);
        let _never = queue.blocking_get();
    }
    run(async {
        let manager = manager().await;
        let queue = manager.queue::<u32>().await.expect(CALLED);
        for round in 0..20 {
            let mut gate = Gate::new();
            let client = Process::spawn(get, (queue.clone(), gate.key())).expect("a process can be started");
            gate.arrived().await;
            gate.let_all_go();
            if round % 2 == 0 {
                // Most likely it waits by then.
                queue.try_get().await.expect(CALLED);
            }
            client.kill().expect("it runs");
            client.join().await.expect_err("it was killed");
            queue.put(&round).await.expect(CALLED);
            assert_eq!(queue.get().await.expect(CALLED), round, "nobody else has taken it");
        }
        let given_up = tokio::time::timeout(SHORT, queue.get()).await;
        assert!(given_up.is_err());
        queue.put(&7).await.expect(CALLED);
        assert_eq!(queue.get().await.expect(CALLED), 7);
        ends(manager).await;
    });
}

// C236
async fn locks_are_used_from_elsewhere<T: Twin>() {
    type All = (LockProxy, RLockProxy, SemaphoreProxy, BoundedSemaphoreProxy);
    fn are_taken((lock, rlock, semaphore, bounded): All) -> [bool; 4] {
        [
            lock.blocking_try_acquire().expect(CALLED).is_none(),
            rlock.blocking_try_acquire().expect(CALLED).is_none(),
            semaphore.blocking_acquire_timeout(SHORT).expect(CALLED).is_none(),
            bounded.blocking_try_acquire().expect(CALLED).is_none(),
        ]
    }
    /// A guard that is dropped waits for nothing, so that it may take a moment.
    fn become_free((lock, rlock, semaphore, bounded): All) -> [bool; 4] {
        [
            lock.blocking_acquire_timeout(LONG).expect(CALLED).is_some(),
            rlock.blocking_acquire_timeout(LONG).expect(CALLED).is_some(),
            semaphore.blocking_acquire_timeout(LONG).expect(CALLED).is_some(),
            bounded.blocking_acquire_timeout(LONG).expect(CALLED).is_some(),
        ]
    }
    let manager = manager().await;
    let (lock, rlock) = (manager.lock().await.expect(CALLED), manager.rlock().await.expect(CALLED));
    let semaphore = manager.semaphore(1).await.expect(CALLED);
    let bounded = manager.bounded_semaphore(1).await.expect(CALLED);
    let all = (lock.clone(), rlock.clone(), semaphore.clone(), bounded.clone());
    let guards = (
        lock.acquire().await.expect(CALLED),
        rlock.acquire().await.expect(CALLED),
        rlock.acquire().await.expect("it is ours already"),
        semaphore.acquire().await.expect(CALLED),
        bounded.acquire().await.expect(CALLED),
    );
    assert_eq!(start::<T, _, _, _>(are_taken, (all.clone(),)).join().await.expect(RUNS), [true; 4]);
    drop(guards);
    assert_eq!(start::<T, _, _, _>(become_free, (all,)).join().await.expect(RUNS), [true; 4]);
    ends(manager).await;
}

// C236
#[test]
fn what_nobody_has_cannot_be_released() {
    run(async {
        let manager = manager().await;
        let lock = manager.lock().await.expect(CALLED);
        assert!(matches!(lock.release().await, Err(Error::NotAcquired)));
        lock.acquire().await.expect(CALLED).forget().await.expect(CALLED);
        assert!(lock.locked().await.expect(CALLED));
        lock.release().await.expect("anybody may");
        assert!(!lock.locked().await.expect(CALLED));
        let guard = lock.acquire().await.expect(CALLED);
        lock.release().await.expect("anybody may");
        drop(guard);
        let (first, second) =
            (lock.try_acquire().await.expect(CALLED), lock.try_acquire().await.expect(CALLED));
        assert!(first.is_some() && second.is_none(), "it was given back once");

        let bounded = manager.bounded_semaphore(1).await.expect(CALLED);
        assert!(matches!(bounded.release().await, Err(Error::TooManyReleases { bound: 1 })));
        let semaphore = manager.semaphore(0).await.expect(CALLED);
        semaphore.release().await.expect(CALLED);
        assert_eq!(semaphore.value().await.expect(CALLED), 1);
        let rlock = manager.rlock().await.expect(CALLED);
        let forgotten = rlock.acquire().await.expect(CALLED).forget().await;
        assert!(matches!(forgotten, Err(Error::Refused { .. })));
        ends(manager).await;
    });
}

// C236, fault 97
#[test]
fn what_a_client_holds_that_is_killed_is_free() {
    fn hold(lock: LockProxy, rlock: RLockProxy, condition: ConditionProxy, key: String) {
        let _guards = (
            lock.blocking_acquire().expect(CALLED),
            rlock.blocking_acquire().expect(CALLED),
            rlock.blocking_acquire().expect(CALLED),
            condition.blocking_acquire().expect(CALLED),
        );
        pass(&key);
    }
    run(async {
        let manager = manager().await;
        let (lock, rlock) = (manager.lock().await.expect(CALLED), manager.rlock().await.expect(CALLED));
        let condition = manager.condition().await.expect(CALLED);
        for _ in 0..10 {
            let mut gate = Gate::new();
            let args = (lock.clone(), rlock.clone(), condition.clone(), gate.key());
            let holder = Process::spawn(hold, args).expect("a process can be started");
            gate.arrived().await;
            assert!(lock.try_acquire().await.expect(CALLED).is_none());
            let waits = async {
                let all = (lock.acquire().await, rlock.acquire().await, condition.acquire().await);
                drop(all.0.expect(CALLED));
                drop(all.1.expect(CALLED));
                drop(all.2.expect(CALLED));
            };
            let kill = async { holder.kill().expect("it runs") };
            future::join(waits, kill).await;
            holder.join().await.expect_err("it was killed");
        }
        ends(manager).await;
    });
}

#[test]
fn many_take_turns_at_a_lock() {
    fn count(lock: LockProxy, value: ValueProxy<u32>) {
        for _ in 0..50 {
            let guard = lock.blocking_acquire().expect(CALLED);
            let known = value.blocking_get().expect(CALLED);
            value.blocking_set(&(known + 1)).expect(CALLED);
            drop(guard);
        }
    }
    run(async {
        let manager = manager().await;
        let (lock, value) = (manager.lock().await.expect(CALLED), manager.value(&0).await.expect(CALLED));
        let counters: Vec<_> = (0..3)
            .map(|_| Process::spawn(count, (lock.clone(), value.clone())).expect("a process can be started"))
            .collect();
        for counter in counters {
            counter.join().await.expect(RUNS);
        }
        assert_eq!(value.get().await.expect(CALLED), 150);
        ends(manager).await;
    });
}

// C236
async fn events_barriers_and_conditions_are_used_from_elsewhere<T: Twin>() {
    fn meet(event: EventProxy, barrier: BarrierProxy, condition: ConditionProxy) -> u64 {
        assert!(event.blocking_wait_timeout(LONG).expect(CALLED));
        let mut guard = condition.blocking_acquire().expect(CALLED);
        let place = barrier.blocking_n_waiting().expect(CALLED);
        guard.blocking_wait().expect(CALLED);
        drop(guard);
        barrier.blocking_wait().expect("nobody breaks it") + place
    }
    let manager = manager().await;
    let event = manager.event().await.expect(CALLED);
    let barrier = manager.barrier(3).await.expect(CALLED);
    let condition = manager.condition().await.expect(CALLED);
    let args = || (event.clone(), barrier.clone(), condition.clone());
    let others: Vec<_> = (0..2).map(|_| start::<T, _, _, _>(meet, args())).collect();
    assert!(!event.is_set().await.expect(CALLED));
    event.set().await.expect(CALLED);
    while condition.waiting().await.expect(CALLED) < 2 {
        tokio::task::yield_now().await;
    }
    condition.notify().await.expect(CALLED);
    while barrier.n_waiting().await.expect(CALLED) < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(condition.waiting().await.expect(CALLED), 1, "one was notified, and one sleeps on");
    condition.notify_all().await.expect(CALLED);
    barrier.wait().await.expect("nobody breaks it");
    for other in others {
        other.join().await.expect(RUNS);
    }
    event.clear().await.expect(CALLED);
    assert!(!event.wait_timeout(SHORT).await.expect(CALLED));
    ends(manager).await;
}

fn broken(result: multiprocess::Result<u64>) -> bool {
    matches!(result, Err(Error::BrokenBarrier))
}

fn wait_in_vain(barrier: BarrierProxy) -> bool {
    broken(barrier.blocking_wait())
}

/// A process that waits at the barrier.
async fn waiter(barrier: &BarrierProxy) -> Process<bool> {
    let waiter = Process::spawn(wait_in_vain, (barrier.clone(),)).expect("a process can be started");
    while barrier.n_waiting().await.expect(CALLED) < 1 {
        tokio::task::yield_now().await;
    }
    waiter
}

// C236
#[test]
fn a_barrier_breaks_by_time_and_is_made_as_new() {
    run(async {
        let manager = manager().await;
        assert!(matches!(manager.barrier(0).await, Err(Error::Option { option: "barrier", .. })));
        let barrier = manager.barrier(2).await.expect(CALLED);
        assert!(broken(barrier.wait_timeout(SHORT).await));
        assert!(barrier.broken().await.expect(CALLED) && broken(barrier.wait().await));
        barrier.reset().await.expect(CALLED);
        assert!(!barrier.broken().await.expect(CALLED));
        for _ in 0..3 {
            let (first, second) = future::join(barrier.wait(), barrier.wait()).await;
            let mut places = [first.expect("it is new"), second.expect("it is new")];
            places.sort_unstable();
            assert_eq!(places, [0, 1]);
        }
        assert_eq!(barrier.parties().await.expect(CALLED), 2);
        ends(manager).await;
    });
}

// C236, fault 97
#[test]
fn whoever_waits_at_a_barrier_hears_that_it_is_broken() {
    run(async {
        let manager = manager().await;
        let barrier = manager.barrier(2).await.expect(CALLED);
        let waits = waiter(&barrier).await;
        barrier.abort().await.expect(CALLED);
        assert!(waits.join().await.expect(RUNS));
        barrier.reset().await.expect(CALLED);

        let waits = waiter(&barrier).await;
        barrier.reset().await.expect(CALLED);
        assert!(waits.join().await.expect(RUNS));
        assert!(!barrier.broken().await.expect(CALLED));

        let waits = waiter(&barrier).await;
        waits.kill().expect("it runs");
        waits.join().await.expect_err("it was killed");
        while !barrier.broken().await.expect(CALLED) {
            tokio::task::yield_now().await;
        }
        ends(manager).await;
    });
}

// C236
#[test]
fn a_wait_for_a_condition_holds_the_lock_before_and_after() {
    run(async {
        let manager = manager().await;
        let condition = manager.condition().await.expect(CALLED);
        let mut guard = condition.acquire().await.expect(CALLED);
        assert!(!guard.wait_timeout(SHORT).await.expect(CALLED));
        assert!(condition.locked().await.expect(CALLED));
        let slept = future::join(guard.wait(), async {
            while condition.waiting().await.expect(CALLED) < 1 {
                tokio::task::yield_now().await;
            }
            let other = condition.acquire().await.expect("whoever waits has given it back");
            condition.notify_n(5).await.expect(CALLED);
            drop(other);
        });
        slept.await.0.expect(CALLED);
        assert!(condition.try_acquire().await.expect(CALLED).is_none());
        drop(guard);
        assert!(condition.try_acquire().await.expect(CALLED).is_some());
        ends(manager).await;
    });
}
