//! Processes as the kernel sees them, and signals to them.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("it is the number of a process");
    kill_process(pid, signal).expect("it is there and ours");
}

/// How long it takes from `began` until none of these processes is left, not even as a zombie.
pub(crate) fn gone(pids: &[u32], began: Instant) -> Duration {
    while pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        std::thread::yield_now();
    }
    began.elapsed()
}

/// The same until none of them runs any more: whoever inherits the dead may take its time to bury them.
pub(crate) fn dead(pids: &[u32], began: Instant) -> Duration {
    let is_dead = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything; behind it comes the state.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
    };
    while !pids.iter().all(is_dead) {
        std::thread::yield_now();
    }
    began.elapsed()
}

/// What a task does once it has said that it is there.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) enum Manner {
    /// It runs in an endless loop.
    Spin,
    /// It waits for ever.
    Wait,
}

/// Where tasks say that they have begun: a file in shared memory that grows by a byte for each.
pub(crate) struct Roll(String);

impl Roll {
    pub(crate) fn new() -> Self {
        let path = format!("/dev/shm/multiprocess-ends-{}", std::process::id());
        std::fs::write(&path, "").expect("there is shared memory");
        Self(path)
    }

    /// What tasks are handed.
    pub(crate) fn key(&self) -> String {
        self.0.clone()
    }

    /// Waits until so many tasks have begun since this was last asked.
    pub(crate) fn begun(&self, tasks: u64) {
        while std::fs::metadata(&self.0).expect("it is there").len() < tasks {
            std::thread::yield_now();
        }
        std::fs::write(&self.0, "").expect("there is shared memory");
    }
}

impl Drop for Roll {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// A task that never ends.
pub(crate) fn endless(key: String, manner: Manner) -> u8 {
    let mut roll = std::fs::OpenOptions::new().append(true).open(key).expect("it is there");
    roll.write_all(&[1]).expect("there is shared memory");
    loop {
        match manner {
            Manner::Spin => std::hint::spin_loop(),
            Manner::Wait => std::thread::park(),
        }
    }
}
