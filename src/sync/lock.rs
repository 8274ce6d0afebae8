//! A lock between processes.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::died::{Acquired, OwnerDied};
use super::holder::{self, Taken};
use super::waiting::{self, Look, end_of, endless};
use crate::error::{Error, Result};
use crate::os::{Owner, Shared, Word};

const KIND: u32 = 1;
const WORDS: usize = 1;

/// Mutual exclusion between processes, and between the threads and tasks in them. Python: `multiprocessing.Lock`.
///
/// While nobody else wants it, acquiring and releasing it takes no system call. Whoever waits for it does so in a future, by which no thread is blocked and
/// which goes under any executor, or in the `blocking_` forms on a thread; the two mix freely. There is no order among those that wait.
///
/// All clones are the same lock. A process by [`Process::fork`](crate::Process::fork) has it too.
///
/// # When the holder dies
///
/// Whoever waits for a lock whose holder has ended, however it did, gets it in an [`OwnerDied`], within some 60 ms. A process that becomes another program by `exec` has not ended, and of one in another PID namespace nobody can tell.
///
/// # Forks
///
/// A child by `fork` of a process that holds it does not hold it: the guard that it has a copy of gives back nothing.
/// Where a program with several threads forks by itself, futures of the child block their thread for 10 ms at a time.
///
/// # Examples
///
/// ```standalone_crate
/// use multiprocess::{Lock, Process};
///
/// fn main() -> multiprocess::Result<()> {
///     let lock = Lock::new()?;
///     let guard = lock.blocking_acquire()?;
///     let process = Process::fork(|| lock.try_acquire().is_none())?;
///     assert!(process.blocking_join()?, "we hold it");
///     drop(guard);
///     assert!(!lock.locked());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Lock(Arc<Shared>);

impl Lock {
    /// A new lock, which is free.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left: it takes two of them, and another one once a future has waited for it.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = multiprocess::Lock::new()?;
    /// assert!(!lock.locked());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new() -> Result<Self> {
        let shared = Shared::create(KIND, WORDS).map_err(|cause| Error::shared("a lock", cause))?;
        Ok(Self(Arc::new(shared)))
    }

    /// The descriptors by which another process has it.
    pub(crate) fn into_fds(self) -> [Arc<OwnedFd>; 2] {
        self.0.descriptors()
    }

    /// The lock behind descriptors that another process has sent.
    pub(crate) fn from_fds(descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared::attach(KIND, WORDS, descriptors)?)))
    }

    #[inline]
    fn word(&self) -> &Word {
        self.0.word(0)
    }

    /// Waits until it is ours. Python: `acquire()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let lock = multiprocess::Lock::new()?;
    /// {
    ///     let _guard = lock.acquire().await?;
    ///     assert!(lock.locked());
    /// }
    /// assert!(!lock.locked());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire(&self) -> Acquired<LockGuard<'_>> {
        endless(self.acquire_until(None).await)
    }

    /// Blocks this thread until it is ours. Python: `acquire()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard in it.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = multiprocess::Lock::new()?;
    /// let _guard = lock.blocking_acquire()?;
    /// assert!(lock.try_acquire().is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn blocking_acquire(&self) -> Acquired<LockGuard<'_>> {
        match self.acquire_at_once() {
            Some(guard) => Ok(guard),
            None => endless(self.block_until(None)),
        }
    }

    /// Acquires it if that can be done without waiting. Python: `acquire(block=False)`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard in it.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = multiprocess::Lock::new()?;
    /// let guard = lock.try_acquire().expect("it is free")?;
    /// assert!(lock.try_acquire().is_none());
    /// # drop(guard);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    #[must_use = "dropping the guard releases the lock"]
    pub fn try_acquire(&self) -> Option<Acquired<LockGuard<'_>>> {
        match self.acquire_at_once() {
            Some(guard) => Some(Ok(guard)),
            None => self.look(Look::ONCE),
        }
    }

    /// Waits until it is ours, at most for so long. Python: `acquire(timeout=..)`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard in it.
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
    /// let lock = multiprocess::Lock::new()?;
    /// let _guard = lock.acquire().await?;
    /// assert!(lock.acquire_timeout(Duration::from_millis(5)).await.is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire_timeout(&self, limit: Duration) -> Option<Acquired<LockGuard<'_>>> {
        self.acquire_until(end_of(limit)).await
    }

    /// Blocks this thread until it is ours, at most for so long. Python: `acquire(timeout=..)`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = multiprocess::Lock::new()?;
    /// let _guard = lock.blocking_acquire()?;
    /// assert!(lock.blocking_acquire_timeout(Duration::from_millis(5)).is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the guard releases the lock"]
    pub fn blocking_acquire_timeout(&self, limit: Duration) -> Option<Acquired<LockGuard<'_>>> {
        self.block_until(end_of(limit))
    }

    /// Releases it, whoever holds it, for those that take no guard or have [forgotten](LockGuard::forget) it. Python: `release()`.
    ///
    /// Whoever held it by a guard goes on as if that still were so.
    ///
    /// # Errors
    ///
    /// [`Error::NotAcquired`] if it is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Lock};
    ///
    /// let lock = Lock::new()?;
    /// lock.blocking_acquire()?.forget();
    /// assert!(lock.locked());
    /// lock.release()?;
    /// assert!(matches!(lock.release(), Err(Error::NotAcquired)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn release(&self) -> Result<()> {
        while let Some(owner) = holder::holder(self.word()) {
            if self.give_back(owner, Taken::InOrder) {
                return Ok(());
            }
        }
        Err(Error::NotAcquired)
    }

    /// True if anybody holds it, in whichever process. Python: `locked()`, since 3.14.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = multiprocess::Lock::new()?;
    /// let guard = lock.blocking_acquire()?;
    /// assert!(lock.locked());
    /// drop(guard);
    /// assert!(!lock.locked());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn locked(&self) -> bool {
        holder::holder(self.word()).is_some()
    }

    /// True if a dead process holds it, or has held it last.
    pub(super) fn is_abandoned(&self) -> bool {
        holder::is_abandoned(self.word())
    }

    #[inline]
    fn acquire_at_once(&self) -> Option<LockGuard<'_>> {
        let owner = Owner::ourselves();
        // Not `then_some`: a guard that is made and dropped releases the lock.
        holder::take_at_once(self.word(), owner).then(|| LockGuard {
            lock: self,
            owner,
            taken: Taken::InOrder,
        })
    }

    async fn acquire_until(&self, end: Option<Instant>) -> Option<Acquired<LockGuard<'_>>> {
        match self.acquire_at_once() {
            Some(guard) => Some(Ok(guard)),
            None => waiting::wait(&self.0, end, |look| self.look(look)).await,
        }
    }

    fn block_until(&self, end: Option<Instant>) -> Option<Acquired<LockGuard<'_>>> {
        waiting::block(&self.0, end, |look| self.look(look))
    }

    fn look(&self, look: Look) -> Option<Acquired<LockGuard<'_>>> {
        let owner = Owner::ourselves();
        let taken = holder::take(self.word(), owner, look)?;
        let guard = LockGuard { lock: self, owner, taken };
        Some(match taken {
            Taken::InOrder => Ok(guard),
            Taken::Abandoned => Err(OwnerDied::new(guard, LockGuard::repaired)),
        })
    }

    /// A wait whose time is over when it has been woken once.
    #[cfg(all(test, models))]
    pub(super) fn look_and_give_up(&self) -> Option<Acquired<LockGuard<'_>>> {
        let look = Look { announce: waiting::PARKED, closely: false };
        let rings = self.0.rings();
        self.look(look).or_else(|| {
            self.0.park(rings, Duration::MAX);
            self.look(look)
        })
    }

    #[inline]
    fn give_back(&self, owner: Owner, taken: Taken) -> bool {
        let Some(waiters) = holder::give_back(self.word(), owner, taken) else { return false };
        waiting::ring(&self.0, waiters, 1);
        true
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("locked", &self.locked()).finish_non_exhaustive()
    }
}

/// The lock is ours. Dropping this releases it.
///
/// # Examples
///
/// See [`Lock`].
#[must_use = "dropping it releases the lock"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    owner: Owner,
    taken: Taken,
}

impl LockGuard<'_> {
    /// Leaves the lock acquired, until somebody calls [`Lock::release`] or this process ends.
    ///
    /// # Examples
    ///
    /// See [`Lock::release`].
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// True if it is a guard of this lock, by whichever of its clones.
    pub(crate) fn is_of(&self, lock: &Lock) -> bool {
        self.lock.0.is_same(&lock.0)
    }

    /// False of the copy that a forked child has of it.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner == Owner::ourselves()
    }

    pub(crate) fn repaired(&mut self) {
        self.taken = Taken::InOrder;
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // A forked child has a copy of the guard, but not the lock.
        if self.owner == Owner::ourselves() {
            self.lock.give_back(self.owner, self.taken);
        }
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard").finish_non_exhaustive()
    }
}
