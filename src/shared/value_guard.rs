//! A shared value, locked.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;

use crate::os::Cells;
use crate::sync::LockGuard;

/// A [`Value`](crate::Value) is ours. Dropping this writes the value back, if it was changed, and releases the lock.
///
/// Others that share the lock see the change from then on. A guard that is forgotten writes nothing, and releases nothing.
///
/// # Examples
///
/// See [`Value`](crate::Value).
#[must_use = "dropping it releases the lock"]
pub struct ValueGuard<'a, T: Pod> {
    cells: &'a Cells,
    keeps: Keeps<'a>,
    value: T,
    is_changed: bool,
}

/// What keeps others away.
#[derive(Debug)]
pub(super) enum Keeps<'a> {
    /// A guard of its own.
    Own(LockGuard<'a>),
    /// One that its caller has.
    Other(&'a LockGuard<'a>),
}

impl Keeps<'_> {
    #[inline]
    fn is_ours(&self) -> bool {
        match self {
            Self::Own(lock) => lock.is_ours(),
            Self::Other(lock) => lock.is_ours(),
        }
    }

    pub(super) fn repaired(&mut self) {
        if let Self::Own(lock) = self {
            lock.repaired();
        }
    }
}

impl<'a, T: Pod> ValueGuard<'a, T> {
    #[inline]
    pub(super) fn new(cells: &'a Cells, keeps: Keeps<'a>) -> Self {
        Self { cells, keeps, value: cells.load(0), is_changed: false }
    }

    pub(super) fn repaired(&mut self) {
        self.keeps.repaired();
    }
}

impl<T: Pod> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Pod> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}

impl<T: Pod> Drop for ValueGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // A forked child has a copy of the guard, but not the lock.
        if self.is_changed && self.keeps.is_ours() {
            self.cells.store(0, self.value);
        }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueGuard").field(&self.value).finish()
    }
}
