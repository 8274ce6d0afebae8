//! Workers are killed all the time, and every task is accounted for:
//! `cargo run --release --example chaos -- --tasks 1000000 --kill-every-ms 5 --workers 4`.
//!
//! With `--forkserver` the workers are forked, and now and then it is whoever forks them that is killed.
//!
//! A third of the tasks are single calls, the others elements of two streams. The exit code is 1 if a task was lost, wrong, executed
//! twice or never answered, or if more failed than workers were killed.

mod account;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use account::{Account, Log, open, task};
use futures::{StreamExt as _, stream};
use multiprocess::{ProcessPool, StartMethod};
use rustix::process::{Pid, Signal, kill_process};

/// Single calls that are under way at once.
const CALLS: usize = 256;

/// The number behind an option.
fn option(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
}

/// True if the option is among the arguments.
fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// Every so many turns it is the forkserver's.
const FORKSERVERS_TURN: usize = 8;

/// Kills one worker after the other, each time another one. What has forked it goes with one of some.
async fn kill(pool: &ProcessPool, every: Duration, kills: &AtomicU64) {
    let mut ticks = tokio::time::interval(every);
    for turn in 0.. {
        ticks.tick().await;
        let pids = pool.worker_pids();
        let Some(victim) = pids.get(turn % pids.len().max(1)) else { continue };
        if turn.is_multiple_of(FORKSERVERS_TURN)
            && let Some(forkserver) = parent_of(*victim).filter(|parent| *parent != std::process::id())
        {
            ends(forkserver);
        }
        kills.fetch_add(u64::from(ends(*victim)), Ordering::Relaxed);
    }
}

fn ends(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

/// Who has started a process, or forked it.
fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // An orphan is the first process's, or that of whoever takes its place.
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    let title = std::fs::read(format!("/proc/{parent}/cmdline")).ok()?;
    String::from_utf8_lossy(&title).contains(": forkserver").then_some(parent)
}

#[tokio::main]
async fn main() -> multiprocess::Result<ExitCode> {
    let (tasks, workers) = (option("--tasks", 1_000_000), option("--workers", 4));
    let every = Duration::from_millis(option("--kill-every-ms", 5).max(1));
    let log = Log::create();
    let workers = usize::try_from(workers).expect("as many fit into memory");
    let method = if flag("--forkserver") { StartMethod::Forkserver } else { StartMethod::Spawn };
    let builder = ProcessPool::builder().workers(workers).start_method(method);
    let pool = builder.initializer(open, (log.path(),)).build()?;
    let kills = AtomicU64::new(0);
    let began = Instant::now();
    let (third, two_thirds) = (tasks / 3, tasks / 3 * 2);
    let calls = stream::iter(0..third).map(|n| pool.apply(task, (n,))).buffer_unordered(CALLS);
    let mut accounts =
        [Account::new(third), Account::new(two_thirds - third), Account::new(tasks - two_thirds)];
    let [single, ordered, unordered] = &mut accounts;
    let work = async {
        tokio::join!(
            single.settle(calls),
            ordered.settle(pool.imap(task, third..two_thirds)),
            unordered.settle(pool.imap_unordered(task, two_thirds..tasks)),
        )
    };
    tokio::select! {
        _ = work => {}
        () = kill(&pool, every, &kills) => {}
    }
    let seconds = began.elapsed().as_secs_f64();
    pool.shutdown().await?;
    let account = accounts.into_iter().fold(Account::new(0), Account::and);
    let kills = kills.into_inner();
    println!("{seconds:.1} s, {kills} kills, {} deaths", pool.stats().deaths);
    Ok(if account.close(tasks, kills, &log) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
