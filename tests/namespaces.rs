//! Process numbers in a namespace of their own, where the host is the first process, and where numbers can be made to
//! come again.

mod support;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use multiprocess::{Error, Exit, ProcessPool};
use support::alone::{again_by, assert_passed, is_alone};
use support::census::{descendants, until};
use support::foreign::{SIGKILL, fork, reap, reap_all, signal};
use support::gate::{Gate, stand};
use support::run;
use support::start_method::left_out;
use support::traced::{can_trace, traced};

/// The file by which the next number can be chosen.
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// Starts a program in a namespace of process numbers; nothing, and a word about it, where that cannot be.
fn in_a_namespace() -> Option<Command> {
    let command = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
        command
    };
    let works = command().arg("true").stderr(Stdio::null()).status();
    if works.is_ok_and(|status| status.success()) {
        return Some(command());
    }
    support::skipped("there is no `unshare` here, or no right to a namespace");
    None
}

/// Not a test, but what the one below starts as the first process of a namespace.
#[test]
fn is_the_first_process() {
    if !is_alone("is_the_first_process") {
        return;
    }
    assert_eq!(std::process::id(), 1);
    let pool = ProcessPool::new(2).expect("the pool starts");
    let orphan = || {
        // Its parent ends with the call, and it comes to the first process.
        reap(fork(|| {
            fork(|| ());
        }))
    };
    for _ in 0..10 {
        assert!(pool.blocking_apply(orphan, ()).expect("no task fails"));
        let worker = pool.worker_pids()[0];
        signal(worker, SIGKILL);
        until("its death is seen", || !pool.worker_pids().contains(&worker));
        pool.blocking_ready().expect("it is replaced");
    }
    pool.blocking_shutdown().expect("it ends");
    // What came to us beside our workers is for the program to reap.
    until("no process is left", || {
        reap_all();
        descendants().is_empty()
    });
}

// fault 48
#[test]
fn a_host_that_is_the_first_process_has_a_pool_as_any_other() {
    let Some(command) = in_a_namespace() else { return };
    let output = again_by(command, "is_the_first_process").output();
    assert_passed("is_the_first_process", &output.expect("it can be started"));
}

/// Not a test, but what the one below starts: gives the number of each worker that dies to another process, before the pool
/// gets to look what has become of the worker.
#[test]
fn gives_away_the_numbers_of_its_workers() {
    if !is_alone("gives_away_the_numbers_of_its_workers") {
        return;
    }
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        let mut reused = 0;
        for _ in 0..10 {
            let mut gate = Gate::new();
            let held = pool.apply_async(stand, (gate.key(),));
            gate.arrived().await;
            let worker = pool.worker_pids()[0];
            signal(worker, SIGKILL);
            let is_ours = reap(worker);
            std::fs::write(LAST_PID, (worker - 1).to_string()).expect("a number can be chosen");
            // It leads a group of its own, as the worker did.
            let bystander = Command::new("cat").process_group(0).stdin(Stdio::piped()).spawn();
            let mut bystander = bystander.expect("it can be started");
            reused += u32::from(is_ours && bystander.id() == worker);
            let Err(Error::WorkerDied(death)) = held.await else { panic!("its worker was killed") };
            assert!(!is_ours || death.exit == Exit::Unknown, "{death:?}");
            assert_eq!(pool.apply(|| 1, ()).await.expect("the worker is replaced"), 1);
            // It ends because nothing more comes, and for no other reason.
            drop(bystander.stdin.take());
            assert!(bystander.wait().expect("it is ours").success(), "the bystander was hit");
        }
        pool.shutdown().await.expect("it ends");
        println!("reused: {reused}");
    });
}

// fault 47
#[test]
fn a_process_that_has_got_the_number_of_a_dead_worker_is_never_hit() {
    if left_out("the host reaps none of the workers") {
        return;
    }
    let Some(mut command) = in_a_namespace() else { return };
    if !can_trace() {
        return;
    }
    command.arg("strace");
    // Microseconds. The pool asks what has become of its worker that much later than others.
    let delay = ["-e", "trace=waitid", "-e", "inject=waitid:delay_enter=100000"];
    let traced = traced(command, &delay, "gives_away_the_numbers_of_its_workers");
    assert_passed("gives_away_the_numbers_of_its_workers", &traced.output);
    let told = String::from_utf8_lossy(&traced.output.stdout);
    let reused = told.lines().find_map(|line| line.split_once("reused: ")?.1.parse::<u32>().ok());
    assert!(reused.expect("it tells") > 0, "numbers have come again");
}
