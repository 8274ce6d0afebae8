//! What `ps` shows of a process that was not started with a title of its own: a forked one.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;

/// Longer titles are cut.
const ROOM: usize = 128;

/// A title with room behind it, in which a forked child can put its own.
pub(crate) fn roomy_title(title: &str) -> String {
    format!("{title:ROOM$}")
}

/// Changes the title of this process, as far as there is room for it. Only one that was started with a roomy title has enough, and only
/// its only thread may call this.
pub(crate) fn retitle(title: &OsStr) {
    let Some(range) = arguments().filter(|range| range.len() >= ROOM) else { return };
    let bytes = title.as_bytes();
    let used = bytes.len().min(range.len() - 1);
    let place = std::ptr::with_exposed_provenance_mut::<u8>(range.start);
    // SAFETY: the kernel has put the arguments there, in memory of this process that can be written to and that nobody else owns or,
    // as the only thread is here, reads meanwhile. No more than their length is written.
    unsafe { std::ptr::write_bytes(place, 0, range.len()) };
    // SAFETY: as above; one zero is left behind what is copied.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, used) };
}

/// Where the arguments of this process lie in its memory.
fn arguments() -> Option<Range<usize>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; the fields behind it are counted from the third.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(48 - 3);
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (start < end).then_some(start..end)
}
