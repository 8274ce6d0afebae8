//! Events, barriers and conditions in a manager.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::both::{both, typed};
use super::guard::{AT_ONCE, EVER, Kept, acquires};
use crate::error::{Error, Result};
use crate::manager::reference::{Asked, Reference};
use crate::manager::served::Fault;

/// A flag that lives in a [`Manager`](crate::Manager), and that others wait for. Python: `manager.Event()`, with the same names; `wait(timeout)` is [`wait_timeout`](Self::wait_timeout).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use multiprocess::{EventProxy, Manager, Process};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let event = manager.event().await?;
/// assert!(!event.wait_timeout(Duration::from_millis(5)).await?);
/// let process = Process::spawn(|event: EventProxy| event.blocking_wait().is_ok(), (event.clone(),))?;
/// event.set().await?;
/// assert!(process.join().await?);
/// assert!(event.is_set().await?);
/// event.clear().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct EventProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(EventProxy);

impl EventProxy {
    both! {
        /// Sets it: whoever waits goes on, and whoever waits later does at once.
        set, blocking_set() -> () { "set" () => Ok }

        /// Clears it.
        clear, blocking_clear() -> () { "clear" () => Ok }

        /// True if it is set.
        is_set, blocking_is_set() -> bool { "is_set" () => Ok }

        /// Waits until it is set.
        wait, blocking_wait() -> () { "wait" (EVER,) => |_: bool| Ok(()) }

        /// Waits until it is set, at most so long; whether it is. Python: `wait(timeout)`.
        wait_timeout, blocking_wait_timeout(limit: Duration) -> bool { "wait" (Some(limit),) => Ok }
    }
}

/// A place in a [`Manager`](crate::Manager) where so many wait for each other. Python: `manager.Barrier()`, with the same names; `wait(timeout)` is [`wait_timeout`](Self::wait_timeout), and `BrokenBarrierError` is [`Error::BrokenBarrier`].
///
/// It is broken, for all that wait and will wait, by [`abort`](Self::abort), by a time that is over, and by the end of a process that waits, until it is [`reset`](Self::reset).
///
/// # Examples
///
/// ```
/// use multiprocess::{BarrierProxy, Manager, Process};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let barrier = manager.barrier(2).await?;
/// let arrive = |barrier: BarrierProxy| barrier.blocking_wait().expect("nobody breaks it");
/// let process = Process::spawn(arrive, (barrier.clone(),))?;
/// let mut places = [barrier.wait().await?, process.join().await?];
/// places.sort_unstable();
/// assert_eq!(places, [0, 1]);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct BarrierProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(BarrierProxy);

fn place(answer: Result<u64, Fault>) -> Result<u64> {
    answer.map_err(Error::from)
}

impl BarrierProxy {
    both! {
        /// Waits until all are there: which of them it was, counted from 0 as they came. [`Error::BrokenBarrier`] if it is broken.
        wait, blocking_wait() -> u64 { "wait" (EVER,) => place }

        /// As [`wait`](Self::wait), at most so long: then the barrier is broken.
        wait_timeout, blocking_wait_timeout(limit: Duration) -> u64 { "wait" (Some(limit),) => place }

        /// Breaks it.
        abort, blocking_abort() -> () { "abort" () => Ok }

        /// Makes it as new. Whoever waits gets [`Error::BrokenBarrier`].
        reset, blocking_reset() -> () { "reset" () => Ok }

        /// True if it is broken.
        broken, blocking_broken() -> bool { "broken" () => Ok }

        /// How many wait.
        n_waiting, blocking_n_waiting() -> u64 { "n_waiting" () => Ok }

        /// How many have to come.
        parties, blocking_parties() -> u64 { "parties" () => Ok }
    }
}

/// A lock in a [`Manager`](crate::Manager), whose holder can wait until another one notifies it. Python: `manager.Condition()`.
///
/// | Python | here |
/// | --- | --- |
/// | `with condition:`, `condition.acquire()` | [`acquire`](Self::acquire), whose guard gives the lock back |
/// | `condition.wait()`, `condition.wait(timeout)` | [`ConditionGuardProxy::wait`], [`ConditionGuardProxy::wait_timeout`] |
/// | `condition.wait_for(predicate)` | a loop around `wait`, as in the example |
/// | `condition.notify()`, `condition.notify(n)`, `condition.notify_all()` | [`notify`](Self::notify), [`notify_n`](Self::notify_n), [`notify_all`](Self::notify_all) |
///
/// # Examples
///
/// ```
/// use multiprocess::{ConditionProxy, Manager, Process, ValueProxy};
///
/// fn open(condition: ConditionProxy, door: ValueProxy<bool>) {
///     let guard = condition.blocking_acquire().expect("the manager lives");
///     door.blocking_set(&true).expect("the manager lives");
///     condition.blocking_notify_all().expect("the manager lives");
///     drop(guard);
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let (condition, door) = (manager.condition().await?, manager.value(&false).await?);
/// let mut guard = condition.acquire().await?;
/// let process = Process::spawn(open, (condition.clone(), door.clone()))?;
/// while !door.get().await? {
///     guard.wait().await?;
/// }
/// drop(guard);
/// process.join().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct ConditionProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(ConditionProxy);

/// The lock of a [`ConditionProxy`], which is ours until this is dropped.
///
/// # Examples
///
/// See [`ConditionProxy`].
#[must_use = "the lock is given back at once if its guard is not kept"]
pub struct ConditionGuardProxy {
    kept: Kept,
}

fn limited(limit: Option<Duration>) -> (Option<Duration>,) {
    (limit,)
}

impl ConditionProxy {
    acquires!(ConditionGuardProxy, limited);

    both! {
        /// Wakes one that waits, if there is one. Python: `notify`.
        notify, blocking_notify() -> () { "notify" (1_u64,) => Ok }

        /// Wakes so many of those that wait. Python: `notify(n)`.
        notify_n, blocking_notify_n(most: u64) -> () { "notify" (most,) => Ok }

        /// Wakes all that wait.
        notify_all, blocking_notify_all() -> () { "notify" (u64::MAX,) => Ok }

        /// How many wait.
        waiting, blocking_waiting() -> u64 { "waiting" () => Ok }

        /// True if somebody has its lock.
        locked, blocking_locked() -> bool { "locked" () => Ok }
    }
}

impl ConditionGuardProxy {
    /// Gives the lock back, waits until it is notified, and has the lock again.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped gives the lock back for good: the guard is of no use any more, and what it is asked is [`Error::Disconnected`] or [`Error::NotAcquired`].
    ///
    /// # Examples
    ///
    /// See [`ConditionProxy`].
    pub async fn wait(&mut self) -> Result<()> {
        self.slept(None).await.map(drop)
    }

    /// As [`wait`](Self::wait), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// See [`blocking_wait_timeout`](Self::blocking_wait_timeout).
    pub fn blocking_wait(&mut self) -> Result<()> {
        self.blocking_slept(None).map(drop)
    }

    /// As [`wait`](Self::wait), at most so long: whether it was notified. It has the lock again in either case.
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
    /// See [`blocking_wait_timeout`](Self::blocking_wait_timeout).
    pub async fn wait_timeout(&mut self, limit: Duration) -> Result<bool> {
        self.slept(Some(limit)).await
    }

    /// As [`wait_timeout`](Self::wait_timeout), for code outside async: blocks this thread.
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
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let condition = manager.blocking_condition()?;
    /// let mut guard = condition.blocking_acquire()?;
    /// assert!(!guard.blocking_wait_timeout(Duration::from_millis(5))?);
    /// assert!(condition.blocking_locked()?);
    /// # drop(guard);
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_wait_timeout(&mut self, limit: Duration) -> Result<bool> {
        self.blocking_slept(Some(limit))
    }

    async fn slept(&mut self, limit: Option<Duration>) -> Result<bool> {
        let asked = self.asked(limit)?;
        let slept = self.kept.ask(asked).await?;
        self.woken(slept)
    }

    fn blocking_slept(&mut self, limit: Option<Duration>) -> Result<bool> {
        let asked = self.asked(limit)?;
        let slept = self.kept.blocking_ask(&asked)?;
        self.woken(slept)
    }

    fn asked(&self, limit: Option<Duration>) -> Result<Asked> {
        self.kept.asked("wait", &(self.kept.number, limit))
    }

    fn woken(&mut self, slept: Result<(u64, bool), Fault>) -> Result<bool> {
        let (number, woken) = slept?;
        self.kept.number = number;
        Ok(woken)
    }
}

impl fmt::Debug for ConditionGuardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionGuardProxy").finish_non_exhaustive()
    }
}
