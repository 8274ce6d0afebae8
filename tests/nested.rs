//! Pools inside of pools: how deep they may be, and what is left of the inner ones when an outer one ends.

mod support;

use std::collections::BTreeSet;
use std::process::Stdio;

use multiprocess::{Kind, Pool, ProcessPool, Processes};
use support::alone::{again, alone, is_alone};
use support::census::{descendants, until};
use support::foreign::{SIGKILL, signal};
use support::gate::{Gate, pass};
use support::tally::{Tally, tell};
use support::{end, on_both, pool, run};

/// Makes a pool for the same again, until pools may be no deeper. How deep it came, and why no deeper.
fn dive() -> (u32, String) {
    match ProcessPool::new(1) {
        Ok(pool) => {
            let (below, why) = pool.blocking_apply(dive, ()).expect("its worker starts");
            pool.blocking_shutdown().expect("it ends");
            (below + 1, why)
        }
        Err(error) => (0, error.to_string()),
    }
}

// C217
// fault 35
async fn pools_are_nested_ten_deep_and_no_deeper<K: Kind>() {
    let pool = pool::<K>(1);
    let (below, why) = pool.apply(dive, ()).await.expect("no task fails");
    assert_eq!((below, why.as_str()), (9, "option workers: pools are nested 10 deep already"));
    end(pool).await;
}

on_both!(pools_are_nested_ten_deep_and_no_deeper);

/// Not a test, but what the innermost task below starts.
#[test]
fn waits_for_ever() {
    if is_alone("waits_for_ever") {
        loop {
            std::thread::park();
        }
    }
}

/// Tells who it is, makes a pool for the same again, and in the innermost one stands at a gate, with a child of its own.
fn stand_deep(gate: String, tally: String, levels: u32) -> Result<(), String> {
    tell(&tally, &std::process::id().to_string());
    if levels > 0 {
        let pool = Pool::<Processes>::new(1).expect("the pool starts");
        return pool
            .blocking_apply(stand_deep, (gate, tally, levels - 1))
            .map_err(|error| error.to_string())?;
    }
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program.as_os_str(), "waits_for_ever");
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be started").id();
    tell(&tally, &child.to_string());
    pass(&gate);
    Ok(())
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")))
}

/// Kills the worker at one level of three, and sees that all below it are gone, and that the one above is told.
async fn ends_all_below(level: usize) {
    let (tally, mut gate) = (Tally::new(), Gate::new());
    let pool = pool::<Processes>(1);
    let outermost = pool.apply_async(stand_deep, (gate.key(), tally.key(), 2));
    gate.arrived().await;
    let chain: Vec<u32> = tally.lines().iter().map(|pid| pid.parse().expect("a number")).collect();
    assert_eq!(chain.len(), 4);
    signal(chain[level], SIGKILL);
    let told = outermost.await;
    let why = match (level, told) {
        (0, Err(error)) => error.to_string(),
        (1 | 2, Ok(Err(why))) => why,
        (_, told) => panic!("{told:?}"),
    };
    assert!(why.contains(&format!("worker {} ended with signal 9", chain[level])), "{why}");
    until("all below are gone", || !chain[level..].iter().any(|pid| lives(*pid)));
    assert!(chain[..level].first().is_none_or(|outer| lives(*outer)), "the outermost worker goes on");
    let workers: BTreeSet<u32> = pool.worker_pids().into_iter().collect();
    assert!(level == 0 || workers.contains(&chain[0]));
    pool.shutdown().await.expect("it ends");
    until("no process is left", || descendants().is_empty());
}

// faults 31, 35
#[test]
fn a_kill_of_the_outermost_worker_ends_all_below_it() {
    alone(|| run(ends_all_below(0)));
}

// faults 31, 35
#[test]
fn a_kill_of_the_worker_in_the_middle_ends_all_below_it() {
    alone(|| run(ends_all_below(1)));
}

// faults 31, 35
#[test]
fn a_kill_of_the_innermost_worker_ends_what_it_has_started() {
    alone(|| run(ends_all_below(2)));
}
