//! Ten thousand pools, one after the other, with one task each: what is left of them.

use std::fs;

use multiprocess::ProcessPool;

use crate::Found;
use crate::plan::Amount;

/// Pools before the count begins: what the crate and the allocator keep for ever is there then.
const FIRST: u32 = 200;

/// What a process has that it could leave behind.
#[derive(Debug, Clone, Copy)]
struct Census {
    children: usize,
    descriptors: usize,
    threads: usize,
    segments: usize,
    resident_kib: usize,
}

pub(crate) fn left_behind(amount: Amount) -> Found {
    let (before, after) = measure(amount);
    eprintln!("before {before:?}\nafter  {after:?}");
    let more = |of: fn(&Census) -> usize| of(&after).saturating_sub(of(&before));
    let left = more(|census| census.children)
        + more(|census| census.descriptors)
        + more(|census| census.threads)
        + more(|census| census.segments);
    Found::Count(to_f64(left), "processes, descriptors, threads, segments")
}

pub(crate) fn memory_growth(amount: Amount) -> Found {
    let (before, after) = measure(amount);
    Found::Count(to_f64(after.resident_kib.saturating_sub(before.resident_kib)), "KiB")
}

fn measure(amount: Amount) -> (Census, Census) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let churn = |pools| {
        runtime.block_on(async {
            for n in 0..pools {
                let pool = ProcessPool::new(1).expect("the pool starts");
                assert_eq!(pool.apply(|n: u32| n, (n,)).await.expect("it lives"), n);
                drop(pool);
            }
            // Those that were dropped last end meanwhile.
            let last = ProcessPool::new(1).expect("the pool starts");
            last.shutdown().await.expect("it ends");
        });
        settled()
    };
    (churn(amount.of(FIRST)), churn(amount.of(10_000)))
}

/// What there is once the last workers are gone and the crate has let go of them, which takes it a moment.
fn settled() -> Census {
    let mut census = Census::take();
    while census.children > 0 || census.segments > 0 || holds_processes() {
        std::thread::yield_now();
        census = Census::take();
    }
    census
}

fn holds_processes() -> bool {
    let descriptors = fs::read_dir("/proc/self/fd").expect("it is our own").filter_map(Result::ok);
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| target.to_string_lossy().contains("pidfd"))
}

impl Census {
    fn take() -> Self {
        let count = |directory: &str| fs::read_dir(directory).expect("it is our own").count();
        let read = |file: &str| fs::read_to_string(file).expect("it is our own");
        let tasks = fs::read_dir("/proc/self/task").expect("it is our own").filter_map(Result::ok);
        let names: Vec<_> = tasks.map(|task| task.path()).collect();
        let children = names.iter().filter_map(|task| fs::read_to_string(task.join("children")).ok());
        let name = |task: &std::path::PathBuf| fs::read_to_string(task.join("comm")).unwrap_or_default();
        let status = read("/proc/self/status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        Self {
            children: children.map(|list| list.split_whitespace().count()).sum(),
            descriptors: count("/proc/self/fd"),
            // Threads that start children end when they have been idle for a moment; there are never more than four.
            threads: names.iter().filter(|task| name(task) != "multiprocess\n").count(),
            segments: read("/proc/self/maps")
                .lines()
                .filter(|line| line.contains("memfd:multiprocess"))
                .count(),
            resident_kib: resident.expect("the kernel tells it"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "these are small")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
