//! The pool itself.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::kind::Kind;
use crate::dispatch::{Engine, Stats};
use crate::error::{Error, Result};
use crate::wait::within;

/// A pool of workers that run functions: [`ProcessPool`](crate::ProcessPool) or [`dummy::ThreadPool`](crate::dummy::ThreadPool).
///
/// A pool is a handle: clones of it are the same pool. When the last one is dropped, the pool is [terminated](Self::terminate).
///
/// # What is a task
///
/// Any function, generic function, `async fn` or closure that captures nothing; see [`TaskFn`](crate::TaskFn). Arguments and result are anything that
/// serde can write and read again; see [`Payload`](crate::Payload). What a task returns comes back as it is, also a `Result` of its own; the outer `Result` says whether the task was run at all.
///
/// # What happens to a task
///
/// It runs once, on one worker. If that worker dies while it runs, it fails with [`Error::WorkerDied`](crate::Error::WorkerDied), and only it; tasks that had not
/// started run elsewhere, and the worker is replaced. If it panics, it fails with [`Error::Panicked`](crate::Error::Panicked), and its worker goes on: state that a panic may leave behind in statics or in
/// [`worker::state`](crate::worker::state) is there for the next task.
///
/// Processes that a task starts end with their worker, at the latest with the program, unless they leave its process group: a daemon (`setsid`) outlives
/// both. A task may `fork`; the child ends when it comes back from the task.
///
/// # The process it belongs to
///
/// A pool belongs to the process that has made it, and its workers end with that. In a child of that process that comes by `fork` without `exec`, every call
/// fails at once with [`Error::Forked`](crate::Error::Forked), and dropping the pool does nothing. Workers are in process groups of their own: what a terminal sends with
/// Ctrl-C or Ctrl-Z comes to the program alone.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, dummy::ThreadPool};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let processes = ProcessPool::new(1)?;
/// let threads = ThreadPool::new(1)?;
/// let here = std::process::id();
/// assert_ne!(processes.apply(std::process::id, ()).await?, here);
/// assert_eq!(threads.apply(std::process::id, ()).await?, here);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub struct Pool<K: Kind> {
    owner: Arc<Owner>,
    kind: PhantomData<fn() -> K>,
}

/// Terminates the pool when the last handle is dropped.
struct Owner {
    engine: Arc<Engine>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.engine.terminate();
    }
}

impl<K: Kind> Clone for Pool<K> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner), kind: PhantomData }
    }
}

impl<K: Kind> fmt::Debug for Pool<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Making a pool, and the pool as a whole.
impl<K: Kind> Pool<K> {
    /// A pool of `workers` workers, with the defaults for everything else.
    ///
    /// The workers are being started when this returns; calls can be made at once.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`]: 0 workers are an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// A builder with all the options.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).name("jobs").build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn builder() -> Builder<K> {
        Builder::new()
    }

    pub(super) fn from_engine(engine: Arc<Engine>) -> Self {
        Self { owner: Arc::new(Owner { engine }), kind: PhantomData }
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.owner.engine
    }

    /// Takes no more calls: those to come fail with [`Error::Closed`](crate::Error::Closed). Those that were made still run, and a map that has begun reads
    /// its input to the end; a stream of [`imap`](Self::imap) does not. The workers end when all is done.
    ///
    /// Returns at once. Python: `close`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.map_async(|x: u32| x + 1, 0..100);
    /// pool.close();
    /// assert!(pool.apply(|| (), ()).await.is_err());
    /// assert_eq!(handle.await?.len(), 100);
    /// pool.join().await
    /// # }).unwrap();
    /// ```
    pub fn close(&self) {
        self.engine().close();
    }

    /// Ends the pool now: all calls that are not done fail with [`Error::Cancelled`](crate::Error::Cancelled), and the workers are killed, whatever they do.
    ///
    /// Returns at once; [`join`](Self::join) waits until the workers are gone. Dropping the pool does the same. Threads cannot be killed; see
    /// [`dummy`](crate::dummy). Python: `terminate`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.apply_async(|| -> () { loop { std::hint::spin_loop() } }, ());
    /// pool.terminate();
    /// assert!(handle.await.is_err());
    /// pool.join().await
    /// # }).unwrap();
    /// ```
    pub fn terminate(&self) {
        self.engine().terminate();
    }

    /// Waits until all calls are settled and all workers are gone. Python: `join`.
    ///
    /// # Errors
    ///
    /// [`Error::NotClosed`](crate::Error::NotClosed) if the pool was neither closed nor terminated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.close();
    /// pool.join().await
    /// # }).unwrap();
    /// ```
    pub async fn join(&self) -> Result<()> {
        self.engine().visit(false);
        self.engine().finished().await
    }

    /// [Closes](Self::close) the pool and [waits](Self::join) until it has ended. Python: `shutdown`.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the pool stays closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub async fn shutdown(&self) -> Result<()> {
        self.close();
        self.join().await
    }

    /// [Closes](Self::close) the pool, gives it so long to finish, and then [terminates](Self::terminate) what is left. True if nothing was left.
    ///
    /// What was cut off has failed with [`Error::Cancelled`](crate::Error::Cancelled). Waits until the workers are gone, which takes a few milliseconds more.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Cancel safety
    ///
    /// The pool stays closed, and is not terminated if this is given up.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let endless = pool.apply_async(|| -> u8 { loop { std::hint::spin_loop() } }, ());
    /// assert!(!pool.shutdown_timeout(Duration::from_millis(50)).await?);
    /// assert!(endless.await.is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn shutdown_timeout(&self, limit: Duration) -> Result<bool> {
        self.close();
        if let Some(joined) = within(limit, self.join()).await {
            return joined.map(|()| true);
        }
        self.terminate();
        self.join().await.map(|()| false)
    }

    /// Cancels every call and element that has not started: they fail with [`Error::Cancelled`](crate::Error::Cancelled). What runs goes on. Returns how many that were.
    ///
    /// A map fails with it; a stream goes on reading its input, unless the pool is closed. Python's `shutdown(cancel_futures=True)` is `close`, this, and `join`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let calls: Vec<_> = (0..100).map(|n| pool.apply_async(|n: u64| n, (n,))).collect();
    /// pool.close();
    /// let cancelled = pool.cancel_pending();
    /// pool.join().await?;
    /// let results = futures::future::join_all(calls).await;
    /// assert_eq!(results.iter().filter(|result| result.is_err()).count() as u64, cancelled);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    #[expect(clippy::must_use_candidate, reason = "most callers need not know")]
    pub fn cancel_pending(&self) -> u64 {
        self.engine().cancel_pending()
    }

    /// Waits until all workers take calls. There is no need to: calls can be made at once.
    ///
    /// # Errors
    ///
    /// Why the pool has none: [`Error::Initializer`](crate::Error::Initializer), [`Error::Sandbox`](crate::Error::Sandbox), [`Error::Broken`](crate::Error::Broken), [`Error::Closed`](crate::Error::Closed).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(3)?;
    /// pool.ready().await?;
    /// assert_eq!(pool.worker_pids().len(), 3);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub async fn ready(&self) -> Result<()> {
        self.engine().visit(false);
        self.engine().complete().await
    }

    /// From now on the pool has `workers` workers. More are started at once; of too many, those that have nothing to do end now and
    /// the others when they are done.
    ///
    /// # Errors
    ///
    /// [`Error::Option`](crate::Error::Option) for 0 workers, [`Error::Closed`](crate::Error::Closed) or [`Error::Broken`](crate::Error::Broken) if the pool has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.resize(3)?;
    /// pool.ready().await?;
    /// assert_eq!(pool.worker_pids().len(), 3);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn resize(&self, workers: usize) -> Result<()> {
        if workers == 0 {
            return Err(Error::option("resize", "a pool has at least one worker"));
        }
        if let Some(error) = self.engine().refusal() {
            return Err(error);
        }
        self.engine().resize(workers);
        Ok(())
    }

    /// What the pool does now, and has done so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.apply(|| (), ()).await?;
    /// assert_eq!(pool.stats().completed, 1);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// The process numbers of the workers that take calls, oldest first; for threads the kernel's numbers of those.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let pid = pool.apply(std::process::id, ()).await?;
    /// assert_eq!(pool.worker_pids(), [pid]);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        self.engine().worker_ids()
    }
}
