//! A descriptor that can be read as long as something holds, for whoever waits with `poll` and the like. Nothing is read from it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// It is raised or not, for all processes that have it.
#[derive(Debug, Clone)]
pub(crate) struct Level(Arc<OwnedFd>);

impl Level {
    /// A new one, which is not raised.
    pub(crate) fn new() -> io::Result<Self> {
        let level = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(super::pipe::lift(level)?)))
    }

    pub(crate) fn raise(&self) {
        // A count that would overflow stands for raised already.
        let _raised = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn lower(&self) {
        // One that is not raised has nothing to read.
        let _lowered = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Level {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Arc<OwnedFd>> for Level {
    fn from(fd: Arc<OwnedFd>) -> Self {
        Self(fd)
    }
}

impl From<Level> for Arc<OwnedFd> {
    fn from(level: Level) -> Self {
        level.0
    }
}

#[cfg(test)]
mod tests {
    use super::Level;
    use crate::os::{Wanted, is_ready};

    #[test]
    fn it_can_be_read_while_it_is_raised() {
        let level = Level::new().expect("there is a descriptor left");
        let is_raised = || is_ready(&level, Wanted::Input).expect("it is open");
        assert!(!is_raised());
        level.raise();
        level.raise();
        assert!(is_raised());
        level.lower();
        assert!(!is_raised());
        level.lower();
        assert!(!is_raised());
    }
}
