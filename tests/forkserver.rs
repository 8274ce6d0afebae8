//! The forkserver: it has one thread, what it has loaded is shared, and its death costs a start and nothing else.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead as _;
use std::process::Stdio;

use multiprocess::{Builder, Error, Exit, ProcessPool, Processes, StartMethod, worker};
use support::alone::{again, alone, is_alone};
use support::census::{descendants, is_forkserver, until as until_blocking, workers};
use support::foreign::{SIGCONT, SIGINT, SIGKILL, SIGSEGV, SIGSTOP, raise, signal};
use support::gate::{Gate, stand};
use support::traced::{can_trace, traced};
use support::{death, end, exists, on_processes, run, until};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

fn builder(workers: usize) -> Builder<Processes> {
    ProcessPool::builder().workers(workers).start_method(StartMethod::Forkserver)
}

/// A pool whose preload is the number of its forkserver.
fn pool_that_knows(workers: usize) -> ProcessPool {
    builder(workers).preload(std::process::id, ()).build().expect("the pool starts")
}

fn forkserver() -> Option<u32> {
    worker::preloaded::<u32>().map(|pid| *pid)
}

/// The forkserver of a pool that knows it.
async fn forkserver_of(pool: &ProcessPool) -> u32 {
    pool.apply(forkserver, ()).await.expect(RUNS).expect("it was preloaded")
}

fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, line: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let found = status.lines().find_map(|other| other.strip_prefix(line));
    found.expect("the kernel tells it").trim_start_matches(':').trim().to_owned()
}

async fn workers_are_children_of_the_process_that_has_loaded() {
    let pool = pool_that_knows(2);
    let found = pool.map(|_: u32| (parent(), forkserver()), 0..100).chunksize(1).await.expect(RUNS);
    for (parent, loaded_by) in found {
        assert_eq!(Some(parent), loaded_by);
        assert_ne!(parent, std::process::id());
    }
    end(pool).await;
}

// fault 102
async fn it_has_one_thread_and_is_no_child_of_a_fork_of_the_host() {
    let pool = pool_that_knows(3);
    pool.ready().await.expect("they start");
    let server = forkserver_of(&pool).await;
    assert_eq!(status(server, "Threads"), "1");
    assert_eq!(status(server, "PPid"), std::process::id().to_string());
    end(pool).await;
    assert!(!exists(server), "it ends with its pool");
}

/// The sockets that the process has open.
fn sockets() -> Vec<String> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("it is our own");
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let targets = targets.map(|target| target.to_string_lossy().into_owned());
    targets.filter(|target| target.starts_with("socket:")).collect()
}

// fault 102
async fn a_worker_has_no_socket_but_its_own() {
    let pool = builder(4).build().expect("the pool starts");
    pool.ready().await.expect("they start");
    let each = pool.map(|_: u32| (std::process::id(), sockets()), 0..200).chunksize(1).await.expect(RUNS);
    let each: BTreeSet<_> = each.into_iter().collect();
    let all: Vec<String> = each.iter().flat_map(|(_, sockets)| sockets.clone()).collect();
    assert_eq!(all.len(), each.len(), "one each: {each:?}");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "nobody's but its own: {each:?}");
    end(pool).await;
}

async fn a_second_thread_fails_the_preload_and_is_named() {
    let leaves_a_thread = || {
        let parks = || loop {
            std::thread::park();
        };
        std::thread::Builder::new().name("straggler".into()).spawn(parks).map(drop).expect("it starts");
    };
    let pool = builder(1).preload(leaves_a_thread, ()).build().expect("the pool starts");
    let failed = pool.apply(|| 1, ()).await.expect_err("nothing can be forked");
    assert!(matches!(&failed, Error::Preload { cause } if cause.contains("straggler")), "{failed:?}");
    end(pool).await;
}

async fn threads_that_a_preload_has_joined_are_no_hindrance() {
    let joins = || {
        let threads: Vec<_> = (0..8).map(|n| std::thread::spawn(move || n)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does nothing")).sum::<u32>()
    };
    let pool = builder(1).preload(joins, ()).build().expect("the pool starts");
    let sum = pool.apply(|| worker::preloaded::<u32>().map(|sum| *sum), ()).await;
    assert_eq!(sum.expect(RUNS), Some(28));
    end(pool).await;
}

/// Ends the forkserver by a signal while a worker is busy, and then wants one more worker.
async fn survives(fatal: i32) {
    let pool = pool_that_knows(1);
    let server = forkserver_of(&pool).await;
    let mut gate = Gate::new();
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    signal(server, fatal);
    until(|| !exists(server)).await;
    pool.resize(2).expect("it is open");
    pool.ready().await.expect("another one starts");
    assert_eq!(pool.apply(|| 5, ()).await.expect("it works"), 5);
    let server = pool.apply(forkserver, ()).await.expect(RUNS);
    assert!(server.is_some(), "whoever has forked it, or it itself, has loaded");
    gate.let_all_go();
    held.await.expect("it had nothing to do with that");
    end(pool).await;
}

// C023, fault 102
async fn its_death_costs_no_task_and_the_next_start_works() {
    survives(SIGKILL).await;
}

// C023
async fn an_interrupt_of_it_costs_no_task_and_the_next_start_works() {
    survives(SIGINT).await;
}

async fn after_its_death_there_is_another_one() {
    let pool = pool_that_knows(1);
    let first = forkserver_of(&pool).await;
    signal(first, SIGKILL);
    until(|| !exists(first)).await;
    let exit = || -> u8 { std::process::exit(3) };
    death(pool.apply(exit, ()).await);
    let second = forkserver_of(&pool).await;
    assert_ne!(second, first);
    let parent = pool.apply(parent, ()).await.expect(RUNS);
    assert_eq!(parent, second, "it was forked, not started anew");
    end(pool).await;
}

// fault 102
#[test]
fn its_death_in_the_middle_of_a_fork_costs_nothing() {
    alone(|| {
        run(async {
            let pool = pool_that_knows(1);
            let server = forkserver_of(&pool).await;
            signal(server, SIGSTOP);
            until(|| status(server, "State").starts_with('T')).await;
            let before = boards();
            pool.resize(2).expect("it is open");
            // The request is made out, and nobody takes it.
            until(|| boards() > before).await;
            signal(server, SIGKILL);
            pool.ready().await.expect("the worker comes about in another way");
            end(pool).await;
            assert!(descendants().is_empty(), "and only in one");
        });
    });
}

/// The boards of workers that this process has mapped.
fn boards() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("it is our own");
    maps.lines().filter(|line| line.contains("memfd:multiprocess")).count()
}

// fault 102
async fn one_that_answers_no_more_is_given_up() {
    let pool = pool_that_knows(1);
    let server = forkserver_of(&pool).await;
    signal(server, SIGSTOP);
    pool.resize(2).expect("it is open");
    pool.ready().await.expect("the worker comes about in another way");
    until(|| !exists(server)).await;
    end(pool).await;
}

// fault 102
async fn how_a_worker_ended_is_known_though_another_process_has_reaped_it() {
    let pool = builder(1).build().expect("the pool starts");
    let exit = |code: i32| -> u8 { std::process::exit(code) };
    let raised = |signal: i32| -> u8 {
        raise(signal);
        0
    };
    assert_eq!(death(pool.apply(exit, (0,)).await).exit, Exit::Code(0));
    assert_eq!(death(pool.apply(exit, (97,)).await).exit, Exit::Code(97));
    assert_eq!(death(pool.apply(raised, (SIGKILL,)).await).exit, Exit::Signal(SIGKILL));
    assert_eq!(death(pool.apply(raised, (SIGSEGV,)).await).exit, Exit::Signal(SIGSEGV));
    end(pool).await;
}

async fn how_a_worker_ended_is_unknown_once_the_forkserver_is_gone() {
    let pool = pool_that_knows(1);
    let server = forkserver_of(&pool).await;
    signal(server, SIGKILL);
    until(|| !exists(server)).await;
    let exit = || -> u8 { std::process::exit(4) };
    assert_eq!(death(pool.apply(exit, ()).await).exit, Exit::Unknown);
    end(pool).await;
}

/// A worker whose forkserver is stopped when it ends.
async fn the_end_of_a_worker_is_told_though_nobody_says_how() {
    let pool = pool_that_knows(1);
    let server = forkserver_of(&pool).await;
    signal(server, SIGSTOP);
    let exit = || -> u8 { std::process::exit(4) };
    assert_eq!(death(pool.apply(exit, ()).await).exit, Exit::Unknown);
    signal(server, SIGCONT);
    assert_eq!(pool.apply(|| 5, ()).await.expect("the worker is replaced"), 5);
    end(pool).await;
}

/// A variable and a directory, as a process sees them.
type Place = (Option<String>, Option<std::path::PathBuf>);

fn place() -> Place {
    (std::env::var("PLACE").ok(), std::env::current_dir().ok())
}

async fn the_preload_runs_where_the_workers_do() {
    let pool = builder(1).env("PLACE", "here").current_dir("/").preload(place, ()).build();
    let pool = pool.expect("the pool starts");
    let both = || (worker::preloaded::<Place>().map(|seen| (*seen).clone()), place());
    let expected = (Some("here".to_owned()), Some("/".into()));
    assert_eq!(pool.apply(both, ()).await.expect(RUNS), (Some(expected.clone()), expected));
    end(pool).await;
}

fn title(pid: u32) -> String {
    let title = fs::read(format!("/proc/{pid}/cmdline")).expect("the process is there");
    String::from_utf8_lossy(&title).trim_end_matches(['\0', ' ']).to_owned()
}

async fn processes_are_called_what_they_are() {
    let pool = builder(1).name("render").preload(std::process::id, ()).build().expect("the pool starts");
    let server = forkserver_of(&pool).await;
    assert_eq!(title(server), "render: forkserver");
    assert_eq!(title(pool.worker_pids()[0]), "render: worker 0");
    let own = || std::env::args().next();
    assert_eq!(pool.apply(own, ()).await.expect(RUNS).as_deref(), Some("render: worker 0"));
    end(pool).await;
}

/// The private and the whole resident memory of this process, in KiB.
fn memory() -> (u64, u64) {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("it is our own");
    let kib = |line: &str| line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    let sum = |prefix: &str| rollup.lines().filter(|line| line.starts_with(prefix)).filter_map(kib).sum();
    (sum("Private_"), sum("Rss:"))
}

async fn what_was_preloaded_is_shared_and_not_copied() {
    const MIB: usize = 64;
    let load = |mib: usize| vec![1_u8; mib << 20];
    let pool = builder(2).preload(load, (MIB,)).build().expect("the pool starts");
    let read = || {
        let table = worker::preloaded::<Vec<u8>>().expect("it was preloaded");
        (table.iter().map(|byte| u64::from(*byte)).sum::<u64>(), memory())
    };
    let (sum, (private, resident)) = pool.apply(read, ()).await.expect(RUNS);
    assert_eq!(sum, (MIB << 20) as u64);
    assert!(resident >= (MIB as u64) << 10, "{resident} KiB: it has all of it");
    assert!(private < 8 << 10, "{private} KiB of its own");
    end(pool).await;
}

on_processes!(
    workers_are_children_of_the_process_that_has_loaded,
    it_has_one_thread_and_is_no_child_of_a_fork_of_the_host,
    a_worker_has_no_socket_but_its_own,
    a_second_thread_fails_the_preload_and_is_named,
    threads_that_a_preload_has_joined_are_no_hindrance,
    its_death_costs_no_task_and_the_next_start_works,
    an_interrupt_of_it_costs_no_task_and_the_next_start_works,
    after_its_death_there_is_another_one,
    one_that_answers_no_more_is_given_up,
    how_a_worker_ended_is_known_though_another_process_has_reaped_it,
    how_a_worker_ended_is_unknown_once_the_forkserver_is_gone,
    the_end_of_a_worker_is_told_though_nobody_says_how,
    the_preload_runs_where_the_workers_do,
    processes_are_called_what_they_are,
    what_was_preloaded_is_shared_and_not_copied,
);

/// Not a test, but what the one below starts under strace: pools from the forkserver, with workers that die and are replaced.
#[test]
fn uses_forkservers() {
    if !is_alone("uses_forkservers") {
        return;
    }
    run(async {
        let pool = builder(2).build().expect("the pool starts");
        pool.ready().await.expect("they start");
        let exit = || -> u8 { std::process::exit(3) };
        death(pool.apply(exit, ()).await);
        pool.ready().await.expect("it is replaced");
        end(pool).await;
    });
}

/// Whoever makes processes without being followed by an `exec` at once has never made a thread.
#[test]
fn nobody_forks_who_has_a_second_thread() {
    if !can_trace() {
        return;
    }
    let options = ["-e", "trace=clone,clone3,fork,vfork"];
    let traced = traced(std::process::Command::new("strace"), &options, "uses_forkservers");
    assert!(traced.output.status.success(), "{}", String::from_utf8_lossy(&traced.output.stdout));
    let (mut threaded, mut forks) = (BTreeSet::new(), 0);
    for line in traced.calls.lines() {
        let Some((pid, call)) = line.split_once(' ').filter(|(_, call)| call.contains('(')) else { continue };
        if call.contains("CLONE_THREAD") {
            threaded.insert(pid.to_owned());
        } else if !call.contains("CLONE_VFORK") && !call.trim_start().starts_with("vfork") {
            forks += 1;
            assert!(!threaded.contains(pid), "{pid} has a second thread and forks: {call}");
        }
    }
    assert!(forks >= 3, "{}", traced.calls);
}

/// Not a test, but what the one below starts: a program with a pool, which tells who belongs to it.
#[test]
fn has_a_forkserver() {
    if !is_alone("has_a_forkserver") {
        return;
    }
    run(async {
        let pool = pool_that_knows(2);
        pool.ready().await.expect("they start");
        println!("workers: {}", workers().len());
        println!("all: {:?}", descendants());
        std::mem::forget(pool);
        loop {
            std::thread::park();
        }
    });
}

// faults 37, 102
#[test]
fn it_ends_with_a_host_that_is_killed() {
    let program = std::env::current_exe().expect("a test has a file");
    let mut host =
        again(program.as_os_str(), "has_a_forkserver").stdout(Stdio::piped()).spawn().expect("it starts");
    let told = std::io::BufReader::new(host.stdout.take().expect("it is piped")).lines();
    let told = told.map_while(Result::ok).find_map(|line| Some(line.split_once("all: ")?.1.to_owned()));
    let told = told.expect("it tells who is there");
    let all: Vec<u32> =
        told.trim_matches(['[', ']']).split(", ").map(|pid| pid.parse().expect("a number")).collect();
    assert_eq!((all.len(), all.iter().filter(|pid| is_forkserver(**pid)).count()), (3, 1));
    host.kill().expect("it runs");
    host.wait().expect("it was killed");
    until_blocking("nothing is left", || all.iter().all(|pid| !exists(*pid)));
}
