//! What one gets of a thing whose holder has died.

use std::fmt;

use crate::error::Error;

/// What taking a thing gives: its guard, or the guard in an [`OwnerDied`].
///
/// # Examples
///
/// ```
/// use multiprocess::{Acquired, Lock, LockGuard};
///
/// fn held(lock: &Lock) -> Acquired<LockGuard<'_>> {
///     lock.blocking_acquire()
/// }
///
/// let lock = Lock::new()?;
/// let guard = held(&lock)?;
/// assert!(lock.locked());
/// # drop(guard);
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub type Acquired<G> = Result<G, OwnerDied<G>>;

/// The thing is yours, but the process that held it before has ended without giving it back: what it guards may be half done.
///
/// It is what `std::sync::PoisonError` is for panics. [`into_inner`](Self::into_inner) gives the guard, to whoever can tell that all is well or puts it right. Dropping it instead, as
/// `?` does, gives the thing back as it is, and the next one gets an `OwnerDied` too.
///
/// Python has nothing like it: there, a lock whose holder was killed is held for ever.
///
/// # Examples
///
/// ```
/// use multiprocess::{Lock, OwnerDied};
///
/// let lock = Lock::new()?;
/// let guard = lock.blocking_acquire().unwrap_or_else(|died| {
///     // See what the other has left, and put it right.
///     OwnerDied::into_inner(died)
/// });
/// # drop(guard);
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub struct OwnerDied<G> {
    guard: G,
    repaired: fn(&mut G),
}

impl<G> OwnerDied<G> {
    pub(super) fn new(guard: G, repaired: fn(&mut G)) -> Self {
        Self { guard, repaired }
    }

    /// The guard; from now on all is well with what it guards.
    ///
    /// # Examples
    ///
    /// See [`OwnerDied`].
    #[must_use = "dropping the guard gives back what it guards"]
    pub fn into_inner(mut self) -> G {
        (self.repaired)(&mut self.guard);
        self.guard
    }

    /// The same about something that holds the guard.
    pub(crate) fn map<T>(self, around: impl FnOnce(G) -> T, repaired: fn(&mut T)) -> OwnerDied<T> {
        OwnerDied { guard: around(self.guard), repaired }
    }
}

impl<G> fmt::Debug for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerDied").finish_non_exhaustive()
    }
}

impl<G> fmt::Display for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Error::OwnerDied.fmt(f)
    }
}

impl<G> std::error::Error for OwnerDied<G> {}

impl<G> From<OwnerDied<G>> for Error {
    fn from(_given_back: OwnerDied<G>) -> Self {
        Self::OwnerDied
    }
}
