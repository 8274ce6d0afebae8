//! Locks in a manager.

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::Duration;

use super::both::{both, typed};
use super::guard::{AT_ONCE, EVER, GuardProxy, Kept, acquires};
use crate::error::{Error, Result};
use crate::manager::reference::Reference;
use crate::manager::served::{Fault, Who};
use crate::os;
use crate::sync::actor;

/// A lock that lives in a [`Manager`](crate::Manager). Python: `manager.Lock()`.
///
/// A [`Lock`](crate::Lock) is faster by far, and needs no manager. This one can be found by name, and be used by whoever connects to the manager. When its holder dies it is free, and nobody is told
/// that what it guards may be half done.
///
/// | Python | here |
/// | --- | --- |
/// | `with lock:` | [`acquire`](Self::acquire), whose guard gives it back |
/// | `lock.acquire()` | [`acquire`](Self::acquire) and [`GuardProxy::forget`] |
/// | `lock.acquire(block=False)`, `lock.acquire(timeout=t)` | [`try_acquire`](Self::try_acquire), [`acquire_timeout`](Self::acquire_timeout) |
/// | `lock.release()` | [`release`](Self::release), or the end of the guard |
/// | `lock.locked()` | [`locked`](Self::locked) |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let lock = manager.lock().await?;
/// let guard = lock.acquire().await?;
/// assert!(lock.locked().await?);
/// assert!(lock.try_acquire().await?.is_none());
/// assert!(lock.acquire_timeout(Duration::from_millis(5)).await?.is_none());
/// drop(guard);
/// assert!(lock.try_acquire().await?.is_some());
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct LockProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(LockProxy);

/// A lock in a [`Manager`](crate::Manager) that its holder may acquire again: the same task, or the same thread where there is none. Python: `manager.RLock()`.
///
/// The names are those of a [`LockProxy`]. It is given back only by the ends of its guards, as it belongs to whoever has them.
///
/// # Examples
///
/// ```
/// let manager = multiprocess::Manager::blocking_start()?;
/// let lock = manager.blocking_rlock()?;
/// let first = lock.blocking_acquire()?;
/// let second = lock.blocking_acquire()?;
/// let elsewhere = lock.clone();
/// let had = std::thread::spawn(move || elsewhere.blocking_try_acquire().map(|guard| guard.is_some()));
/// assert!(!had.join().unwrap()?, "it is ours");
/// drop((first, second));
/// let theirs = std::thread::spawn(move || lock.blocking_acquire().map(drop));
/// theirs.join().unwrap()?;
/// # manager.blocking_shutdown()?;
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub struct RLockProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(RLockProxy);

/// A number of permits that lives in a [`Manager`](crate::Manager). Python: `manager.Semaphore()`.
///
/// The names are those of a [`LockProxy`]; Python's `get_value` is [`value`](Self::value).
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let semaphore = manager.semaphore(2).await?;
/// let (first, second) = (semaphore.acquire().await?, semaphore.acquire().await?);
/// assert!(semaphore.try_acquire().await?.is_none());
/// drop(first);
/// second.forget().await?;
/// assert_eq!(semaphore.value().await?, 1);
/// semaphore.release().await?;
/// assert_eq!(semaphore.value().await?, 2);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct SemaphoreProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(SemaphoreProxy);

/// A number of permits in a [`Manager`](crate::Manager) that never has more than it had at first. Python: `manager.BoundedSemaphore()`.
///
/// The names are those of a [`SemaphoreProxy`]; Python's `ValueError` of one release too many is [`Error::TooManyReleases`].
///
/// # Examples
///
/// ```
/// use multiprocess::Error;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let semaphore = manager.bounded_semaphore(2).await?;
/// assert!(matches!(semaphore.release().await, Err(Error::TooManyReleases { bound: 2 })));
/// semaphore.acquire().await?.forget().await?;
/// semaphore.release().await?;
/// assert_eq!(semaphore.value().await?, 2);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct BoundedSemaphoreProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(BoundedSemaphoreProxy);

fn done(answer: Result<(), Fault>) -> Result<()> {
    answer.map_err(Error::from)
}

fn limited(limit: Option<Duration>) -> (Option<Duration>,) {
    (limit,)
}

impl LockProxy {
    acquires!(GuardProxy, limited);

    both! {
        /// True if somebody has it.
        locked, blocking_locked() -> bool { "free" () => |free: u64| Ok(free == 0) }

        /// Gives it back, whoever has it. [`Error::NotAcquired`] if nobody has.
        release, blocking_release() -> () {
            "release" () => |released: Result<(), Fault>| released.map_err(|_| Error::NotAcquired)
        }
    }
}

impl RLockProxy {
    acquires!(GuardProxy, by_us);

    both! {
        /// True if somebody has it.
        locked, blocking_locked() -> bool { "locked" () => Ok }
    }
}

impl SemaphoreProxy {
    acquires!(GuardProxy, limited);

    both! {
        /// How many permits are free.
        value, blocking_value() -> u64 { "free" () => Ok }

        /// One more permit.
        release, blocking_release() -> () { "release" () => done }
    }
}

impl BoundedSemaphoreProxy {
    acquires!(GuardProxy, limited);

    both! {
        /// How many permits are free.
        value, blocking_value() -> u64 { "free" () => Ok }

        /// Gives back a permit that was [forgotten](GuardProxy::forget). [`Error::TooManyReleases`] if all are free.
        release, blocking_release() -> () { "release" () => done }
    }
}

/// Who acquires: a number that no other process has, the process since a copy of it has that too, and the task or thread.
fn by_us(limit: Option<Duration>) -> (Who, Option<Duration>) {
    static OURS: OnceLock<u128> = OnceLock::new();
    // Without it the number of the process is what is left.
    let ours = OURS.get_or_init(|| os::random().map(u128::from_ne_bytes).unwrap_or_default());
    ((*ours, std::process::id(), actor()), limit)
}
