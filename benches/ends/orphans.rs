//! A program that is killed in the middle of its pool: are its workers, and what they started, gone in time?
//!
//! The program is this one, started anew in a mode of its own. It says who its descendants are, and is killed for that.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use multiprocess::ProcessPool;

use crate::Found;
use crate::plan::Amount;
use crate::processes::{Manner, Roll, dead, endless};

const MODE: &str = "ENDS_ORPHANS";
const MOST: Duration = Duration::from_millis(100);
const MANNERS: [&str; 5] = ["idle", "busy", "spinning", "starting", "grandchildren"];

/// How often a program left something behind for longer than it should.
pub(crate) fn missed(amount: Amount) -> Found {
    let (mut missed, mut slowest) = (0, Duration::ZERO);
    let times = amount.of(1_000);
    for turn in 0..times {
        let time = kill_one(MANNERS[turn as usize % MANNERS.len()]);
        slowest = slowest.max(time);
        missed += u32::from(time > MOST);
    }
    eprintln!("{} of {times} in time, the slowest took {slowest:?}", times - missed);
    Found::Count(missed.into(), "of all")
}

fn kill_one(manner: &str) -> Duration {
    let program = std::env::current_exe().expect("a program has a path");
    let mut command = Command::new(program);
    let mut child = command.env(MODE, manner).stdout(Stdio::piped()).spawn().expect("it can be started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is a pipe")).read_line(&mut line).expect("it speaks");
    let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().expect("it is a number")).collect();
    assert!(manner == "starting" || !pids.is_empty(), "it has workers");
    let began = Instant::now();
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    dead(&pids, began)
}

/// Ends here, by being killed, if this process was started for that.
pub(crate) fn run_if_asked() {
    let Ok(manner) = std::env::var(MODE) else { return };
    let pool = ProcessPool::new(4).expect("the pool starts");
    if manner != "starting" {
        while pool.stats().workers < 4 {
            std::thread::yield_now();
        }
    }
    let roll = Roll::new();
    let tasks: Vec<_> = (0..4).map(|_| pool.apply_async(live, (manner.clone(), roll.key()))).collect();
    match &*manner {
        "grandchildren" => while descendants().len() < 8 {},
        "busy" | "spinning" => roll.begun(4),
        _ => {}
    }
    // Nobody will do it once this process is killed.
    drop(roll);
    let pids: Vec<_> = descendants().iter().map(u32::to_string).collect();
    println!("{}", pids.join(" "));
    drop(tasks);
    loop {
        std::thread::park();
    }
}

/// What each of its workers does.
fn live(manner: String, key: String) -> u8 {
    match &*manner {
        "busy" => endless(key, Manner::Wait),
        "spinning" => endless(key, Manner::Spin),
        "grandchildren" => {
            let mut child = Command::new("sleep").arg("1000").spawn().expect("there is `sleep`");
            child.wait().expect("it sleeps for long");
            0
        }
        _ => 0,
    }
}

/// The processes below this one, at any depth.
fn descendants() -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").expect("it is there").filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may hold anything; behind it come the state and the parent.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let mut found = vec![std::process::id()];
    let mut at = 0;
    while at < found.len() {
        found.extend(children.remove(&found[at]).unwrap_or_default());
        at += 1;
    }
    found.split_off(1)
}
