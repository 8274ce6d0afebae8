//! A program that forks under a pool, and a task that forks: only the process that made the pool has it, and only the
//! worker answers.

mod support;

use std::io::{BufRead as _, BufReader};
use std::panic::AssertUnwindSafe;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use multiprocess::dummy::ThreadPool;
use multiprocess::{Error, Kind, Pool, ProcessPool, Processes};
use support::alone::{again, alone, is_alone};
use support::census::{MARK, Mark, descendants, until};
use support::executor::block_on;
use support::foreign::{SIGKILL, exit_code, fork, fork_twofold, leave_session, reap, signal};
use support::gate::{Gate, stand};
use support::run;
use support::tally::{Tally, mark};

fn pool<K: Kind>(workers: usize) -> Pool<K> {
    Pool::new(workers).expect("the pool starts")
}

fn double(n: u32) -> u32 {
    n * 2
}

/// Runs `child` in a fork of this process, and fails if it panics or hangs there.
fn passes_in_a_fork(child: impl FnOnce()) {
    let pid = fork(child);
    let mut code = None;
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        until("the forked child ends", || {
            code = exit_code(pid);
            code.is_some()
        });
    }));
    if ended.is_err() {
        signal(pid, SIGKILL);
        reap(pid);
    }
    assert_eq!(code, Some(0), "the forked child hangs or fails");
}

fn is_forked<T: std::fmt::Debug>(result: multiprocess::Result<T>) {
    assert!(matches!(result, Err(Error::Forked)), "{result:?}");
}

/// Every way to ask something of a pool.
fn every_call_is_refused<K: Kind>(pool: &Pool<K>) {
    is_forked(block_on(pool.apply(double, (1,))));
    is_forked(pool.try_apply(double, (1,)));
    is_forked(block_on(pool.apply_async(double, (1,))));
    is_forked(pool.apply_async(double, (1,)).blocking_get());
    is_forked(pool.blocking_apply(double, (1,)));
    is_forked(block_on(pool.map(double, 0..10)));
    is_forked(block_on(pool.map_async(double, 0..10)));
    is_forked(block_on(pool.starmap(double, [(1,)])));
    let streamed = block_on(pool.imap(double, 0..10).collect::<Vec<_>>());
    assert!(matches!(streamed[..], [Err(Error::Forked)]), "{streamed:?}");
    let streamed = block_on(pool.imap_unordered(double, 0..10).collect::<Vec<_>>());
    assert!(matches!(streamed[..], [Err(Error::Forked)]), "{streamed:?}");
    is_forked(pool.resize(3));
    is_forked(pool.blocking_ready());
    is_forked(pool.blocking_join());
    is_forked(pool.blocking_shutdown());
    pool.close();
    pool.terminate();
    assert!(pool.worker_pids().is_empty());
    assert_eq!(pool.stats().workers, 0);
}

fn calls_in_a_fork<K: Kind>() {
    let pool = pool::<K>(2);
    pool.blocking_ready().expect("it starts");
    passes_in_a_fork(|| every_call_is_refused(&pool));
    assert_eq!(pool.blocking_apply(double, (4,)).expect("the parent's pool goes on"), 8);
    pool.blocking_shutdown().expect("it ends");
}

// fault 53
#[test]
fn every_call_on_a_pool_in_a_forked_child_says_so_at_once() {
    alone(|| {
        calls_in_a_fork::<Processes>();
        calls_in_a_fork::<multiprocess::dummy::Threads>();
    });
}

// fault 53
#[test]
fn what_was_begun_before_a_fork_says_so_in_the_child_and_comes_in_the_parent() {
    alone(|| {
        run(async {
            let pool = ProcessPool::builder().workers(1).queue_limit(1).build().expect("the pool starts");
            let mut gate = Gate::new();
            let held = pool.apply_async(stand, (gate.key(),));
            gate.arrived().await;
            let queued = pool.apply_async(double, (1,));
            let mut waiting = Box::pin(pool.apply(double, (2,)));
            let mut map = Box::pin(pool.map(double, 0..3));
            let mut stream = pool.imap(double, 0..3);
            let mut ready = Box::pin(pool.ready());
            // All of them have begun.
            assert!((&mut waiting).now_or_never().is_none() && (&mut map).now_or_never().is_none());
            assert!(stream.next().now_or_never().is_none());
            assert!((&mut ready).now_or_never().is_some_and(|ready| ready.is_ok()));
            let mut joined = Box::pin(async {
                pool.close();
                pool.join().await
            });
            assert!((&mut joined).now_or_never().is_none());
            passes_in_a_fork(|| {
                assert!(held.is_finished() && !held.cancel());
                assert!(block_on(queued.wait(Duration::MAX)));
                is_forked(block_on(queued.get(Duration::MAX)));
                is_forked(block_on(&mut waiting));
                is_forked(block_on(&mut map));
                let streamed = block_on(stream.by_ref().collect::<Vec<_>>());
                assert!(matches!(streamed[..], [Err(Error::Forked)]), "{streamed:?}");
                is_forked(block_on(&mut joined));
            });
            gate.let_all_go();
            held.await.expect("its worker lives");
            assert_eq!(queued.await.expect("it was sent"), 2);
            assert!(map.await.expect("it had begun").into_iter().eq([0, 2, 4]));
            joined.await.expect("it ends");
        });
    });
}

// fault 53
#[test]
fn a_forked_child_that_drops_everything_leaves_the_parents_pool_alone() {
    alone(|| {
        run(async {
            let pool = pool::<Processes>(2);
            let mut gate = Gate::new();
            let held = [(); 2].map(|()| pool.apply_async(stand, (gate.key(),)).abort_on_drop());
            gate.arrived().await;
            gate.arrived().await;
            let workers = pool.worker_pids();
            let queued = pool.apply_async(double, (1,)).abort_on_drop();
            let mut map = Box::pin(pool.map(double, 0..3));
            assert!((&mut map).now_or_never().is_none());
            let mut all = Some((pool.clone(), pool, held, queued, map));
            passes_in_a_fork(|| drop(all.take()));
            let (_, pool, held, queued, map) = all.expect("the child has taken its own");
            gate.let_all_go();
            for held in held {
                assert!(workers.contains(&held.await.expect("nobody killed its worker")));
            }
            assert_eq!(queued.await.expect("nobody cancelled it"), 2);
            assert!(map.await.expect("nobody gave it up").into_iter().eq([0, 2, 4]));
            assert_eq!((pool.worker_pids(), pool.stats().deaths), (workers, 0));
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 53
#[test]
fn a_forked_child_never_waits_for_what_a_thread_of_its_parent_holds() {
    alone(|| {
        let pool = pool::<Processes>(2);
        pool.blocking_ready().expect("it starts");
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !ends.load(Ordering::Relaxed) {
                        pool.blocking_map(double, 0..20).expect("no task fails");
                    }
                });
            }
            // The others hold this or that lock at each of these moments.
            for _ in 0..40 {
                let mut own = Some((pool.clone(), pool.apply_async(double, (1,)).abort_on_drop()));
                passes_in_a_fork(|| {
                    is_forked(pool.blocking_apply(double, (1,)));
                    pool.terminate();
                    drop(own.take());
                });
            }
            ends.store(true, Ordering::Relaxed);
        });
        pool.blocking_shutdown().expect("it ends");
    });
}

// fault 53
#[test]
fn a_pool_that_is_made_in_a_forked_child_is_refused() {
    alone(|| {
        let pool = pool::<Processes>(1);
        passes_in_a_fork(|| {
            is_forked(ProcessPool::new(1));
            is_forked(ThreadPool::new(1));
        });
        pool.blocking_shutdown().expect("it ends");
    });
}

// fault 53
#[test]
fn a_program_that_forks_before_its_first_pool_has_one_in_the_child() {
    alone(|| {
        passes_in_a_fork(|| {
            let pool = pool::<Processes>(1);
            assert_eq!(pool.blocking_apply(double, (3,)).expect("no task fails"), 6);
            pool.blocking_shutdown().expect("it ends");
        });
    });
}

/// Not a test, but what the one below starts: a pool whose program has forked.
#[test]
fn has_forked() {
    if is_alone("has_forked") {
        let pool = pool::<Processes>(2);
        pool.blocking_ready().expect("it starts");
        let child = fork(|| {
            loop {
                std::thread::park();
            }
        });
        println!("workers: {:?}, child: {child}", pool.worker_pids());
        loop {
            std::thread::park();
        }
    }
}

// faults 37, 53
#[test]
fn workers_end_with_their_parent_though_a_forked_child_holds_their_sockets() {
    let mark = Mark::new();
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program.as_os_str(), "has_forked");
    let mut host = command.env(MARK, &mark.0).stdout(Stdio::piped()).spawn().expect("it can be started");
    let told = BufReader::new(host.stdout.take().expect("it is piped")).lines();
    let line = told.map_while(Result::ok).find_map(|line| Some(line.split_once("child: ")?.1.to_owned()));
    let child: u32 = line.and_then(|pid| pid.parse().ok()).expect("it tells its child");
    assert_eq!(mark.workers().len(), 4);
    host.kill().expect("it runs");
    host.wait().expect("it was killed");
    until("only the forked child is left", || mark.processes() == [child]);
    signal(child, SIGKILL);
    until("nothing is left", || mark.processes().is_empty());
}

/// Forks, and lets both return.
fn fork_and_return(key: String, n: u32) -> (u32, Option<i32>) {
    mark(&key, b'0' + u8::try_from(n).expect("it is small"));
    let Some(child) = fork_twofold() else { return (n, None) };
    let mut code = None;
    until("the child has returned from the task", || {
        code = exit_code(child);
        code.is_some()
    });
    (n, code)
}

// fault 33
#[test]
fn a_task_that_forks_is_answered_by_its_worker_alone() {
    run(async {
        let tally = Tally::new();
        let pool = pool::<Processes>(1);
        for n in 0..3 {
            let answer = pool.apply(fork_and_return, (tally.key(), n)).await;
            assert_eq!(answer.expect("one answer comes"), (n, Some(0)));
        }
        assert_eq!((tally.marks(), pool.stats().deaths), (b"012".to_vec(), 0));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 33
#[test]
fn the_child_that_a_task_has_forked_runs_no_other_element_of_its_chunk() {
    run(async {
        let tally = Tally::new();
        let pool = pool::<Processes>(1);
        let items = (0..4).map(|n| (tally.key(), n)).collect::<Vec<_>>();
        let answers = pool.starmap(fork_and_return, items).chunksize(4).await.expect("no task fails");
        assert!(answers.into_iter().eq((0..4).map(|n| (n, Some(0)))));
        assert_eq!((tally.marks(), pool.stats().deaths), (b"0123".to_vec(), 0));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 33
#[test]
fn a_panic_in_the_child_that_a_task_has_forked_is_not_the_tasks() {
    fn panic_in_the_child() -> Option<i32> {
        let Some(child) = fork_twofold() else { panic!("in the child") };
        let mut code = None;
        until("the child has ended", || {
            code = exit_code(child);
            code.is_some()
        });
        code
    }
    run(async {
        let pool = pool::<Processes>(1);
        assert_eq!(pool.apply(panic_in_the_child, ()).await.expect("the task did not panic"), Some(0));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 33
#[test]
fn an_initializer_that_forks_starts_one_worker() {
    run(async {
        let tally = Tally::new();
        let builder = ProcessPool::builder().workers(1).initializer(fork_and_return, (tally.key(), 7));
        let pool = builder.build().expect("the pool starts");
        assert_eq!(pool.apply(double, (5,)).await.expect("the worker is there"), 10);
        assert_eq!((tally.marks(), pool.stats().deaths), (b"7".to_vec(), 0));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 32
#[test]
fn a_daemon_that_holds_the_pipes_of_a_dead_worker_holds_up_nobody() {
    fn leave_a_daemon() -> u32 {
        fork(|| {
            leave_session();
            loop {
                std::thread::park();
            }
        })
    }
    alone(|| {
        run(async {
            let pool = pool::<Processes>(1);
            let daemon = pool.apply(leave_a_daemon, ()).await.expect("it forks");
            let mut gate = Gate::new();
            let held = pool.apply_async(stand, (gate.key(),));
            gate.arrived().await;
            // Once it has left the group of the worker, it survives that.
            until("the daemon leads a session", || session_of(daemon) == Some(daemon));
            signal(pool.worker_pids()[0], SIGKILL);
            let error = held.await.expect_err("its worker was killed");
            assert!(matches!(error, Error::WorkerDied(_)), "{error:?}");
            assert_eq!(pool.apply(double, (1,)).await.expect("the worker is replaced"), 2);
            assert_eq!(session_of(daemon), Some(daemon), "the daemon still holds the pipes");
            pool.shutdown().await.expect("it ends");
            signal(daemon, SIGKILL);
            until("no process is left", || descendants().is_empty() && session_of(daemon).is_none());
        });
    });
}

/// The session that a process is in, while it lives.
fn session_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut rest = rest.split_whitespace();
    let lives = rest.next() != Some("Z");
    rest.nth(2)?.parse().ok().filter(|_| lives)
}
