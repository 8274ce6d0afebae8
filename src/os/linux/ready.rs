//! Waiting on a thread until descriptors are ready, and one descriptor that stands for many.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// A descriptor that is registered with a runtime.
pub(crate) type Watched = AsyncFd<Arc<OwnedFd>>;

/// What a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Something to read, or the end.
    Input,
    /// Room to write, or nobody who would read it.
    Room,
}

/// Waits until at least one descriptor is ready, and says of each whether it is so. None is when the time is over; without an end it never is.
pub(crate) fn ready(
    descriptors: &[BorrowedFd<'_>],
    wanted: Wanted,
    end: Option<Instant>,
) -> io::Result<Vec<bool>> {
    let flags = match wanted {
        Wanted::Input => PollFlags::IN,
        Wanted::Room => PollFlags::OUT,
    };
    let mut polled: Vec<_> = descriptors.iter().map(|one| PollFd::new(one, flags)).collect();
    loop {
        let rest = end.map(|end| end.saturating_duration_since(Instant::now()));
        // A time that the kernel cannot count is none.
        let limit = rest.and_then(|rest| Timespec::try_from(rest).ok());
        match poll(&mut polled, limit.as_ref()) {
            Err(Errno::INTR) => {}
            done => {
                done?;
                return Ok(polled.iter().map(|one| !one.revents().is_empty()).collect());
            }
        }
    }
}

/// True if one descriptor is ready now.
pub(crate) fn is_ready(descriptor: impl AsFd, wanted: Wanted) -> io::Result<bool> {
    Ok(ready(&[descriptor.as_fd()], wanted, Some(Instant::now()))?[0])
}

/// A descriptor that can be read as soon as one of these can, of which none is a file: a file always can.
pub(crate) fn any_of(descriptors: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let any = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for one in descriptors {
        match epoll::add(&any, one, epoll::EventData::new_u64(0), epoll::EventFlags::IN) {
            // It stands there twice.
            Err(Errno::EXIST) => {}
            added => added?,
        }
    }
    Ok(any)
}

/// Registers a descriptor with the current runtime.
///
/// # Errors
///
/// Those of the kernel, and that the runtime was built without `enable_io`, for which tokio panics.
pub(crate) fn register(descriptor: Arc<OwnedFd>, wanted: Wanted) -> io::Result<Watched> {
    let register = || match wanted {
        Wanted::Input => super::watch(descriptor),
        Wanted::Room => super::watch_room(descriptor),
    };
    let registered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(register));
    registered.unwrap_or_else(|_| Err(io::Error::other("the runtime was built without `enable_io`")))
}
