//! What a program takes together with its workers, as the kernel accounts for it in `/proc`.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

/// CPU time of this process and all below it, user and system, those that have ended and were reaped included.
pub(crate) fn cpu_time() -> Duration {
    let ticks: u64 = tree().iter().map(|process| process.ticks).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// Memory of this process and all below it in KiB. A page that several processes share is counted once (PSS).
pub(crate) fn memory_kib() -> u64 {
    tree().iter().filter_map(|process| proportional_kib(process.id)).sum()
}

fn proportional_kib(process: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

struct Process {
    id: u32,
    parent: u32,
    ticks: u64,
}

impl Process {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in parentheses, and may have spaces and parentheses itself.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Its own times and those of its children that were reaped, each for user and system.
        let times = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u64>());
        Some(Self { id, parent: fields.get(1)?.parse().ok()?, ticks: times.sum::<Result<_, _>>().ok()? })
    }
}

/// This process, its children, and theirs.
fn tree() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut others: Vec<_> = ids.filter_map(Process::read).collect();
    let mut known = HashSet::from([std::process::id()]);
    let mut tree = Vec::new();
    loop {
        let is_ours = |process: &mut Process| known.contains(&process.id) || known.contains(&process.parent);
        let found: Vec<_> = others.extract_if(.., is_ours).collect();
        if found.is_empty() {
            return tree;
        }
        known.extend(found.iter().map(|process| process.id));
        tree.extend(found);
    }
}
