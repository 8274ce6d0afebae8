//! The ends of a pool and of single calls: in time, at once, by a token, with the worker.

#![expect(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod support;

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use multiprocess::{Error, Kind, Pool, ProcessPool};
use support::evil;
use support::foreign::{SIGSTOP, block_all_signals, signal};
use support::gate::{Gate, pass, stand};
use support::tally::{Tally, mark};
use support::{end, exists, on_both, on_processes, pool, until};
use tokio_util::sync::CancellationToken;

/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(10);

on_both!(
    a_shutdown_in_time_has_done_everything,
    a_shutdown_whose_time_is_over_cuts_off_what_is_left,
    what_has_not_started_can_be_cancelled_and_what_runs_finishes,
    cancelling_what_is_pending_leaves_the_pool_open,
    a_token_cancels_a_call_that_runs,
    a_token_cancels_a_call_that_waits_for_a_place,
    a_token_cancels_a_call_that_was_started,
    a_token_that_was_cancelled_before_lets_nothing_start,
    a_token_cancels_maps_and_streams,
    a_call_that_is_killed_when_it_is_dropped_frees_its_worker,
    a_map_that_is_killed_when_it_is_dropped_frees_all_its_workers,
    a_call_that_is_done_is_not_killed_for_being_dropped,
);

fn is_cancelled<T: std::fmt::Debug>(result: multiprocess::Result<T>) {
    assert!(matches!(result, Err(Error::Cancelled { .. })), "{result:?}");
}

async fn a_shutdown_in_time_has_done_everything<K: Kind>() {
    let pool = pool::<K>(2);
    let calls: Vec<_> = (0..50).map(|n| pool.apply_async(|n: u32| n, (n,))).collect();
    assert!(pool.shutdown_timeout(LONG).await.expect("it ends"));
    let results = futures::future::try_join_all(calls).await.expect("all were done");
    assert!(results.into_iter().eq(0..50));
}

// fault 82
async fn a_shutdown_whose_time_is_over_cuts_off_what_is_left<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let calls: Vec<_> = (0..50).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    gate.arrived().await;
    assert!(!pool.shutdown_timeout(Duration::from_millis(20)).await.expect("it ends"));
    for call in calls {
        is_cancelled(call.await);
    }
    gate.let_all_go();
    assert!(pool.shutdown_timeout(LONG).await.expect("it has ended"), "nothing was left");
}

// C208
async fn what_has_not_started_can_be_cancelled_and_what_runs_finishes<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let key = tally.key();
    let calls: Vec<_> =
        (0..50).map(|n: u8| pool.apply_async(|key: String, n: u8| mark(&key, n), (key.clone(), n))).collect();
    let map = pool.map_async(|key: String| mark(&key, 99), std::iter::repeat_n(key, 1_000));
    pool.close();
    until(|| pool.stats().queued > 50).await;
    assert!(pool.cancel_pending() > 50);
    for call in calls {
        is_cancelled(call.await);
    }
    is_cancelled(map.await);
    gate.let_all_go();
    held.await.expect("it ran");
    pool.join().await.expect("it ends");
    assert_eq!(tally.count(), 0);
}

async fn cancelling_what_is_pending_leaves_the_pool_open<K: Kind>() {
    let pool = pool::<K>(2);
    assert_eq!(pool.cancel_pending(), 0);
    assert_eq!(pool.apply(|| 1, ()).await.expect("it is open"), 1);
    end(pool).await;
}

async fn a_token_cancels_a_call_that_runs<K: Kind>() {
    let pool = pool::<K>(1);
    let (token, mut gate) = (CancellationToken::new(), Gate::new());
    let held = pool.apply(stand, (gate.key(),)).cancel_on(token.clone());
    let cancel = async {
        gate.arrived().await;
        token.cancel();
    };
    let (result, ()) = tokio::join!(held, cancel);
    is_cancelled(result);
    gate.let_all_go();
    assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
    end(pool).await;
}

async fn a_token_cancels_a_call_that_waits_for_a_place<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).queue_limit(1).build().expect("the pool starts");
    let (token, mut gate, tally) = (CancellationToken::new(), Gate::new(), Tally::new());
    let mut held = vec![pool.apply_async(stand, (gate.key(),))];
    gate.arrived().await;
    while let Ok(place) = pool.try_apply(stand, (gate.key(),)) {
        held.push(place.start());
    }
    let task = |key: String| mark(&key, 1);
    let mut lazy = pool.apply(task, (tally.key(),)).cancel_on(token.clone());
    let eager = pool.apply(task, (tally.key(),)).cancel_on(token.clone()).start();
    assert!((&mut lazy).now_or_never().is_none(), "there is no place");
    token.cancel();
    is_cancelled(lazy.await);
    is_cancelled(eager.await);
    drop(gate);
    for held in held {
        held.await.expect("nobody touched it");
    }
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

async fn a_token_cancels_a_call_that_was_started<K: Kind>() {
    let pool = pool::<K>(1);
    let (token, mut gate) = (CancellationToken::new(), Gate::new());
    let held: Vec<_> =
        (0..3).map(|_| pool.apply(stand, (gate.key(),)).cancel_on(token.child_token()).start()).collect();
    gate.arrived().await;
    token.cancel();
    for held in held {
        is_cancelled(held.await);
    }
    gate.let_all_go();
    end(pool).await;
}

async fn a_token_that_was_cancelled_before_lets_nothing_start<K: Kind>() {
    let pool = pool::<K>(1);
    let (token, tally) = (CancellationToken::new(), Tally::new());
    token.cancel();
    let task = |key: String| mark(&key, 1);
    is_cancelled(pool.apply(task, (tally.key(),)).cancel_on(token.clone()).start().await);
    is_cancelled(pool.map(task, [tally.key()]).cancel_on(token.clone()).await);
    let mut stream = pool.imap(task, [tally.key()]).cancel_on(token);
    is_cancelled(stream.next().await.expect("it tells"));
    assert!(stream.next().await.is_none());
    drop(stream);
    end(pool).await;
    assert_eq!(tally.count(), 0, "a call whose token was cancelled never starts");
}

async fn a_token_cancels_maps_and_streams<K: Kind>() {
    let pool = pool::<K>(2);
    let (token, mut gate) = (CancellationToken::new(), Gate::new());
    let keys = std::iter::repeat(gate.key());
    let map = pool.map(|key: String| pass(&key), keys.clone()).cancel_on(token.child_token()).start();
    gate.arrived().await;
    let mut stream = pool.imap_unordered(|n: u64| n, 0..).cancel_on(token.clone());
    token.cancel();
    is_cancelled(map.await);
    let mut last = None;
    while let Some(result) = stream.next().await {
        last = Some(result);
    }
    is_cancelled(last.expect("it tells"));
    drop(stream);
    gate.let_all_go();
    drop(gate);
    end(pool).await;
}

async fn a_call_that_is_killed_when_it_is_dropped_frees_its_worker<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    for _ in 0..3 {
        let mut held = pool.apply(stand, (gate.key(),)).kill_on_drop(true);
        assert!((&mut held).now_or_never().is_none());
        gate.arrived().await;
        drop(held);
        assert_eq!(pool.apply(|| 1, ()).await.expect("there is a new one"), 1);
    }
    let held = pool.apply(stand, (gate.key(),)).kill_on_drop(true).start();
    gate.arrived().await;
    assert!(held.cancel());
    assert_eq!(pool.apply(|| 1, ()).await.expect("there is a new one"), 1);
    assert_eq!(pool.stats().deaths, 0);
    gate.let_all_go();
    end(pool).await;
}

async fn a_map_that_is_killed_when_it_is_dropped_frees_all_its_workers<K: Kind>() {
    let pool = pool::<K>(3);
    let mut gate = Gate::new();
    let keys = std::iter::repeat_n(gate.key(), 100);
    let mut map = pool.map(|key: String| pass(&key), keys).chunksize(1).kill_on_drop(true);
    assert!((&mut map).now_or_never().is_none());
    for _ in 0..3 {
        gate.arrived().await;
    }
    drop(map);
    let squares = pool.map(|n: u32| n * n, 0..100).chunksize(1).await.expect("there are new ones");
    assert!(squares.into_iter().eq((0..100).map(|n| n * n)));
    gate.let_all_go();
    end(pool).await;
}

async fn a_call_that_is_done_is_not_killed_for_being_dropped<K: Kind>() {
    let pool = pool::<K>(1);
    pool.ready().await.expect("the pool starts");
    let before = pool.worker_pids();
    for _ in 0..50 {
        let mut call = pool.apply(|| 1, ()).kill_on_drop(true);
        assert_eq!((&mut call).await.expect("it is quick"), 1);
        drop(call);
        drop(pool.apply(|| 1, ()).kill_on_drop(true));
    }
    assert_eq!(pool.worker_pids(), before);
    end(pool).await;
}

on_processes!(whatever_its_workers_do_a_pool_can_be_shut_down_in_bounded_time);

fn spin() -> u8 {
    loop {
        std::hint::spin_loop();
    }
}

fn deaf() -> u8 {
    block_all_signals();
    spin()
}

fn closes_its_pipes() -> u8 {
    support::foreign::close_whosever(evil::report_pipe());
    support::foreign::close_whosever(evil::order_pipe());
    spin()
}

fn stops() -> u8 {
    signal(std::process::id(), SIGSTOP);
    0
}

/// Ways to misbehave.
const MANNERS: [fn() -> u8; 4] = [spin, deaf, closes_its_pipes, stops];

fn misbehave(manner: usize, key: String) -> u8 {
    mark(&key, 1);
    MANNERS[manner]()
}

// fault 82
async fn whatever_its_workers_do_a_pool_can_be_shut_down_in_bounded_time() {
    for manner in 0..MANNERS.len() {
        let pool = ProcessPool::new(2).expect("the pool starts");
        let tally = Tally::new();
        let calls: Vec<_> = (0..2).map(|_| pool.apply_async(misbehave, (manner, tally.key()))).collect();
        until(|| tally.count() == 2).await;
        let pids = pool.worker_pids();
        // The deadline of the test is what bounds it.
        pool.shutdown_timeout(Duration::from_millis(10)).await.expect("it ends");
        for call in calls {
            assert!(call.await.is_err());
        }
        until(|| pids.iter().all(|pid| !exists(*pid))).await;
    }
}
