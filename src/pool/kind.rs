//! What the workers of a pool are.

use super::front::Pool;

/// What the workers of a pool are: [`Processes`] or [`dummy::Threads`](crate::dummy::Threads).
///
/// # Examples
///
/// Code that is written for both:
///
/// ```
/// use multiprocess::{Kind, Pool, ProcessPool, Result, dummy::ThreadPool};
///
/// async fn sum_of_squares<K: Kind>(pool: &Pool<K>) -> Result<u64> {
///     Ok(pool.map(|n: u64| n * n, 0..10).await?.into_iter().sum())
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// assert_eq!(sum_of_squares(&ProcessPool::new(1)?).await?, 285);
/// assert_eq!(sum_of_squares(&ThreadPool::new(1)?).await?, 285);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub trait Kind: Sealed + Send + Sync + 'static {
    #[doc(hidden)]
    const ARE_THREADS: bool;
}

/// Only this crate has kinds of workers.
pub trait Sealed {}

/// Workers that are child processes of this program.
///
/// # Examples
///
/// ```
/// let pool: multiprocess::Pool<multiprocess::Processes> = multiprocess::ProcessPool::new(1)?;
/// # pool.blocking_shutdown()
/// # ; Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Debug)]
pub enum Processes {}

impl Sealed for Processes {}
impl Kind for Processes {
    const ARE_THREADS: bool = false;
}

/// A pool of worker processes. Python: `multiprocessing.Pool`, `concurrent.futures.ProcessPoolExecutor`.
///
/// # Examples
///
/// ```
/// use multiprocess::ProcessPool;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::new(2)?;
/// assert_eq!(pool.map(|x: u64| x * x, 0..4).await?, [0, 1, 4, 9]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub type ProcessPool = Pool<Processes>;
