//! Ends that meet other ends: workers that die while a pool ends, pools that end with their program.

mod support;

use std::num::NonZero;
use std::process::{Command, Stdio};

use multiprocess::{Error, Exit, Kind, ProcessPool};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use support::alone::{again, is_alone, test_of};
use support::foreign::{SIGABRT, SIGKILL, exit_at_once, signal};
use support::gate::{Gate, pass, stand};
use support::values::Unencodable;
use support::{death, end, exists, on_both, on_processes, pool, skipped, until};

on_both!(
    an_argument_that_cannot_be_encoded_after_the_close_leaves_nothing_dangling,
    a_call_that_is_cancelled_right_before_the_shutdown_hangs_nothing,
    handles_that_outlive_their_pool_are_answered,
);

on_processes!(
    what_goes_wrong_while_a_result_is_encoded_fails_that_task,
    a_worker_that_dies_after_the_close_holds_up_no_shutdown,
    workers_that_kill_each_other_leave_no_call_unanswered,
    an_argument_that_ends_its_worker_when_it_is_dropped_fails_its_task,
    a_hundred_endless_tasks_end_with_the_pool,
    handles_that_outlive_their_pool_and_a_crash_are_answered,
    several_deaths_are_told_apart,
);

/// What a value does to its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Deed {
    Nothing,
    Abort,
    Exit,
    Fail,
    Panic,
}

impl Deed {
    fn is_done(self) {
        match self {
            Self::Nothing | Self::Fail => {}
            Self::Abort => std::process::abort(),
            Self::Exit => exit_at_once(3),
            Self::Panic => panic!("it panics"),
        }
    }
}

/// Does its deed when it is written.
#[derive(Debug)]
struct Written(Deed);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.is_done();
        if self.0 == Deed::Fail {
            return Err(serde::ser::Error::custom("it fails"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deed::deserialize(deserializer).map(Self)
    }
}

// C193
async fn what_goes_wrong_while_a_result_is_encoded_fails_that_task() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    for _ in 0..3 {
        assert_eq!(death(pool.apply(Written, (Deed::Abort,)).await).exit, Exit::Signal(SIGABRT));
        assert_eq!(death(pool.apply(Written, (Deed::Exit,)).await).exit, Exit::Code(3));
        for deed in [Deed::Fail, Deed::Panic] {
            let result = pool.apply(Written, (deed,)).await;
            assert!(matches!(result, Err(Error::Encode { what: "the result", .. })), "{result:?}");
        }
        assert_eq!(pool.apply(Written, (Deed::Nothing,)).await.expect("it is harmless").0, Deed::Nothing);
    }
    end(pool).await;
}

// C195
async fn a_worker_that_dies_after_the_close_holds_up_no_shutdown() {
    let pool = ProcessPool::new(2).expect("the pool starts");
    let mut gate = Gate::new();
    let dies_later = |key: String| -> u8 {
        pass(&key);
        std::process::abort()
    };
    let held: Vec<_> = (0..4).map(|_| pool.apply_async(dies_later, (gate.key(),))).collect();
    gate.arrived().await;
    gate.arrived().await;
    pool.close();
    gate.let_all_go();
    gate.arrived().await;
    gate.arrived().await;
    gate.let_all_go();
    pool.join().await.expect("it ends");
    for held in held {
        assert_eq!(death(held.await).exit, Exit::Signal(SIGABRT));
    }
}

// C196
async fn an_argument_that_cannot_be_encoded_after_the_close_leaves_nothing_dangling<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let before = pool.apply_async(|_: Unencodable| 1, (Unencodable,));
    pool.close();
    let after = pool.apply_async(|_: Unencodable| 1, (Unencodable,));
    assert!(matches!(before.await, Err(Error::Encode { .. })));
    assert!(matches!(after.await, Err(Error::Encode { .. } | Error::Closed)));
    gate.let_all_go();
    pool.join().await.expect("it ends");
    held.await.expect("nobody touched it");
}

// C201
async fn workers_that_kill_each_other_leave_no_call_unanswered() {
    let kill_all = |pids: Vec<u32>| {
        for pid in pids.into_iter().filter(|pid| *pid != std::process::id() && exists(*pid)) {
            // It may have ended just now.
            let _gone = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        signal(std::process::id(), SIGKILL);
    };
    for crashes in [1, 2, 5, 13] {
        let pool = ProcessPool::new(3).expect("the pool starts");
        pool.ready().await.expect("the pool starts");
        let pids = pool.worker_pids();
        let calls: Vec<_> = (0..crashes).map(|_| pool.apply_async(kill_all, (pids.clone(),))).collect();
        for call in calls {
            assert_eq!(death(call.await).exit, Exit::Signal(SIGKILL));
        }
        assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
        end(pool).await;
    }
}

/// Does its deed when a worker drops it.
#[derive(Debug, Serialize, Deserialize)]
struct Dropped(Deed);

impl Drop for Dropped {
    fn drop(&mut self) {
        if multiprocess::worker::current().is_some() {
            self.0.is_done();
        }
    }
}

// C204
async fn an_argument_that_ends_its_worker_when_it_is_dropped_fails_its_task() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    let task = |dropped: Dropped| drop(dropped);
    for _ in 0..3 {
        assert_eq!(death(pool.apply(task, (Dropped(Deed::Abort),)).await).exit, Exit::Signal(SIGABRT));
        assert_eq!(death(pool.apply(task, (Dropped(Deed::Exit),)).await).exit, Exit::Code(3));
        assert!(matches!(pool.apply(task, (Dropped(Deed::Panic),)).await, Err(Error::Panicked(_))));
        pool.apply(task, (Dropped(Deed::Nothing),)).await.expect("it is harmless");
    }
    end(pool).await;
}

// C209
async fn a_call_that_is_cancelled_right_before_the_shutdown_hangs_nothing<K: Kind>() {
    for which in 0..20 {
        let pool = pool::<K>(2);
        let calls: Vec<_> = (0..20).map(|n| pool.apply_async(|n: u32| n, (n,))).collect();
        calls[which].cancel();
        pool.shutdown().await.expect("it ends");
        for (n, call) in (0..).zip(calls) {
            match call.await {
                Ok(value) => assert_eq!(value, n),
                Err(error) => assert!(matches!(error, Error::Cancelled { .. }), "{error}"),
            }
        }
    }
}

// C213
async fn handles_that_outlive_their_pool_are_answered<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let held: Vec<_> = (0..5).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
    gate.arrived().await;
    drop(pool);
    for held in held {
        assert!(matches!(held.await, Err(Error::Cancelled { .. })));
    }
    gate.let_all_go();
}

// C213
async fn handles_that_outlive_their_pool_and_a_crash_are_answered() {
    let pool = ProcessPool::new(2).expect("the pool starts");
    let crash = pool.apply_async(|| -> u8 { std::process::abort() }, ());
    death(crash.await);
    let rest: Vec<_> = (0..50).map(|n| pool.apply_async(|n: u32| n, (n,))).collect();
    let pids = pool.worker_pids();
    drop(pool);
    for (n, call) in (0..).zip(rest) {
        match call.await {
            Ok(value) => assert_eq!(value, n),
            Err(error) => assert!(matches!(error, Error::Cancelled { .. }), "{error}"),
        }
    }
    until(|| pids.iter().all(|pid| !exists(*pid))).await;
}

// C214
async fn a_hundred_endless_tasks_end_with_the_pool() {
    fn endless() -> u8 {
        loop {
            std::thread::park();
        }
    }
    let pool = ProcessPool::new(4).expect("the pool starts");
    let calls: Vec<_> = (0..100).map(|_| pool.apply_async(endless, ())).collect();
    pool.ready().await.expect("the pool starts");
    let pids = pool.worker_pids();
    pool.terminate();
    pool.join().await.expect("it ends");
    assert!(pids.into_iter().all(|pid| !exists(pid)));
    for call in calls {
        assert!(matches!(call.await, Err(Error::Cancelled { .. })));
    }
}

// C223
async fn several_deaths_are_told_apart() {
    let pool = ProcessPool::new(3).expect("the pool starts");
    let exits = [3, 5, 7].map(|code| pool.apply_async(|code: i32| -> u8 { exit_at_once(code) }, (code,)));
    let killed = pool.apply_async(|| -> u8 { std::process::abort() }, ());
    for (exit, code) in exits.into_iter().zip([3, 5, 7]) {
        assert_eq!(death(exit.await).exit, Exit::Code(code));
    }
    assert_eq!(death(killed.await).exit, Exit::Signal(SIGABRT));
    end(pool).await;
}

/// Runs `body` as a program of its own and returns what that wrote to stderr; nothing in that program.
fn program<F: Fn()>(body: F) -> Option<String> {
    let name = test_of(&body);
    if is_alone(&name) {
        body();
        return None;
    }
    let file = std::env::current_exe().expect("a test has a file");
    let output = again(file, &name).output().expect("the test binary can be started");
    assert!(output.status.success(), "{}", output.status);
    Some(String::from_utf8(output.stderr).expect("it is text"))
}

// C206
#[test]
fn a_program_may_end_behind_a_shutdown_with_nothing_on_stderr() {
    let told = program(|| {
        let pool = ProcessPool::new(2).expect("the pool starts");
        let calls: Vec<_> = (0..20).map(|n| pool.apply_async(|n: u32| n + 1, (n,))).collect();
        pool.blocking_shutdown().expect("it ends");
        assert!(calls.into_iter().all(|call| call.blocking_get().is_ok()));
        std::process::exit(0);
    });
    assert_eq!(told.unwrap_or_default(), "");
}

// C206, C210
#[test]
fn a_program_may_end_in_the_middle_of_a_task_with_nothing_on_stderr() {
    let told = program(|| {
        let pool = ProcessPool::new(1).expect("the pool starts");
        let endless = || -> u8 {
            loop {
                std::thread::park();
            }
        };
        let held = pool.apply_async(endless, ());
        assert_eq!(pool.stats().submitted, 1);
        pool.close();
        drop(held);
        std::process::exit(0);
    });
    assert_eq!(told.unwrap_or_default(), "");
}

// C224
#[test]
fn a_pool_has_as_many_workers_as_its_program_may_use_cores() {
    let told = Command::new("taskset").args(["-c", "0", "true"]).status();
    if !told.is_ok_and(|status| status.success()) {
        return skipped("there is no `taskset`, or it may not choose core 0");
    }
    let body = || {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        assert_eq!(cores, 1, "there is one for us");
        let pool = ProcessPool::builder().build().expect("the pool starts");
        pool.blocking_apply(|| (), ()).expect("it lives");
        assert_eq!(pool.stats().workers + pool.stats().starting, 1);
        pool.blocking_shutdown().expect("it ends");
    };
    let name = test_of(&body);
    if is_alone(&name) {
        return body();
    }
    let alone = again(std::env::current_exe().expect("a test has a file"), &name);
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(alone.get_program()).args(alone.get_args());
    for (key, value) in alone.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    let output = command.output().expect("it was there just now");
    support::alone::assert_passed(&name, &output);
}
