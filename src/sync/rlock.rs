//! A lock between processes that its owner may acquire again.
//!
//! ```text
//! word 0   who holds it, as in a lock
//! word 1   which task or thread of that process; 0 if it is free. Only the holder writes it.
//! word 2   how often that one has acquired it. Only the holder's process writes it.
//! ```

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::actor;
use super::died::{Acquired, OwnerDied};
use super::holder::{self, Taken};
use super::waiting::{self, Look, end_of, endless};
use crate::error::{Error, Result};
use crate::os::{Owner, Shared, Word};

const KIND: u32 = 2;
const WORDS: usize = 4;

/// A [`Lock`](crate::Lock) that its owner may acquire again, and must release as often. Python: `multiprocessing.RLock`.
///
/// # The owner
///
/// In a task of tokio the owner is that task, whichever threads it runs on; everywhere else, and under any other executor, it is the thread. So it is the thread in
/// `block_on` too. Under an executor other than tokio's that moves futures from thread to thread, do not acquire it again in the same future: it would wait for itself.
///
/// A guard may be dropped anywhere. [`release`](Self::release) is for the owner only.
///
/// Waiting, the death of the holder, and forks are as for a `Lock`.
///
/// # Examples
///
/// ```
/// use multiprocess::RLock;
///
/// let lock = RLock::new()?;
/// let outer = lock.blocking_acquire()?;
/// let inner = lock.blocking_acquire()?;
/// drop(outer);
/// assert!(lock.locked());
/// drop(inner);
/// assert!(!lock.locked());
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Clone)]
pub struct RLock(Arc<Shared>);

impl RLock {
    /// A new lock, which is free.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// See [`RLock`].
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

    fn word(&self) -> &Word {
        self.0.word(0)
    }

    fn actor(&self) -> &Word {
        self.0.word(1)
    }

    fn depth(&self) -> &Word {
        self.0.word(2)
    }

    /// Waits until it is ours, at once if it is already. Python: `acquire()`.
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
    /// let lock = multiprocess::RLock::new()?;
    /// let outer = lock.acquire().await?;
    /// let inner = lock.acquire().await?;
    /// # drop((outer, inner));
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire(&self) -> Acquired<RLockGuard<'_>> {
        endless(self.acquire_until(None).await)
    }

    /// Blocks this thread until it is ours, not at all if it is already. Python: `acquire()`.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard in it.
    ///
    /// # Examples
    ///
    /// See [`RLock`].
    pub fn blocking_acquire(&self) -> Acquired<RLockGuard<'_>> {
        endless(waiting::block(&self.0, None, |look| self.look(look)))
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
    /// let lock = multiprocess::RLock::new()?;
    /// let _guard = lock.blocking_acquire()?;
    /// assert!(lock.try_acquire().is_some(), "it is ours");
    /// std::thread::scope(|scope| scope.spawn(|| assert!(lock.try_acquire().is_none())).join()).unwrap();
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the guard releases the lock"]
    pub fn try_acquire(&self) -> Option<Acquired<RLockGuard<'_>>> {
        self.look(Look::ONCE)
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
    /// let lock = multiprocess::RLock::new()?;
    /// assert!(lock.acquire_timeout(Duration::from_millis(5)).await.is_some());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn acquire_timeout(&self, limit: Duration) -> Option<Acquired<RLockGuard<'_>>> {
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
    /// let lock = multiprocess::RLock::new()?;
    /// assert!(lock.blocking_acquire_timeout(Duration::from_millis(5)).is_some());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use = "dropping the guard releases the lock"]
    pub fn blocking_acquire_timeout(&self, limit: Duration) -> Option<Acquired<RLockGuard<'_>>> {
        waiting::block(&self.0, end_of(limit), |look| self.look(look))
    }

    /// Releases it once, for an owner that has [forgotten](RLockGuard::forget) a guard. Python: `release()`.
    ///
    /// # Errors
    ///
    /// [`Error::NotAcquired`] if it is free, [`Error::NotOwner`] if it is not ours.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, RLock};
    ///
    /// let lock = RLock::new()?;
    /// lock.blocking_acquire()?.forget();
    /// lock.release()?;
    /// assert!(matches!(lock.release(), Err(Error::NotAcquired)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn release(&self) -> Result<()> {
        let owner = Owner::ourselves();
        let holder = holder::holder(self.word()).ok_or(Error::NotAcquired)?;
        if holder != owner || self.actor().load(Ordering::Acquire) != actor::current() {
            return Err(Error::NotOwner);
        }
        self.leave(owner, Taken::InOrder);
        Ok(())
    }

    /// True if anybody holds it, in whichever process. Python: `locked()`, since 3.14.
    ///
    /// # Examples
    ///
    /// See [`RLock`].
    #[must_use]
    pub fn locked(&self) -> bool {
        holder::holder(self.word()).is_some()
    }

    async fn acquire_until(&self, end: Option<Instant>) -> Option<Acquired<RLockGuard<'_>>> {
        match self.look(Look { announce: 0, closely: false }) {
            Some(acquired) => Some(acquired),
            None => waiting::wait(&self.0, end, |look| self.look(look)).await,
        }
    }

    fn look(&self, look: Look) -> Option<Acquired<RLockGuard<'_>>> {
        let owner = Owner::ourselves();
        let actor = actor::current();
        let guard = |taken| RLockGuard { lock: self, owner, taken };
        if self.enter_again(owner, actor) {
            return Some(Ok(guard(Taken::InOrder)));
        }
        let taken = holder::take(self.word(), owner, look)?;
        self.depth().store(1, Ordering::Release);
        self.actor().store(actor, Ordering::Release);
        Some(match taken {
            Taken::InOrder => Ok(guard(taken)),
            Taken::Abandoned => Err(OwnerDied::new(guard(taken), RLockGuard::repaired)),
        })
    }

    /// Counts one more, if it is ours and stays it meanwhile: a guard may be dropped on another thread.
    fn enter_again(&self, owner: Owner, actor: u64) -> bool {
        let is_ours =
            || holder::holder(self.word()) == Some(owner) && self.actor().load(Ordering::Acquire) == actor;
        let deeper = |depth| (depth > 0).then(|| depth + 1);
        is_ours() && self.depth().fetch_update(Ordering::AcqRel, Ordering::Acquire, deeper).is_ok()
    }

    /// Counts one less, and gives it back with the last.
    fn leave(&self, owner: Owner, taken: Taken) {
        let less = |depth: u64| depth.checked_sub(1);
        if self.depth().fetch_update(Ordering::AcqRel, Ordering::Acquire, less) != Ok(1) {
            return;
        }
        self.actor().store(0, Ordering::Release);
        if let Some(waiters) = holder::give_back(self.word(), owner, taken) {
            waiting::ring(&self.0, waiters, 1);
        }
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock").field("locked", &self.locked()).finish_non_exhaustive()
    }
}

/// The lock is ours. Dropping this releases it once.
///
/// # Examples
///
/// See [`RLock`].
#[must_use = "dropping it releases the lock"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    owner: Owner,
    taken: Taken,
}

impl RLockGuard<'_> {
    /// Leaves the lock acquired once more, until its owner calls [`RLock::release`] or this process ends.
    ///
    /// # Examples
    ///
    /// See [`RLock::release`].
    pub fn forget(self) {
        std::mem::forget(self);
    }

    fn repaired(&mut self) {
        self.taken = Taken::InOrder;
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        // A forked child has a copy of the guard, but not the lock.
        if self.owner == Owner::ourselves() {
            self.lock.leave(self.owner, self.taken);
        }
    }
}

impl fmt::Debug for RLockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard").finish_non_exhaustive()
    }
}
