//! Pools and runtimes: made in one, used in another, outside any, and when a runtime has ended.

mod support;

use std::thread;
use std::time::Duration;

use futures::StreamExt as _;
use multiprocess::{Error, Kind, Pool};
use support::executor::block_on;
use support::gate::{Gate, stand};
use support::{end, on_both, on_both_outside, piped, pool};
use tokio::runtime::{Builder, Runtime};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";
const MADE: &str = "a runtime can be made";
const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(20);

fn double(n: u32) -> u32 {
    n * 2
}

/// A runtime of each kind.
fn runtimes() -> [Runtime; 2] {
    let several = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect(MADE);
    let one = Builder::new_current_thread().enable_all().build().expect(MADE);
    [several, one]
}

/// Does something in the context of a runtime.
fn inside<T>(runtime: &Runtime, work: impl FnOnce() -> T) -> T {
    let _inside = runtime.enter();
    work()
}

/// Uses everything that a pool has, in a context of whatever kind.
async fn use_all_of<K: Kind>(pool: &Pool<K>) {
    pool.ready().await.expect("they start");
    assert_eq!(pool.apply(double, (1,)).await.expect(RUNS), 2);
    assert_eq!(pool.try_apply(double, (1,)).expect("there is room").await.expect(RUNS), 2);
    assert_eq!(pool.apply_async(double, (2,)).await.expect(RUNS), 4);
    assert_eq!(pool.map(double, 0..3).await.expect(RUNS), [0, 2, 4]);
    assert_eq!(pool.map_async(double, 0..3).await.expect(RUNS), [0, 2, 4]);
    assert_eq!(pool.starmap(u32::pow, [(2, 3)]).await.expect(RUNS), [8]);
    assert_eq!(pool.starmap_async(u32::pow, [(2, 3)]).await.expect(RUNS), [8]);
    assert_eq!(pool.imap(double, 0..100).count().await, 100);
    assert_eq!(pool.imap_unordered(double, 0..100).count().await, 100);
    assert_eq!(pool.imap_stream(double, futures::stream::iter(0..9)).count().await, 9);
    let handle = pool.apply_async(double, (3,));
    assert!(handle.wait(LONG).await);
    assert_eq!(handle.get(LONG).await.expect(RUNS), 6);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let handle = pool.apply_async(double, (3,)).callback(move |n| sender.send(*n).expect("the test listens"));
    assert_eq!(receiver.await, Ok(6));
    assert_eq!(handle.await.expect(RUNS), 6);
}

/// The same with the blocking forms.
fn use_all_blocking_of<K: Kind>(pool: &Pool<K>) {
    pool.blocking_ready().expect("they start");
    assert_eq!(pool.blocking_apply(double, (1,)).expect(RUNS), 2);
    assert_eq!(pool.blocking_map(double, 0..3).expect(RUNS), [0, 2, 4]);
    assert_eq!(pool.blocking_starmap(u32::pow, [(2, 3), (3, 2)]).expect(RUNS), [8, 9]);
    assert!(pool.blocking_imap(double, 0..100).flatten().eq((0..100).map(double)));
    assert_eq!(pool.blocking_imap(double, 0..).chunksize(3).buffer(9).take(10).flatten().count(), 10);
    assert_eq!(pool.blocking_imap_unordered(double, 0..100).flatten().sum::<u32>(), 9_900);
    let input = futures::stream::iter(0..9);
    assert!(pool.blocking_imap_stream(double, input).flatten().eq((0..9).map(double)));
    assert_eq!(pool.apply_async(double, (4,)).blocking_get().expect(RUNS), 8);
}

// C130, C138
fn a_pool_works_in_a_runtime_of_each_kind<K: Kind>() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let pool = pool::<K>(2);
            use_all_of(&pool).await;
            end(pool).await;
        });
    }
}

// C130
fn blocking_calls_need_no_runtime<K: Kind>() {
    let pool = pool::<K>(2);
    use_all_blocking_of(&pool);
    pool.blocking_shutdown().expect("it ends");
    assert!(matches!(pool.blocking_apply(double, (1,)), Err(Error::Closed)));
    assert!(matches!(pool.blocking_map(double, 0..1), Err(Error::Closed)));
    pool.blocking_join().expect("it has ended");
}

// C130
fn blocking_calls_work_inside_runtimes<K: Kind>() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let pool = pool::<K>(2);
            use_all_blocking_of(&pool);
            use_all_of(&pool).await;
            pool.close();
            pool.blocking_join().expect("it was closed");
        });
    }
}

// C138
fn the_handle_of_a_map_can_be_waited_for_on_a_blocked_thread<K: Kind>() {
    let outside = pool::<K>(2);
    assert_eq!(outside.map_async(double, 0..2).blocking_get().expect(RUNS), [0, 2]);
    for runtime in runtimes() {
        runtime.block_on(async {
            assert_eq!(outside.map_async(double, 0..2).blocking_get().expect(RUNS), [0, 2]);
            let pool = pool::<K>(2);
            assert_eq!(pool.map_async(double, 0..2).blocking_get().expect(RUNS), [0, 2]);
            end(pool).await;
        });
    }
    outside.blocking_shutdown().expect("it ends");
}

// C134
fn a_callback_runs_for_a_handle_that_blocks_its_thread<K: Kind>() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let pool = pool::<K>(2);
            let (sender, receiver) = std::sync::mpsc::channel();
            let told = move |n: &u32| sender.send(*n).expect("the test listens");
            assert_eq!(pool.apply_async(double, (2,)).callback(told).blocking_get().expect(RUNS), 4);
            assert_eq!(receiver.try_recv(), Ok(4));
            end(pool).await;
        });
    }
}

// C144
fn a_call_that_waits_for_a_place_can_be_waited_for_on_a_blocked_thread<K: Kind>() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let pool = Pool::<K>::builder().workers(1).queue_limit(1).build().expect("the pool starts");
            let handles: Vec<_> = (0..100).map(|n| pool.apply_async(double, (n,))).collect();
            for (n, handle) in (0..).zip(handles) {
                assert_eq!(handle.blocking_get().expect(RUNS), 2 * n);
            }
            end(pool).await;
        });
    }
}

// C130
fn blocking_calls_work_on_threads_beside_a_runtime<K: Kind>() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let pool = pool::<K>(2);
            let theirs = pool.clone();
            tokio::task::spawn_blocking(move || use_all_blocking_of(&theirs))
                .await
                .expect("it does not panic");
            end(pool).await;
        });
    }
}

// C130
fn a_pool_made_in_a_runtime_works_while_that_stands_still<K: Kind>() {
    for runtime in runtimes() {
        let pool = runtime.block_on(async { pool::<K>(2) });
        use_all_blocking_of(&pool);
        for other in runtimes() {
            other.block_on(use_all_of(&pool));
        }
        pool.blocking_shutdown().expect("it ends");
    }
}

// C130
fn a_pool_made_outside_works_in_runtimes<K: Kind>() {
    let pool = pool::<K>(2);
    for runtime in runtimes() {
        runtime.block_on(use_all_of(&pool));
    }
    use_all_blocking_of(&pool);
    pool.blocking_shutdown().expect("it ends");
}

// C130
fn a_pool_outlives_the_runtime_it_was_made_in<K: Kind>() {
    for runtime in runtimes() {
        let pool = runtime.block_on(async {
            let pool = pool::<K>(2);
            use_all_of(&pool).await;
            pool
        });
        drop(runtime);
        use_all_blocking_of(&pool);
        for other in runtimes() {
            other.block_on(use_all_of(&pool));
        }
        pool.blocking_shutdown().expect("it ends");
    }
}

// C138
fn a_pool_survives_the_end_of_its_runtime_while_it_starts<K: Kind>() {
    for runtime in runtimes() {
        let pool = runtime.block_on(async { pool::<K>(2) });
        drop(runtime);
        use_all_blocking_of(&pool);
        pool.blocking_shutdown().expect("it ends");
    }
}

// C162, C219
fn a_pool_grows_after_its_runtime_has_ended<K: Kind>() {
    for runtime in runtimes() {
        let pool = runtime.block_on(async {
            let pool = pool::<K>(1);
            pool.ready().await.expect("it starts");
            pool
        });
        drop(runtime);
        pool.resize(2).expect("it is open");
        use_all_blocking_of(&pool);
        assert_eq!(pool.worker_pids().len(), 2);
        pool.blocking_shutdown().expect("it ends");
    }
}

// C138
fn a_call_outlives_the_runtime_it_was_made_in<K: Kind>() {
    let beside = Runtime::new().expect(MADE);
    for runtime in runtimes() {
        let mut gate = beside.block_on(async { Gate::new() });
        let pool = runtime.block_on(async { pool::<K>(1) });
        let handle = inside(&runtime, || pool.apply_async(stand, (gate.key(),)));
        beside.block_on(gate.arrived());
        drop(runtime);
        gate.let_all_go();
        beside.block_on(handle).expect("the task itself goes on");
        pool.blocking_shutdown().expect("it ends");
    }
}

// C138
fn a_call_that_blocks_the_only_thread_of_a_runtime_is_answered<K: Kind>() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect(MADE);
    let answered = runtime.block_on(async {
        let pool = pool::<K>(1);
        pool.ready().await.expect("it starts");
        let blocking = tokio::spawn(async move { pool.blocking_map(|n: u32| n + 1, 0..100) });
        blocking.await.expect("it does not panic")
    });
    assert_eq!(answered.expect(RUNS).len(), 100);
}

// C138
fn a_call_that_blocks_the_only_thread_of_a_runtime_is_answered_behind_a_large_one<K: Kind>() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect(MADE);
    let answered = runtime.block_on(async {
        let pool = piped::<K>(1);
        pool.ready().await.expect("it starts");
        let both = tokio::spawn(async move {
            // The pipe takes a part of it; the rest is to be written by a task of this runtime.
            let large = pool.apply_async(|bytes: Vec<u8>| bytes.len(), (vec![7; 8 << 20],));
            let small = pool.blocking_apply(|| 1, ());
            (small, large.await)
        });
        both.await.expect("it does not panic")
    });
    assert!(matches!(answered, (Ok(1), Ok(8_388_608))), "{answered:?}");
}

// C138
fn a_map_that_was_driven_by_a_runtime_settles_when_that_ends<K: Kind>() {
    let beside = Runtime::new().expect(MADE);
    let runtime = Runtime::new().expect(MADE);
    let mut gate = beside.block_on(async { Gate::new() });
    let pool = pool::<K>(1);
    let handle = inside(&runtime, || pool.map_async(stand, vec![gate.key(); 3]));
    beside.block_on(gate.arrived());
    drop(runtime);
    let failed = beside.block_on(handle);
    assert!(matches!(failed, Err(Error::Cancelled { .. })), "{failed:?}");
    gate.let_all_go();
    drop(gate);
    pool.blocking_shutdown().expect("nothing of the map is left");
}

// C138
fn a_map_that_was_started_in_a_current_thread_runtime_goes_on_without_it<K: Kind>() {
    let beside = Runtime::new().expect(MADE);
    let runtime = Builder::new_current_thread().enable_all().build().expect(MADE);
    let mut gate = beside.block_on(async { Gate::new() });
    let pool = pool::<K>(1);
    let handle = inside(&runtime, || pool.map_async(stand, vec![gate.key()]));
    beside.block_on(gate.arrived());
    drop(runtime);
    gate.let_all_go();
    assert_eq!(beside.block_on(handle).expect("the map goes on").len(), 1);
    pool.blocking_shutdown().expect("it ends");
}

// C185
fn callbacks_run_after_the_runtime_they_were_attached_in_has_ended<K: Kind>() {
    let beside = Runtime::new().expect(MADE);
    for runtime in runtimes() {
        let mut gate = beside.block_on(async { Gate::new() });
        let pool = pool::<K>(1);
        let (sender, receiver) = std::sync::mpsc::channel();
        let told = move |_: &u32| sender.send(()).expect("the test listens");
        let handle = inside(&runtime, || pool.apply_async(stand, (gate.key(),)).callback(told));
        beside.block_on(gate.arrived());
        drop(runtime);
        gate.let_all_go();
        handle.blocking_get().expect(RUNS);
        receiver.try_recv().expect("the callback has run");
        pool.blocking_shutdown().expect("it ends");
    }
}

// C138
fn everything_can_be_awaited_under_any_executor<K: Kind>() {
    let pool = pool::<K>(2);
    block_on(use_all_of(&pool));
    block_on(pool.shutdown()).expect("it ends");
}

// C139
fn time_limits_work_under_any_executor<K: Kind>() {
    let beside = Runtime::new().expect(MADE);
    let mut gate = beside.block_on(async { Gate::new() });
    let pool = pool::<K>(1);
    let handle = pool.apply_async(stand, (gate.key(),));
    assert!(!block_on(handle.wait(SHORT)));
    assert!(matches!(block_on(handle.get(SHORT)), Err(Error::TimedOut { .. })));
    beside.block_on(gate.arrived());
    gate.let_all_go();
    block_on(handle.get(LONG)).expect(RUNS);
    pool.blocking_shutdown().expect("it ends");
}

// C138
fn a_pool_made_in_a_runtime_can_be_awaited_under_any_executor<K: Kind>() {
    for runtime in runtimes() {
        let pool = runtime.block_on(async { pool::<K>(2) });
        block_on(use_all_of(&pool));
        block_on(pool.shutdown()).expect("it ends");
    }
}

// C130
fn many_threads_use_one_pool<K: Kind>() {
    let pool = pool::<K>(2);
    thread::scope(|scope| {
        for start in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                for n in start * 100..(start + 1) * 100 {
                    assert_eq!(pool.blocking_apply(double, (n,)).expect(RUNS), 2 * n);
                }
            });
        }
    });
    assert_eq!(pool.stats().completed, 800);
    pool.blocking_shutdown().expect("it ends");
}

// C130
fn several_runtimes_use_one_pool_at_once<K: Kind>() {
    let pool = pool::<K>(2);
    thread::scope(|scope| {
        for runtime in runtimes() {
            let pool = &pool;
            scope.spawn(move || runtime.block_on(use_all_of(pool)));
        }
        scope.spawn(|| use_all_blocking_of(&pool));
    });
    pool.blocking_shutdown().expect("it ends");
}

// C212
fn a_pool_can_be_dropped_anywhere<K: Kind>() {
    let [several, one] = runtimes();
    drop(several.block_on(async { pool::<K>(1) }));
    one.block_on(async { drop(pool::<K>(1)) });
    let outside = pool::<K>(1);
    one.block_on(async move { drop(outside) });
    let pool = several.block_on(async { pool::<K>(1) });
    drop(several);
    drop(pool);
}

fn nested(n: u32) -> u32 {
    let pool = multiprocess::dummy::ThreadPool::new(1).expect("the pool starts");
    let doubled = pool.blocking_apply(double, (n,)).expect(RUNS);
    pool.blocking_shutdown().expect("it ends");
    doubled
}

// C217
async fn a_task_may_have_a_pool_of_its_own<K: Kind>() {
    let pool = pool::<K>(1);
    assert_eq!(pool.apply(nested, (3,)).await.expect(RUNS), 6);
    let inner = async |n: u32| {
        let pool = multiprocess::ProcessPool::new(1).expect("the pool starts");
        let doubled = pool.apply(double, (n,)).await.expect(RUNS);
        pool.shutdown().await.expect("it ends");
        doubled
    };
    assert_eq!(pool.apply(inner, (4,)).await.expect(RUNS), 8);
    end(pool).await;
}

on_both!(a_task_may_have_a_pool_of_its_own);

on_both_outside!(
    a_pool_works_in_a_runtime_of_each_kind,
    blocking_calls_need_no_runtime,
    blocking_calls_work_inside_runtimes,
    the_handle_of_a_map_can_be_waited_for_on_a_blocked_thread,
    a_callback_runs_for_a_handle_that_blocks_its_thread,
    a_call_that_waits_for_a_place_can_be_waited_for_on_a_blocked_thread,
    blocking_calls_work_on_threads_beside_a_runtime,
    a_pool_made_in_a_runtime_works_while_that_stands_still,
    a_pool_made_outside_works_in_runtimes,
    a_pool_outlives_the_runtime_it_was_made_in,
    a_pool_survives_the_end_of_its_runtime_while_it_starts,
    a_pool_grows_after_its_runtime_has_ended,
    a_call_outlives_the_runtime_it_was_made_in,
    a_call_that_blocks_the_only_thread_of_a_runtime_is_answered,
    a_call_that_blocks_the_only_thread_of_a_runtime_is_answered_behind_a_large_one,
    a_map_that_was_driven_by_a_runtime_settles_when_that_ends,
    a_map_that_was_started_in_a_current_thread_runtime_goes_on_without_it,
    callbacks_run_after_the_runtime_they_were_attached_in_has_ended,
    everything_can_be_awaited_under_any_executor,
    time_limits_work_under_any_executor,
    a_pool_made_in_a_runtime_can_be_awaited_under_any_executor,
    many_threads_use_one_pool,
    several_runtimes_use_one_pool_at_once,
    a_pool_can_be_dropped_anywhere,
);
