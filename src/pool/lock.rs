//! The lock of a cell and where its callbacks run: in the models, loom's, which tries every order of what happens.

#[cfg(models)]
pub(super) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(models))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(not(models))]
pub(super) use crate::os::run_callback;

/// Each has a thread of its own: more can happen than on the one thread that they share otherwise.
#[cfg(models)]
pub(super) fn run_callback<F: FnOnce() + Send + 'static>(callback: F) -> Result<(), F> {
    loom::thread::spawn(callback);
    Ok(())
}
