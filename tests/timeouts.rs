//! Limits of time: tasks that run or wait longer than they may.

#![expect(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod support;

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use multiprocess::{Error, Kind, Limit, Pool, ProcessPool, worker};
use support::foreign::{SIGTERM, block_all_signals, on_signal};
use support::gate::{Gate, pass, stand};
use support::tally::{Tally, mark, tell};
use support::{end, exists, on_both, on_processes, pool, until};

const SHORT: Duration = Duration::from_millis(50);
/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(10);

on_both!(
    a_task_that_runs_too_long_fails_and_the_pool_goes_on,
    a_task_that_ends_when_it_is_asked_keeps_its_worker,
    a_task_that_is_done_in_time_is_not_touched,
    the_value_of_a_task_whose_time_was_over_is_not_believed,
    each_element_of_a_map_has_its_own_time,
    a_map_yields_its_results_until_the_time_of_one_is_over,
    the_limit_of_the_pool_holds_for_calls_that_say_nothing,
    a_task_that_has_not_started_in_time_never_does,
    an_element_that_has_not_started_in_time_never_does,
    the_wait_for_a_place_in_the_queue_counts,
    a_time_of_nothing_is_an_error,
    an_option_that_comes_too_late_is_an_error,
    a_task_that_is_cancelled_is_still_ended_by_its_limit,
);

fn builder<K: Kind>() -> multiprocess::Builder<K> {
    Pool::<K>::builder().workers(1)
}

fn until_asked() -> u32 {
    while !worker::is_cancelled() {
        std::thread::yield_now();
    }
    7
}

fn own_id() -> u32 {
    worker::current().expect("this is a task").id
}

fn limit_of<T: std::fmt::Debug>(result: multiprocess::Result<T>) -> Limit {
    match result {
        Err(Error::TimedOut { limit, .. }) => limit,
        other => panic!("its time was over, but it got {other:?}"),
    }
}

// fault 19
async fn a_task_that_runs_too_long_fails_and_the_pool_goes_on<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let held = pool.apply(stand, (gate.key(),)).timeout(SHORT);
    let (result, ()) = tokio::join!(held, gate.arrived());
    match result {
        Err(Error::TimedOut { task, limit, after }) => {
            assert!(task.contains("stand #"), "{task}");
            assert_eq!((limit, after), (Limit::Run, SHORT));
        }
        other => panic!("its time was over, but it got {other:?}"),
    }
    assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
    let stats = pool.stats();
    assert_eq!((stats.workers, stats.failed, stats.deaths), (1, 1, 0));
    gate.let_all_go();
    end(pool).await;
}

async fn a_task_that_ends_when_it_is_asked_keeps_its_worker<K: Kind>() {
    let pool = builder::<K>().grace(LONG).build().expect("the pool starts");
    let before = pool.apply(own_id, ()).await.expect("it lives");
    assert_eq!(limit_of(pool.apply(until_asked, ()).timeout(SHORT).await), Limit::Run);
    assert_eq!(pool.apply(own_id, ()).await.expect("it lives on"), before);
    end(pool).await;
}

async fn a_task_that_is_done_in_time_is_not_touched<K: Kind>() {
    let pool = pool::<K>(1);
    for n in 0..100 {
        assert_eq!(pool.apply(|n: u32| n, (n,)).timeout(LONG).await.expect("it is quick"), n);
    }
    assert_eq!(pool.stats().workers, 1);
    end(pool).await;
}

async fn the_value_of_a_task_whose_time_was_over_is_not_believed<K: Kind>() {
    let pool = builder::<K>().grace(LONG).build().expect("the pool starts");
    let results: Vec<_> = pool
        .imap(|n: u32| if n == 2 { until_asked() } else { n }, 0..5)
        .chunksize(5)
        .timeout(Duration::from_secs(2))
        .collect()
        .await;
    assert_eq!(results.len(), 5);
    for (n, result) in (0..).zip(results) {
        if n == 2 {
            assert_eq!(limit_of(result), Limit::Run);
        } else {
            assert_eq!(result.expect("only one takes too long"), n);
        }
    }
    end(pool).await;
}

async fn each_element_of_a_map_has_its_own_time<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let (key, marks) = (gate.key(), tally.key());
    let input = (0..10_u8).map(move |n| (n, key.clone(), marks.clone()));
    let task = |(n, key, marks): (u8, String, String)| {
        mark(&marks, n);
        if n == 4 {
            pass(&key);
        }
        n
    };
    let results = pool.imap(task, input).chunksize(10).timeout(Duration::from_secs(1)).collect::<Vec<_>>();
    let (results, ()) = tokio::join!(results, gate.arrived());
    gate.let_all_go();
    for (n, result) in (0..).zip(results) {
        if n == 4 {
            assert_eq!(limit_of(result), Limit::Run);
        } else {
            assert_eq!(result.expect("only one takes too long"), n);
        }
    }
    let mut marks = tally.marks();
    marks.sort_unstable();
    assert!(marks.into_iter().eq(0..10), "each was begun once");
    end(pool).await;
}

// C170
async fn a_map_yields_its_results_until_the_time_of_one_is_over<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let key = gate.key();
    let task = |(n, key): (u32, String)| {
        if n == 2 {
            pass(&key);
        }
        n
    };
    let input = move || {
        let key = key.clone();
        (0..3).map(move |n| (n, key.clone()))
    };
    let mut results = pool.imap(task, input()).timeout(Duration::from_secs(1));
    for n in 0..2 {
        assert_eq!(results.next().await.expect("there are three").expect("it is quick"), n);
    }
    let last = async { results.next().await.expect("there are three") };
    let (last, ()) = tokio::join!(last, gate.arrived());
    assert_eq!(limit_of(last), Limit::Run);
    let map = pool.map(task, input()).timeout(Duration::from_secs(1));
    let (map, ()) = tokio::join!(map, gate.arrived());
    assert_eq!(limit_of(map), Limit::Run);
    gate.let_all_go();
    drop(results);
    end(pool).await;
}

async fn the_limit_of_the_pool_holds_for_calls_that_say_nothing<K: Kind>() {
    let pool = builder::<K>().timeout(SHORT).grace(LONG).build().expect("the pool starts");
    assert_eq!(limit_of(pool.apply(until_asked, ()).await), Limit::Run);
    assert_eq!(limit_of(pool.apply_async(until_asked, ()).await), Limit::Run);
    assert_eq!(limit_of(pool.map(|_: u8| until_asked(), [1]).await), Limit::Run);
    end(pool).await;
}

// fault 84
async fn a_task_that_has_not_started_in_time_never_does<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let late: Vec<_> = (0..5)
        .map(|n| {
            pool.apply(|key: String, n: u8| mark(&key, n), (tally.key(), n)).queue_timeout(SHORT).start()
        })
        .collect();
    for late in late {
        let result = late.await;
        assert!(format!("{result:?}").contains("limit: Queue, after: 50ms"), "{result:?}");
    }
    gate.let_all_go();
    held.await.expect("nobody touched it");
    pool.apply(|| (), ()).await.expect("the pool goes on");
    assert_eq!(tally.count(), 0);
    end(pool).await;
}

async fn an_element_that_has_not_started_in_time_never_does<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let key = tally.key();
    let input = (0..4_u8).map(move |n| (key.clone(), n));
    let results: Vec<_> =
        pool.imap(|(key, n): (String, u8)| mark(&key, n), input).queue_timeout(SHORT).collect().await;
    assert_eq!(results.len(), 4);
    assert!(results.into_iter().all(|result| limit_of(result) == Limit::Queue));
    gate.let_all_go();
    held.await.expect("nobody touched it");
    assert_eq!(tally.count(), 0);
    end(pool).await;
}

async fn the_wait_for_a_place_in_the_queue_counts<K: Kind>() {
    let pool = builder::<K>().queue_limit(1).build().expect("the pool starts");
    let mut gate = Gate::new();
    let mut held = vec![pool.apply_async(stand, (gate.key(),))];
    gate.arrived().await;
    // One or two are sent ahead; then the queue is full.
    while let Ok(place) = pool.try_apply(stand, (gate.key(),)) {
        held.push(place.start());
    }
    assert_eq!(limit_of(pool.apply(|| 1, ()).queue_timeout(SHORT).await), Limit::Queue);
    assert_eq!(limit_of(pool.apply(|| 1, ()).queue_timeout(SHORT).start().await), Limit::Queue);
    drop(gate);
    for held in held {
        held.await.expect("nobody touched it");
    }
    assert_eq!(pool.apply(|| 1, ()).queue_timeout(LONG).await.expect("there is room again"), 1);
    end(pool).await;
}

async fn a_time_of_nothing_is_an_error<K: Kind>() {
    let is_refused = |error: Error| matches!(error, Error::Option { option: "timeout", .. });
    assert!(is_refused(builder::<K>().timeout(Duration::ZERO).build().expect_err("it can do nothing")));
    let pool = pool::<K>(1);
    let zero = Duration::ZERO;
    assert!(is_refused(pool.apply(|| 1, ()).timeout(zero).await.expect_err("it can do nothing")));
    assert!(is_refused(pool.apply(|| 1, ()).timeout(zero).start().await.expect_err("it can do nothing")));
    assert!(is_refused(pool.map(|n: u8| n, [1]).timeout(zero).await.expect_err("it can do nothing")));
    let mut stream = pool.imap(|n: u8| n, [1]).timeout(zero);
    assert!(is_refused(stream.next().await.expect("it tells").expect_err("it can do nothing")));
    assert!(stream.next().await.is_none());
    drop(stream);
    end(pool).await;
}

async fn an_option_that_comes_too_late_is_an_error<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let mut call = pool.apply(stand, (gate.key(),));
    assert!((&mut call).now_or_never().is_none());
    gate.arrived().await;
    let error = call.timeout(LONG).await.expect_err("it runs");
    assert!(matches!(error, Error::Option { option: "timeout", .. }), "{error}");
    gate.let_all_go();
    end(pool).await;
}

async fn a_task_that_is_cancelled_is_still_ended_by_its_limit<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let held = pool.apply(stand, (gate.key(),)).timeout(Duration::from_millis(300)).start();
    gate.arrived().await;
    assert!(held.cancel());
    assert!(matches!(held.await, Err(Error::Cancelled { .. })));
    assert_eq!(pool.apply(|| 1, ()).await.expect("its worker was replaced"), 1);
    gate.let_all_go();
    end(pool).await;
}

on_processes!(
    an_endless_loop_is_ended_with_its_worker,
    a_task_that_blocks_sigterm_is_killed_all_the_same,
    a_task_may_put_its_things_in_order_when_it_gets_sigterm,
    the_children_of_a_task_whose_time_is_over_end_with_it,
    what_was_sent_ahead_behind_an_endless_loop_runs_elsewhere_exactly_once,
);

fn spin() -> u8 {
    loop {
        std::hint::spin_loop();
    }
}

// fault 19
async fn an_endless_loop_is_ended_with_its_worker() {
    let pool = ProcessPool::new(2).expect("the pool starts");
    pool.ready().await.expect("the pool starts");
    let before = pool.worker_pids();
    for _ in 0..5 {
        assert_eq!(limit_of(pool.apply(spin, ()).timeout(SHORT).await), Limit::Run);
    }
    pool.ready().await.expect("its size is restored");
    let after = pool.worker_pids();
    assert_eq!(after.len(), 2);
    let gone: Vec<_> = before.into_iter().filter(|pid| !after.contains(pid)).collect();
    assert!(!gone.is_empty());
    until(|| gone.iter().all(|pid| !exists(*pid))).await;
    end(pool).await;
}

// fault 36
async fn a_task_that_blocks_sigterm_is_killed_all_the_same() {
    fn deaf() -> u8 {
        block_all_signals();
        spin()
    }
    let pool = ProcessPool::new(1).expect("the pool starts");
    let pid = pool.apply(std::process::id, ()).await.expect("it lives");
    assert_eq!(limit_of(pool.apply(deaf, ()).timeout(SHORT).await), Limit::Run);
    until(|| !exists(pid)).await;
    let deaf = pool.apply_async(deaf, ());
    pool.terminate();
    assert!(deaf.await.is_err());
    pool.join().await.expect("it ends");
}

async fn a_task_may_put_its_things_in_order_when_it_gets_sigterm() {
    static KEY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    extern "C" fn orderly(_signal: i32) {
        mark(KEY.get().expect("it was set before"), 9);
        std::process::exit(0);
    }
    fn careful(key: String) -> u8 {
        KEY.set(key).expect("it is the first");
        on_signal(SIGTERM, orderly);
        spin()
    }
    let tally = Tally::new();
    let pool =
        ProcessPool::builder().workers(1).grace(Duration::from_secs(4)).build().expect("the pool starts");
    assert_eq!(limit_of(pool.apply(careful, (tally.key(),)).timeout(SHORT).await), Limit::Run);
    assert_eq!(tally.marks(), [9]);
    end(pool).await;
}

// fault 19, 31
async fn the_children_of_a_task_whose_time_is_over_end_with_it() {
    fn parent(key: String) -> u8 {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("there is `sleep`");
        tell(&key, &child.id().to_string());
        child.wait().expect("it sleeps for long");
        spin()
    }
    let tally = Tally::new();
    let pool = ProcessPool::new(1).expect("the pool starts");
    let result = pool.apply(parent, (tally.key(),)).timeout(Duration::from_millis(500)).await;
    assert_eq!(limit_of(result), Limit::Run);
    let child: u32 = tally.lines()[0].parse().expect("it is a number");
    until(|| !exists(child)).await;
    end(pool).await;
}

async fn what_was_sent_ahead_behind_an_endless_loop_runs_elsewhere_exactly_once() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    let tally = Tally::new();
    let endless = pool.apply(spin, ()).timeout(Duration::from_millis(200)).start();
    let rest: Vec<_> =
        (0..20).map(|n| pool.apply_async(|key: String, n: u8| mark(&key, n), (tally.key(), n))).collect();
    assert_eq!(limit_of(endless.await), Limit::Run);
    for task in rest {
        task.await.expect("it runs elsewhere");
    }
    let mut marks = tally.marks();
    marks.sort_unstable();
    assert!(marks.into_iter().eq(0..20));
    end(pool).await;
}
