//! A queue as users hold it; how items are put and taken stands beside it.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::place::MOST_ITEMS;
use super::ring::Ring;
use super::stream::Next;
use crate::error::{Error, Result};
use crate::wire::DEFAULT_MAX;

/// Bytes that no item may be longer than: room for two of them in the log.
const MOST_BYTES: u64 = 1 << 36;

/// A queue between any number of processes, threads and tasks: each may put items and take them. Python: `multiprocessing.Queue`.
///
/// Items stand in memory that all of them share. There is no thread that feeds a pipe, as in Python: an item that was put is there for all, and stays there when its
/// producer ends, so that a process can always be joined whether its items were taken or not. What one producer puts is taken in that order. A process that is
/// killed at any moment leaves whole items only, and holds up nobody; an item that it was about to take is there or gone with it.
///
/// Clones, and what is sent to other processes, are the same queue. When the last of them is gone, so are the items in it.
///
/// Items of any size go through shared memory; those with handles in them go too. At most 268,435,455 items and 256 GiB wait at a time, and some 200 items with handles; as many as fit
/// the memory, in the end.
///
/// # Examples
///
/// Two processes take what this one puts, until the queue is closed:
///
/// ```
/// use multiprocess::{Process, Queue};
///
/// fn sum(queue: Queue<u32>) -> u32 {
///     std::iter::from_fn(|| queue.blocking_get().ok()).sum()
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let queue = Queue::bounded(10)?;
/// let first = Process::spawn(sum, (queue.clone(),))?;
/// let second = Process::spawn(sum, (queue.clone(),))?;
/// for number in 1..=100_u32 {
///     queue.put(number).await?;
/// }
/// queue.close();
/// assert_eq!(first.join().await? + second.join().await?, 5_050);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub struct Queue<T> {
    pub(super) ring: Arc<Ring>,
    pub(super) max: u64,
    /// What a stream waits with.
    pub(super) next: Next,
    items: PhantomData<fn(T) -> T>,
}

/// Python: `multiprocessing.SimpleQueue`, which there is a pipe with a lock. Here every [`Queue`] is as simple as that.
///
/// # Examples
///
/// ```
/// use multiprocess::SimpleQueue;
///
/// let queue = SimpleQueue::new()?;
/// queue.blocking_put(7_u32)?;
/// assert!(!queue.is_empty());
/// assert_eq!(queue.blocking_get()?, 7);
/// assert!(queue.is_empty());
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub type SimpleQueue<T> = Queue<T>;

impl<T> Queue<T> {
    /// A queue that takes any number of items.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left: it takes eight of them, and up to two more once a future has waited.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::Queue::new()?;
    /// queue.blocking_put("hello".to_owned())?;
    /// assert_eq!(queue.blocking_get()?, "hello");
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new() -> Result<Self> {
        Self::with(MOST_ITEMS, false)
    }

    /// A queue in which so many items may wait; whoever puts one more waits for room. Python: `Queue(maxsize)`.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for 0 items, and as for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Queue};
    ///
    /// let queue = Queue::bounded(2)?;
    /// queue.try_put(1_u32)?;
    /// queue.try_put(2)?;
    /// assert!(matches!(queue.try_put(3), Err(Error::Full)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn bounded(items: usize) -> Result<Self> {
        Self::with(at_least_one(items)?, false)
    }

    pub(super) fn with(items: u64, joinable: bool) -> Result<Self> {
        Ok(Self::of(Arc::new(Ring::new(items, joinable)?), DEFAULT_MAX as u64))
    }

    pub(super) fn of(ring: Arc<Ring>, max: u64) -> Self {
        Self { ring, max, next: Next::default(), items: PhantomData }
    }

    /// Bytes that an item may have for this holder, put or taken; 1 GiB unless it is set, at most 64 GiB. It travels with the queue, and says nothing to other
    /// holders.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Queue};
    ///
    /// let queue = Queue::<String>::new()?.max_frame(4);
    /// assert!(matches!(queue.blocking_put("too long".to_owned()), Err(Error::MessageTooLarge { size: 9, max: 4 })));
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn max_frame(mut self, bytes: u64) -> Self {
        self.max = bytes.min(MOST_BYTES);
        self
    }

    /// Items that wait. Others may put and take some at any time. Python: `qsize`.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::Queue::new()?;
    /// queue.blocking_put(1_u8)?;
    /// assert_eq!(queue.len(), 1);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.ring.len()).unwrap_or(usize::MAX)
    }

    /// True if no item waits. Python: `empty`.
    ///
    /// # Examples
    ///
    /// See [`SimpleQueue`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.len() == 0
    }

    /// True if as many items wait as may. Python: `full`.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::Queue::bounded(1)?;
    /// queue.blocking_put(1_u8)?;
    /// assert!(queue.is_full());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ring.is_full()
    }

    /// Closes the queue, for all that have it: nothing more can be put, and once all items are taken nothing can be got any more, for which nobody waits in vain. To close it again
    /// changes nothing.
    ///
    /// In Python `close` is for one process, whose feeding thread it ends; here it says that all is there.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Queue};
    ///
    /// let queue = Queue::new()?;
    /// queue.blocking_put(1_u8)?;
    /// queue.close();
    /// assert!(matches!(queue.blocking_put(2), Err(Error::Closed)));
    /// assert_eq!(queue.blocking_get()?, 1);
    /// assert!(matches!(queue.blocking_get(), Err(Error::Closed)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn close(&self) {
        self.ring.close();
    }

    /// True if somebody has closed it. Items may still be there.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::Queue::<u8>::new()?;
    /// queue.close();
    /// assert!(queue.is_closed());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }
}

pub(super) fn at_least_one(items: usize) -> Result<u64> {
    if items == 0 {
        return Err(Error::option("bounded", "a queue has room for one item at least; `new` has no bound"));
    }
    Ok(items as u64)
}

/// For [`wait`](crate::wait()), and for `poll` and the like: it can be read while there is an item, or the queue is closed. An item that was about to be put by a process that was killed
/// may be announced by it, and not be there. Nothing is to be read from it.
///
/// From the first use on each item costs a system call more.
impl<T> AsFd for Queue<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.watched()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.ring), self.max)
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring, .. } = self;
        let mut debug = f.debug_struct("Queue");
        debug.field("len", &ring.len()).field("closed", &ring.is_closed()).finish_non_exhaustive()
    }
}
