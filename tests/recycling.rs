//! Workers that come and go: after so many tasks, with too much memory, when they are idle, when there is work.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use multiprocess::{Builder, Error, Kind, Pool, ProcessPool, worker};
use support::foreign::{SIGKILL, signal};
use support::gate::{Gate, stand};
use support::{end, exists, on_both, on_processes, until};

on_both!(
    a_worker_is_replaced_after_so_many_tasks,
    each_element_of_a_chunk_counts,
    a_pool_that_is_closed_early_does_all_tasks_within_the_limit,
    tasks_that_wait_behind_the_limit_are_all_answered,
    a_pool_that_nobody_waits_for_does_what_it_was_given,
    limits_that_cannot_be_are_refused,
    never_do_more_workers_work_at_once_than_there_should_be,
    idle_workers_end_and_come_back_on_demand,
    only_so_many_workers_are_started_as_there_are_calls_for,
    a_pool_without_workers_can_be_shut_down,
    a_pool_that_starts_on_demand_can_be_resized,
);

on_processes!(
    a_task_finds_nothing_of_another_in_a_worker_of_its_own,
    a_worker_that_outgrows_its_memory_is_replaced_and_no_result_is_lost,
    an_element_that_outgrows_its_worker_leaves_the_rest_of_its_chunk_to_another,
    a_death_within_the_limit_costs_one_task,
    threads_that_a_task_leaves_behind_end_with_its_worker,
    workers_that_end_while_calls_come_lose_none_of_them,
);

fn builder<K: Kind>(workers: usize) -> Builder<K> {
    Pool::<K>::builder().workers(workers)
}

fn own_id() -> u32 {
    worker::current().expect("this is a task").id
}

/// How many tasks each worker did.
fn counts(ids: impl IntoIterator<Item = u32>) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for id in ids {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

// C158, C176
async fn a_worker_is_replaced_after_so_many_tasks<K: Kind>() {
    let pool = builder::<K>(3).max_tasks_per_child(10).build().expect("the pool starts");
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(pool.apply(own_id, ()).await.expect("it lives"));
    }
    let counts = counts(ids);
    assert!(counts.len() >= 10 && counts.values().all(|tasks| *tasks <= 10), "{counts:?}");
    pool.ready().await.expect("there are as many as ever");
    let stats = pool.stats();
    assert_eq!((pool.worker_pids().len(), stats.deaths), (3, 0));
    assert!(stats.recycled >= 9, "{stats:?}");
    end(pool).await;
}

// C158
async fn each_element_of_a_chunk_counts<K: Kind>() {
    let pool = builder::<K>(2).max_tasks_per_child(3).build().expect("the pool starts");
    for chunksize in [1, 2, 10, 40] {
        let ids = pool.map(|n: u32| (n, own_id()), 0..40).chunksize(chunksize).await.expect("all live");
        assert!(ids.iter().map(|(n, _)| *n).eq(0..40));
        let counts = counts(ids.into_iter().map(|(_, id)| id));
        assert!(counts.values().all(|tasks| *tasks <= 3), "{counts:?}");
    }
    end(pool).await;
}

// C159
async fn a_pool_that_is_closed_early_does_all_tasks_within_the_limit<K: Kind>() {
    for workers in 1..=3 {
        let pool = builder::<K>(workers).max_tasks_per_child(1).build().expect("the pool starts");
        let calls: Vec<_> = (0..6).map(|n| pool.apply_async(|n: u32| (n, own_id()), (n,))).collect(); // C179
        pool.close();
        pool.join().await.expect("it ends");
        let results = futures::future::try_join_all(calls).await.expect("all were done");
        assert!(results.iter().map(|(n, _)| *n).eq(0..6));
        assert_eq!(counts(results.into_iter().map(|(_, id)| id)).len(), 6, "each had a worker of its own");
    }
}

// C177, fault 17
async fn tasks_that_wait_behind_the_limit_are_all_answered<K: Kind>() {
    for (workers, limit, tasks) in [(1, 2, 6), (2, 2, 8), (1, 1, 20), (4, 1, 60), (3, 3, 100), (4, 2, 100)] {
        let pool = builder::<K>(workers).max_tasks_per_child(limit).build().expect("the pool starts");
        let calls: Vec<_> = (0..tasks).map(|n| pool.apply_async(|n: usize| n + 1, (n,))).collect();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.expect("it is answered"), n + 1);
        }
        end(pool).await;
    }
}

// C178
async fn a_pool_that_nobody_waits_for_does_what_it_was_given<K: Kind>() {
    let pool = builder::<K>(2).max_tasks_per_child(1).build().expect("the pool starts");
    let calls: Vec<_> = (0..10).map(|n| pool.apply_async(|n: u32| n, (n,))).collect();
    pool.close();
    let results = futures::future::try_join_all(calls).await.expect("all were done");
    assert!(results.into_iter().eq(0..10));
    pool.join().await.expect("it ends");
    // Dropped, it tells each call why it has no result.
    let pool = builder::<K>(1).max_tasks_per_child(1).build().expect("the pool starts");
    let calls: Vec<_> = (0..50).map(|n| pool.apply_async(|n: u32| n, (n,))).collect();
    drop(pool);
    for (n, call) in (0..).zip(calls) {
        match call.await {
            Ok(value) => assert_eq!(value, n),
            Err(error) => assert!(matches!(error, Error::Cancelled { .. }), "{error}"),
        }
    }
}

// C160
async fn limits_that_cannot_be_are_refused<K: Kind>() {
    let option = |builder: Builder<K>| match builder.build() {
        Err(Error::Option { option, .. }) => option,
        other => panic!("it cannot be, but is {other:?}"),
    };
    assert_eq!(option(builder(1).max_tasks_per_child(0)), "max_tasks_per_child");
    assert_eq!(option(builder(2).min_workers(3)), "min_workers");
    assert_eq!(option(builder(1).start_timeout(Duration::ZERO)), "start_timeout");
    let memory = ProcessPool::builder().workers(1).max_memory_per_child(0).build();
    assert!(matches!(memory, Err(Error::Option { option: "max_memory_per_child", .. })));
}

// fault 17, C174
async fn never_do_more_workers_work_at_once_than_there_should_be<K: Kind>() {
    let pool = builder::<K>(2).max_tasks_per_child(1).build().expect("the pool starts");
    let mut gate = Gate::new();
    let held: Vec<_> = (0..6).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    for _ in 0..3 {
        gate.arrived().await;
        gate.arrived().await;
        // The successors are there before a third could be let through by mistake.
        until(|| pool.stats().workers == 2).await;
        assert!(futures::FutureExt::now_or_never(gate.arrived()).is_none(), "two work at once");
        gate.let_all_go();
    }
    for held in held {
        held.await.expect("nobody touched it");
    }
    end(pool).await;
}

// C216
async fn idle_workers_end_and_come_back_on_demand<K: Kind>() {
    let pool = builder::<K>(3).idle_timeout(Duration::from_millis(30)).build().expect("the pool starts");
    let mut all = BTreeSet::new();
    for round in 1..=5 {
        let mut gate = Gate::new();
        let held: Vec<_> = (0..3)
            .map(|_| {
                let wait = |key: String| {
                    support::gate::pass(&key);
                    own_id()
                };
                pool.apply_async(wait, (gate.key(),))
            })
            .collect();
        for _ in 0..3 {
            gate.arrived().await;
        }
        gate.let_all_go();
        for held in held {
            all.insert(held.await.expect("nobody touched it"));
        }
        until(|| pool.stats().workers == 0).await;
        assert_eq!(all.len(), 3 * round, "each round had new ones");
    }
    assert_eq!(pool.stats().deaths, 0);
    end(pool).await;
}

// C175, C216
async fn only_so_many_workers_are_started_as_there_are_calls_for<K: Kind>() {
    let pool = builder::<K>(8).min_workers(1).build().expect("the pool starts");
    pool.ready().await.expect("one is there");
    assert_eq!(pool.worker_pids().len(), 1);
    for _ in 0..20 {
        pool.apply(|| (), ()).await.expect("it lives");
    }
    assert_eq!(pool.worker_pids().len(), 1, "one after the other needs one worker");
    let mut gate = Gate::new();
    let held: Vec<_> = (0..3).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    for _ in 0..3 {
        gate.arrived().await;
    }
    assert_eq!(pool.worker_pids().len(), 3);
    gate.let_all_go();
    for held in held {
        held.await.expect("nobody touched it");
    }
    assert_eq!(pool.stats().workers, 3, "without a limit of idle time they stay");
    end(pool).await;
}

async fn a_pool_without_workers_can_be_shut_down<K: Kind>() {
    let pool = builder::<K>(2).min_workers(0).build().expect("the pool starts");
    pool.ready().await.expect("it needs none");
    assert_eq!(pool.stats().workers, 0);
    end(pool).await;
}

async fn a_pool_that_starts_on_demand_can_be_resized<K: Kind>() {
    let pool = builder::<K>(1).min_workers(0).build().expect("the pool starts");
    let mut gate = Gate::new();
    let held: Vec<_> = (0..3).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    gate.arrived().await;
    pool.resize(3).expect("it is open");
    for _ in 0..2 {
        gate.arrived().await;
    }
    pool.resize(1).expect("it is open");
    gate.let_all_go();
    for held in held {
        held.await.expect("nobody touched it");
    }
    until(|| pool.stats().workers == 1).await;
    end(pool).await;
}

// fault 106
async fn a_task_finds_nothing_of_another_in_a_worker_of_its_own() {
    static VISITS: AtomicU32 = AtomicU32::new(0);
    fn visit(_: u32) -> (u32, u32) {
        (VISITS.fetch_add(1, Ordering::Relaxed), std::process::id())
    }
    let pool = ProcessPool::builder().workers(2).max_tasks_per_child(1).build().expect("the pool starts");
    let visits = pool.map(visit, 0..10).await.expect("all live");
    assert!(visits.iter().all(|(before, _)| *before == 0), "{visits:?}");
    end(pool).await;
}

/// What a task has leaked in this process.
static LEAK: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn leak(mib: usize) -> u32 {
    LEAK.lock().expect("nobody panics with it").push(vec![1; mib << 20]);
    std::process::id()
}

// C218
async fn a_worker_that_outgrows_its_memory_is_replaced_and_no_result_is_lost() {
    let pool =
        ProcessPool::builder().workers(1).max_memory_per_child(200 << 20).build().expect("the pool starts");
    let mut pids = Vec::new();
    for _ in 0..9 {
        pids.push(pool.apply(leak, (80,)).await.expect("no result is lost"));
    }
    let counts = counts(pids);
    assert!(counts.len() >= 3 && counts.values().all(|tasks| *tasks <= 3), "{counts:?}");
    let stats = pool.stats();
    assert_eq!((stats.deaths, stats.completed), (0, 9));
    assert!(stats.recycled >= 2, "{stats:?}");
    end(pool).await;
}

// C218
async fn an_element_that_outgrows_its_worker_leaves_the_rest_of_its_chunk_to_another() {
    let pool =
        ProcessPool::builder().workers(1).max_memory_per_child(200 << 20).build().expect("the pool starts");
    let results: Vec<_> = pool.imap(|_: u8| leak(80), 0..9).chunksize(9).collect().await;
    let pids = results.into_iter().map(|result| result.expect("no result is lost"));
    let counts = counts(pids);
    assert_eq!(counts.values().sum::<usize>(), 9);
    assert!(counts.len() >= 3 && counts.values().all(|tasks| *tasks <= 3), "{counts:?}");
    end(pool).await;
}

async fn a_death_within_the_limit_costs_one_task() {
    let pool = ProcessPool::builder().workers(2).max_tasks_per_child(2).build().expect("the pool starts");
    let results: Vec<_> = pool
        .imap(|n: u32| if n % 10 == 3 { std::process::abort() } else { n }, 0..50)
        .chunksize(4)
        .collect()
        .await;
    assert_eq!(results.len(), 50);
    for (n, result) in (0..).zip(results) {
        match result {
            Ok(value) => assert!(value == n && n % 10 != 3),
            Err(error) => assert!(matches!(error, Error::WorkerDied(_)) && n % 10 == 3, "{n}: {error}"),
        }
    }
    end(pool).await;
}

// fault 30
async fn threads_that_a_task_leaves_behind_end_with_its_worker() {
    fn leave_a_thread() -> u32 {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
        std::process::id()
    }
    let pool = ProcessPool::new(1).expect("the pool starts");
    let pid = pool.apply(leave_a_thread, ()).await.expect("it lives");
    assert_eq!(pool.apply(std::process::id, ()).await.expect("it goes on"), pid, "its worker is kept");
    end(pool).await;
    assert!(!exists(pid), "it has ended with all its threads");
}

// C216
async fn workers_that_end_while_calls_come_lose_none_of_them() {
    let pool = ProcessPool::builder()
        .workers(3)
        .idle_timeout(Duration::from_millis(1))
        .build()
        .expect("the pool starts");
    for n in 0..300_u32 {
        assert_eq!(pool.apply(|n: u32| n, (n,)).await.expect("none is lost"), n);
        if n % 10 == 0 {
            until(|| pool.stats().workers == 0).await;
        }
        if n % 50 == 25 {
            // And some die meanwhile.
            for pid in pool.worker_pids().into_iter().filter(|pid| exists(*pid)) {
                signal(pid, SIGKILL);
            }
        }
    }
    end(pool).await;
}
