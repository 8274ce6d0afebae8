//! Does this process stem from a `fork` of one that had made a pool, or of a worker?
//!
//! Nothing of a pool lives on there: its threads do not exist, its locks may be held by one of them for ever, and what
//! it has registered with the kernel is the parent's too.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static FORKED: AtomicBool = AtomicBool::new(false);
static NOTICED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_fork() {
    FORKED.store(true, Ordering::Relaxed);
}

/// From now on a child of this process that comes by `fork`, and does not become another program, knows it.
///
/// `posix_spawn` and `vfork` are passed over, as they should be: such a child shares our memory until its `exec`.
pub(crate) fn notice_forks() -> io::Result<()> {
    if NOTICED.load(Ordering::Acquire) {
        return Ok(());
    }
    // SAFETY: the handler only stores to an atomic, which a child may do whatever its parent's threads were at.
    let error = unsafe { libc::pthread_atfork(None, None, Some(note_fork)) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // Two threads may both come here; a handler that is called twice does no harm.
    NOTICED.store(true, Ordering::Release);
    Ok(())
}

/// True in a child that comes by `fork` from a process that notices forks.
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Comes before any lock of a pool is taken.
pub(crate) fn not_forked() -> Result<()> {
    if forked() { Err(Error::Forked) } else { Ok(()) }
}

/// A value that a forked child never drops: doing so would wait for a lock that nobody gives back, or take from the
/// parent what the two share.
#[derive(Debug)]
pub(crate) struct Rooted<T>(ManuallyDrop<T>);

impl<T> Rooted<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl<T> Deref for Rooted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Rooted<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Rooted<T> {
    fn drop(&mut self) {
        if !forked() {
            // SAFETY: the value is not used again, since this is the drop of what holds it.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}
