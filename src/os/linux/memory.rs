//! How much memory this process has in use.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

/// Looks at the resident memory of this process again and again, with one system call each time.
#[derive(Debug)]
pub(crate) struct Resident {
    statm: OwnedFd,
    page: u64,
}

impl Resident {
    pub(crate) fn new() -> io::Result<Self> {
        let statm = rustix::fs::open("/proc/self/statm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { statm, page: rustix::param::page_size() as u64 })
    }

    /// Bytes in use now; 0 if the kernel does not tell.
    pub(crate) fn bytes(&self) -> u64 {
        let mut line = [0; 128];
        let read = rustix::io::pread(&self.statm, &mut line, 0).unwrap_or(0);
        let second = std::str::from_utf8(&line[..read]).ok().and_then(|line| line.split(' ').nth(1));
        second.and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * self.page)
    }
}

#[cfg(test)]
mod tests {
    use super::Resident;

    #[test]
    fn memory_that_was_written_to_counts() {
        let resident = Resident::new().expect("the kernel tells it");
        let before = resident.bytes();
        let load = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(before > 0 && resident.bytes() >= before + (60 << 20));
        drop(load);
    }
}
