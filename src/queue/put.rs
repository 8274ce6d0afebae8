//! Putting items, in futures and on threads.

use std::time::{Duration, Instant};

use super::handle::Queue;
use super::item::Item;
use super::parcel::Parcel;
use super::ring::Ring;
use crate::error::{Error, Result};
use crate::sync::{self, Look, end_of};
use crate::task::Payload;

impl<T: Payload> Queue<T> {
    /// Puts an item, and waits while there is no room. It takes the item or a reference to it. Python: `put`.
    ///
    /// The item is encoded by the call itself, so that it may change afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the queue is closed, before or while it waits; [`Error::EncodeMessage`] or [`Error::MessageTooLarge`] if this is no item that can be put, which takes no
    /// room and harms no other; [`Error::Connection`] if there is no memory left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped before it was ready has put nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let queue = multiprocess::Queue::<u32>::bounded(2)?;
    /// queue.put(7).await?;
    /// queue.put(&8).await?;
    /// assert_eq!((queue.get().await?, queue.get().await?), (7, 8));
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn put<B: Item<T>>(&self, item: B) -> impl Future<Output = Result<()>> + Send + use<'_, T, B> {
        deliver(&self.ring, self.parcel(&item), None)
    }

    /// As [`put`](Self::put), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    pub fn blocking_put(&self, item: impl Item<T>) -> Result<()> {
        deliver_here(&self.ring, &self.parcel(&item)?, None)
    }

    /// As [`put`](Self::put), if there is room now. Python: `put_nowait`.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there is none, and as for [`put`](Self::put).
    ///
    /// # Examples
    ///
    /// See [`bounded`](Self::bounded).
    pub fn try_put(&self, item: impl Item<T>) -> Result<()> {
        self.ring.put(&self.parcel(&item)?, Look::ONCE).unwrap_or(Err(Error::Full))
    }

    /// As [`put`](Self::put), but waits at most for so long. Python: `put(timeout=..)`.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there was no room in that time, and as for [`put`](Self::put).
    ///
    /// # Cancel safety
    ///
    /// As for [`put`](Self::put).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiprocess::{Error, Queue};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let queue = Queue::bounded(1)?;
    /// queue.put(7_u32).await?;
    /// assert!(matches!(queue.put_timeout(8, Duration::from_millis(5)).await, Err(Error::Full)));
    /// # Ok::<(), Error>(())
    /// # }).unwrap();
    /// ```
    pub fn put_timeout<B: Item<T>>(
        &self,
        item: B,
        limit: Duration,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, T, B> {
        deliver(&self.ring, self.parcel(&item), Some(limit))
    }

    /// As [`put_timeout`](Self::put_timeout), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`put_timeout`](Self::put_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiprocess::{Error, Queue};
    ///
    /// let queue = Queue::bounded(1)?;
    /// queue.blocking_put(7_u32)?;
    /// assert!(matches!(queue.blocking_put_timeout(8, Duration::from_millis(5)), Err(Error::Full)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn blocking_put_timeout(&self, item: impl Item<T>, limit: Duration) -> Result<()> {
        deliver_here(&self.ring, &self.parcel(&item)?, Some(limit))
    }

    fn parcel(&self, item: &impl Item<T>) -> Result<Parcel> {
        Parcel::of(item.as_item(), self.max)
    }
}

async fn deliver(ring: &Ring, parcel: Result<Parcel>, limit: Option<Duration>) -> Result<()> {
    let parcel = parcel?;
    if let Some(put) = ring.put(&parcel, Look::ONCE) {
        return put;
    }
    let put = sync::wait(&ring.room, end(limit), |look| ring.put(&parcel, look)).await;
    put.unwrap_or(Err(Error::Full))
}

fn deliver_here(ring: &Ring, parcel: &Parcel, limit: Option<Duration>) -> Result<()> {
    let put = ring.put(parcel, Look::ONCE);
    let put = put.or_else(|| sync::block(&ring.room, end(limit), |look| ring.put(parcel, look)));
    put.unwrap_or(Err(Error::Full))
}

pub(super) fn end(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(end_of)
}
