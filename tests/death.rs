//! Workers that die: which task fails and how, which one runs elsewhere, and that the pool goes on.

#![expect(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

mod support;

use std::collections::BTreeSet;

use futures::{FutureExt as _, StreamExt as _};
use multiprocess::{Exit, ProcessPool, Processes};
use support::foreign::{
    self, SIGABRT, SIGBUS, SIGCONT, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM, exit_as_c_does,
    exit_at_once, raise, signal,
};
use support::gate::{Gate, stand};
use support::tally::{Tally, mark};
use support::{death, piped, run};

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::new(workers).expect("the pool starts")
}

async fn works(pool: &ProcessPool) {
    let sums = pool.map(|x: u64| x + 1, 0..50).await.expect("the pool goes on");
    assert!(sums.into_iter().eq(1..=50));
}

/// Runs a fatal task on a pool of its own, checks everything that is so for any death, and returns how it ended.
async fn exit_of<F, M>(f: F) -> Exit
where
    F: multiprocess::TaskFn<(), M>,
{
    let pool = pool(1);
    let pid = pool.apply(std::process::id, ()).await.expect("it lives");
    let result = pool.apply(f, ()).await;
    let death = death(result.map(drop));
    assert_eq!(death.pid, pid);
    let name = std::any::type_name::<F>();
    assert!(death.task.as_ref().is_some_and(|task| task.starts_with(name)), "{death:?} is of {name}");
    works(&pool).await;
    assert_ne!(pool.worker_pids(), [pid], "the worker was replaced");
    assert_eq!(pool.stats().deaths, 1);
    pool.shutdown().await.expect("it ends");
    death.exit
}

// fault 1
#[test]
fn a_kill_fails_the_task_that_runs_and_no_other() {
    run(async {
        let pool = pool(4);
        let mut gate = Gate::new();
        let mut held: Vec<_> = (0..4).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
        for _ in 0..4 {
            gate.arrived().await;
        }
        let before: BTreeSet<u32> = pool.worker_pids().into_iter().collect();
        let victim = *before.first().expect("there are four");
        signal(victim, SIGKILL);
        let mut deaths = Vec::new();
        let mut survivors = BTreeSet::new();
        // The one that dies is answered while the three others are still held.
        let (first, index, rest) = futures::future::select_all(&mut held).await;
        drop(rest);
        deaths.push(death(first));
        drop(held.remove(index));
        gate.let_all_go();
        for task in held {
            survivors.insert(task.await.expect("nobody killed its worker"));
        }
        assert_eq!((deaths[0].pid, deaths[0].exit), (victim, Exit::Signal(SIGKILL)));
        assert_eq!(survivors, &before - &BTreeSet::from([victim]));
        pool.ready().await.expect("the worker is replaced");
        let after: BTreeSet<u32> = pool.worker_pids().into_iter().collect();
        assert_eq!(after.len(), 4);
        assert!(after.is_superset(&survivors) && !after.contains(&victim));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 1
#[test]
fn a_death_tells_pid_signal_and_task() {
    run(async {
        let pool = pool(1);
        let task = pool.apply_async(|| raise(SIGKILL), ());
        let id = task.id();
        let error = task.await.expect_err("it killed itself");
        let text = error.to_string();
        let death = death::<()>(Err(error));
        assert!(text.contains(&format!("worker {} ended with signal 9 (SIGKILL)", death.pid)), "{text}");
        let task = death.task.expect("it was running one");
        assert!(task.contains("a_death_tells_pid_signal_and_task"), "{task}");
        assert!(task.ends_with(&format!("#{id}")), "{task}");
        assert!(text.ends_with(&task), "{text}");
        pool.shutdown().await.expect("it ends");
    });
}

// fault 2
#[test]
fn a_bad_access_is_reported_as_its_signal() {
    run(async {
        assert_eq!(exit_of(foreign::read_unmapped_memory).await, Exit::Signal(SIGSEGV));
    });
}

// fault 2
#[test]
fn every_fatal_signal_is_reported_as_itself() {
    run(async {
        let pool = pool(1);
        for fatal in [SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGTERM] {
            let result = pool.apply(raise, (fatal,)).await;
            assert_eq!(death(result).exit, Exit::Signal(fatal));
        }
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 3
#[test]
fn an_abort_is_reported_as_its_signal() {
    run(async {
        assert_eq!(exit_of(|| -> u8 { std::process::abort() }).await, Exit::Signal(SIGABRT));
    });
}

// fault 5
#[test]
fn an_exit_in_a_task_is_a_death_whatever_its_code() {
    run(async {
        let pool = pool(1);
        for code in [0, 1, 7, 255] {
            let by_std = pool.apply(|code: i32| -> u8 { std::process::exit(code) }, (code,)).await;
            let by_c = pool.apply(|code: i32| -> u8 { exit_as_c_does(code) }, (code,)).await;
            let at_once = pool.apply(|code: i32| -> u8 { exit_at_once(code) }, (code,)).await;
            for result in [by_std, by_c, at_once] {
                assert_eq!(death(result).exit, Exit::Code(code));
            }
        }
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 5
#[test]
fn an_exit_on_another_thread_of_the_worker_is_a_death_too() {
    fn exit_elsewhere() -> u8 {
        let thread = std::thread::spawn(|| std::process::exit(0));
        thread.join().expect("it does not return")
    }
    run(async {
        assert_eq!(exit_of(exit_elsewhere).await, Exit::Code(0));
    });
}

#[expect(unconditional_recursion, reason = "this is how a stack overflows")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    overflow(frame[7] + 1) + frame[9]
}

// fault 6
#[test]
fn a_stack_overflow_ends_its_worker_and_nothing_else() {
    run(async {
        let exit = exit_of(|| overflow(0)).await;
        assert!(matches!(exit, Exit::Signal(SIGSEGV | SIGABRT)), "{exit}");
    });
}

// fault 6
#[test]
fn a_stack_overflow_on_a_stack_of_chosen_size_is_a_death_too() {
    run(async {
        let pool = ProcessPool::builder().workers(1).stack_size(256 * 1024).build().expect("the pool starts");
        let exit = death(pool.apply(overflow, (0,)).await).exit;
        assert!(matches!(exit, Exit::Signal(SIGSEGV | SIGABRT)), "{exit}");
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 8
#[test]
fn a_worker_that_dies_idle_takes_no_task_along() {
    run(async {
        let pool = pool(2);
        pool.ready().await.expect("the pool starts");
        let idle = pool.worker_pids()[0];
        signal(idle, SIGKILL);
        let results = pool.map(|x: u64| x, 0..100).chunksize(1).await.expect("no task was running");
        assert!(results.into_iter().eq(0..100));
        while pool.stats().deaths == 0 {
            tokio::task::yield_now().await;
        }
        pool.ready().await.expect("it is replaced");
        let pids = pool.worker_pids();
        assert!(pids.len() == 2 && !pids.contains(&idle), "{pids:?} without {idle}");
        pool.shutdown().await.expect("it ends");
    });
}

// fault 9
#[test]
fn tasks_that_were_sent_ahead_run_elsewhere_exactly_once() {
    run(async {
        let pool = pool(1);
        let mut gate = Gate::new();
        let tally = Tally::new();
        let held = pool.apply_async(stand, (gate.key(),));
        gate.arrived().await;
        // One worker is sent some of these before it has finished what it does; the others wait in the pool.
        let rest: Vec<_> = (0..40)
            .map(|which| pool.apply_async(|key: String, which: u8| mark(&key, which), (tally.key(), which)))
            .collect();
        signal(pool.worker_pids()[0], SIGKILL);
        death(held.await);
        for task in rest {
            task.await.expect("it had not started");
        }
        let mut marks = tally.marks();
        marks.sort_unstable();
        assert!(marks.into_iter().eq(0..40));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 9
#[test]
fn a_task_whose_frame_was_half_written_runs_elsewhere_exactly_once() {
    fn count(key: String, load: Vec<u8>) -> usize {
        mark(&key, 1);
        load.len()
    }
    run(async {
        let pool = piped::<Processes>(1);
        pool.ready().await.expect("the pool starts");
        let tally = Tally::new();
        let victim = pool.worker_pids()[0];
        // A stopped worker reads nothing, so that its pipe is full long before the frame ends.
        signal(victim, SIGSTOP);
        let mut task = pool.apply_async(count, (tally.key(), vec![1; 32 << 20]));
        assert!((&mut task).now_or_never().is_none(), "nobody reads it");
        signal(victim, SIGKILL);
        assert_eq!(task.await.expect("it had not started"), 32 << 20);
        assert_eq!(tally.count(), 1);
        pool.shutdown().await.expect("it ends");
    });
}

#[test]
fn workers_that_die_under_large_frames_block_no_writer() {
    run(async {
        let pool = piped::<Processes>(2);
        pool.ready().await.expect("the pool starts");
        let tally = Tally::new();
        let stopped = pool.worker_pids();
        for victim in &stopped {
            signal(*victim, SIGSTOP);
        }
        let count = |key: String, load: Vec<u8>| {
            mark(&key, 1);
            load.len()
        };
        let tasks: Vec<_> =
            (0..6).map(|_| pool.apply_async(count, (tally.key(), vec![7; 8 << 20]))).collect();
        for victim in &stopped {
            signal(*victim, SIGKILL);
        }
        for task in tasks {
            assert_eq!(task.await.expect("it had not started"), 8 << 20);
        }
        assert_eq!(tally.count(), 6);
        pool.shutdown().await.expect("it ends");
    });
}

#[test]
fn a_worker_that_goes_on_after_a_stop_has_lost_nothing() {
    run(async {
        let pool = piped::<Processes>(1);
        pool.ready().await.expect("the pool starts");
        let worker = pool.worker_pids()[0];
        signal(worker, SIGSTOP);
        let mut task = pool.apply_async(|load: Vec<u8>| load, (vec![3; 4 << 20],));
        assert!((&mut task).now_or_never().is_none(), "nobody reads it");
        signal(worker, SIGCONT);
        assert!(task.await.expect("it goes on").iter().all(|byte| *byte == 3));
        pool.shutdown().await.expect("it ends");
    });
}

// fault 1, and what a chunk had finished
#[test]
fn an_element_that_aborts_fails_alone_and_the_rest_of_its_chunk_is_answered_once() {
    fn fatal_for(fatal: u8, n: u8, key: String) -> u8 {
        mark(&key, n);
        if n == fatal {
            std::process::abort();
        }
        n
    }
    run(async {
        let pool = pool(1);
        for fatal in [0, 4, 9] {
            let tally = Tally::new();
            let key = tally.key();
            let input = (0..10_u8).map(move |n| (fatal, n, key.clone()));
            let results: Vec<_> =
                pool.imap(|(fatal, n, key)| fatal_for(fatal, n, key), input).chunksize(10).collect().await;
            assert_eq!(results.len(), 10);
            for (n, result) in (0..).zip(results) {
                if n == fatal {
                    assert_eq!(death(result).exit, Exit::Signal(SIGABRT));
                } else {
                    assert_eq!(result.expect("only one element is fatal"), n);
                }
            }
            let mut marks = tally.marks();
            marks.sort_unstable();
            assert!(marks.into_iter().eq(0..10), "each was begun exactly once");
        }
        pool.shutdown().await.expect("it ends");
    });
}

#[test]
fn a_chunk_in_which_every_element_is_fatal_is_answered_element_by_element() {
    run(async {
        let pool = pool(1);
        let results: Vec<_> = pool
            .imap(|n: u8| if n.is_multiple_of(2) { exit_at_once(n.into()) } else { n }, 0..8)
            .chunksize(8)
            .collect()
            .await;
        for (n, result) in (0..).zip(results) {
            match result {
                Ok(value) => assert_eq!((value, n % 2), (n, 1)),
                error => assert_eq!(death(error).exit, Exit::Code(n.into())),
            }
        }
        pool.shutdown().await.expect("it ends");
    });
}

#[test]
fn large_results_that_were_finished_before_a_crash_in_their_chunk_are_answered() {
    run(async {
        let pool = pool(1);
        // Some of these fit on the board together, some fill it, some are larger than all of it.
        for size in [1_000, 30_000, 70_000, 1 << 20] {
            let task = |(n, size): (usize, usize)| {
                if n == 5 {
                    std::process::abort();
                }
                vec![u8::try_from(n).expect("it is small"); size]
            };
            let results: Vec<_> =
                pool.imap(task, (0..10).map(move |n| (n, size))).chunksize(10).collect().await;
            assert_eq!(results.len(), 10);
            for (n, result) in results.into_iter().enumerate() {
                match result {
                    Ok(bytes) => assert!(
                        n != 5 && bytes.len() == size && bytes.iter().all(|byte| usize::from(*byte) == n)
                    ),
                    error => assert_eq!((n, death(error).exit), (5, Exit::Signal(SIGABRT))),
                }
            }
        }
        pool.shutdown().await.expect("it ends");
    });
}

#[test]
fn a_map_fails_with_the_death_of_the_worker_of_one_element() {
    run(async {
        let pool = pool(2);
        let result = pool.map(|n: u32| if n == 70 { exit_at_once(3) } else { n }, 0..100).chunksize(10).await;
        assert_eq!(death(result).exit, Exit::Code(3));
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 16
#[test]
fn all_workers_may_die_at_once_again_and_again() {
    run(async {
        let pool = pool(3);
        for _ in 0..10 {
            let mut gate = Gate::new();
            let held: Vec<_> = (0..3).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
            for _ in 0..3 {
                gate.arrived().await;
            }
            for pid in pool.worker_pids() {
                signal(pid, SIGKILL);
            }
            for task in held {
                assert_eq!(death(task.await).exit, Exit::Signal(SIGKILL));
            }
        }
        works(&pool).await;
        assert_eq!(pool.stats().deaths, 30);
        pool.shutdown().await.expect("it ends");
    });
}
