//! What `ps` shows of a process that was not started with a title of its own: a forked one.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;

use super::stat::stat_fields;

/// Longer titles are cut.
const ROOM: usize = 128;

/// A title with room behind it, in which a forked child can put its own.
pub(crate) fn roomy_title(title: &str) -> String {
    format!("{title:ROOM$}")
}

/// Where the title of this process stands.
#[derive(Debug)]
pub(crate) struct Title(Range<usize>);

impl Title {
    /// Nothing where this process was not started with a roomy title.
    pub(crate) fn of_this_process() -> Option<Self> {
        let [start, end] = stat_fields("self", 48)?;
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        (start.checked_add(ROOM)? <= end).then_some(Self(start..end))
    }

    /// Changes it, as far as there is room. Only the only thread of a process may call this.
    pub(crate) fn set(&self, title: &OsStr) {
        let bytes = title.as_bytes();
        let (room, used) = (self.0.len(), bytes.len().min(self.0.len() - 1));
        let place = std::ptr::with_exposed_provenance_mut::<u8>(self.0.start);
        // SAFETY: the kernel has put the arguments there, in memory of this process that can be written to and that nobody else owns or,
        // as the only thread is here, reads meanwhile. No more than their length is written.
        unsafe { std::ptr::write_bytes(place, 0, room) };
        // SAFETY: as above; at least one zero is left behind what is copied.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, used) };
    }
}
