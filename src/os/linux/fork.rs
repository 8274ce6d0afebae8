//! Forks: our own, of a process with one thread, and those of others.
//!
//! Does this process stem from a `fork` of one that had made a pool, or of a worker?
//! Nothing of a pool lives on there: its threads do not exist, its locks may be held by one of them for ever, and what
//! it has registered with the kernel is the parent's too.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use std::time::{Duration, Instant};

use rustix::process::{Pid, setpgid};

use super::child::Child;
use super::launch::Unwatched;
use super::owner::Owner;
use crate::error::{Error, Result};

/// A thread that has been joined may be seen for a moment longer.
const THREADS_GONE_WITHIN: Duration = Duration::from_millis(100);

static FORKED: AtomicBool = AtomicBool::new(false);
static NOTICED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_fork() {
    FORKED.store(true, Ordering::Relaxed);
    Owner::forget_ourselves();
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
#[inline]
pub(crate) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Comes before any lock of a pool is taken.
pub(crate) fn not_forked() -> Result<()> {
    if forked() { Err(Error::Forked) } else { Ok(()) }
}

/// The threads of this process beside this one: their names and numbers. One that has been joined is none.
///
/// # Errors
///
/// Those of reading `/proc`.
pub(crate) fn other_threads() -> io::Result<Vec<String>> {
    let end = Instant::now() + THREADS_GONE_WITHIN;
    loop {
        let threads = threads()?;
        if threads.is_empty() || Instant::now() > end {
            return Ok(threads);
        }
        std::thread::yield_now();
    }
}

fn threads() -> io::Result<Vec<String>> {
    let own = super::thread_id().to_string();
    let mut threads = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        let id = thread.file_name().to_string_lossy().into_owned();
        if id != own {
            let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            threads.push(format!("{} ({id})", name.trim_end()));
        }
    }
    Ok(threads)
}

/// Makes a copy of this process, in a process group of its own. Nothing in the copy.
///
/// # Errors
///
/// [`Error::NotAlone`] if there is a second thread: in the copy, whatever lock it holds would be held for ever. [`Error::Start`] if the operating system refuses.
pub(crate) fn fork() -> Result<Option<Child>> {
    let threads = other_threads().map_err(|cause| Error::start("count the threads", cause))?;
    if !threads.is_empty() {
        return Err(Error::NotAlone { threads });
    }
    // SAFETY: this is the only thread, as was just seen, and nobody can start another one meanwhile; so the copy is as whole as we are.
    let forked = unsafe { libc::fork() };
    if forked < 0 {
        return Err(Error::start("fork it", io::Error::last_os_error()));
    }
    let Some(pid) = Pid::from_raw(forked) else {
        // This is the copy, and one that we have made, not a host of us.
        FORKED.store(false, Ordering::Relaxed);
        let _own_group = setpgid(None, None);
        return Ok(None);
    };
    let child = Unwatched(pid).watch()?;
    // Both sides do it, so that neither goes on before it is done.
    let _own_group = setpgid(Some(pid), Some(pid));
    Ok(Some(child))
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
