//! Is there room for so much memory? Space in a memfd has no limit of its own: the kernel goes on until it has to kill somebody. So what is
//! plainly too much is refused before the first page of it is taken.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Less than this is not worth a look.
const LITTLE: u64 = 1 << 20;

/// An error if the memory that this machine, its control groups or this process may still have is less than so many bytes.
pub(super) fn check_space(bytes: u64) -> io::Result<()> {
    // A file beyond the limit would end the process by a signal.
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < bytes) {
        return Err(Errno::FBIG.into());
    }
    if bytes >= LITTLE && left_of_machine().into_iter().chain(left_of_groups()).any(|left| left < bytes) {
        return Err(Errno::NOMEM.into());
    }
    Ok(())
}

/// What the machine can give without killing anybody, swap included.
fn left_of_machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()
    };
    Some((kib("MemAvailable")? + kib("SwapFree").unwrap_or(0)).saturating_mul(1024))
}

/// What each of the control groups around this process may still have.
fn left_of_groups() -> Vec<u64> {
    let ours = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some((folder, path)) = ours.lines().find_map(place_of) else { return Vec::new() };
    let groups = Path::new(&path).ancestors().map(|group| format!("{folder}{}", group.display()));
    groups.filter_map(|group| left_of(&PathBuf::from(group))).collect()
}

/// From a line of `/proc/self/cgroup`, `number:controllers:path`: where the groups of memory are, and which is ours.
fn place_of(line: &str) -> Option<(&'static str, String)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    if controllers.is_empty() {
        return Some(("/sys/fs/cgroup", path.to_owned()));
    }
    let is_memory = controllers.split(',').any(|controller| controller == "memory");
    is_memory.then(|| ("/sys/fs/cgroup/memory", path.to_owned()))
}

/// Its limit, less what is in use and cannot be given up; nothing if it has no limit.
fn left_of(group: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let files = stat.lines().filter_map(|line| line.split_once(' '));
    let files = files.filter(|(name, _)| ["active_file", "inactive_file"].contains(name));
    let spare: u64 = files.filter_map(|(_, bytes)| bytes.parse::<u64>().ok()).sum();
    let swap = || Some(number("memory.swap.max")?.saturating_sub(number("memory.swap.current")?));
    Some(limit.saturating_sub(used.saturating_sub(spare)).saturating_add(swap().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::{check_space, left_of, place_of};

    // fault 70
    #[test]
    fn what_is_plainly_too_much_is_refused() {
        assert!(check_space(4096).is_ok());
        assert!(check_space(u64::MAX / 2).is_err());
    }

    // fault 70
    #[test]
    fn a_group_has_left_what_is_neither_used_nor_limited() {
        let group = std::env::temp_dir().join(format!("multiprocess-group-{}", std::process::id()));
        std::fs::create_dir(&group).expect("a directory can be made");
        let write = |name, text| std::fs::write(group.join(name), text).expect("it can be written");
        assert_eq!(left_of(&group), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(left_of(&group), None, "it has no limit");
        write("memory.max", "1000\n");
        assert_eq!(left_of(&group), Some(300));
        write("memory.stat", "anon 500\ninactive_file 50\nactive_file 25\nfile 100\n");
        assert_eq!(left_of(&group), Some(375));
        write("memory.swap.max", "40\n");
        write("memory.swap.current", "15\n");
        assert_eq!(left_of(&group), Some(400));
        std::fs::remove_dir_all(&group).expect("it is ours");
    }

    #[test]
    fn the_groups_of_memory_are_found_in_either_version() {
        assert_eq!(place_of("0::/a/b"), Some(("/sys/fs/cgroup", "/a/b".into())));
        assert_eq!(place_of("4:cpu,memory:/a"), Some(("/sys/fs/cgroup/memory", "/a".into())));
        assert_eq!(place_of("5:devices:/a"), None);
    }
}
