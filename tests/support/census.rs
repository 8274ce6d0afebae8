//! A census counts what a process has that it could leave behind: descendants, descriptors, threads, shared memory.

use std::fs;
use std::time::{Duration, Instant};

use super::foreign::kill_if_there;

/// What this process, and what it started, has at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Processes below this one, zombies too.
    descendants: usize,
    descriptors: usize,
    threads: usize,
    /// Mappings of the crate's shared memory.
    mappings: usize,
    /// Files of the crate in `/dev/shm`, where it leaves none on purpose.
    shared_files: usize,
}

/// What takes longer to disappear stays for ever.
const SOON: Duration = Duration::from_secs(20);

impl Census {
    pub fn take() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").expect("it is our own");
        Self {
            descendants: descendants().len(),
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            mappings: maps.lines().filter(|line| line.contains("memfd:multiprocess")).count(),
            shared_files: shared_files(),
        }
    }

    /// Uses a pool once, so that what the crate keeps for ever is there: its one thread and that thread's runtime.
    /// Then waits until nothing else of that pool is left.
    pub fn after_the_first_pool() -> Self {
        let pool = multiprocess::ProcessPool::new(1).expect("the pool starts");
        pool.blocking_apply(|| (), ()).expect("it does nothing");
        pool.blocking_shutdown().expect("it ends");
        drop(pool);
        until("the crate is down to its one thread", || {
            let census = Self::take();
            census.descendants == 0 && census.mappings == 0 && own_threads() == 1
        });
        until("the crate has let go of the process", || open("pidfd") == 0);
        Self::take()
    }

    /// Waits until the process has what it had at this census, and nothing more.
    pub fn settles(&self) {
        let mut now = Self::take();
        let end = Instant::now() + SOON;
        while now != *self && Instant::now() < end {
            std::thread::yield_now();
            now = Self::take();
        }
        assert_eq!(now, *self, "left: what there is now; right: what there was before");
    }
}

/// Waits, without giving up the thread to a runtime, until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < end, "it takes too long until {what}");
        std::thread::yield_now();
    }
}

/// The processes below this one, at any depth.
pub fn descendants() -> Vec<u32> {
    let parents: Vec<(u32, u32)> = processes().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = vec![std::process::id()];
    let mut looked_at = 0;
    while looked_at < found.len() {
        let parent = found[looked_at];
        found.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(pid, _)| *pid));
        looked_at += 1;
    }
    found.split_off(1)
}

/// Those of them that are no forkservers.
pub fn workers() -> Vec<u32> {
    descendants().into_iter().filter(|pid| !is_forkserver(*pid)).collect()
}

/// True of a process that is there to fork others.
pub fn is_forkserver(pid: u32) -> bool {
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&title).contains(": forkserver")
}

/// True while there is such a process, a zombie too.
pub fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).expect("/proc can be looked at")
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it come the state and the parent.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// How many descriptors of a kind are open.
pub fn open(kind: &str) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").expect("it is our own");
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains(kind)).count()
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("the directory is there").count()
}

fn shared_files() -> usize {
    let Ok(directory) = fs::read_dir("/dev/shm") else { return 0 };
    let names = directory.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.contains("multiprocess")).count()
}

/// The threads that the crate has named after itself.
pub fn own_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("it is our own");
    let names = threads.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "multiprocess").count()
}

/// A line of `/proc/self/status` in KiB: `VmRSS`, `VmHWM`.
pub fn memory_kib(what: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("it is our own");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("the kernel tells it");
    let number = line.trim_start_matches(':').split_whitespace().next();
    number.and_then(|number| number.parse().ok()).expect("it is a number of KiB")
}

/// A name that no other test run has, for processes that are to be found again. Dropping it leaves none of them.
pub struct Mark(pub String);

impl Mark {
    pub fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self(format!("marked-{}-{number}-", std::process::id()))
    }

    /// The processes that were started with it, wherever they stand now. Those that have ended are none.
    pub fn processes(&self) -> Vec<u32> {
        processes().filter(|pid| self.is_on(*pid)).collect()
    }

    /// Those of them that are no forkservers.
    pub fn workers(&self) -> Vec<u32> {
        self.processes().into_iter().filter(|pid| !is_forkserver(*pid)).collect()
    }

    fn is_on(&self, pid: u32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let variable = format!("{MARK}={}", self.0);
        environment.split(|byte| *byte == 0).any(|its| its == variable.as_bytes())
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        for pid in self.processes() {
            kill_if_there(pid);
        }
    }
}

/// The variable that carries a mark to all that a marked process starts.
pub const MARK: &str = "MULTIPROCESS_TEST_MARK";
