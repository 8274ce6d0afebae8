//! A condition that processes wait for, with the lock that guards what it is about.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::condition_guard::ConditionGuard;
use super::died::Acquired;
use super::lock::{Lock, LockGuard};
use super::sleepers::{Sleeper, Sleepers};
use super::waiting::Look;
use crate::error::{Error, Result};

/// A condition between processes, and its lock. Python: `multiprocessing.Condition`.
///
/// Whoever has [acquired](Self::acquire) it can [wait](ConditionGuard::wait) by its guard, which releases the lock meanwhile, until somebody notifies. A notification wakes those that have waited
/// longest, and those only: nobody wakes for nothing, as long as at most 1,000 wait at a time. A notification that comes when nobody waits is lost, so that
/// [`wait_for`](ConditionGuard::wait_for) is what one mostly wants.
///
/// All clones are the same condition. Its lock is a [`Lock`], which is not acquired twice, where Python's is an `RLock` by default.
///
/// # When somebody dies
///
/// A sleeper that is killed is not notified any more. If whoever holds the lock is killed, one of those that wait for the lock or for a notification gets an
/// [`OwnerDied`](crate::OwnerDied); it puts right what is guarded, and should notify the others.
///
/// # Examples
///
/// ```standalone_crate
/// use multiprocess::{Condition, Process};
///
/// fn main() -> multiprocess::Result<()> {
///     let condition = Condition::new()?;
///     let guard = condition.blocking_acquire()?;
///     let process = Process::fork(|| {
///         let guard = condition.blocking_acquire();
///         condition.notify();
///         guard.is_ok()
///     })?;
///     drop(guard.blocking_wait()?);
///     assert!(process.blocking_join()?);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Condition {
    lock: Lock,
    sleepers: Arc<Sleepers>,
}

impl Condition {
    /// A new condition with a lock of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// See [`Condition`].
    pub fn new() -> Result<Self> {
        Self::with_lock(&Lock::new()?)
    }

    /// A new condition with this lock, which several may share. Python: `Condition(lock)`.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Condition, Lock};
    ///
    /// let lock = Lock::new()?;
    /// let (not_full, not_empty) = (Condition::with_lock(&lock)?, Condition::with_lock(&lock)?);
    /// let guard = not_full.blocking_acquire()?;
    /// assert!(lock.locked());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn with_lock(lock: &Lock) -> Result<Self> {
        let sleepers = Sleepers::new().map_err(|cause| Error::shared("a condition", cause))?;
        Ok(Self { lock: lock.clone(), sleepers: Arc::new(sleepers) })
    }

    /// The descriptors by which another process has it: those of the lock, and its own.
    pub(crate) fn into_fds(self) -> [[Arc<OwnedFd>; 2]; 2] {
        [self.lock.into_fds(), self.sleepers.shared().descriptors()]
    }

    /// The condition behind descriptors that another process has sent.
    pub(crate) fn from_fds([lock, sleepers]: [[Arc<OwnedFd>; 2]; 2]) -> io::Result<Self> {
        Ok(Self { lock: Lock::from_fds(lock)?, sleepers: Arc::new(Sleepers::attach(sleepers)?) })
    }

    /// Waits until its lock is ours. Python: `acquire()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](crate::OwnerDied), with the guard in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let condition = multiprocess::Condition::new()?;
    /// let guard = condition.acquire().await?;
    /// assert!(condition.lock().locked());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire(&self) -> Acquired<ConditionGuard<'_>> {
        self.guard(self.lock.acquire().await)
    }

    /// Blocks this thread until its lock is ours. Python: `acquire()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](crate::OwnerDied), with the guard in it.
    ///
    /// # Examples
    ///
    /// See [`Condition`].
    pub fn blocking_acquire(&self) -> Acquired<ConditionGuard<'_>> {
        self.guard(self.lock.blocking_acquire())
    }

    /// Acquires its lock if that can be done without waiting. Python: `acquire(block=False)`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](crate::OwnerDied), with the guard in it.
    ///
    /// # Examples
    ///
    /// ```
    /// let condition = multiprocess::Condition::new()?;
    /// let guard = condition.try_acquire().expect("it is free")?;
    /// assert!(condition.try_acquire().is_none());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the guard releases the lock"]
    pub fn try_acquire(&self) -> Option<Acquired<ConditionGuard<'_>>> {
        Some(self.guard(self.lock.try_acquire()?))
    }

    /// Its lock.
    ///
    /// # Examples
    ///
    /// See [`acquire`](Self::acquire).
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Wakes the one that has waited longest, if there is one. Python: `notify()`.
    ///
    /// The lock need not be held, unlike in Python. But what is guarded must have been changed under the lock, or the one that is just about to wait misses it.
    ///
    /// # Examples
    ///
    /// See [`Condition`].
    pub fn notify(&self) {
        self.sleepers.notify(1);
    }

    /// Wakes at most so many, those that have waited longest. Python: `notify(n)`.
    ///
    /// # Examples
    ///
    /// ```
    /// let condition = multiprocess::Condition::new()?;
    /// condition.notify_n(3);
    /// assert_eq!(condition.waiting(), 0);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn notify_n(&self, most: usize) {
        self.sleepers.notify(most);
    }

    /// Wakes all that wait. Python: `notify_all`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let condition = multiprocess::Condition::new()?;
    /// let waits = condition.clone();
    /// let guard = condition.acquire().await?;
    /// let task = tokio::spawn(async move { Ok::<_, multiprocess::Error>(drop(waits.acquire().await?.wait().await?)) });
    /// drop(guard);
    /// while condition.waiting() == 0 {
    ///     tokio::task::yield_now().await;
    /// }
    /// condition.notify_all();
    /// task.await.expect("it does not panic")?;
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn notify_all(&self) {
        self.sleepers.notify(usize::MAX);
    }

    /// How many wait for a notification, in all processes, at most 1,000.
    ///
    /// # Examples
    ///
    /// See [`notify_all`](Self::notify_all).
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sleepers.waiting()
    }

    fn guard<'a>(&'a self, lock: Acquired<LockGuard<'a>>) -> Acquired<ConditionGuard<'a>> {
        let around = |lock| ConditionGuard::new(self, lock);
        lock.map(around).map_err(|died| died.map(around, ConditionGuard::repaired))
    }

    pub(super) fn sleepers(&self) -> &Sleepers {
        &self.sleepers
    }

    /// A look of one that sleeps: whether it was notified. Nothing if it was not, and whoever holds the lock lives.
    pub(super) fn look(&self, sleeper: &Sleeper<'_>, look: Look) -> Option<()> {
        (sleeper.look(look) || look.closely && self.lock.is_abandoned()).then_some(())
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("lock", &self.lock).finish_non_exhaustive()
    }
}
