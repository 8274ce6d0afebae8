//! A queue whose items have to be done.

use std::fmt;
use std::ops::Deref;

use super::handle::{Queue, at_least_one};
use super::place::MOST_ITEMS;
use super::ring::Ring;
use crate::error::{Error, Result};
use crate::sync::{self, endless};

/// A [`Queue`] that knows which of its items are not done yet, so that one can wait until all are. Python: `multiprocessing.JoinableQueue`.
///
/// It has all that a queue has. Whoever takes an item calls [`task_done`](Self::task_done) once it has done what the item asks for. If it is killed before, the item is never done, as in
/// Python: whoever starts consumers sees them end, and knows.
///
/// # Examples
///
/// ```
/// use multiprocess::{JoinableQueue, Process};
///
/// fn work(queue: JoinableQueue<u32>) {
///     while let Ok(_item) = queue.blocking_get() {
///         queue.task_done().expect("it was taken");
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let queue = JoinableQueue::new()?;
/// let worker = Process::spawn(work, (queue.clone(),))?;
/// for item in 0..10_u32 {
///     queue.put(item).await?;
/// }
/// queue.join().await;
/// assert_eq!(queue.unfinished(), 0);
/// queue.close();
/// worker.join().await
/// # }).unwrap();
/// ```
pub struct JoinableQueue<T>(Queue<T>);

impl<T> JoinableQueue<T> {
    /// As [`Queue::new`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::new`].
    ///
    /// # Examples
    ///
    /// See [`JoinableQueue`].
    pub fn new() -> Result<Self> {
        Queue::with(MOST_ITEMS, true).map(Self)
    }

    /// As [`Queue::bounded`].
    ///
    /// # Errors
    ///
    /// As for [`Queue::bounded`].
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::JoinableQueue::bounded(1)?;
    /// queue.try_put(1_u8)?;
    /// assert!(queue.is_full());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn bounded(items: usize) -> Result<Self> {
        Queue::with(at_least_one(items)?, true).map(Self)
    }

    /// As [`Queue::max_frame`].
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::JoinableQueue::<String>::new()?.max_frame(4);
    /// assert!(queue.blocking_put("too long".to_owned()).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn max_frame(self, bytes: u64) -> Self {
        Self(self.0.max_frame(bytes))
    }

    /// One item that was taken is done. Python: `task_done`.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyDone`] if as many are done as were put.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, JoinableQueue};
    ///
    /// let queue = JoinableQueue::new()?;
    /// queue.blocking_put(7_u32)?;
    /// queue.blocking_get()?;
    /// queue.task_done()?;
    /// assert!(matches!(queue.task_done(), Err(Error::TooManyDone)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn task_done(&self) -> Result<()> {
        if self.ring().done() { Ok(()) } else { Err(Error::TooManyDone) }
    }

    /// Items that were put and are not done yet, taken or not.
    ///
    /// # Examples
    ///
    /// See [`JoinableQueue`].
    #[must_use]
    pub fn unfinished(&self) -> usize {
        usize::try_from(self.ring().unfinished()).unwrap_or(usize::MAX)
    }

    /// Waits until all items that were put are done. Python: `join`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// See [`JoinableQueue`].
    pub async fn join(&self) {
        let ring = self.ring();
        endless(sync::wait(&ring.room, None, |look| ring.all_done(look)).await);
    }

    /// As [`join`](Self::join), for code outside async: blocks this thread.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::JoinableQueue::<u32>::new()?;
    /// queue.blocking_join(); // nothing was put
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_join(&self) {
        let ring = self.ring();
        endless(sync::block(&ring.room, None, |look| ring.all_done(look)));
    }

    pub(super) fn of(queue: Queue<T>) -> Self {
        Self(queue)
    }

    fn ring(&self) -> &Ring {
        &self.0.ring
    }
}

impl<T> Deref for JoinableQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("JoinableQueue");
        debug.field("len", &self.len()).field("unfinished", &self.unfinished()).finish_non_exhaustive()
    }
}
