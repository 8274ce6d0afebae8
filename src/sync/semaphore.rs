//! Semaphores between processes.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::died::{Acquired, OwnerDied};
use super::holder::Taken;
use super::permits::{Permits, Place};
use super::waiting::{self, Look, end_of, endless};
use crate::error::{Error, Result};
use crate::os::Owner;

/// So many permits between processes, which may be released more often than they were acquired. Python: `multiprocessing.Semaphore`.
///
/// All clones are the same semaphore. While there are permits, acquiring and releasing them takes no system call.
///
/// # Guards, and permits without
///
/// [`acquire`](Self::acquire) gives a guard, which gives its permit back when it is dropped. If its process ends instead, whoever waits, or comes when no permit is free, gets the permit in
/// an [`OwnerDied`], within some 60 ms. So it is for 1,000 guards at a time, in all processes together; the permits of others are lost with their process.
///
/// A permit whose guard was [forgotten](Permit::forget) is spent, whatever becomes of the process, and [`release`](Self::release) makes a new one.
/// This is how one process counts for another what there is to do.
///
/// # Examples
///
/// ```standalone_crate
/// use multiprocess::{Process, Semaphore};
///
/// fn main() -> multiprocess::Result<()> {
///     let ready = Semaphore::new(0)?;
///     let process = Process::fork(|| (0..3).try_for_each(|_| ready.release()).is_ok())?;
///     for _ in 0..3 {
///         ready.blocking_acquire()?.forget();
///     }
///     assert!(process.blocking_join()?);
///     assert_eq!(ready.value(), 0);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Semaphore(Arc<Permits>);

impl Semaphore {
    /// A new semaphore with so many permits, which are free.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = multiprocess::Semaphore::new(2)?;
    /// assert_eq!(semaphore.value(), 2);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new(permits: u32) -> Result<Self> {
        Self::with_bound(permits, u32::MAX)
    }

    fn with_bound(permits: u32, bound: u32) -> Result<Self> {
        let permits = Permits::new(permits, bound).map_err(|cause| Error::shared("a semaphore", cause))?;
        Ok(Self(Arc::new(permits)))
    }

    /// The descriptors by which another process has it.
    pub(crate) fn into_fds(self) -> [Arc<OwnedFd>; 2] {
        self.0.shared().descriptors()
    }

    /// The semaphore behind descriptors that another process has sent.
    pub(crate) fn from_fds(descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Ok(Self(Arc::new(Permits::attach(descriptors)?)))
    }

    /// Waits for a permit. Python: `acquire()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the permit in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let semaphore = multiprocess::Semaphore::new(1)?;
    /// let permit = semaphore.acquire().await?;
    /// assert_eq!(semaphore.value(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.value(), 1);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire(&self) -> Acquired<Permit<'_>> {
        endless(self.acquire_until(None).await)
    }

    /// Blocks this thread until there is a permit. Python: `acquire()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the permit in it.
    ///
    /// # Examples
    ///
    /// See [`Semaphore`].
    pub fn blocking_acquire(&self) -> Acquired<Permit<'_>> {
        endless(self.block_until(None))
    }

    /// Takes a permit if that can be done without waiting. Python: `acquire(block=False)`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the permit in it.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = multiprocess::Semaphore::new(1)?;
    /// let permit = semaphore.try_acquire().expect("one is free")?;
    /// assert!(semaphore.try_acquire().is_none());
    /// # drop(permit);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the permit gives it back"]
    pub fn try_acquire(&self) -> Option<Acquired<Permit<'_>>> {
        self.look(Look::ONCE)
    }

    /// Waits for a permit, at most for so long. Python: `acquire(timeout=..)`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the permit in it.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let semaphore = multiprocess::Semaphore::new(0)?;
    /// assert!(semaphore.acquire_timeout(Duration::from_millis(5)).await.is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire_timeout(&self, limit: Duration) -> Option<Acquired<Permit<'_>>> {
        self.acquire_until(end_of(limit)).await
    }

    /// Blocks this thread until there is a permit, at most for so long. Python: `acquire(timeout=..)`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the permit in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let semaphore = multiprocess::Semaphore::new(0)?;
    /// assert!(semaphore.blocking_acquire_timeout(Duration::from_millis(5)).is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the permit gives it back"]
    pub fn blocking_acquire_timeout(&self, limit: Duration) -> Option<Acquired<Permit<'_>>> {
        self.block_until(end_of(limit))
    }

    /// Makes one more permit. Python: `release`.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyReleases`] if it has as many as it can have: 4,294,967,295, or those that a [`BoundedSemaphore`] began with. Permits that guards hold count.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = multiprocess::Semaphore::new(1)?;
    /// semaphore.release()?;
    /// assert_eq!(semaphore.value(), 2);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn release(&self) -> Result<()> {
        self.0.release()
    }

    /// How many permits are free. Python: `get_value`.
    ///
    /// # Examples
    ///
    /// See [`release`](Self::release).
    #[must_use]
    pub fn value(&self) -> u32 {
        self.0.free()
    }

    async fn acquire_until(&self, end: Option<Instant>) -> Option<Acquired<Permit<'_>>> {
        match self.look(Look { announce: 0, closely: false }) {
            Some(acquired) => Some(acquired),
            None => waiting::wait(self.0.shared(), end, |look| self.look(look)).await,
        }
    }

    fn block_until(&self, end: Option<Instant>) -> Option<Acquired<Permit<'_>>> {
        waiting::block(self.0.shared(), end, |look| self.look(look))
    }

    fn look(&self, look: Look) -> Option<Acquired<Permit<'_>>> {
        let owner = Owner::ourselves();
        let (place, taken) = self.0.take(owner, look)?;
        let permit = Permit { permits: &self.0, owner, place, taken };
        Some(match taken {
            Taken::InOrder => Ok(permit),
            Taken::Abandoned => Err(OwnerDied::new(permit, Permit::repaired)),
        })
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("value", &self.value()).finish_non_exhaustive()
    }
}

/// A [`Semaphore`] that cannot be released more often than it was acquired. Python: `multiprocessing.BoundedSemaphore`.
///
/// It is a semaphore in everything else.
///
/// # Examples
///
/// ```
/// use multiprocess::{BoundedSemaphore, Error};
///
/// let semaphore = BoundedSemaphore::new(1)?;
/// semaphore.blocking_acquire()?.forget();
/// semaphore.release()?;
/// assert!(matches!(semaphore.release(), Err(Error::TooManyReleases { bound: 1 })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    /// A new semaphore with so many permits, which are free, and never more.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// See [`BoundedSemaphore`].
    pub fn new(permits: u32) -> Result<Self> {
        Ok(Self(Semaphore::with_bound(permits, permits)?))
    }

    /// The descriptors by which another process has it.
    pub(crate) fn into_fds(self) -> [Arc<OwnedFd>; 2] {
        self.0.0.shared().descriptors()
    }

    /// The semaphore behind descriptors that another process has sent.
    pub(crate) fn from_fds(descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Ok(Self(Semaphore(Arc::new(Permits::attach(descriptors)?))))
    }
}

impl Deref for BoundedSemaphore {
    type Target = Semaphore;

    fn deref(&self) -> &Semaphore {
        &self.0
    }
}

/// A permit of a semaphore. Dropping it gives it back.
///
/// # Examples
///
/// See [`Semaphore::acquire`].
#[must_use = "dropping it gives the permit back"]
pub struct Permit<'a> {
    permits: &'a Permits,
    owner: Owner,
    place: Place,
    taken: Taken,
}

impl Permit<'_> {
    /// Spends it: it is not given back, and [`Semaphore::release`] makes a new one.
    ///
    /// # Examples
    ///
    /// See [`Semaphore`].
    pub fn forget(self) {
        let permit = std::mem::ManuallyDrop::new(self);
        if permit.owner == Owner::ourselves() {
            permit.permits.keep(permit.place);
        }
    }

    fn repaired(&mut self) {
        self.taken = Taken::InOrder;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // A forked child has a copy of the guard, but not the permit.
        if self.owner == Owner::ourselves() {
            self.permits.give_back(self.owner, self.place, self.taken);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
