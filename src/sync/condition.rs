//! A condition that processes wait for, with the lock that guards what it is about.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::died::Acquired;
use super::lock::{Lock, LockGuard};
use super::sleepers::{Sleeper, Sleepers};
use super::waiting::{self, Look, end_of};
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
        let around = |lock| ConditionGuard { condition: self, lock };
        lock.map(around).map_err(|died| died.map(around, ConditionGuard::repaired))
    }

    /// A look of one that sleeps: whether it was notified. Nothing if it was not, and whoever holds the lock lives.
    fn look(&self, sleeper: &Sleeper<'_>, look: Look) -> Option<()> {
        (sleeper.look(look) || look.closely && self.lock.is_abandoned()).then_some(())
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("lock", &self.lock).finish_non_exhaustive()
    }
}

/// The lock of a condition is ours. Dropping this releases it.
///
/// # Examples
///
/// See [`Condition`].
#[must_use = "dropping it releases the lock"]
pub struct ConditionGuard<'a> {
    condition: &'a Condition,
    lock: LockGuard<'a>,
}

/// What a wait with a limit gives: the guard, and whether it came about in time.
type Timed<'a> = (ConditionGuard<'a>, bool);

impl<'a> ConditionGuard<'a> {
    /// Releases the lock, waits for a notification, and acquires the lock again. Python: `wait()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](crate::OwnerDied), with the guard in it, if whoever held the lock has died, also without a notification.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the lock released, and hands on a notification that it had.
    ///
    /// # Examples
    ///
    /// See [`Condition::notify_all`].
    pub async fn wait(self) -> Acquired<Self> {
        first(self.wait_until(None).await)
    }

    /// As [`wait`](Self::wait), blocking this thread. Python: `wait()`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// See [`Condition`].
    pub fn blocking_wait(self) -> Acquired<Self> {
        first(self.block_until(None))
    }

    /// As [`wait`](Self::wait), at most for so long, and then for the lock: whether it was notified. Python: `wait(timeout)`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let condition = multiprocess::Condition::new()?;
    /// let guard = condition.acquire().await?;
    /// let (guard, notified) = guard.wait_timeout(Duration::from_millis(5)).await?;
    /// assert!(!notified && condition.lock().locked());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_timeout(self, limit: Duration) -> Acquired<(Self, bool)> {
        self.wait_until(end_of(limit)).await
    }

    /// As [`wait_timeout`](Self::wait_timeout), blocking this thread. Python: `wait(timeout)`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let condition = multiprocess::Condition::new()?;
    /// let (guard, notified) = condition.blocking_acquire()?.blocking_wait_timeout(Duration::from_millis(5))?;
    /// assert!(!notified);
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_wait_timeout(self, limit: Duration) -> Acquired<(Self, bool)> {
        self.block_until(end_of(limit))
    }

    /// Waits until something holds, which is looked at while the lock is ours, now and after each notification. Python: `wait_for(predicate)`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let condition = multiprocess::Condition::new()?;
    /// let guard = condition.acquire().await?.wait_for(|| true).await?;
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_for(self, mut holds: impl FnMut() -> bool) -> Acquired<Self> {
        let mut guard = self;
        while !holds() {
            guard = guard.wait().await?;
        }
        Ok(guard)
    }

    /// As [`wait_for`](Self::wait_for), blocking this thread. Python: `wait_for(predicate)`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// let condition = multiprocess::Condition::new()?;
    /// let guard = condition.blocking_acquire()?.blocking_wait_for(|| true)?;
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_wait_for(self, mut holds: impl FnMut() -> bool) -> Acquired<Self> {
        let mut guard = self;
        while !holds() {
            guard = guard.blocking_wait()?;
        }
        Ok(guard)
    }

    /// As [`wait_for`](Self::wait_for), at most for so long: whether it holds. Notifications before it does make it no shorter. Python: `wait_for(predicate, timeout)`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let condition = multiprocess::Condition::new()?;
    /// let guard = condition.acquire().await?;
    /// let (guard, holds) = guard.wait_for_timeout(|| false, Duration::from_millis(5)).await?;
    /// assert!(!holds);
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_for_timeout(
        self,
        mut holds: impl FnMut() -> bool,
        limit: Duration,
    ) -> Acquired<(Self, bool)> {
        let end = end_of(limit);
        let (mut guard, mut in_time) = (self, true);
        while !holds() {
            if !in_time {
                return Ok((guard, false));
            }
            (guard, in_time) = guard.wait_until(end).await?;
        }
        Ok((guard, true))
    }

    /// As [`wait_for_timeout`](Self::wait_for_timeout), blocking this thread. Python: `wait_for(predicate, timeout)`.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let condition = multiprocess::Condition::new()?;
    /// let guard = condition.blocking_acquire()?;
    /// let (guard, holds) = guard.blocking_wait_for_timeout(|| false, Duration::from_millis(5))?;
    /// assert!(!holds);
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_wait_for_timeout(
        self,
        mut holds: impl FnMut() -> bool,
        limit: Duration,
    ) -> Acquired<(Self, bool)> {
        let end = end_of(limit);
        let (mut guard, mut in_time) = (self, true);
        while !holds() {
            if !in_time {
                return Ok((guard, false));
            }
            (guard, in_time) = guard.block_until(end)?;
        }
        Ok((guard, true))
    }

    async fn wait_until(self, end: Option<Instant>) -> Acquired<Timed<'a>> {
        let condition = self.condition;
        let sleeper = condition.sleepers.join();
        let mut guard = self;
        loop {
            drop(guard);
            let look = |look| condition.look(&sleeper, look);
            let woken = waiting::wait(condition.sleepers.shared(), end, look).await;
            guard = timed(condition.acquire().await)?.0;
            if sleeper.look(Look::ONCE) || woken.is_none() {
                return Ok((guard, sleeper.wake()));
            }
        }
    }

    fn block_until(self, end: Option<Instant>) -> Acquired<Timed<'a>> {
        let condition = self.condition;
        let sleeper = condition.sleepers.join();
        let mut guard = self;
        loop {
            drop(guard);
            let look = |look| condition.look(&sleeper, look);
            let woken = waiting::block(condition.sleepers.shared(), end, look);
            guard = timed(condition.blocking_acquire())?.0;
            if sleeper.look(Look::ONCE) || woken.is_none() {
                return Ok((guard, sleeper.wake()));
            }
        }
    }

    fn repaired(&mut self) {
        self.lock.repaired();
    }
}

/// The same with nothing notified, as whoever waits tells it.
fn timed(acquired: Acquired<ConditionGuard<'_>>) -> Acquired<Timed<'_>> {
    let around = |guard| (guard, false);
    acquired.map(around).map_err(|died| died.map(around, |(guard, _)| guard.repaired()))
}

/// The guard alone.
fn first(waited: Acquired<Timed<'_>>) -> Acquired<ConditionGuard<'_>> {
    waited.map(|(guard, _)| guard).map_err(|died| died.map(|(guard, _)| guard, ConditionGuard::repaired))
}

impl fmt::Debug for ConditionGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionGuard").finish_non_exhaustive()
    }
}
