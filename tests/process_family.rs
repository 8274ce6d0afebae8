//! Parents and children: what a child knows of its parent, what becomes of it when that ends, and what it inherits.

mod support;

use std::fs;
use std::process::Command;

use multiprocess::{
    Error, Process, ProcessPool, StartMethod, active_children, cpu_count, current_process, parent_process,
    set_start_method, start_method, worker,
};
use support::alone::{again, again_by, alone, assert_passed, is_alone};
use support::census::until;
use support::executor::block_on;
use support::foreign::{exit_at_once, exit_code, fork, inheritable_copy};
use support::gate::{Gate, pass, stand};
use support::tally::{Tally, mark, tell};
use support::{on_processes, skipped};

/// True while it has not ended; one that nobody has reaped has.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")))
}

// C005
async fn a_child_knows_who_has_started_it() {
    assert!(parent_process().is_none(), "of whoever has started the program nothing is known");
    let asks = || {
        let parent = parent_process().expect("it has one");
        let grandchild = Process::spawn(|| parent_process().map(|its| its.name().to_owned()), ());
        let its = grandchild.expect("it starts").blocking_join().expect("it comes back");
        (parent.name().to_owned(), parent.pid(), parent.is_alive(), its)
    };
    let process = Process::builder().name("in between").spawn(asks, ()).expect("it starts");
    let (name, pid, is_alive, above_it) = process.join().await.expect("it comes back");
    assert_eq!((name.as_str(), pid, is_alive), ("MainProcess", std::process::id(), true));
    assert_eq!(above_it.as_deref(), Some("in between"));
}

async fn what_is_loaded_for_a_pool_knows_by_whom() {
    type Seen = (String, Option<String>, bool, Vec<u8>);
    fn see() -> Seen {
        let (current, parent) = (current_process(), parent_process());
        let is_alive = parent.as_ref().is_some_and(multiprocess::ParentProcess::is_alive);
        (
            current.name().to_owned(),
            parent.map(|its| its.name().to_owned()),
            is_alive,
            current.authkey().to_vec(),
        )
    }
    let builder = ProcessPool::builder().workers(1).name("loaded").preload(see, ());
    let pool = builder.start_method(StartMethod::Forkserver).build().expect("the pool starts");
    let loaded = || worker::preloaded::<Seen>().map(|seen| Seen::clone(&seen));
    let seen = pool.apply(loaded, ()).await.expect("no task fails").expect("the pool has a preload");
    let key = current_process().authkey().to_vec();
    assert_eq!(seen, ("loaded: forkserver".into(), Some("MainProcess".into()), true, key));
    support::end(pool).await;
}

/// Tells of its parent, and again when that has ended.
fn watch_the_parent(gate: String, tally: String) {
    let parent = parent_process().expect("it has one");
    tell(&tally, if parent.is_alive() { "alive" } else { "not alive" });
    pass(&gate);
    let sentinel = parent.sentinel().expect("there are descriptors left");
    let mut polled = [rustix::event::PollFd::new(&sentinel, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, None).expect("it can be waited for");
    tell(&tally, if parent.is_alive() { "alive" } else { "not alive" });
}

// C006
async fn a_child_sees_its_parent_end() {
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let starts_one = |gate: String, tally: String| {
        let child = Process::spawn(watch_the_parent, (gate, tally)).expect("it starts");
        child.blocking_join().expect("it is not joined, as this process ends first");
    };
    let process = Process::spawn(starts_one, (gate.key(), tally.key())).expect("it starts");
    gate.arrived().await;
    process.terminate().expect("it is there");
    support::death(process.join().await);
    gate.let_all_go();
    support::until(|| tally.lines().len() == 2).await;
    assert_eq!(tally.lines(), ["alive", "not alive"]);
}

/// Starts a child that stands at a gate and then marks a tally, tells its number, and ends at once.
fn abandon(daemon: bool, gate: String, tally: String) -> u32 {
    let stands = |gate: String, tally: String| {
        pass(&gate);
        mark(&tally, b'!');
    };
    let child = Process::builder().daemon(daemon).spawn(stands, (gate, tally)).expect("it starts");
    child.pid()
}

async fn a_process_outlives_its_parent() {
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let parent = Process::spawn(abandon, (false, gate.key(), tally.key())).expect("it starts");
    let child = parent.join().await.expect("it comes back");
    gate.arrived().await;
    assert!(!parent.is_alive() && lives(child));
    gate.let_all_go();
    support::until(|| !lives(child)).await;
    assert_eq!(tally.marks(), b"!", "it has done what it was to do");
}

async fn a_daemon_ends_with_its_parent() {
    let (gate, tally) = (Gate::new(), Tally::new());
    let parent = Process::spawn(abandon, (true, gate.key(), tally.key())).expect("it starts");
    let child = parent.join().await.expect("it comes back");
    support::until(|| !lives(child)).await;
    assert_eq!(tally.count(), 0, "it still stood at the gate");
}

async fn a_process_does_what_it_was_started_for_although_its_parent_ends_at_once() {
    let tally = Tally::new();
    let starts_and_ends = |tally: String| -> () {
        for _ in 0..5 {
            let marks = |tally: String, _load: Vec<u8>| mark(&tally, b'!');
            drop(Process::spawn(marks, (tally.clone(), vec![1; 10_000])).expect("it starts"));
        }
        exit_at_once(0)
    };
    let parent = Process::spawn(starts_and_ends, (tally.key(),));
    drop(parent.expect("it starts").join().await);
    support::until(|| tally.count() == 5).await;
}

// C010
#[test]
fn cores_are_counted_as_the_program_may_use_them() {
    assert!(cpu_count() >= 1);
    if is_alone("cores_are_counted_as_the_program_may_use_them") {
        return assert_eq!(cpu_count(), 1);
    }
    let mut one_core = Command::new("taskset");
    one_core.args(["-c", "0"]);
    if !Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|status| status.success()) {
        return skipped("there is no `taskset`, or it may not choose core 0");
    }
    let output = again_by(one_core, "cores_are_counted_as_the_program_may_use_them").output();
    assert_passed("cores_are_counted_as_the_program_may_use_them", &output.expect("it can be started"));
}

fn descriptors() -> Vec<String> {
    let open = fs::read_dir("/proc/self/fd").expect("it is our own");
    let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.map(|target| target.to_string_lossy().into_owned()).collect()
}

// C017
async fn ten_children_in_a_row_have_as_many_descriptors() {
    let counted = (0..10).map(|_| {
        let process = Process::spawn(|| descriptors().len(), ()).expect("it starts");
        process.blocking_join().expect("it comes back")
    });
    let counted: Vec<usize> = counted.collect();
    assert!(counted.iter().all(|count| *count == counted[0]), "{counted:?}");
}

// C025
async fn a_descriptor_that_others_inherit_is_closed_in_a_process() {
    let tally = Tally::new();
    let file = fs::File::open(tally.key()).expect("it is there");
    let _inheritable: Vec<_> = (0..300).map(|_| inheritable_copy(&file)).collect();
    let path = tally.key();
    assert!(descriptors().contains(&path));
    let process = Process::builder().start_method(StartMethod::Spawn).spawn(descriptors, ());
    let open = process.expect("it starts").join().await.expect("it comes back");
    assert!(!open.contains(&path), "{open:?}");
}

type Settings = (StartMethod, Option<String>, std::path::PathBuf, Vec<u8>);

fn settings() -> Settings {
    let here = std::env::current_dir().expect("it is somewhere");
    (
        start_method(),
        std::env::var("MULTIPROCESS_TEST_SETTING").ok(),
        here,
        current_process().authkey().to_vec(),
    )
}

// C026, C246
#[test]
fn a_grandchild_has_the_settings_of_the_child() {
    alone(|| {
        // The test may run on the forkserver, where it was chosen before.
        let _chosen = set_start_method(StartMethod::Forkserver);
        let child = || {
            let grandchild = Process::spawn(settings, ()).expect("it starts");
            (settings(), grandchild.blocking_join().expect("it comes back"))
        };
        let builder = Process::builder().env("MULTIPROCESS_TEST_SETTING", "debug").current_dir("/");
        let process = builder.spawn(child, ()).expect("it starts");
        let (child, grandchild) = process.blocking_join().expect("it comes back");
        assert_eq!(child.0, StartMethod::Forkserver);
        assert_eq!((child.1.as_deref(), child.2.to_str()), (Some("debug"), Some("/")));
        assert_eq!(child, grandchild);
    });
}

fn is_forked<T: std::fmt::Debug>(result: multiprocess::Result<T>) {
    assert!(matches!(result, Err(Error::Forked)), "{result:?}");
}

// fault 53
#[test]
fn a_forked_child_has_no_processes() {
    alone(|| {
        let process = Process::builder().daemon(true).spawn(
            || -> () {
                loop {
                    std::thread::park();
                }
            },
            (),
        );
        let process = process.expect("it starts");
        let before = process.join();
        let pid = fork(|| {
            is_forked(block_on(before));
            is_forked(process.blocking_join());
            is_forked(process.kill());
            is_forked(process.close());
            is_forked(Process::spawn(|| (), ()));
            assert_eq!(process.exit_code(), None);
            assert!(active_children().is_empty());
            drop(process);
        });
        let mut code = None;
        until("the forked child ends", || {
            code = exit_code(pid);
            code.is_some()
        });
        assert_eq!(code, Some(0), "the forked child hangs or fails");
        assert_eq!(active_children().len(), 1);
        active_children()[0].kill().expect("it is there");
    });
}

/// Not a test, but what the one below starts: a program that ends with a daemon and another process at work.
#[test]
fn ends_with_processes_at_work() {
    if !is_alone("ends_with_processes_at_work") {
        return;
    }
    let tally = std::env::var("MULTIPROCESS_TEST_TALLY").expect("the test says so");
    let gate = std::env::var("MULTIPROCESS_TEST_GATE").expect("the test says so");
    for daemon in [true, false] {
        let process = Process::builder().daemon(daemon).spawn(stand, (gate.clone(),)).expect("it starts");
        tell(&tally, &process.pid().to_string());
    }
}

async fn the_end_of_a_program_takes_its_daemons_along_and_waits_for_no_process() {
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program.as_os_str(), "ends_with_processes_at_work");
    command.env("MULTIPROCESS_TEST_TALLY", tally.key()).env("MULTIPROCESS_TEST_GATE", gate.key());
    // Its stdout is that of what outlives it, too: nobody may wait for the end of that.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    assert!(command.status().expect("it can be started").success());
    let pids: Vec<u32> = tally.lines().iter().map(|pid| pid.parse().expect("a number")).collect();
    let [daemon, other] = pids[..] else { panic!("it tells two: {pids:?}") };
    support::until(|| !lives(daemon)).await;
    assert!(lives(other));
    gate.arrived().await;
    // The daemon may have come to the gate before it ended.
    drop(gate);
    support::until(|| !lives(other)).await;
}

on_processes!(
    a_child_knows_who_has_started_it,
    what_is_loaded_for_a_pool_knows_by_whom,
    a_child_sees_its_parent_end,
    a_process_outlives_its_parent,
    a_daemon_ends_with_its_parent,
    a_process_does_what_it_was_started_for_although_its_parent_ends_at_once,
    ten_children_in_a_row_have_as_many_descriptors,
    a_descriptor_that_others_inherit_is_closed_in_a_process,
    the_end_of_a_program_takes_its_daemons_along_and_waits_for_no_process,
);
