//! An array that processes share, with its lock.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::array_guard::ArrayGuard;
use super::content::{Kind, content};
use super::value_guard::Keeps;
use crate::error::{Error, Result};
use crate::os::Block;
use crate::sync::{Acquired, Lock, LockGuard};
use crate::wire::Fd;

/// An array that processes share, with a lock that keeps them apart. Python: `multiprocessing.Array`.
///
/// Whoever has locked it has an [`ArrayGuard`], which is a slice of its elements: they are worked on in place, and nothing is copied, however many there are.
///
/// All clones are the same array with the same lock, and so is whatever arrives where one is sent. It takes three descriptors, and is gone with the last process that has it. Its space is
/// reserved when it is made, so that no access fails later. `T` is as for [`RawValue`](crate::RawValue).
///
/// # When the holder dies
///
/// Whoever waits gets the guard in an [`OwnerDied`](crate::OwnerDied), as for a [`Lock`]. The elements are as the dead has left them.
///
/// # Processes that do not keep to the lock
///
/// A guard gives references to memory, and the compiler takes it that nobody else writes there. Within this process that is so, whatever is done to the lock: a second guard waits for the
/// first one. But a process that writes there without the lock, by `unsafe` code or as a forked copy of one that has a guard, makes what others read through their guards undefined, as
/// a data race between threads does. So give an `Array` only to processes of programs that you trust as you trust the `unsafe` code of your own; to others give a
/// [`RawArray`](crate::RawArray), with which nobody can do anybody such harm.
///
/// # Examples
///
/// ```
/// use multiprocess::{Array, ProcessPool};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (pool, best) = (ProcessPool::new(2)?, Array::new(&[0_u64; 3])?);
/// let offer = |best: Array<u64>, number: u64| {
///     let mut best = best.blocking_lock().unwrap_or_else(|died| died.into_inner());
///     if number > best[0] {
///         best[0] = number;
///         best.sort();
///     }
/// };
/// let calls = [5, 1, 9, 7, 2].map(|number| (best.clone(), number));
/// pool.starmap(offer, calls).await?;
/// assert_eq!(*best.lock().await?, [5, 7, 9]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub struct Array<T> {
    block: Arc<Block>,
    lock: Lock,
    values: PhantomData<T>,
}

impl<T: Pod> Array<T> {
    /// A new one, with these elements and a lock of its own. Python: `Array(typecode, sequence)`.
    ///
    /// A `T` without bytes, of more than 1 GiB or aligned to more than 64 bytes does not compile.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is not so much memory, or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::Array::new(&[1.5_f32, 2.5])?;
    /// assert_eq!(array.blocking_lock()?.iter().sum::<f32>(), 4.0);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new(elements: &[T]) -> Result<Self> {
        Self::with_lock(elements, &Lock::new()?)
    }

    /// A new one, with so many elements of zeros and a lock of its own. Python: `Array(typecode, size)`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::Array::<u16>::zeroed(1_000)?;
    /// assert!(array.blocking_lock()?.iter().all(|element| *element == 0));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn zeroed(len: usize) -> Result<Self> {
        Self::zeroed_with_lock(len, &Lock::new()?)
    }

    /// As [`new`](Self::new), with a lock that others may have too. Python: `Array(typecode, sequence, lock=lock)`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// See [`guarded_by`](Self::guarded_by).
    pub fn with_lock(elements: &[T], lock: &Lock) -> Result<Self> {
        let array = Self::zeroed_with_lock(elements.len(), lock)?;
        let mut claim = array.block.claim().ok_or(Error::Held)?;
        claim.copy_from_slice(elements);
        drop(claim);
        Ok(array)
    }

    /// As [`zeroed`](Self::zeroed), with a lock that others may have too. Python: `Array(typecode, size, lock=lock)`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = multiprocess::Lock::new()?;
    /// let array = multiprocess::Array::<u8>::zeroed_with_lock(3, &lock)?;
    /// assert_eq!(*array.guarded_by(&lock.blocking_acquire()?)?, [0, 0, 0]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn zeroed_with_lock(len: usize, lock: &Lock) -> Result<Self> {
        // More than the memory of any machine, which is refused as such.
        let size = len.saturating_mul(size_of::<T>());
        let block = Block::create(content::<T>(Kind::Array), size);
        let block = block.map_err(|cause| Error::shared("an array", cause))?;
        Ok(Self { block: Arc::new(block), lock: lock.clone(), values: PhantomData })
    }

    /// How many elements it has. Python: `len(array)`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(multiprocess::Array::new(&[1, 2, 3])?.len(), 3);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.block.len() / size_of::<T>()
    }

    /// True if it has none.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(multiprocess::Array::<u8>::zeroed(0)?.is_empty());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its lock. Python: `get_lock()`.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::Array::new(&[1])?;
    /// let guard = array.blocking_lock()?;
    /// assert!(array.get_lock().locked());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn get_lock(&self) -> &Lock {
        &self.lock
    }

    /// Waits until it is ours. Python: `with array.get_lock()`.
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
    /// let shared = multiprocess::Array::new(&[1, 2, 3])?;
    /// shared.lock().await?.reverse();
    /// assert_eq!(*shared.lock().await?, [3, 2, 1]);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn lock(&self) -> Acquired<ArrayGuard<'_, T>> {
        loop {
            if let Some(guarded) = self.guarded(self.lock.acquire().await) {
                return guarded;
            }
            others_go_on().await;
        }
    }

    /// Blocks this thread until it is ours. Python: `with array.get_lock()`.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// let shared = multiprocess::Array::new(&[1, 2, 3])?;
    /// shared.blocking_lock()?.reverse();
    /// assert_eq!(*shared.blocking_lock()?, [3, 2, 1]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn blocking_lock(&self) -> Acquired<ArrayGuard<'_, T>> {
        loop {
            if let Some(guarded) = self.guarded(self.lock.blocking_acquire()) {
                return guarded;
            }
            std::thread::yield_now();
        }
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
    /// let shared = multiprocess::Array::new(&[1, 2, 3])?;
    /// let guard = shared.try_lock().expect("it is free")?;
    /// assert!(shared.try_lock().is_none());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    #[must_use = "dropping the guard releases the lock"]
    pub fn try_lock(&self) -> Option<Acquired<ArrayGuard<'_, T>>> {
        self.guarded(self.lock.try_acquire()?)
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
    /// let shared = multiprocess::Array::new(&[1, 2, 3])?;
    /// let _guard = shared.lock().await?;
    /// assert!(shared.lock_timeout(Duration::from_millis(5)).await.is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn lock_timeout(&self, limit: Duration) -> Option<Acquired<ArrayGuard<'_, T>>> {
        let end = Instant::now().checked_add(limit);
        loop {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if let Some(guarded) = self.guarded(self.lock.acquire_timeout(left).await?) {
                return Some(guarded);
            }
            if left.is_zero() {
                return None;
            }
            others_go_on().await;
        }
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
    /// let shared = multiprocess::Array::new(&[1, 2, 3])?;
    /// let _guard = shared.blocking_lock()?;
    /// assert!(shared.blocking_lock_timeout(Duration::from_millis(5)).is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the guard releases the lock"]
    pub fn blocking_lock_timeout(&self, limit: Duration) -> Option<Acquired<ArrayGuard<'_, T>>> {
        let end = Instant::now().checked_add(limit);
        loop {
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if let Some(guarded) = self.guarded(self.lock.blocking_acquire_timeout(left)?) {
                return Some(guarded);
            }
            if left.is_zero() {
                return None;
            }
            std::thread::yield_now();
        }
    }

    /// A guard for whoever holds the lock already, which several values and arrays may have in common: locking two of them by themselves would wait for ever.
    ///
    /// # Errors
    ///
    /// [`Error::OtherLock`] if that is not the lock of this array, and [`Error::Held`] if there is another guard of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Array, Lock};
    ///
    /// let lock = Lock::new()?;
    /// let (from, to) = (Array::with_lock(&[1, 2, 3], &lock)?, Array::with_lock(&[0; 3], &lock)?);
    /// let held = lock.blocking_acquire()?;
    /// from.guarded_by(&held)?.swap_with_slice(&mut to.guarded_by(&held)?);
    /// drop(held);
    /// assert_eq!(*to.blocking_lock()?, [1, 2, 3]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn guarded_by<'a>(&'a self, guard: &'a LockGuard<'_>) -> Result<ArrayGuard<'a, T>> {
        if !guard.is_of(&self.lock) {
            return Err(Error::OtherLock);
        }
        let claim = self.block.claim().ok_or(Error::Held)?;
        Ok(ArrayGuard::new(claim, Keeps::Other(guard)))
    }

    /// The guard; nothing if the lock was released under somebody who still has one, and then it is given back.
    fn guarded<'a>(&'a self, acquired: Acquired<LockGuard<'a>>) -> Option<Acquired<ArrayGuard<'a, T>>> {
        let claim = self.block.claim()?;
        Some(match acquired {
            Ok(lock) => Ok(ArrayGuard::new(claim, Keeps::Own(lock))),
            Err(died) => Err(died.map(|lock| ArrayGuard::new(claim, Keeps::Own(lock)), ArrayGuard::repaired)),
        })
    }
}

/// Lets whoever else is to be polled go on.
async fn others_go_on() {
    let mut is_over = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { block: Arc::clone(&self.block), lock: self.lock.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.block.len() / size_of::<T>().max(1);
        f.debug_struct("Array").field("len", &len).field("lock", &self.lock).finish_non_exhaustive()
    }
}

impl<T: Pod> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Fd::from(self.block.memory()), &self.lock).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (memory, lock) = <(Fd, Lock)>::deserialize(deserializer)?;
        let block = Block::attach(content::<T>(Kind::Array), memory.into()).map_err(D::Error::custom)?;
        Ok(Self { block: Arc::new(block), lock, values: PhantomData })
    }
}
