//! Calls that are dropped or cancelled at every stage, callbacks that panic or block, and ends that meet: each call is
//! settled exactly once, and the others never notice.

#![expect(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use multiprocess::{Error, Kind, Pool, ProcessPool, Processes, TaskHandle, worker};
use support::foreign::{SIGCONT, SIGKILL, SIGSTOP, signal};
use support::gate::{Gate, pass, stand};
use support::odd::{Habit, Odd};
use support::tally::{Tally, mark};
use support::{on_both, piped, run};

fn pool<K: Kind>(workers: usize) -> Pool<K> {
    Pool::new(workers).expect("the pool starts")
}

fn note(key: String, which: u8) -> u8 {
    mark(&key, which);
    which
}

/// A pool whose one worker stands at the gate.
async fn held<K: Kind>() -> (Pool<K>, Gate, TaskHandle<u32>) {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let task = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    (pool, gate, task)
}

// fault 73
async fn a_call_that_is_dropped_before_it_has_started_never_runs<K: Kind>() {
    let (pool, mut gate, task) = held::<K>().await;
    let tally = Tally::new();
    // Some of these were sent to the worker already, and lie in its pipe; the others wait in the pool.
    let mut calls: Vec<_> = (0..60).map(|which| pool.apply(note, (tally.key(), which))).collect();
    for call in &mut calls {
        assert!(call.now_or_never().is_none(), "the worker is held");
    }
    let mut which = 0..;
    calls.retain(|_| which.next().is_some_and(|which| which % 3 == 0));
    gate.let_all_go();
    task.await.expect("it was let go");
    for (call, which) in calls.into_iter().zip((0..60).step_by(3)) {
        assert_eq!(call.await.expect("this one was kept"), which);
    }
    let mut marks = tally.marks();
    marks.sort_unstable();
    assert!(marks.into_iter().eq((0..60).step_by(3)));
    pool.shutdown().await.expect("it ends");
}

// fault 73
async fn a_call_that_is_never_polled_never_runs<K: Kind>() {
    let pool = pool::<K>(1);
    let tally = Tally::new();
    drop(pool.apply(note, (tally.key(), 1)));
    drop(pool.map(|_: u8| (), 0..10));
    drop(pool.imap(|_: u8| (), 0..10));
    pool.shutdown().await.expect("it ends");
    assert_eq!((tally.count(), pool.stats().submitted), (0, 0));
}

fn until_cancelled(key: String) -> bool {
    pass(&key);
    while !worker::is_cancelled() {
        std::thread::yield_now();
    }
    true
}

// fault 73
async fn a_call_that_is_dropped_while_it_runs_is_asked_to_end_and_the_next_is_answered<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let mut call = pool.apply(until_cancelled, (gate.key(),));
    assert!((&mut call).now_or_never().is_none(), "it stands at the gate");
    gate.arrived().await;
    drop(call);
    gate.let_all_go();
    // The one worker comes to these only if the first has ended.
    for n in 0..5_u8 {
        assert_eq!(pool.apply(|n: u8| n, (n,)).await.expect("the stream of replies is in step"), n);
    }
    assert_eq!(pool.stats().deaths, 0);
    pool.shutdown().await.expect("it ends");
}

// fault 73
async fn streams_and_maps_that_are_dropped_half_way_leave_the_pool_in_step<K: Kind>() {
    let pool = pool::<K>(2);
    for taken in 0..10 {
        let mut stream = pool.imap(|n: u64| vec![n; 100], 0..).chunksize(3);
        for n in 0..taken {
            assert_eq!(stream.next().await.expect("it is endless").expect("no task fails"), vec![n; 100]);
        }
        drop(stream);
        let mut map = pool.map(|n: u64| n, 0..1_000);
        let _not_done = (&mut map).now_or_never();
        drop(map);
        assert_eq!(pool.apply(|n: u64| n, (taken,)).await.expect("no task fails"), taken);
    }
    pool.shutdown().await.expect("it ends");
}

// fault 74
async fn a_call_that_is_cancelled_while_its_result_comes_is_settled_once<K: Kind>() {
    let pool = pool::<K>(2);
    for round in 0..300_u32 {
        let told = Arc::new(AtomicU32::new(0));
        let (ok, err) = (Arc::clone(&told), Arc::clone(&told));
        let task = pool
            .apply_async(|n: u32| n, (round,))
            .callback(move |_| ok.store(ok.load(Ordering::Relaxed) + 1, Ordering::Relaxed))
            .error_callback(move |_| err.store(err.load(Ordering::Relaxed) + 100, Ordering::Relaxed));
        for _ in 0..round % 50 {
            tokio::task::yield_now().await;
        }
        let cancelled = task.cancel();
        assert!(!task.cancel(), "a call is cancelled only once");
        let outcome = task.await;
        match (cancelled, outcome, told.load(Ordering::Relaxed)) {
            (true, Err(Error::Cancelled { .. }), 100) => {}
            (false, Ok(n), 1) => assert_eq!(n, round),
            other => panic!("cancelled, outcome, callbacks: {other:?}"),
        }
    }
    assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
    pool.shutdown().await.expect("it ends");
}

// fault 75
async fn a_callback_that_panics_fails_its_own_call_and_no_other<K: Kind>() {
    let pool = pool::<K>(1);
    let told = Arc::new(AtomicU32::new(0));
    let later = Arc::clone(&told);
    let task = pool
        .apply_async(|| 7, ())
        .callback(|n: &u32| panic!("not with {n}"))
        .callback(move |n| later.store(*n, Ordering::Relaxed));
    match task.await {
        Err(Error::Callback(panic)) => assert_eq!(panic.message, "not with 7"),
        other => panic!("its callback panics, but: {other:?}"),
    }
    assert_eq!(told.load(Ordering::Relaxed), 7, "the second callback ran all the same");
    let task = pool.apply_async(|| -> u32 { panic!("a task") }, ()).error_callback(|_| panic!("a callback"));
    assert!(matches!(task.await, Err(Error::Callback(_))));
    assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
    pool.shutdown().await.expect("it ends");
}

// faults 4, 75
async fn a_callback_that_panics_over_a_value_that_does_settles_its_call<K: Kind>() {
    /// A value that panics when the program drops it.
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            let mine = worker::current().is_none() && !std::thread::panicking();
            assert!(!mine, "it panics when it is dropped");
        }
    }
    let pool = pool::<K>(1);
    let task = pool.apply_async(|| Last, ()).callback(|_| panic!("not with this"));
    assert!(matches!(task.await, Err(Error::Callback(_))));
    assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
    pool.shutdown().await.expect("it ends");
}

/// What a callback that blocks waits for; not for ever, so that a failure of its test ends.
fn wait_for(released: &mpsc::Receiver<()>) {
    let _released = released.recv_timeout(Duration::from_secs(20));
}

// fault 75
async fn a_callback_that_blocks_holds_up_no_other_call<K: Kind>() {
    let pool = pool::<K>(1);
    let (release, released) = mpsc::channel();
    let blocked = pool.apply_async(|| 1, ()).callback(move |_| wait_for(&released));
    for n in 0..20_u8 {
        assert_eq!(pool.apply(|n: u8| n, (n,)).await.expect("no task fails"), n);
    }
    assert!(!blocked.is_finished(), "the other calls waited for the callback");
    drop(release);
    assert_eq!(blocked.await.expect("no task fails"), 1);
    pool.shutdown().await.expect("it ends");
}

/// Outside of a runtime callbacks run on the crate's own, where everything else of a pool goes on too.
fn a_blocking_callback_outside_of_a_runtime<K: Kind>() {
    let pool = pool::<K>(1);
    let (release, released) = mpsc::channel();
    let blocked = pool.apply_async(|| 1, ()).callback(move |_| wait_for(&released));
    let results: Vec<_> = (0..20_u8).map(|n| pool.blocking_apply(|n: u8| n, (n,))).collect();
    let in_time = !blocked.is_finished();
    drop(release);
    assert!(results.into_iter().zip(0..).all(|(result, n)| result.is_ok_and(|result| result == n)));
    assert_eq!(blocked.blocking_get().expect("no task fails"), 1);
    assert!(in_time, "the other calls waited for the callback");
    pool.blocking_shutdown().expect("it ends");
}

// fault 75
#[test]
fn a_callback_that_blocks_outside_of_a_runtime_holds_up_no_other_call_of_processes() {
    a_blocking_callback_outside_of_a_runtime::<Processes>();
}

// fault 75
#[test]
fn a_callback_that_blocks_outside_of_a_runtime_holds_up_no_other_call_of_threads() {
    a_blocking_callback_outside_of_a_runtime::<multiprocess::dummy::Threads>();
}

on_both!(
    a_call_that_is_dropped_before_it_has_started_never_runs,
    a_call_that_is_never_polled_never_runs,
    a_call_that_is_dropped_while_it_runs_is_asked_to_end_and_the_next_is_answered,
    streams_and_maps_that_are_dropped_half_way_leave_the_pool_in_step,
    a_call_that_is_cancelled_while_its_result_comes_is_settled_once,
    a_callback_that_panics_fails_its_own_call_and_no_other,
    a_callback_that_panics_over_a_value_that_does_settles_its_call,
    a_callback_that_blocks_holds_up_no_other_call,
);

// fault 73
#[test]
fn a_call_that_is_dropped_while_its_frame_is_half_written_never_runs_and_leaves_the_pipe_in_step() {
    run(async {
        let pool = piped::<Processes>(1);
        pool.ready().await.expect("the pool starts");
        let (worker, tally) = (pool.worker_pids()[0], Tally::new());
        signal(worker, SIGSTOP);
        let load = |key: String, load: Vec<u8>| {
            mark(&key, 1);
            load.len()
        };
        let mut call = pool.apply(load, (tally.key(), vec![1; 16 << 20]));
        assert!((&mut call).now_or_never().is_none(), "nobody reads it");
        drop(call);
        signal(worker, SIGCONT);
        for n in 0..20_u8 {
            assert_eq!(pool.apply(|n: u8| n, (n,)).await.expect("the pipe is in step"), n);
        }
        assert_eq!((tally.count(), pool.stats().deaths), (0, 0));
        assert_eq!(pool.worker_pids(), [worker]);
        pool.shutdown().await.expect("it ends");
    });
}

// fault 74
#[test]
fn a_call_that_is_cancelled_while_its_worker_dies_is_settled_once() {
    run(async {
        let pool = pool::<Processes>(2);
        for round in 0..60 {
            let task = pool.apply_async(|| support::foreign::raise(SIGKILL), ());
            for _ in 0..round % 20 {
                tokio::task::yield_now().await;
            }
            let cancelled = task.cancel();
            match (cancelled, task.await) {
                (true, Err(Error::Cancelled { .. })) | (false, Err(Error::WorkerDied(_))) => {}
                other => panic!("cancelled, outcome: {other:?}"),
            }
        }
        assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
        pool.shutdown().await.expect("it ends");
    });
}

// fault 74
#[test]
fn calls_that_race_against_the_end_of_their_pool_are_settled_once() {
    run(async {
        for round in 0..20 {
            let pool = pool::<Processes>(2);
            let mut tasks: Vec<_> = (0..50).map(|n: u32| pool.apply_async(|n: u32| n, (n,))).collect();
            if round % 2 == 0 {
                pool.ready().await.expect("the pool starts");
            }
            for task in tasks.drain(..round) {
                task.await.expect("the pool is open");
            }
            pool.terminate();
            for task in tasks {
                let outcome = task.await;
                assert!(matches!(outcome, Ok(_) | Err(Error::Cancelled { .. })), "{outcome:?}");
            }
            pool.join().await.expect("it ends");
        }
    });
}

// fault 74
#[test]
fn a_time_limit_that_passes_takes_nothing_away() {
    run(async {
        let (pool, mut gate, task) = held::<Processes>().await;
        assert!(!task.wait(Duration::from_millis(1)).await);
        assert!(matches!(task.get(Duration::from_millis(1)).await, Err(Error::TimedOut { .. })));
        gate.let_all_go();
        let pid = task.get(Duration::from_mins(1)).await.expect("it was let go");
        assert_eq!(pool.worker_pids(), [pid]);
        assert!(matches!(task.get(Duration::from_millis(1)).await, Err(Error::Taken { .. })));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 79
#[test]
fn a_value_that_panics_when_a_callback_wants_to_read_it_settles_its_call() {
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        let told = Arc::new(AtomicU32::new(0));
        let failed = Arc::clone(&told);
        let task = pool
            .apply_async(|| Odd(Habit::ReadPanics, 1), ())
            .error_callback(move |_| failed.store(1, Ordering::Relaxed));
        assert!(matches!(task.await, Err(Error::Decode { .. })));
        assert_eq!(told.load(Ordering::Relaxed), 1);
        pool.shutdown().await.expect("it ends");
    });
}
