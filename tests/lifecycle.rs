//! Pools as a whole: how they begin, grow, count, and end in each of the ways there are.

#![expect(clippy::needless_pass_by_value, reason = "arguments of tasks are owned")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use multiprocess::{Error, Kind, Pool, ProcessPool, worker};
use support::gate::{Gate, pass, stand};
use support::start_method::left_out;
use support::tally::{Tally, mark};
use support::{end, exists, on_both, on_processes, piped, pool, until};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

fn double(n: u32) -> u32 {
    n * 2
}

/// Which worker this is; threads have numbers too.
fn worker_id() -> Option<u32> {
    worker::current().map(|worker| worker.id)
}

// C145
async fn a_pool_has_as_many_workers_as_it_was_given<K: Kind>() {
    let pool = pool::<K>(3);
    pool.ready().await.expect("they start");
    let pids: BTreeSet<_> = pool.worker_pids().into_iter().collect();
    assert_eq!(pids.len(), 3);
    assert_eq!((pool.stats().workers, pool.stats().starting, pool.stats().idle), (3, 0, 3));
    end(pool).await;
}

// C145
async fn a_pool_without_workers_is_refused<K: Kind>() {
    let refused = Pool::<K>::new(0);
    assert!(matches!(refused, Err(Error::Option { option: "workers", .. })), "{refused:?}");
}

// C145
async fn by_default_there_is_a_worker_for_every_core<K: Kind>() {
    let pool = Pool::<K>::builder().build().expect("the pool starts");
    pool.ready().await.expect("they start");
    let cores = std::thread::available_parallelism().expect("the cores can be counted");
    assert_eq!(pool.worker_pids().len(), cores.get());
    end(pool).await;
}

// C145
async fn options_that_cannot_be_are_refused<K: Kind>() {
    let refusal = |built: multiprocess::Result<Pool<K>>| match built {
        Err(Error::Option { option, .. }) => option,
        other => panic!("unexpected: {other:?}"),
    };
    assert_eq!(refusal(Pool::builder().queue_limit(0).build()), "queue_limit");
    assert_eq!(refusal(Pool::builder().queue_bytes(0).build()), "queue_bytes");
    assert_eq!(refusal(Pool::builder().max_frame(0).build()), "max_frame");
    assert_eq!(refusal(Pool::builder().max_frame(usize::MAX).build()), "max_frame");
    assert_eq!(refusal(Pool::builder().stack_size(1).build()), "stack_size");
}

// C166
async fn a_pool_of_many_more_workers_than_cores_answers<K: Kind>() {
    let pool = pool::<K>(24);
    assert!(pool.map(double, 0..1_000).await.expect(RUNS).into_iter().eq((0..1_000).map(double)));
    pool.ready().await.expect("they start");
    assert_eq!(pool.worker_pids().len(), 24);
    end(pool).await;
}

// C130
async fn calls_need_not_wait_until_the_pool_is_ready<K: Kind>() {
    let pool = pool::<K>(2);
    assert_eq!(pool.apply(double, (4,)).await.expect(RUNS), 8);
    end(pool).await;
}

// C174
async fn a_saturated_pool_has_no_more_workers_than_it_was_given<K: Kind>() {
    let pool = pool::<K>(2);
    pool.ready().await.expect("they start");
    let before = pool.worker_pids();
    let mut gate = Gate::new();
    let stands = |key: String| {
        pass(&key);
        worker_id()
    };
    let handles: Vec<_> = (0..30).map(|_| pool.apply_async(stands, (gate.key(),))).collect();
    gate.arrived().await;
    gate.arrived().await;
    assert_eq!((pool.stats().workers, pool.stats().starting, pool.stats().idle), (2, 0, 0));
    for _ in 2..30 {
        gate.let_one_go();
        gate.arrived().await;
    }
    gate.let_all_go();
    for handle in handles {
        let id = handle.await.expect(RUNS).expect("it runs in a worker");
        assert!(before.contains(&id));
    }
    assert_eq!(pool.worker_pids(), before);
    end(pool).await;
}

// C175
async fn an_idle_worker_is_used_again<K: Kind>() {
    let pool = pool::<K>(3);
    pool.ready().await.expect("they start");
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        ids.insert(pool.apply(worker_id, ()).await.expect(RUNS));
    }
    assert_eq!(ids.len(), 1, "one was enough");
    assert_eq!(pool.worker_pids().len(), 3);
    end(pool).await;
}

// C148, C205
async fn a_closed_pool_refuses_calls<K: Kind>() {
    let pool = pool::<K>(1);
    pool.close();
    assert!(matches!(pool.apply(double, (1,)).await, Err(Error::Closed)));
    assert!(matches!(pool.try_apply(double, (1,)), Err(Error::Closed)));
    assert!(matches!(pool.apply_async(double, (1,)).await, Err(Error::Closed)));
    assert!(matches!(pool.map(double, 0..3).await, Err(Error::Closed)));
    assert!(matches!(pool.map_async(double, 0..3).await, Err(Error::Closed)));
    assert!(matches!(pool.starmap_async(double, [(1,)]).await, Err(Error::Closed)));
    assert!(matches!(pool.resize(2), Err(Error::Closed)));
    assert!(matches!(pool.ready().await, Err(Error::Closed)));
    pool.join().await.expect("it was closed");
}

// C148
async fn a_call_that_was_made_before_the_end_and_polled_after_it_is_refused<K: Kind>() {
    let pool = pool::<K>(1);
    let (call, map) = (pool.apply(double, (1,)), pool.map(double, 0..3));
    end(pool).await;
    assert!(matches!(call.await, Err(Error::Closed)));
    assert!(matches!(map.await, Err(Error::Closed)));
}

// C149
async fn a_pool_that_has_ended_can_be_ended_again<K: Kind>() {
    let pool = pool::<K>(1);
    end(pool.clone()).await;
    pool.close();
    pool.terminate();
    pool.join().await.expect("it has ended");
    end(pool.clone()).await;
    assert!(matches!(pool.apply(double, (1,)).await, Err(Error::Closed)));
    assert_eq!(pool.worker_pids(), [0; 0]);
}

// C149
async fn an_open_pool_cannot_be_joined<K: Kind>() {
    let pool = pool::<K>(1);
    assert!(matches!(pool.join().await, Err(Error::NotClosed)));
    assert_eq!(pool.apply(double, (1,)).await.expect("it is open still"), 2);
    end(pool).await;
}

// C207, C146
async fn close_lets_everything_finish_that_was_started<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let calls: Vec<_> = (0..50).map(|n| pool.apply_async(double, (n,))).collect();
    let map = pool.map_async(double, 0..10_000);
    pool.close();
    gate.let_all_go();
    held.await.expect(RUNS);
    for (n, call) in (0..50).zip(calls) {
        assert_eq!(call.await.expect(RUNS), 2 * n);
    }
    assert!(map.await.expect(RUNS).into_iter().eq((0..10_000).map(double)));
    pool.join().await.expect("it was closed");
}

// C207
async fn close_lets_a_map_finish_that_nobody_polls<K: Kind>() {
    let pool = pool::<K>(2);
    let tally = Tally::new();
    drop(pool.map_async(|key: String| mark(&key, 1), vec![tally.key(); 1_000]));
    end(pool).await;
    assert_eq!(tally.count(), 1_000);
}

// C212
async fn join_returns_when_all_workers_are_gone<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    pool.close();
    let mut join = Box::pin(pool.join());
    assert!((&mut join).now_or_never().is_none(), "a task is under way");
    gate.let_all_go();
    join.await.expect("it was closed");
    assert!(held.is_finished());
    assert_eq!(pool.stats().workers, 0);
    held.await.expect(RUNS);
}

// C212
async fn no_process_is_left_when_join_returns() {
    for terminate in [false, true] {
        let pool = ProcessPool::new(3).expect("the pool starts");
        pool.ready().await.expect("they start");
        let pids = pool.worker_pids();
        if terminate {
            pool.terminate();
        }
        end(pool).await;
        assert!(!pids.into_iter().any(exists), "not even as a zombie");
    }
}

// C146
async fn terminate_settles_ten_thousand_tasks_at_once<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let handles: Vec<_> = (0..10_000).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    gate.arrived().await;
    gate.arrived().await;
    let began = Instant::now();
    pool.terminate();
    assert!(handles.iter().all(multiprocess::TaskHandle::is_finished), "all are settled when it returns");
    pool.join().await.expect("it was terminated");
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    for handle in handles {
        assert!(matches!(handle.await, Err(Error::Cancelled { .. })));
    }
    assert_eq!(pool.stats().cancelled, 10_000);
}

// C184
async fn terminate_fails_maps_that_are_under_way<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let map = pool.map_async(stand, vec![gate.key(); 1_000]);
    gate.arrived().await;
    pool.terminate();
    assert!(matches!(map.await, Err(Error::Cancelled { .. })));
    pool.join().await.expect("it was terminated");
}

// C184
async fn a_pool_that_was_never_used_can_be_terminated<K: Kind>() {
    let pool = pool::<K>(2);
    pool.terminate();
    pool.terminate();
    pool.join().await.expect("it was terminated");
    assert!(matches!(pool.apply(double, (1,)).await, Err(Error::Closed)));
}

// C184
async fn a_pool_that_is_being_closed_can_be_terminated<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    pool.close();
    pool.terminate();
    assert!(matches!(held.await, Err(Error::Cancelled { .. })));
    pool.join().await.expect("it was terminated");
}

// C184
async fn a_callback_may_terminate_the_pool<K: Kind>() {
    let pool = pool::<K>(1);
    let again = pool.clone();
    let first = pool.apply_async(double, (1,)).callback(move |_| again.terminate());
    assert_eq!(first.await.expect(RUNS), 2);
    pool.join().await.expect("it was terminated");
}

// C148, C154
async fn dropping_the_last_handle_of_a_pool_terminates_it<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..10).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    gate.arrived().await;
    let again = pool.clone();
    drop(pool);
    assert!(calls.iter().all(|call| !call.is_finished()), "there is another handle");
    drop(again);
    for call in calls {
        assert!(matches!(call.await, Err(Error::Cancelled { .. })));
    }
}

// C154
async fn a_dropped_pool_leaves_no_process() {
    let pool = ProcessPool::new(2).expect("the pool starts");
    pool.ready().await.expect("they start");
    let pids = pool.worker_pids();
    let mut gate = Gate::new();
    drop(pool.apply_async(stand, (gate.key(),)));
    gate.arrived().await;
    drop(pool);
    until(|| !pids.iter().copied().any(exists)).await;
}

// C154
async fn a_pool_that_is_dropped_while_it_starts_leaves_no_process() {
    let tally = Tally::new();
    let tell = |key: String| support::tally::tell(&key, &std::process::id().to_string());
    for _ in 0..10 {
        let builder = ProcessPool::builder().workers(2).initializer(tell, (tally.key(),));
        drop(builder.build().expect("the pool starts"));
    }
    // Those that came far enough to tell their number, and those that did not.
    let started = |line: &str| line.parse().is_ok_and(exists);
    until(|| !tally.lines().iter().any(|line| started(line))).await;
}

/// Ends its worker once it is let go.
fn stand_and_exit(key: String) {
    pass(&key);
    std::process::exit(99)
}

// C180, C183
async fn calls_fail_with_the_reason_when_no_replacement_can_be_started() {
    if left_out("it stays in its directory when that is removed") {
        return;
    }
    let directory = support::scratch("gone");
    std::fs::create_dir_all(&directory).expect("a directory can be made");
    let builder = ProcessPool::builder().workers(1).current_dir(&directory);
    let pool = builder.build().expect("the pool starts");
    let mut gate = Gate::new();
    let fatal = pool.apply_async(stand_and_exit, (gate.key(),));
    gate.arrived().await;
    let handles: Vec<_> = (0..20).map(|n| pool.apply_async(double, (n,))).collect();
    std::fs::remove_dir(&directory).expect("it is empty");
    gate.let_all_go();
    let died = fatal.await.expect_err("its worker exits");
    assert!(died.to_string().contains("exit code 99"), "{died}");
    for handle in handles {
        let failed = handle.await.expect_err("there is no worker");
        assert!(matches!(&failed, Error::Broken { causes } if !causes.is_empty()), "{failed}");
        assert!(failed.to_string().contains("cannot start a worker"), "{failed}");
    }
    assert!(matches!(pool.apply(double, (1,)).await, Err(Error::Broken { .. })));
    assert!(matches!(pool.map_async(double, 0..3).await, Err(Error::Broken { .. })));
    end(pool).await;
}

// C184
async fn terminate_ends_workers_that_never_look_up() {
    let pool = ProcessPool::new(2).expect("the pool starts");
    let mut gate = Gate::new();
    let spin = |key: String| -> () {
        pass(&key);
        loop {
            std::hint::spin_loop();
        }
    };
    let handles = [(); 2].map(|()| pool.apply_async(spin, (gate.key(),)));
    gate.arrived().await;
    gate.arrived().await;
    gate.let_all_go();
    let pids = pool.worker_pids();
    pool.terminate();
    pool.join().await.expect("it was terminated");
    assert!(!pids.into_iter().any(exists));
    for handle in handles {
        assert!(matches!(handle.await, Err(Error::Cancelled { .. })));
    }
}

// C152
async fn the_end_of_a_pool_waits_for_slow_writers_of_large_results<K: Kind>() {
    let pool = piped::<K>(2);
    let handles: Vec<_> = (0..8).map(|_| pool.apply_async(|| vec![7_u8; 8 << 20], ())).collect();
    end(pool).await;
    for handle in handles {
        assert_eq!(handle.await.expect(RUNS).len(), 8 << 20);
    }
}

// C148
async fn clones_are_the_same_pool<K: Kind>() {
    let pool = pool::<K>(1);
    let again = pool.clone();
    drop(pool);
    assert_eq!(again.apply(double, (1,)).await.expect("it lives on"), 2);
    assert_eq!(again.stats().completed, 1);
    end(again).await;
}

// C219
async fn a_pool_grows<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let handles: Vec<_> = (0..3).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    gate.arrived().await;
    pool.resize(3).expect("it is open");
    // The new ones take over what had been sent ahead to the first.
    gate.arrived().await;
    gate.arrived().await;
    pool.ready().await.expect("they start");
    assert_eq!(pool.worker_pids().len(), 3);
    gate.let_all_go();
    for handle in handles {
        handle.await.expect(RUNS);
    }
    end(pool).await;
}

// C219
async fn a_pool_shrinks_when_its_workers_are_done<K: Kind>() {
    let pool = pool::<K>(3);
    let mut gate = Gate::new();
    let handles: Vec<_> = (0..3).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    for _ in 0..3 {
        gate.arrived().await;
    }
    pool.resize(1).expect("it is open");
    assert_eq!(pool.worker_pids().len(), 3, "all of them are busy");
    gate.let_all_go();
    for handle in handles {
        handle.await.expect("shrinking fails no task");
    }
    until(|| pool.worker_pids().len() == 1).await;
    assert_eq!(pool.apply(double, (1,)).await.expect("one is left"), 2);
    assert_eq!(pool.stats().deaths, 0);
    end(pool).await;
}

// C219
async fn a_pool_can_be_resized_in_the_middle_of_a_map<K: Kind>() {
    let pool = pool::<K>(2);
    let map = pool.map_async(|n: u64| n + 1, 0..20_000);
    for workers in [1, 4, 2, 3, 1, 2] {
        pool.resize(workers).expect("it is open");
        assert_eq!(pool.apply(double, (1,)).await.expect(RUNS), 2);
    }
    assert!(map.await.expect(RUNS).into_iter().eq(1..=20_000));
    until(|| pool.worker_pids().len() == 2).await;
    end(pool).await;
}

// C219
async fn a_pool_cannot_be_resized_to_nothing<K: Kind>() {
    let pool = pool::<K>(1);
    assert!(matches!(pool.resize(0), Err(Error::Option { option: "resize", .. })));
    assert_eq!(pool.apply(double, (1,)).await.expect("it is as it was"), 2);
    end(pool).await;
}

// C145
async fn stats_count_what_becomes_of_the_tasks<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let waiting: Vec<_> = (0..9).map(|n| pool.apply_async(double, (n,))).collect();
    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.completed, stats.queued + stats.running), (10, 0, 10));
    assert!(stats.running >= 1 && stats.idle == 0, "{stats:?}");
    assert!(waiting[8].cancel());
    gate.let_all_go();
    held.await.expect(RUNS);
    for handle in waiting {
        let _cancelled_or_not = handle.await;
    }
    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.completed, stats.cancelled, stats.failed), (10, 9, 1, 0));
    assert_eq!((stats.queued, stats.running, stats.deaths), (0, 0, 0));
    pool.map(double, 0..90).await.expect(RUNS);
    assert_eq!(pool.stats().completed, 99, "each element counts");
    end(pool).await;
}

// C144
async fn an_apply_is_answered_while_a_huge_map_runs<K: Kind>() {
    let pool = pool::<K>(1);
    let map = pool.map_async(|n: u64| n, 0..u64::MAX);
    until(|| pool.stats().completed > 1_000).await;
    for n in 0..50 {
        assert_eq!(pool.apply(double, (n,)).await.expect(RUNS), 2 * n);
    }
    assert!(!map.is_finished());
    map.cancel();
    drop(map);
    end(pool).await;
}

// C144
async fn two_maps_get_on_side_by_side<K: Kind>() {
    let pool = pool::<K>(1);
    let huge = pool.map_async(|n: u64| n, 0..u64::MAX);
    until(|| pool.stats().completed > 1_000).await;
    let small = pool.map(double, 0..500).chunksize(1).await.expect(RUNS);
    assert!(small.into_iter().eq((0..500).map(double)));
    assert!(!huge.is_finished());
    pool.terminate();
    assert!(matches!(huge.await, Err(Error::Cancelled { .. })));
    pool.join().await.expect("it was terminated");
}

on_processes!(
    calls_fail_with_the_reason_when_no_replacement_can_be_started,
    terminate_ends_workers_that_never_look_up,
    no_process_is_left_when_join_returns,
    a_dropped_pool_leaves_no_process,
    a_pool_that_is_dropped_while_it_starts_leaves_no_process
);

on_both!(
    a_pool_has_as_many_workers_as_it_was_given,
    a_pool_without_workers_is_refused,
    by_default_there_is_a_worker_for_every_core,
    options_that_cannot_be_are_refused,
    a_pool_of_many_more_workers_than_cores_answers,
    calls_need_not_wait_until_the_pool_is_ready,
    a_saturated_pool_has_no_more_workers_than_it_was_given,
    an_idle_worker_is_used_again,
    a_closed_pool_refuses_calls,
    a_call_that_was_made_before_the_end_and_polled_after_it_is_refused,
    a_pool_that_has_ended_can_be_ended_again,
    an_open_pool_cannot_be_joined,
    close_lets_everything_finish_that_was_started,
    close_lets_a_map_finish_that_nobody_polls,
    join_returns_when_all_workers_are_gone,
    terminate_settles_ten_thousand_tasks_at_once,
    terminate_fails_maps_that_are_under_way,
    a_pool_that_was_never_used_can_be_terminated,
    a_pool_that_is_being_closed_can_be_terminated,
    a_callback_may_terminate_the_pool,
    dropping_the_last_handle_of_a_pool_terminates_it,
    the_end_of_a_pool_waits_for_slow_writers_of_large_results,
    clones_are_the_same_pool,
    a_pool_grows,
    a_pool_shrinks_when_its_workers_are_done,
    a_pool_can_be_resized_in_the_middle_of_a_map,
    a_pool_cannot_be_resized_to_nothing,
    stats_count_what_becomes_of_the_tasks,
    an_apply_is_answered_while_a_huge_map_runs,
    two_maps_get_on_side_by_side,
);
