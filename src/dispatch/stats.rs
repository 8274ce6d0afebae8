//! What a pool counts.

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    /// Elements whose worker died or whose pool broke.
    pub failed: u64,
    /// Elements that were cancelled, by their caller or with the pool.
    pub cancelled: u64,
    /// Workers that ended without being told to.
    pub deaths: u64,
}
