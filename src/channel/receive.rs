//! Receiving values over a connection, and looking whether there is one.

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::letter::into_value;
use crate::error::Result;
use crate::os::Wanted;
use crate::task::Payload;
use crate::wait::within;

impl<A, B: Payload> Connection<A, B> {
    /// Receives the next value, and waits for it. Python: `recv`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`](crate::Error::Disconnected) if nobody is left to send one, and all is received; [`Error::DecodeMessage`](crate::Error::DecodeMessage) or
    /// [`Error::MessageTooLarge`](crate::Error::MessageTooLarge) if what came is no such value, or more than this end takes: it is gone, and the next is not harmed;
    /// [`Error::Connection`](crate::Error::Connection) if the operating system refuses.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value is taken only by a future that gives it.
    ///
    /// # Examples
    ///
    /// See [`Connection`].
    pub async fn recv(&self) -> Result<B> {
        self.end.receive(self.max, into_value).await
    }

    /// As [`recv`](Self::recv), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// See [`pipe`](crate::pipe()).
    pub fn blocking_recv(&self) -> Result<B> {
        self.end.receive_here(self.max, into_value)
    }

    /// As [`recv`](Self::recv), if there is a value now: `None` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// let (receiver, sender) = multiprocess::one_way::<u32>()?;
    /// assert_eq!(receiver.try_recv()?, None);
    /// sender.blocking_send(&7)?;
    /// assert_eq!(receiver.try_recv()?, Some(7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn try_recv(&self) -> Result<Option<B>> {
        self.end.try_receive(self.max, into_value)
    }

    /// As [`recv`](Self::recv), at most for so long: `None` if no value has come by then.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value is taken only by a future that gives it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let (receiver, sender) = multiprocess::one_way::<u32>()?;
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(5)).await?, None);
    /// sender.send(&7).await?;
    /// assert_eq!(receiver.recv_timeout(Duration::from_secs(60)).await?, Some(7));
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn recv_timeout(&self, limit: Duration) -> Result<Option<B>> {
        if let Some(value) = self.try_recv()? {
            return Ok(Some(value));
        }
        if limit.is_zero() {
            return Ok(None);
        }
        super::wait::clock()?;
        within(limit, self.recv()).await.transpose()
    }

    /// As [`recv_timeout`](Self::recv_timeout), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (receiver, sender) = multiprocess::one_way::<u32>()?;
    /// assert_eq!(receiver.blocking_recv_timeout(Duration::from_millis(5))?, None);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_recv_timeout(&self, limit: Duration) -> Result<Option<B>> {
        self.end.blocking_receive(self.max, Instant::now().checked_add(limit), into_value)
    }

    /// Waits at most for so long until there is something to receive, and takes nothing: true as well if nobody is left to send something, as
    /// receiving does not wait then. With a duration of zero it looks once. Over a connection with a key, a part of a message is something too. Python: `poll`.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`](crate::Error::Connection) if the operating system refuses.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let (receiver, sender) = multiprocess::one_way::<u32>()?;
    /// assert!(!receiver.poll(Duration::ZERO).await?);
    /// sender.send(&7).await?;
    /// assert!(receiver.poll(Duration::from_secs(60)).await?);
    /// assert_eq!(receiver.recv().await?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn poll(&self, limit: Duration) -> Result<bool> {
        if self.end.is_ready(Wanted::Input)? || limit.is_zero() {
            return self.end.is_ready(Wanted::Input);
        }
        super::wait::clock()?;
        Ok(within(limit, self.end.readable()).await.transpose()?.is_some())
    }

    /// As [`poll`](Self::poll), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (receiver, sender) = multiprocess::one_way::<u32>()?;
    /// assert!(!receiver.blocking_poll(Duration::ZERO)?);
    /// drop(sender);
    /// assert!(receiver.blocking_poll(Duration::from_secs(60))?);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_poll(&self, limit: Duration) -> Result<bool> {
        self.end.wait_here(Wanted::Input, Instant::now().checked_add(limit))
    }
}
