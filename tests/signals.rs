//! Signals: to the host, to its group and from its terminal, and what the host has done about them before it made a pool.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use multiprocess::{Death, Error, Exit, Pool, ProcessPool, Processes};
use support::alone::{again, again_by, alone, is_alone};
use support::census::{MARK, Mark, descendants, own_threads, until, workers};
use support::foreign::{
    SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM, block_all_signals, by_default, ignore, pseudo_terminal,
    reap_all, reap_in_a_handler, signal, signal_group,
};
use support::gate::{Gate, pass, stand};
use support::run;
use support::start_method::is_on_forkserver;

fn pool(workers: usize) -> ProcessPool {
    Pool::<Processes>::new(workers).expect("the pool starts")
}

fn park_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

/// A program that was started with a mark, which all that it starts inherits. Dropping it leaves nothing of that.
struct Host {
    mark: Mark,
    child: Child,
}

impl Host {
    fn start(helper: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let program = std::env::current_exe().expect("a test has a file");
        Self::start_program(again(program.as_os_str(), helper), prepare)
    }

    fn start_program(mut command: Command, prepare: impl FnOnce(&mut Command)) -> Self {
        let mark = Mark::new();
        command.env(MARK, &mark.0).stdout(Stdio::piped());
        prepare(&mut command);
        Self { mark, child: command.spawn().expect("it can be started") }
    }

    /// Waits until it tells something, and returns what stands behind that.
    fn tells(&mut self, what: &str) -> String {
        let told = BufReader::new(self.child.stdout.take().expect("it is asked once")).lines();
        let mut lines = told.map_while(Result::ok);
        let line = lines.find_map(|line| Some(line.split_once(what)?.1.to_owned()));
        line.unwrap_or_else(|| panic!("the host has ended before it told `{what}`"))
    }

    fn processes(&self) -> BTreeSet<u32> {
        self.mark.processes().into_iter().collect()
    }

    /// Its end, after which nothing is left of what it had started.
    fn leaves_nothing(&mut self) -> ExitStatus {
        let status = self.child.wait().expect("it is ours");
        until("nothing is left of the host", || self.processes().is_empty());
        status
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Not a test, but what a task below starts.
#[test]
fn waits_for_ever() {
    if is_alone("waits_for_ever") {
        park_for_ever();
    }
}

fn start_a_child() -> u32 {
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program.as_os_str(), "waits_for_ever");
    // Whoever reads what the test tells must not have to wait for it.
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be started").id()
}

/// Not a test, but what those below start: workers in every state, told when they are there.
#[test]
fn has_workers_in_every_state() {
    if !is_alone("has_workers_in_every_state") {
        return;
    }
    // Whoever runs the tests may ignore it, as `nohup` does, and what is ignored is inherited.
    by_default(SIGHUP);
    run(async {
        let pool = pool(4);
        let mut gate = Gate::new();
        let spin = |key: String| -> u8 {
            // Whoever stands at the gate goes on when this thread spins already.
            let arrives = std::thread::spawn(move || pass(&key));
            while !arrives.is_finished() {
                std::hint::spin_loop();
            }
            0
        };
        let with_a_child = |key: String| {
            start_a_child();
            stand(key)
        };
        drop(pool.apply_async(stand, (gate.key(),)));
        drop(pool.apply_async(spin, (gate.key(),)));
        drop(pool.apply_async(with_a_child, (gate.key(),)));
        for _ in 0..3 {
            gate.arrived().await;
        }
        // One has left a child behind, and is idle.
        pool.apply(start_a_child, ()).await.expect("it is started");
        let starting = ProcessPool::builder().workers(1).initializer(stand, (gate.key(),)).build();
        let starting = starting.expect("the pool starts");
        gate.arrived().await;
        println!("all are there: {}", workers().len());
        std::mem::forget((pool, starting, gate));
        park_for_ever();
    });
}

fn ends_with_all_its_workers(fatal: i32) {
    let mut host = Host::start("has_workers_in_every_state", |_| ());
    assert_eq!(host.tells("all are there: "), "7");
    assert_eq!(host.mark.workers().len(), 8);
    signal(host.child.id(), fatal);
    assert_eq!(host.leaves_nothing().signal(), Some(fatal));
}

// faults 31, 37
#[test]
fn nothing_outlives_a_host_that_is_killed_whatever_its_workers_do() {
    for _ in 0..20 {
        ends_with_all_its_workers(SIGKILL);
    }
}

// fault 41
#[test]
fn nothing_outlives_a_host_that_is_terminated() {
    ends_with_all_its_workers(SIGTERM);
}

/// Not a test, but what the one below starts: workers that come and go all the time.
#[test]
fn starts_workers_for_ever() {
    if is_alone("starts_workers_for_ever") {
        loop {
            let pool = pool(4);
            pool.blocking_ready().expect("it starts");
        }
    }
}

// fault 37
#[test]
fn nothing_outlives_a_host_that_is_killed_while_workers_start() {
    for round in 0..40 {
        let mut host = Host::start("starts_workers_for_ever", |_| ());
        until("so many processes are there", || host.processes().len() > round % 5);
        host.child.kill().expect("it runs");
        host.leaves_nothing();
    }
}

// faults 38, 39
#[test]
fn a_worker_outlives_the_threads_that_have_made_and_started_it() {
    alone(|| {
        let maker = std::thread::spawn(|| {
            let pool = pool(2);
            pool.blocking_ready().expect("it starts");
            pool
        });
        let pool = maker.join().expect("it does not panic");
        let workers = pool.worker_pids();
        until("the threads that have started them are gone", || own_threads() == 1);
        let answers = pool.blocking_map(|n: u64| (n, std::process::id()), 0..100).expect("no task fails");
        assert!(answers.iter().all(|(_, worker)| workers.contains(worker)));
        assert_eq!((pool.worker_pids(), pool.stats().deaths), (workers, 0));
        pool.blocking_shutdown().expect("it ends");
    });
}

/// Not a test, but what those below start: a host that has something to do when it is interrupted, and its own idea of
/// how to end then.
#[test]
fn finishes_its_task_when_it_is_interrupted() {
    if !is_alone("finishes_its_task_when_it_is_interrupted") {
        return;
    }
    run(async {
        let mut interrupted = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
            .expect("a handler can be installed");
        let pool = pool(1);
        let mut gate = Gate::new();
        let held = pool.apply_async(stand, (gate.key(),));
        gate.arrived().await;
        println!("the task runs");
        interrupted.recv().await;
        gate.let_all_go();
        let worker = held.await.expect("the task finishes");
        assert_eq!((pool.worker_pids(), pool.stats().deaths), (vec![worker], 0));
        pool.shutdown().await.expect("it ends");
    });
    std::process::exit(42);
}

// fault 40
#[test]
fn an_interrupt_of_the_hosts_group_is_the_hosts_alone() {
    let mut host = Host::start("finishes_its_task_when_it_is_interrupted", |command| {
        command.process_group(0);
    });
    host.tells("the task runs");
    signal_group(host.child.id(), SIGINT);
    assert_eq!(host.leaves_nothing().code(), Some(42));
}

/// Starts a helper as the leader of a session on a terminal of its own; nothing where there is no such thing.
fn on_a_terminal(helper: &str) -> Option<(Host, File)> {
    let terminal = pseudo_terminal();
    let has_setsid = Command::new("setsid").arg("--version").output().is_ok();
    let (Some((typist, programs)), true) = (terminal, has_setsid) else {
        support::skipped("there is no terminal to be had, or no `setsid` to lead a session on it");
        return None;
    };
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]);
    // Nobody else holds this side, so that the other one tells when the host has ended.
    let host = Host::start_program(again_by(command, helper), |command| {
        command.stdin(programs);
    });
    Some((host, typist))
}

// fault 40
#[test]
fn ctrl_c_on_the_terminal_is_the_hosts_alone() {
    let Some((mut host, mut typist)) = on_a_terminal("finishes_its_task_when_it_is_interrupted") else {
        return;
    };
    host.tells("the task runs");
    typist.write_all(b"\x03").expect("it can be typed");
    assert_eq!(host.leaves_nothing().code(), Some(42));
}

/// Not a test, but what the one below starts: its task prints on a terminal that stops what prints in the background.
#[test]
fn prints_on_its_terminal() {
    if is_alone("prints_on_its_terminal") {
        run(async {
            let print = || {
                let terminal = std::fs::OpenOptions::new().write(true).open("/dev/tty");
                terminal.and_then(|mut terminal| terminal.write_all(b"from a task\n")).is_ok()
            };
            let mut stty = Command::new("stty");
            stty.arg("tostop").stdin(File::open("/dev/tty").expect("it is ours"));
            assert!(stty.status().expect("it can be started").success());
            let pool = pool(1);
            assert!(pool.apply(print, ()).await.expect("nothing stops it"));
            pool.shutdown().await.expect("it ends");
            // With its leader the terminal loses what nobody has looked at yet.
            std::io::stdin().read_line(&mut String::new()).expect("somebody types when he has seen it");
        });
        std::process::exit(43);
    }
}

// fault 42
#[test]
fn a_task_may_print_on_a_terminal_that_stops_the_background() {
    let Some((mut host, mut typist)) = on_a_terminal("prints_on_its_terminal") else { return };
    let mut shown = BufReader::new(&typist).lines().map_while(Result::ok);
    assert!(shown.any(|line| line.contains("from a task")));
    typist.write_all(b"\n").expect("it can be typed");
    assert_eq!(host.leaves_nothing().code(), Some(43));
}

// fault 42
#[test]
fn nothing_outlives_a_host_whose_terminal_hangs_up() {
    let Some((mut host, typist)) = on_a_terminal("has_workers_in_every_state") else { return };
    host.tells("all are there: ");
    drop(typist);
    host.leaves_nothing();
}

/// A worker ends when it is told to.
fn is_terminated(pool: &ProcessPool) {
    let exit = exit_after(pool, SIGTERM).exit;
    assert_eq!(exit, Exit::Signal(SIGTERM));
}

/// The death of a task whose worker gets a signal.
fn exit_after(pool: &ProcessPool, fatal: i32) -> Death {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut gate = Gate::new();
        let held = pool.apply_async(stand, (gate.key(),));
        gate.arrived().await;
        let worker = pool.worker_pids()[0];
        signal(worker, fatal);
        match held.await {
            Err(Error::WorkerDied(death)) => {
                assert_eq!(death.pid, worker);
                death
            }
            other => panic!("its worker was to die: {other:?}"),
        }
    })
}

fn ends(pool: &ProcessPool) {
    assert_eq!(pool.blocking_apply(|| 1, ()).expect("the worker is replaced"), 1);
    pool.blocking_shutdown().expect("it ends");
    until("no process is left", || descendants().is_empty());
}

// fault 43
#[test]
fn a_worker_does_not_inherit_blocked_signals() {
    alone(|| {
        // All threads that the pool starts inherit this.
        block_all_signals();
        let pool = pool(1);
        is_terminated(&pool);
        ends(&pool);
    });
}

// fault 43
#[test]
fn a_worker_does_not_inherit_ignored_signals() {
    alone(|| {
        ignore(SIGTERM);
        let pool = pool(1);
        is_terminated(&pool);
        ends(&pool);
    });
}

// fault 44
#[test]
fn a_host_that_ignores_its_children_has_deaths_of_unknown_kind() {
    alone(|| {
        ignore(SIGCHLD);
        let pool = pool(1);
        // The host does not reap what the forkserver has forked.
        let known = if is_on_forkserver() { Exit::Signal(SIGKILL) } else { Exit::Unknown };
        assert_eq!(exit_after(&pool, SIGKILL).exit, known);
        ends(&pool);
    });
}

// faults 31, 44
#[test]
fn what_a_worker_has_started_ends_with_it_though_the_host_ignores_its_children() {
    alone(|| {
        ignore(SIGCHLD);
        let pool = pool(1);
        let child = pool.blocking_apply(start_a_child, ()).expect("it starts one");
        exit_after(&pool, SIGKILL);
        until("the child is gone", || !std::fs::exists(format!("/proc/{child}")).expect("/proc is there"));
        ends(&pool);
    });
}

/// Kills workers of a host that reaps whatever it can get, and sees that each death is told and no task lost.
fn deaths_are_told_though_the_host_reaps() {
    let pool = pool(1);
    for _ in 0..20 {
        let exit = exit_after(&pool, SIGKILL).exit;
        assert!(matches!(exit, Exit::Unknown | Exit::Signal(SIGKILL)), "{exit:?}");
    }
    ends(&pool);
}

// fault 45
#[test]
fn a_host_that_reaps_in_a_handler_loses_no_death() {
    alone(|| {
        reap_in_a_handler();
        deaths_are_told_though_the_host_reaps();
    });
}

// fault 45
#[test]
fn a_host_that_reaps_on_a_thread_loses_no_death() {
    alone(|| {
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    reap_all();
                    std::thread::yield_now();
                }
            });
            let reaped = std::panic::catch_unwind(deaths_are_told_though_the_host_reaps);
            ends.store(true, Ordering::Relaxed);
            reaped.expect("nothing is lost");
        });
    });
}
