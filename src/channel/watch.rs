//! The registrations of one end with the runtimes in which it is waited for, so that it goes under any executor.
//!
//! 1. A runtime has at most one registration of a descriptor: the kernel takes no second.
//! 2. A copy of this process, by `fork`, shares the kernel's side of what was registered before. It forgets that, since taking it back
//!    would take it from the other process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, Id};

use crate::error::{Error, Result};
use crate::os::{self, Wanted, Watched, background, register};
use crate::wire::Fd;

#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Vec<Registration>>);

#[derive(Debug)]
struct Registration {
    /// The runtime that it was asked for in; nothing is the crate's own.
    asked_in: Option<Id>,
    watched: Own<Arc<Watched>>,
}

/// What is of use only in the process that has made it, and is forgotten in a copy of that.
#[derive(Debug)]
pub(super) struct Own<T> {
    process: u32,
    /// Nothing only while it is dropped.
    value: Option<T>,
}

impl Watch {
    /// The registration with the runtime of this call, or with the crate's own.
    pub(super) fn here(&self, fd: &Fd) -> Result<Arc<Watched>> {
        let asked_in = runtime_here();
        let mut all = self.lock();
        let known = all.iter().filter(|one| one.asked_in == asked_in).find_map(|one| one.watched.here());
        if let Some(watched) = known {
            return Ok(Arc::clone(watched));
        }
        // Those that nobody waits with are most likely of runtimes that have ended.
        all.retain(|one| one.watched.here().is_some_and(|watched| Arc::strong_count(watched) > 1));
        let watched = Arc::new(watch_here(fd, Wanted::Input)?);
        all.push(Registration { asked_in, watched: Own::new(Arc::clone(&watched)) });
        Ok(watched)
    }

    /// The runtime of this one has ended.
    pub(super) fn forget(&self, ended: &Arc<Watched>) {
        self.lock().retain(|one| !one.watched.here().is_some_and(|watched| Arc::ptr_eq(watched, ended)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Registration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Own<T> {
    pub(super) fn new(value: T) -> Self {
        Self { process: std::process::id(), value: Some(value) }
    }

    /// Nothing in a copy of the process that has made it.
    pub(super) fn here(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.process == std::process::id())
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if self.here().is_none() {
            std::mem::forget(self.value.take());
        }
    }
}

fn runtime_here() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// A new registration with the runtime of this call; with the crate's own outside of all, and where a runtime has no I/O.
pub(super) fn watch_here(fd: &Fd, wanted: Wanted) -> Result<Watched> {
    let failed = |cause| Error::connection("wait for it", cause);
    if Handle::try_current().is_ok() {
        match register(fd.share(), wanted) {
            // This runtime cannot, whatever the kernel says.
            Err(error) if error.raw_os_error().is_none() => {}
            registered => return registered.map_err(failed),
        }
    }
    // Its thread is not in the copy.
    os::not_forked()?;
    let _inside = background().map_err(failed)?.enter();
    register(fd.share(), wanted).map_err(failed)
}
