//! Queues in a manager.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::both::{both, typed};
use crate::error::{Error, Result};
use crate::manager::blob::Blob;
use crate::manager::reference::Reference;
use crate::manager::served::Fault;
use crate::task::Payload;

/// A queue that lives in a [`Manager`](crate::Manager). Python: `manager.Queue()`.
///
/// A [`Queue`](crate::Queue) is faster and needs no manager. This one can be found by name, be used by whoever connects to the manager, and outlives all who put items.
///
/// | Python | here |
/// | --- | --- |
/// | `q.put(x)`, `q.put(x, timeout=t)`, `q.put_nowait(x)` | [`put`](Self::put), [`put_timeout`](Self::put_timeout), [`try_put`](Self::try_put); `queue.Full` is [`Error::Full`] |
/// | `q.get()`, `q.get(timeout=t)`, `q.get_nowait()` | [`get`](Self::get), [`get_timeout`](Self::get_timeout), [`try_get`](Self::try_get); `queue.Empty` is `None` |
/// | `q.qsize()`, `q.empty()`, `q.full()` | [`len`](Self::len), [`is_empty`](Self::is_empty), [`is_full`](Self::is_full) |
/// | `q.shutdown()` | [`close`](Self::close); `queue.ShutDown` is [`Error::Closed`] |
///
/// An item goes to one of those that take. If that one is gone before it gets it, the item comes first again; an item whose client is killed while it reads the answer is gone with it.
///
/// # Examples
///
/// ```
/// use multiprocess::{Manager, Process, QueueProxy};
///
/// fn double(inputs: QueueProxy<u32>, outputs: QueueProxy<u32>) {
///     while let Ok(number) = inputs.blocking_get() {
///         outputs.blocking_put(&(2 * number)).expect("it is open");
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let (inputs, outputs) = (manager.queue().await?, manager.bounded_queue(10).await?);
/// let process = Process::spawn(double, (inputs.clone(), outputs.clone()))?;
/// inputs.put(&21).await?;
/// assert_eq!(outputs.get().await?, 42);
/// assert_eq!(outputs.try_get().await?, None);
/// inputs.close().await?;
/// process.join().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct QueueProxy<T> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> T>,
}

typed!(QueueProxy<T>);

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const EVER: Option<Duration> = None;

fn done(answer: Result<(), Fault>) -> Result<()> {
    answer.map_err(Error::from)
}

fn one<T: Payload>(answer: Result<Option<Blob>, Fault>) -> Result<T> {
    some(answer)?.ok_or(Error::Closed)
}

fn some<T: Payload>(answer: Result<Option<Blob>, Fault>) -> Result<Option<T>> {
    answer?.map(Blob::open).transpose()
}

impl<T: Payload> QueueProxy<T> {
    both! {
        /// Puts an item in, and waits for room if the queue is bounded. [`Error::Closed`] if it is closed.
        put, blocking_put(item: &T) -> () { "put" (Blob::of(item)?, EVER) => done }

        /// Puts an item in if there is room: [`Error::Full`] if there is none. [`Error::Closed`] if it is closed.
        try_put, blocking_try_put(item: &T) -> () { "put" (Blob::of(item)?, AT_ONCE) => done }

        /// Puts an item in, and waits for room at most so long: [`Error::Full`]. [`Error::Closed`] if it is closed.
        put_timeout, blocking_put_timeout(item: &T, limit: Duration) -> () { "put" (Blob::of(item)?, Some(limit)) => done }

        /// Takes the next item, and waits until there is one. [`Error::Closed`] if it is closed and none is left.
        get, blocking_get() -> T { "get" (EVER,) => one }

        /// Takes the next item if there is one. [`Error::Closed`] if it is closed and none is left. Python: `get_nowait`, which raises `Empty`.
        try_get, blocking_try_get() -> Option<T> { "get" (AT_ONCE,) => some }

        /// Takes the next item if there is one in time. [`Error::Closed`] if it is closed and none is left.
        get_timeout, blocking_get_timeout(limit: Duration) -> Option<T> { "get" (Some(limit),) => some }

        /// How many items wait. Python: `qsize`.
        len, blocking_len() -> u64 { "len" () => Ok }

        /// True if no item waits.
        is_empty, blocking_is_empty() -> bool { "len" () => |len: u64| Ok(len == 0) }

        /// True if there is no room for one more.
        is_full, blocking_is_full() -> bool { "is_full" () => Ok }

        /// Lets nobody put any more. What is there can still be taken. Python: `close`, which says so for one process.
        close, blocking_close() -> () { "close" () => Ok }

        /// True if it was closed.
        is_closed, blocking_is_closed() -> bool { "is_closed" () => Ok }
    }
}

/// A queue in a [`Manager`](crate::Manager) that knows how many of its items are done. Python: `manager.JoinableQueue()`.
///
/// It has the methods of a [`QueueProxy`] too. Python's `task_done` and `join` have the same names; `unfinished_tasks` is [`unfinished`](Self::unfinished).
///
/// # Examples
///
/// ```
/// use multiprocess::{JoinableQueueProxy, Manager, Process};
///
/// fn work(jobs: JoinableQueueProxy<u32>) {
///     while jobs.blocking_get().is_ok() {
///         jobs.blocking_task_done().expect("it was taken");
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let jobs = manager.joinable_queue().await?;
/// for job in 0..10 {
///     jobs.put(&job).await?;
/// }
/// let process = Process::spawn(work, (jobs.clone(),))?;
/// jobs.join().await?;
/// assert_eq!(jobs.unfinished().await?, 0);
/// jobs.close().await?;
/// process.join().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct JoinableQueueProxy<T>(QueueProxy<T>);

impl<T: Payload> JoinableQueueProxy<T> {
    both! {
        /// Says that an item that was taken is done. [`Error::TooManyDone`] if none is left that is not.
        task_done, blocking_task_done() -> () { "task_done" () => done }

        /// How many items were put and are not done.
        unfinished, blocking_unfinished() -> u64 { "unfinished" () => Ok }

        /// Waits until all items that were put are done.
        join, blocking_join() -> () { "join" () => Ok }
    }
}

impl<T> JoinableQueueProxy<T> {
    pub(in crate::manager) fn of(reference: Reference) -> Self {
        Self(QueueProxy::of(reference))
    }
}

impl<T> Deref for JoinableQueueProxy<T> {
    type Target = QueueProxy<T>;

    fn deref(&self) -> &QueueProxy<T> {
        &self.0
    }
}

/// The same object.
impl<T> Clone for JoinableQueueProxy<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Two are equal if they stand for the same object.
impl<T> PartialEq for JoinableQueueProxy<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for JoinableQueueProxy<T> {}

impl<T> fmt::Debug for JoinableQueueProxy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinableQueueProxy").field(&self.0.id()).finish()
    }
}
