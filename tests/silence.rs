//! Workers that neither die nor go on: stopped, frozen, or silent in the middle of a word.

mod support;

use std::process::Command;
use std::time::Duration;

use futures::FutureExt as _;
use multiprocess::{Exit, ProcessPool};
use support::alone::alone;
use support::evil::{self, Reply};
use support::foreign::{SIGKILL, SIGSTOP, signal};
use support::gate::{Gate, stand};
use support::tally::{Tally, mark};
use support::{death, end, run};

fn pool(workers: usize) -> ProcessPool {
    let beat = Duration::from_secs(1);
    ProcessPool::builder().workers(workers).heartbeat(beat).build().expect("the pool starts")
}

// fault 18
#[test]
fn a_worker_that_is_stopped_is_ended_and_its_task_fails() {
    run(async {
        let pool = pool(2);
        let mut gate = Gate::new();
        let mut held: Vec<_> = (0..2).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
        gate.arrived().await;
        gate.arrived().await;
        let stopped = pool.worker_pids()[0];
        signal(stopped, SIGSTOP);
        let (first, index, _) = futures::future::select_all(&mut held).await;
        let death = death(first);
        assert_eq!((death.pid, death.exit), (stopped, Exit::Signal(SIGKILL)));
        let fault = death.fault.expect("the pool has ended it");
        assert!(fault.contains("no sign of life"), "{fault}");
        drop(held.remove(index));
        gate.let_all_go();
        held.remove(0).await.expect("the other one is well");
        assert_eq!(pool.stats().deaths, 1);
        end(pool).await;
    });
}

// fault 18
#[test]
fn what_was_sent_to_a_stopped_worker_runs_elsewhere_exactly_once() {
    run(async {
        let pool = pool(1);
        pool.ready().await.expect("the pool starts");
        let tally = Tally::new();
        signal(pool.worker_pids()[0], SIGSTOP);
        pool.apply(|key: String| mark(&key, 1), (tally.key(),)).await.expect("it had not started");
        assert_eq!(tally.count(), 1);
        end(pool).await;
    });
}

// fault 28
#[test]
fn a_worker_that_falls_silent_in_the_middle_of_a_frame_is_ended() {
    fn half_a_word() -> u8 {
        evil::send(&Reply::honest(1).frame()[..3]);
        loop {
            std::thread::park();
        }
    }
    run(async {
        let pool = pool(1);
        let fault = death(pool.apply(half_a_word, ()).await).fault.expect("the pool has ended it");
        assert!(fault.contains("in the middle of a frame"), "{fault}");
        assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
        end(pool).await;
    });
}

#[test]
fn a_task_may_take_many_times_as_long_as_its_worker_may_be_silent() {
    run(async {
        let beat = Duration::from_millis(200);
        let pool = ProcessPool::builder().workers(1).heartbeat(beat).build().expect("the pool starts");
        let mut gate = Gate::new();
        let mut held = pool.apply_async(stand, (gate.key(),));
        gate.arrived().await;
        assert!(!held.wait(beat * 6).await, "it stands at the gate");
        assert!((&mut held).now_or_never().is_none(), "and nobody has ended it");
        gate.let_all_go();
        held.await.expect("its worker has answered all the time");
        end(pool).await;
    });
}

#[test]
fn a_pool_that_is_busy_all_the_time_asks_for_signs_of_life_and_goes_on() {
    run(async {
        let beat = Duration::from_millis(200);
        let pool = ProcessPool::builder().workers(2).heartbeat(beat).build().expect("the pool starts");
        for _ in 0..4 {
            let calls = pool.map(|n: u32| n, 0..30_000).chunksize(1).retries(5);
            assert!(calls.await.expect("they are answered").into_iter().eq(0..30_000));
        }
        end(pool).await;
    });
}

// fault 21
#[test]
fn a_program_that_was_stopped_itself_ends_none_of_its_workers() {
    alone(|| {
        run(async {
            let pool = pool(2);
            let mut gate = Gate::new();
            let held: Vec<_> = (0..2).map(|_| pool.apply_async(stand, (gate.key(),))).collect();
            gate.arrived().await;
            gate.arrived().await;
            let stop_us = "kill -STOP $PPID; sleep 3; kill -CONT $PPID";
            let stopped = Command::new("sh").args(["-c", stop_us]).status().expect("there is a shell");
            assert!(stopped.success());
            assert!(!held[0].wait(Duration::from_secs(1)).await, "there is time to find fault with them");
            gate.let_all_go();
            for held in held {
                held.await.expect("it was we who stood still");
            }
            assert_eq!(pool.stats().deaths, 0);
            end(pool).await;
        });
    });
}
