//! The lock of a condition, held, and the waits that release it meanwhile.

use std::fmt;
use std::time::{Duration, Instant};

use super::condition::Condition;
use super::died::Acquired;
use super::lock::LockGuard;
use super::waiting::{self, Look, end_of};

/// The lock of a condition is ours. Dropping this releases it.
///
/// # Examples
///
/// See [`Condition`](crate::Condition).
#[must_use = "dropping it releases the lock"]
pub struct ConditionGuard<'a> {
    condition: &'a Condition,
    lock: LockGuard<'a>,
}

/// What a wait with a limit gives: the guard, and whether it came about in time.
type Timed<'a> = (ConditionGuard<'a>, bool);

impl<'a> ConditionGuard<'a> {
    pub(super) fn new(condition: &'a Condition, lock: LockGuard<'a>) -> Self {
        Self { condition, lock }
    }

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
    /// See [`Condition::notify_all`](crate::Condition::notify_all).
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
    /// See [`Condition`](crate::Condition).
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
        let sleeper = condition.sleepers().join();
        let mut guard = self;
        loop {
            drop(guard);
            let look = |look| condition.look(&sleeper, look);
            let woken = waiting::wait(condition.sleepers().shared(), end, look).await;
            guard = timed(condition.acquire().await)?.0;
            if sleeper.look(Look::ONCE) || woken.is_none() {
                return Ok((guard, sleeper.wake()));
            }
        }
    }

    fn block_until(self, end: Option<Instant>) -> Acquired<Timed<'a>> {
        let condition = self.condition;
        let sleeper = condition.sleepers().join();
        let mut guard = self;
        loop {
            drop(guard);
            let look = |look| condition.look(&sleeper, look);
            let woken = waiting::block(condition.sleepers().shared(), end, look);
            guard = timed(condition.blocking_acquire())?.0;
            if sleeper.look(Look::ONCE) || woken.is_none() {
                return Ok((guard, sleeper.wake()));
            }
        }
    }

    pub(super) fn repaired(&mut self) {
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
