//! A value that processes share, with its lock.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::content::{Kind, content};
use super::value_guard::{Keeps, ValueGuard};
use crate::error::{Error, Result};
use crate::os::Cells;
use crate::sync::{Acquired, Lock, LockGuard};
use crate::wire::Fd;

/// A value that processes share, with a lock that keeps them apart. Python: `multiprocessing.Value`.
///
/// Whoever has locked it has a [`ValueGuard`], by which it is read and changed. The guard has a copy of the value, and writes it back when it is dropped, if it was changed: nobody ever has a
/// reference to memory that others may write to.
///
/// All clones are the same value with the same lock, and so is whatever arrives where one is sent. It takes three descriptors, and is gone with the last process that has it. `T` is as for
/// [`RawValue`](crate::RawValue); one of many bytes is better held in an [`Array`](crate::Array).
///
/// # When the holder dies
///
/// Whoever waits gets the guard in an [`OwnerDied`](crate::OwnerDied), as for a [`Lock`]. What the dead had changed is lost, or, if it died while the value was written back, half there.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, Value};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (pool, balance) = (ProcessPool::new(2)?, Value::new(100_i64)?);
/// let withdraw = |balance: Value<i64>, amount: i64| {
///     let mut balance = balance.blocking_lock().unwrap_or_else(|died| died.into_inner());
///     let is_enough = *balance >= amount;
///     if is_enough {
///         *balance -= amount;
///     }
///     is_enough
/// };
/// let calls = (0..15).map(|_| (balance.clone(), 10));
/// let paid = pool.starmap(withdraw, calls.collect::<Vec<_>>()).await?;
/// assert_eq!(paid.into_iter().filter(|paid| *paid).count(), 10);
/// assert_eq!(*balance.lock().await?, 0);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub struct Value<T> {
    cells: Arc<Cells>,
    lock: Lock,
    values: PhantomData<T>,
}

impl<T: Pod> Value<T> {
    /// A new one, with this value and a lock of its own. Python: `Value(typecode, value)`.
    ///
    /// A `T` without bytes, of more than 1 GiB or aligned to more than 64 bytes does not compile.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let value = multiprocess::Value::new(2.5_f64)?;
    /// assert_eq!(*value.blocking_lock()?, 2.5);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new(value: T) -> Result<Self> {
        Self::with_lock(value, &Lock::new()?)
    }

    /// As [`new`](Self::new), with a lock that others may have too. Python: `Value(typecode, value, lock=lock)`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// See [`guarded_by`](Self::guarded_by).
    pub fn with_lock(value: T, lock: &Lock) -> Result<Self> {
        let cells = Cells::create(content::<T>(Kind::Value), size_of::<T>());
        let cells = cells.map_err(|cause| Error::shared("a value", cause))?;
        cells.store(0, value);
        Ok(Self { cells: Arc::new(cells), lock: lock.clone(), values: PhantomData })
    }

    /// Its lock. Python: `get_lock()`.
    ///
    /// # Examples
    ///
    /// ```
    /// let value = multiprocess::Value::new(1)?;
    /// let guard = value.blocking_lock()?;
    /// assert!(value.get_lock().locked());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn get_lock(&self) -> &Lock {
        &self.lock
    }

    /// Waits until it is ours. Python: `with value.get_lock()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](crate::OwnerDied), with the guard in it, if the process that held it has died. What it was writing may be half done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let shared = multiprocess::Value::new(1)?;
    /// *shared.lock().await? += 1;
    /// assert_eq!(*shared.lock().await?, 2);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn lock(&self) -> Acquired<ValueGuard<'_, T>> {
        self.guarded(self.lock.acquire().await)
    }

    /// Blocks this thread until it is ours. Python: `with value.get_lock()`.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// let shared = multiprocess::Value::new(1)?;
    /// *shared.blocking_lock()? += 1;
    /// assert_eq!(*shared.blocking_lock()?, 2);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn blocking_lock(&self) -> Acquired<ValueGuard<'_, T>> {
        self.guarded(self.lock.blocking_acquire())
    }

    /// Its guard, if that can be had without waiting. Python: `get_lock().acquire(block=False)`.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// let shared = multiprocess::Value::new(1)?;
    /// let guard = shared.try_lock().expect("it is free")?;
    /// assert!(shared.try_lock().is_none());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    #[must_use = "dropping the guard releases the lock"]
    pub fn try_lock(&self) -> Option<Acquired<ValueGuard<'_, T>>> {
        Some(self.guarded(self.lock.try_acquire()?))
    }

    /// Waits until it is ours, at most for so long. Python: `get_lock().acquire(timeout=..)`.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Cancel safety
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let shared = multiprocess::Value::new(1)?;
    /// let _guard = shared.lock().await?;
    /// assert!(shared.lock_timeout(Duration::from_millis(5)).await.is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn lock_timeout(&self, limit: Duration) -> Option<Acquired<ValueGuard<'_, T>>> {
        Some(self.guarded(self.lock.acquire_timeout(limit).await?))
    }

    /// Blocks this thread until it is ours, at most for so long. Python: `get_lock().acquire(timeout=..)`.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let shared = multiprocess::Value::new(1)?;
    /// let _guard = shared.blocking_lock()?;
    /// assert!(shared.blocking_lock_timeout(Duration::from_millis(5)).is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the guard releases the lock"]
    pub fn blocking_lock_timeout(&self, limit: Duration) -> Option<Acquired<ValueGuard<'_, T>>> {
        Some(self.guarded(self.lock.blocking_acquire_timeout(limit)?))
    }

    /// A guard for whoever holds the lock already, which several values and arrays may have in common: locking two of them by themselves would wait for ever. Of two such guards of one value the one that is dropped last counts.
    ///
    /// # Errors
    ///
    /// [`Error::OtherLock`] if that is not the lock of this value.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Lock, Value};
    ///
    /// let lock = Lock::new()?;
    /// let (from, to) = (Value::with_lock(100, &lock)?, Value::with_lock(0, &lock)?);
    /// let held = lock.blocking_acquire()?;
    /// *from.guarded_by(&held)? -= 30;
    /// *to.guarded_by(&held)? += 30;
    /// drop(held);
    /// assert_eq!(*to.blocking_lock()?, 30);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn guarded_by<'a>(&'a self, guard: &'a LockGuard<'_>) -> Result<ValueGuard<'a, T>> {
        if guard.is_of(&self.lock) {
            Ok(ValueGuard::new(&self.cells, Keeps::Other(guard)))
        } else {
            Err(Error::OtherLock)
        }
    }

    #[inline]
    fn guarded<'a>(&'a self, acquired: Acquired<LockGuard<'a>>) -> Acquired<ValueGuard<'a, T>> {
        let around = |lock| ValueGuard::new(&self.cells, Keeps::Own(lock));
        acquired.map(around).map_err(|died| died.map(around, ValueGuard::repaired))
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells), lock: self.lock.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("lock", &self.lock).finish_non_exhaustive()
    }
}

impl<T: Pod> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Fd::from(self.cells.memory()), &self.lock).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (memory, lock) = <(Fd, Lock)>::deserialize(deserializer)?;
        let cells = Cells::attach(content::<T>(Kind::Value), memory.into()).map_err(D::Error::custom)?;
        if cells.len() != size_of::<T>() {
            return Err(D::Error::custom("the memory of a shared value has a wrong size"));
        }
        Ok(Self { cells: Arc::new(cells), lock, values: PhantomData })
    }
}
