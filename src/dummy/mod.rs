//! The same on threads of this process: for tests, for debuggers, and for work that waits more than it computes.
//!
//! Python: `multiprocessing.dummy`, `multiprocessing.pool.ThreadPool`.
//!
//! Connections and listeners are those of processes: they work between threads as they are.
//!
//! Arguments and results are encoded here too, so that a program that runs on threads runs on processes. A thread cannot be killed: what
//! a terminated pool was running goes on until it returns, and its result is passed over. A crash takes the whole program along.

mod process;
mod twin;

use crate::pool::{Kind, Pool, Sealed};

/// Between threads these are the same: what processes share is shared by the threads in them too.
pub use crate::queue::{Item, JoinableQueue, Queue, SimpleQueue};
pub use crate::shared::{
    Array, RawArray, RawValue, ShareableList, Shared, SharedMemory, SharedMemoryManager, Value,
};
pub use crate::sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};

pub use crate::channel::{
    Client, Connection, Listener, Nothing, Receiver, Sender, blocking_wait, one_way, pipe, wait,
};
pub use process::{Process, ProcessBuilder};
pub use twin::{ActiveChild, CurrentProcess, active_children, current_process};

/// Workers that are threads of this process.
///
/// # Examples
///
/// ```
/// let pool: multiprocess::Pool<multiprocess::dummy::Threads> = multiprocess::dummy::ThreadPool::new(1)?;
/// # pool.blocking_shutdown()
/// # ; Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Debug)]
pub enum Threads {}

impl Sealed for Threads {}
impl Kind for Threads {
    const ARE_THREADS: bool = true;
}

/// A pool of worker threads: everything that a [`ProcessPool`](crate::ProcessPool) can do, in one process.
///
/// # Examples
///
/// ```
/// use multiprocess::dummy::ThreadPool;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ThreadPool::new(2)?;
/// assert_eq!(pool.map(|x: u64| x * x, 0..4).await?, [0, 1, 4, 9]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub type ThreadPool = Pool<Threads>;
