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
    process: u32,
    /// The runtime that it was asked for in; nothing is the crate's own.
    asked_in: Option<Id>,
    /// Nothing only while it is dropped.
    watched: Option<Arc<Watched>>,
}

impl Watch {
    /// The registration with the runtime of this call, or with the crate's own.
    pub(super) fn here(&self, fd: &Fd) -> Result<Arc<Watched>> {
        let (process, asked_in) = (std::process::id(), runtime_here());
        let mut all = self.lock();
        let known = all.iter().find(|one| one.process == process && one.asked_in == asked_in);
        if let Some(watched) = known.and_then(|one| one.watched.clone()) {
            return Ok(watched);
        }
        // Those that nobody waits with are most likely of runtimes that have ended.
        all.retain(|one| one.process == process && one.is_waited_with());
        let watched = Arc::new(watch_here(fd, Wanted::Input)?);
        all.push(Registration { process, asked_in, watched: Some(Arc::clone(&watched)) });
        Ok(watched)
    }

    /// The runtime of this one has ended.
    pub(super) fn forget(&self, ended: &Arc<Watched>) {
        let is_other =
            |one: &Registration| !one.watched.as_ref().is_some_and(|watched| Arc::ptr_eq(watched, ended));
        self.lock().retain(is_other);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Registration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    fn is_waited_with(&self) -> bool {
        self.watched.as_ref().is_some_and(|watched| Arc::strong_count(watched) > 1)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.watched.take());
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
