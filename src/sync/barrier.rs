//! A place where processes wait for each other.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rounds::{Arrival, MOST_PARTIES, Rounds, Step};
use super::waiting::{self, Look, end_of};
use crate::error::{Error, Result};
use crate::os::Owner;

type Action = Arc<dyn Fn() + Send + Sync>;

/// A place where so many processes, threads or tasks wait until all of them are there, again and again. Python: `multiprocessing.Barrier`.
///
/// All clones are the same barrier. One that comes while a full round still runs its action takes part in the next.
///
/// # Broken
///
/// Whoever waits gets [`Error::BrokenBarrier`] if [`abort`](Self::abort) was called, if the time of one that waits is over, if a process ends that has arrived or runs the action,
/// within some 60 ms, or if the action panics. The barrier stays so until it is [`reset`](Self::reset), which also breaks the round of those that wait just then. If a process ends that has not
/// arrived, nobody knows that it was going to; have whoever waits do so with a limit.
///
/// # Examples
///
/// ```standalone_crate
/// use multiprocess::{Barrier, Process};
///
/// fn main() -> multiprocess::Result<()> {
///     let barrier = Barrier::new(2)?;
///     let process = Process::fork(|| barrier.blocking_wait().ok())?;
///     let index = barrier.blocking_wait()?;
///     assert_eq!(process.blocking_join()?, Some(1 - index), "one of them is 0, and the other is 1");
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Barrier {
    rounds: Arc<Rounds>,
    action: Option<Action>,
    limit: Option<Duration>,
}

impl Barrier {
    /// A new barrier for so many parties. Python: `Barrier(parties)`.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] unless there are 1 to 1,000 of them, [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = multiprocess::Barrier::new(1)?;
    /// assert_eq!(barrier.blocking_wait()?, 0);
    /// assert!(multiprocess::Barrier::new(0).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new(parties: usize) -> Result<Self> {
        if !(1..=MOST_PARTIES).contains(&parties) {
            return Err(Error::option("parties", format!("a barrier has 1 to {MOST_PARTIES} of them")));
        }
        let rounds = Rounds::new(parties).map_err(|cause| Error::shared("a barrier", cause))?;
        Ok(Self { rounds: Arc::new(rounds), action: None, limit: None })
    }

    /// What to do once in each round, when all are there and before any goes on. Python: `Barrier(parties, action)`.
    ///
    /// The last one that arrives does it, in its own process, if its handle has an action. A handle keeps it when it is cloned or forked.
    /// So all that take part should have been made from one handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static ROUNDS: AtomicU32 = AtomicU32::new(0);
    ///
    /// let barrier = multiprocess::Barrier::new(1)?.action(|| {
    ///     ROUNDS.fetch_add(1, Ordering::Relaxed);
    /// });
    /// barrier.blocking_wait()?;
    /// barrier.blocking_wait()?;
    /// assert_eq!(ROUNDS.load(Ordering::Relaxed), 2);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn action(self, action: impl Fn() + Send + Sync + 'static) -> Self {
        Self { action: Some(Arc::new(action)), ..self }
    }

    /// For how long [`wait`](Self::wait) waits by this handle and those that are made from it; for ever unless it is set. Python: `Barrier(parties, timeout=..)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiprocess::{Barrier, Error};
    ///
    /// let barrier = Barrier::new(2)?.timeout(Duration::from_millis(5));
    /// assert!(matches!(barrier.blocking_wait(), Err(Error::BrokenBarrier)));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The descriptors by which another process has it, and its limit; nothing if it has an action.
    pub(crate) fn into_fds(self) -> Option<([Arc<OwnedFd>; 2], Option<Duration>)> {
        self.action.is_none().then(|| (self.rounds.shared().descriptors(), self.limit))
    }

    /// The barrier behind descriptors that another process has sent, without an action.
    pub(crate) fn from_fds(descriptors: [Arc<OwnedFd>; 2], limit: Option<Duration>) -> io::Result<Self> {
        Ok(Self { rounds: Arc::new(Rounds::attach(descriptors)?), action: None, limit })
    }

    /// Waits until all parties are there; a number from 0 to one less than there are parties, each for one of them. Python: `wait()`.
    ///
    /// # Errors
    ///
    /// [`Error::BrokenBarrier`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes the arrival back. A round that is full already goes on without it.
    ///
    /// # Panics
    ///
    /// If the action panics, in the party that runs it.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let barrier = multiprocess::Barrier::new(2)?;
    /// let (one, other) = tokio::try_join!(barrier.wait(), barrier.wait())?;
    /// assert_eq!(one + other, 1);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait(&self) -> Result<usize> {
        self.wait_until(self.limit.and_then(end_of)).await
    }

    /// As [`wait`](Self::wait), at most for so long; then the barrier is broken. Python: `wait(timeout)`.
    ///
    /// # Errors
    ///
    /// [`Error::BrokenBarrier`].
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
    /// let barrier = multiprocess::Barrier::new(2)?;
    /// assert!(barrier.wait_timeout(Duration::from_millis(5)).await.is_err());
    /// assert!(barrier.broken());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_timeout(&self, limit: Duration) -> Result<usize> {
        self.wait_until(end_of(limit)).await
    }

    /// As [`wait`](Self::wait), blocking this thread. Python: `wait()`.
    ///
    /// # Errors
    ///
    /// [`Error::BrokenBarrier`].
    ///
    /// # Examples
    ///
    /// See [`Barrier`].
    pub fn blocking_wait(&self) -> Result<usize> {
        self.block_until(self.limit.and_then(end_of))
    }

    /// As [`wait_timeout`](Self::wait_timeout), blocking this thread. Python: `wait(timeout)`.
    ///
    /// # Errors
    ///
    /// [`Error::BrokenBarrier`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let barrier = multiprocess::Barrier::new(2)?;
    /// assert!(barrier.blocking_wait_timeout(Duration::from_millis(5)).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_wait_timeout(&self, limit: Duration) -> Result<usize> {
        self.block_until(end_of(limit))
    }

    /// Breaks it, for those that wait and those that come. Python: `abort`.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = multiprocess::Barrier::new(1)?;
    /// barrier.abort();
    /// assert!(barrier.blocking_wait().is_err());
    /// barrier.reset();
    /// assert!(barrier.blocking_wait().is_ok());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn abort(&self) {
        self.rounds.abort(None);
    }

    /// Makes it whole and empty. Those that wait get [`Error::BrokenBarrier`]. Python: `reset`.
    ///
    /// # Examples
    ///
    /// See [`abort`](Self::abort).
    pub fn reset(&self) {
        self.rounds.reset();
    }

    /// True while it is broken. Python: `broken`.
    ///
    /// # Examples
    ///
    /// See [`wait_timeout`](Self::wait_timeout).
    #[must_use]
    pub fn broken(&self) -> bool {
        self.rounds.is_broken()
    }

    /// How many make a round full. Python: `parties`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(multiprocess::Barrier::new(3)?.parties(), 3);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn parties(&self) -> usize {
        self.rounds.parties()
    }

    /// How many wait now. Python: `n_waiting`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(multiprocess::Barrier::new(3)?.n_waiting(), 0);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.rounds.arrived()
    }

    async fn wait_until(&self, end: Option<Instant>) -> Result<usize> {
        let mut visit = Visit::new(self);
        let found = waiting::wait(self.rounds.shared(), end, |look| visit.look(look)).await;
        visit.end(found)
    }

    fn block_until(&self, end: Option<Instant>) -> Result<usize> {
        let mut visit = Visit::new(self);
        let found = waiting::block(self.rounds.shared(), end, |look| visit.look(look));
        visit.end(found)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("n_waiting", &self.n_waiting())
            .field("broken", &self.broken())
            .finish_non_exhaustive()
    }
}

/// One that comes to a barrier, from its arrival on. Dropping it takes that back.
struct Visit<'a> {
    barrier: &'a Barrier,
    owner: Owner,
    arrival: Option<Arrival>,
}

impl<'a> Visit<'a> {
    fn new(barrier: &'a Barrier) -> Self {
        Self { barrier, owner: Owner::ourselves(), arrival: None }
    }

    /// What its wait ends with; nothing while it goes on.
    fn look(&mut self, look: Look) -> Option<Step> {
        let rounds = &self.barrier.rounds;
        let step = match self.arrival {
            None => rounds.arrive(self.owner, self.barrier.action.is_some(), look),
            Some(arrival) => rounds.see(arrival, look),
        };
        match step {
            // It has not left its bit yet.
            Step::Waits(arrival) if self.arrival.replace(arrival).is_none() => self.look(look),
            Step::Outside | Step::Waits(_) => None,
            ended => Some(ended),
        }
    }

    /// The number, once it has passed. If its time was over before, the round is broken.
    fn end(mut self, found: Option<Step>) -> Result<usize> {
        let arrival = self.arrival.take();
        let step = match found {
            Some(Step::Acts(acts)) => self.act(acts),
            Some(step) => step,
            None => self.give_up(arrival),
        };
        match step {
            Step::Passed(arrival) => Ok(arrival.index),
            _ => Err(Error::BrokenBarrier),
        }
    }

    /// Breaks the round, unless it has become full in this moment.
    fn give_up(&self, arrival: Option<Arrival>) -> Step {
        let rounds = &self.barrier.rounds;
        rounds.abort(arrival);
        arrival.map_or(Step::Broken, |arrival| rounds.see(arrival, Look { announce: 0, closely: false }))
    }

    fn act(&self, arrival: Arrival) -> Step {
        let _broken_by_a_panic = BreaksByPanic { rounds: &self.barrier.rounds, arrival };
        if let Some(action) = &self.barrier.action {
            action();
        }
        self.barrier.rounds.acted(arrival)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // A forked child has arrived nowhere.
        if let Some(arrival) = self.arrival.filter(|_| self.owner == Owner::ourselves()) {
            self.barrier.rounds.withdraw(self.owner, arrival);
        }
    }
}

struct BreaksByPanic<'a> {
    rounds: &'a Rounds,
    arrival: Arrival,
}

impl Drop for BreaksByPanic<'_> {
    fn drop(&mut self) {
        // If the action is through, this round is over.
        self.rounds.abort(Some(self.arrival));
    }
}
