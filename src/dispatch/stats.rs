//! What a pool counts.

use serde::{Deserialize, Serialize};

/// A pool at one moment, and what it has done so far.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(2)?;
/// pool.map(|n: u32| n + 1, 0..100).await?;
/// let stats = pool.stats();
/// assert_eq!((stats.completed, stats.failed, stats.queued), (100, 0, 0));
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Workers that take calls, whether they have any or not.
    pub workers: usize,
    /// Workers that are being started.
    pub starting: usize,
    /// Workers that have nothing to do.
    pub idle: usize,
    /// Calls and chunks that wait for a worker.
    pub queued: usize,
    /// Calls and chunks that were sent to a worker.
    pub running: usize,
    /// Elements submitted so far; a single call is one element.
    pub submitted: u64,
    /// Elements that have come back from their worker.
    pub completed: u64,
    /// Elements whose worker died, whose time was over, or whose pool broke.
    pub failed: u64,
    /// Elements that ran again after their worker had died.
    pub retried: u64,
    /// Elements that were cancelled, by their caller or with the pool.
    pub cancelled: u64,
    /// Workers that ended without being told to, or that were ended since they gave no sign of life.
    pub deaths: u64,
    /// Workers that ended since they had done as many tasks, or used as much memory, as they may.
    pub recycled: u64,
    /// Workers that did not end although they were killed, and were given up.
    pub stuck: u64,
}
