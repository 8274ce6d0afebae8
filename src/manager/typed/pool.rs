//! A pool in a manager.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::both::both;
use crate::dispatch::Stats;
use crate::error::Result;
use crate::manager::reference::Reference;
use crate::manager::served::{Mishap, Wanted};

/// A pool of worker processes that lives in a [`Manager`](crate::Manager), and that any number of processes use together. Python: `manager.Pool()`.
///
/// What a task is, and what happens to it, is as for a [`Pool`](crate::Pool), whose errors these calls have too. A pool of one's own is faster and does more; this one bounds what several processes do together, outlives those who use it,
/// and can be found by name. Only the program that the manager runs can call its functions.
///
/// | Python | here |
/// | --- | --- |
/// | `p.apply(f, args)` | [`apply`](Self::apply) |
/// | `p.apply_async(f, args)` | [`apply_async`](Self::apply_async), which gives a [`TaskProxy`](crate::TaskProxy) |
/// | `p.map(f, items)`, `p.starmap(f, items)` | [`map`](Self::map), [`starmap`](Self::starmap) |
/// | `p.map_async(f, items)`, `p.starmap_async(f, items)` | [`map_async`](Self::map_async), [`starmap_async`](Self::starmap_async), which give a [`MapTaskProxy`](crate::MapTaskProxy) |
/// | `p.imap(f, items)`, `p.imap_unordered(f, items)` | [`imap`](Self::imap), [`imap_unordered`](Self::imap_unordered) |
/// | `chunksize=n` | [`chunksize`](Self::chunksize) |
/// | `p.close()`, `p.terminate()`, `p.join()` | [`close`](Self::close), [`terminate`](Self::terminate), [`join`](Self::join) |
/// | `with p:`, which terminates it | the last proxy, whose end terminates it |
/// | `callback=`, `error_callback=` | whoever awaits the task: both would have to travel back |
///
/// # Who gives up
///
/// A client that is gone, or that drops the future of a call, gives up what it waits for: what has not started never will, and what runs sees [`worker::is_cancelled`](crate::worker::is_cancelled). What
/// was started by [`apply_async`](Self::apply_async) and the like goes on as long as there is a proxy of it, and of the pool.
///
/// The pool is terminated when the last proxy of it is gone, as a [`Pool`](crate::Pool) is; an [`ImapProxy`](crate::ImapProxy) is one too.
///
/// # Examples
///
/// ```
/// use multiprocess::{Manager, PoolProxy, Process};
///
/// fn square(n: u64) -> u64 { n * n }
///
/// fn use_it(pool: PoolProxy) -> u64 {
///     pool.blocking_apply(square, (7,)).expect("the manager lives")
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let pool = manager.pool(2).await?;
/// let process = Process::spawn(use_it, (pool.clone(),))?;
/// assert_eq!(process.join().await?, 49);
///
/// assert_eq!(pool.map(square, 0..5).await?, [0, 1, 4, 9, 16]);
/// let task = pool.apply_async(square, (8,)).await?;
/// assert_eq!(task.get().await?, 64);
/// let mut squares = pool.imap(square, 1..);
/// assert_eq!(squares.next().await.expect("it is endless")?, 1);
/// assert_eq!(squares.next().await.expect("it is endless")?, 4);
/// drop(squares);
///
/// assert_eq!(pool.stats().await?.workers, 2);
/// pool.close().await?;
/// pool.join().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolProxy {
    pub(super) reference: Reference,
    #[serde(skip)]
    pub(super) terms: Wanted,
}

fn done<T>(answer: Result<T, Mishap>) -> Result<T> {
    Ok(answer?)
}

impl PoolProxy {
    pub(in crate::manager) fn of(reference: Reference) -> Self {
        Self { reference, terms: Wanted::default() }
    }

    /// A number that no other object of its manager has.
    ///
    /// # Examples
    ///
    /// See [`Proxy::id`](crate::Proxy::id).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.reference.object
    }

    /// The same pool, for calls each of whose tasks may run so long; as [`Apply::timeout`](crate::Apply::timeout). It is forgotten when this proxy travels.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiprocess::{Error, Limit};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// let pool = manager.pool(1).await?;
    /// let endless = || -> u8 { loop { std::hint::spin_loop() } };
    /// let error = pool.timeout(Duration::from_millis(20)).apply(endless, ()).await.unwrap_err();
    /// assert!(matches!(error, Error::TimedOut { limit: Limit::Run, .. }));
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn timeout(&self, limit: Duration) -> Self {
        Self { terms: Wanted { timeout: Some(limit), ..self.terms }, ..self.clone() }
    }

    /// The same pool, for maps that send so many elements to a worker at once; as [`Map::chunksize`](crate::Map::chunksize). It is forgotten when this proxy travels.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// let pool = manager.pool(2).await?;
    /// let squares = pool.chunksize(25).map(|x: u64| x * x, 0..100).await?;
    /// assert_eq!(squares[99], 9_801);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn chunksize(&self, elements: u64) -> Self {
        Self { terms: Wanted { chunksize: Some(elements), ..self.terms }, ..self.clone() }
    }

    both! {
        /// Lets nobody make calls any more: [`Error::Closed`](crate::Error::Closed). What was called still runs, and its workers end when all is done.
        close, blocking_close() -> () { "close" () => Ok }

        /// Ends the pool now: all calls that are not done fail with [`Error::Cancelled`](crate::Error::Cancelled), whoever has made them, and the workers are killed.
        terminate, blocking_terminate() -> () { "terminate" () => Ok }

        /// Waits until all calls are done and all workers are gone. [`Error::NotClosed`](crate::Error::NotClosed) if the pool was neither closed nor terminated.
        join, blocking_join() -> () { "join" () => done }

        /// Waits until all workers take calls; there is no need to. The error says why the pool has none.
        ready, blocking_ready() -> () { "ready" () => done }

        /// From now on the pool has so many workers; [`Error::Option`](crate::Error::Option) for 0.
        resize, blocking_resize(workers: u64) -> () { "resize" (workers,) => done }

        /// Cancels every call and element that has not started, whoever has made it; how many that were.
        cancel_pending, blocking_cancel_pending() -> u64 { "cancel_pending" () => Ok }

        /// What the pool does now, and has done so far.
        stats, blocking_stats() -> Stats { "stats" () => Ok }

        /// The process numbers of the workers that take calls, oldest first.
        worker_pids, blocking_worker_pids() -> Vec<u32> { "worker_pids" () => Ok }
    }
}

/// Two are equal if they stand for the same pool.
impl PartialEq for PoolProxy {
    fn eq(&self, other: &Self) -> bool {
        (self.reference.server(), self.id()) == (other.reference.server(), other.id())
    }
}

impl Eq for PoolProxy {}

impl fmt::Debug for PoolProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolProxy").field("id", &self.id()).finish_non_exhaustive()
    }
}
