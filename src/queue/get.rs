//! Taking items, in futures and on threads.

use std::time::Duration;

use super::handle::Queue;
use super::parcel::Parcel;
use super::put::end;
use super::ring::Ring;
use crate::error::Result;
use crate::sync::{self, Look, endless};
use crate::task::Payload;

impl<T: Payload> Queue<T> {
    /// Takes the next item, and waits for it. Python: `get`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`](crate::Error::Closed) if the queue is closed and nothing is left in it; [`Error::DecodeMessage`](crate::Error::DecodeMessage) or
    /// [`Error::MessageTooLarge`](crate::Error::MessageTooLarge) if what was there is no such item, or more than this holder takes: it is gone, and the next is not harmed;
    /// [`Error::Connection`](crate::Error::Connection) if there is no memory left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item is taken only by a future that gives it.
    ///
    /// # Examples
    ///
    /// See [`put`](Self::put).
    pub async fn get(&self) -> Result<T> {
        open(next(&self.ring, self.max, None).await).map(endless)
    }

    /// As [`get`](Self::get), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    pub fn blocking_get(&self) -> Result<T> {
        open(self.next_here(None)).map(endless)
    }

    /// As [`get`](Self::get), if there is an item now: `None` if there is none. Python: `get_nowait`.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = multiprocess::Queue::new()?;
    /// assert_eq!(queue.try_get()?, None);
    /// queue.blocking_put(7_u32)?;
    /// assert_eq!(queue.try_get()?, Some(7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn try_get(&self) -> Result<Option<T>> {
        open(self.ring.take(self.max, Look::ONCE))
    }

    /// As [`get`](Self::get), but waits at most for so long: `None` if there was no item in that time. Python: `get(timeout=..)`.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let queue = multiprocess::Queue::<u32>::new()?;
    /// assert_eq!(queue.get_timeout(Duration::from_millis(5)).await?, None);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn get_timeout(&self, limit: Duration) -> Result<Option<T>> {
        open(next(&self.ring, self.max, Some(limit)).await)
    }

    /// As [`get_timeout`](Self::get_timeout), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let queue = multiprocess::Queue::<u32>::new()?;
    /// assert_eq!(queue.blocking_get_timeout(Duration::from_millis(5))?, None);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_get_timeout(&self, limit: Duration) -> Result<Option<T>> {
        open(self.next_here(Some(limit)))
    }

    fn next_here(&self, limit: Option<Duration>) -> Option<Result<Parcel>> {
        let take = |look| self.ring.take(self.max, look);
        take(Look::ONCE).or_else(|| sync::block(&self.ring.items, end(limit), take))
    }
}

/// The next item, in time.
pub(super) async fn next(ring: &Ring, max: u64, limit: Option<Duration>) -> Option<Result<Parcel>> {
    match ring.take(max, Look::ONCE) {
        None => sync::wait(&ring.items, end(limit), |look| ring.take(max, look)).await,
        taken => taken,
    }
}

fn open<T: Payload>(taken: Option<Result<Parcel>>) -> Result<Option<T>> {
    taken.map(|parcel| parcel?.open()).transpose()
}
