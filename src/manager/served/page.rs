//! A part of what an object holds, as large as one answer may well be.

use super::super::blob::{Blob, Raw};

/// Some entries, and the place of the last of them; without one there are no more.
pub(crate) type Page = (Vec<(Raw, Blob)>, Option<u64>);

/// What one page holds: entries, bytes, and handles, of which a message has no more than 64.
const ENTRIES: usize = 1_024;
const BYTES: usize = 1 << 20;
const HANDLES: usize = 60;

/// What a page has so far.
#[derive(Debug, Default)]
pub(crate) struct Room {
    entries: usize,
    bytes: usize,
    handles: usize,
}

impl Room {
    /// True if there is room for one more entry; for the first there always is.
    pub(crate) fn takes(&mut self, bytes: usize, handles: usize) -> bool {
        self.entries += 1;
        self.bytes += bytes;
        self.handles += handles;
        let fits = self.entries <= ENTRIES && self.bytes <= BYTES && self.handles <= HANDLES;
        fits || self.entries == 1
    }
}
