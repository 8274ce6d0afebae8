//! Deaths for want of memory: the kernel counts the processes of a cgroup that it has killed for it.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kills of our cgroup that no death was laid to yet, counted from the first look on.
#[derive(Debug)]
pub(crate) struct OomKills {
    /// What to read the count from, where there is one.
    file: Option<PathBuf>,
    laid: AtomicU64,
}

impl OomKills {
    /// The count of this process's cgroup, looked at for the first time by the first call.
    pub(crate) fn of_this_process() -> &'static Self {
        static KILLS: OnceLock<OomKills> = OnceLock::new();
        KILLS.get_or_init(|| Self::counted_in(file()))
    }

    fn counted_in(file: Option<PathBuf>) -> Self {
        let kills = Self { file, laid: AtomicU64::new(0) };
        kills.laid.store(kills.count(), Ordering::Relaxed);
        kills
    }

    fn count(&self) -> u64 {
        let text = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        text.as_deref().and_then(count_in).unwrap_or(0)
    }

    /// A process was killed by somebody unknown. True if the kernel has killed one more than was known; then it was this one.
    pub(crate) fn take_one(&self) -> bool {
        let count = self.count();
        let one_more = |laid| (laid < count).then_some(laid + 1);
        self.laid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

/// The file of our cgroup that has the count, be it of version 2 or 1; where there is none, that of the whole machine.
fn file() -> Option<PathBuf> {
    let ours = fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = ours.lines().filter_map(file_of);
    files.chain([PathBuf::from("/proc/vmstat")]).find(|file| {
        let text = fs::read_to_string(file).ok();
        text.as_deref().and_then(count_in).is_some()
    })
}

/// From a line of `/proc/self/cgroup`: `number:controllers:path`.
fn file_of(line: &str) -> Option<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    if controllers.is_empty() {
        return Some(format!("/sys/fs/cgroup{path}/memory.events").into());
    }
    let counts = controllers.split(',').any(|controller| controller == "memory");
    counts.then(|| format!("/sys/fs/cgroup/memory{path}/memory.oom_control").into())
}

/// The number behind `oom_kill`.
fn count_in(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{OomKills, count_in, file_of};

    #[test]
    fn the_count_is_found_in_either_version() {
        assert_eq!(file_of("0::/a/b"), Some("/sys/fs/cgroup/a/b/memory.events".into()));
        assert_eq!(file_of("4:cpu,memory:/a"), Some("/sys/fs/cgroup/memory/a/memory.oom_control".into()));
        assert_eq!(file_of("5:devices:/a"), None);
        assert_eq!(file_of("nonsense"), None);
        assert_eq!(count_in("low 0\nhigh 1\noom 3\noom_kill 2\noom_group_kill 9\n"), Some(2));
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(count_in("oom_kill much\n"), None);
    }

    // fault 7
    #[test]
    fn each_kill_is_laid_to_one_death() {
        let file = std::env::temp_dir().join(format!("multiprocess-oom-{}", std::process::id()));
        std::fs::write(&file, "oom_kill 4\n").expect("a file can be made");
        let kills = OomKills::counted_in(Some(file.clone()));
        assert!(!kills.take_one(), "those were before");
        std::fs::write(&file, "oom_kill 6\n").expect("a file can be made");
        assert!(kills.take_one() && kills.take_one());
        assert!(!kills.take_one());
        std::fs::remove_file(&file).expect("it is ours");
        assert!(!OomKills::counted_in(None).take_one());
    }
}
