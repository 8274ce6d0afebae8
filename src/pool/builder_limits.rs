//! Options that limit what tasks and workers may take: time, memory, attempts.

use std::time::Duration;

use super::builder::Builder;
use super::kind::{Kind, Processes};

/// Limits, and what becomes of workers that reach them.
impl<K: Kind> Builder<K> {
    /// How long each task may run unless its call says otherwise, as [`Apply::timeout`](crate::Apply::timeout). Default: for ever. Must not be 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = multiprocess::ProcessPool::builder().workers(1).timeout(Duration::from_secs(30)).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.terms.timeout = Some(limit);
        self
    }

    /// How often each task may run again after its worker has died, unless its call says otherwise, as
    /// [`Apply::retries`](crate::Apply::retries). Default: 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).retries(1).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn retries(mut self, times: u32) -> Self {
        self.terms.retries = times;
        self
    }

    /// How many tasks a worker runs before a new one takes its place; each element of a map counts. Default: no limit. Must not be 0.
    /// Python: `maxtasksperchild`, `max_tasks_per_child`.
    ///
    /// The successor starts while its predecessor runs its last task, and takes calls when that is done. With 1, no task ever finds
    /// what another has left behind in its process: this is how tasks of different tenants are kept apart.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::builder().workers(1).max_tasks_per_child(1).build()?;
    /// let (a, b) = (pool.apply(std::process::id, ()).await?, pool.apply(std::process::id, ()).await?);
    /// assert_ne!(a, b);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn max_tasks_per_child(mut self, tasks: u32) -> Self {
        self.rules.max_tasks = Some(tasks);
        self
    }

    /// How many workers stay however idle they are. Default: all, or with [`idle_timeout`](Self::idle_timeout) none. At most [`workers`](Self::workers).
    ///
    /// With this option only so many are started with the pool; the others come when there are calls for them.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::builder().workers(4).min_workers(1).build()?;
    /// pool.ready().await?;
    /// assert_eq!(pool.worker_pids().len(), 1);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn min_workers(mut self, workers: usize) -> Self {
        self.rules.min_workers = Some(workers);
        self
    }

    /// How long a worker beyond [`min_workers`](Self::min_workers) may be idle before it ends. It comes back when there is work. Default: for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = multiprocess::ProcessPool::builder().workers(4).idle_timeout(Duration::from_secs(60)).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.rules.idle_timeout = Some(limit);
        self
    }

    /// How long a task whose time is over has to end by itself. Default: 50 ms. Half of it after the task was asked to end its worker gets
    /// SIGTERM, and after all of it SIGKILL.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = multiprocess::ProcessPool::builder().workers(1).grace(Duration::from_secs(2)).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn grace(mut self, limit: Duration) -> Self {
        self.rules.grace = limit;
        self
    }

    /// How long the start of a worker may take, its initializer included. Default: 60 s. Must not be 0.
    ///
    /// A start that takes longer has failed: [`Error::Initializer`](crate::Error::Initializer) if there is one, otherwise [`Error::Start`](crate::Error::Start).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = multiprocess::ProcessPool::builder().workers(1).start_timeout(Duration::from_secs(600)).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// Whether arguments and results of 128 KiB and more go through shared memory, which is several times as fast as a pipe.
    ///
    /// That memory is the pool's: it is used again for later calls, and given back when it was not needed for a second or two. Where it cannot be had, or there is not
    /// enough of it, values go over the pipes all the same. Each worker can read the large arguments of all calls of its pool, but write to none; the results of a worker are
    /// between it and the pool. With `false` all values go over the pipes, and no worker can read what is meant for another.
    ///
    /// Default: `true`, but `false` for workers in a sandbox. On threads nothing of that kind is needed, and it has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::ProcessPool;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = ProcessPool::builder().workers(1).shared_payloads(false).build()?;
    /// let sorted = pool.apply(|mut numbers: Vec<u32>| { numbers.sort(); numbers }, (vec![3; 100_000],)).await?;
    /// assert_eq!(sorted.len(), 100_000);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn shared_payloads(mut self, shared: bool) -> Self {
        self.shared_payloads = Some(shared);
        self
    }
}

/// Limits that only processes have.
impl Builder<Processes> {
    /// How much memory a worker may have in use, in bytes of resident memory. Default: no limit. Must not be 0.
    ///
    /// What the forkserver has preloaded counts too, though it is shared. It is measured after each task. A worker that has more takes no more tasks and is replaced; no result is lost. For a
    /// limit that no task can pass, give the process one from outside: a cgroup or an rlimit.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).max_memory_per_child(1 << 30).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn max_memory_per_child(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// How long a worker that has calls may give no sign of life before it is killed. Default: 10 s. `Duration::ZERO` switches it off.
    ///
    /// It answers the pool from a thread of its own, whatever its task does: only a process that was stopped or frozen falls silent. A
    /// debugger that stops a worker is the reason to switch it off. The task fails with [`Error::WorkerDied`](crate::Error::WorkerDied), which says so.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = multiprocess::ProcessPool::builder().workers(1).heartbeat(Duration::ZERO).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn heartbeat(mut self, limit: Duration) -> Self {
        self.rules.heartbeat = Some(limit).filter(|limit| !limit.is_zero());
        self
    }
}
