//! Sending over a connection.

use super::connection::Connection;
use super::end::Written;
use crate::error::{Error, Result};
use crate::task::Payload;

impl<A: Payload, B> Connection<A, B> {
    /// Sends a value, and waits while there is no room. Python: `send`.
    ///
    /// The value is encoded by this call; the future has it in that form, and is bound to the connection alone.
    ///
    /// # Errors
    ///
    /// The future fails with [`Error::Disconnected`] if nobody is left to receive it, [`Error::EncodeMessage`] or [`Error::MessageTooLarge`] if the value does not
    /// travel, and [`Error::Connection`] if the operating system refuses: it has no memory, or too many descriptors are under way.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped before it was ready has sent nothing. Over a connection with a key it may have begun, and then what it has begun is sent whole
    /// without it.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let (receiver, sender) = multiprocess::one_way::<String>()?;
    /// sender.send(&"hello".to_owned()).await?;
    /// assert_eq!(receiver.recv().await?, "hello");
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn send(&self, value: &A) -> impl Future<Output = Result<()>> + Send + use<'_, A, B> {
        self.deliver(self.end.write(value, self.max))
    }

    /// As [`send`](Self::send), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// See [`pipe`](crate::pipe()).
    pub fn blocking_send(&self, value: &A) -> Result<()> {
        self.end.blocking_send(&self.end.write(value, self.max)?)
    }

    /// As [`send`](Self::send), if there is room now.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there is none, and as for [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, one_way};
    ///
    /// let (receiver, sender) = one_way::<u32>()?;
    /// let mut sent = 0;
    /// while sender.try_send(&sent).is_ok() {
    ///     sent += 1;
    /// }
    /// assert!(matches!(sender.try_send(&sent), Err(Error::Full)));
    /// assert_eq!(receiver.blocking_recv()?, 0);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn try_send(&self, value: &A) -> Result<()> {
        self.try_deliver(&self.end.write(value, self.max)?)
    }

    /// Sends bytes as they are, as one message, and waits while there is no room. A slice says which part of a buffer. Python: `send_bytes`.
    ///
    /// Who receives them by [`recv`](Self::recv) gets the value that they encode, if they encode one.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let (receiver, sender) = multiprocess::one_way::<Vec<u8>>()?;
    /// let bytes = b"abcdefgh";
    /// sender.send_bytes(&bytes[2..5]).await?;
    /// sender.send_bytes(&[]).await?;
    /// assert_eq!(receiver.recv_bytes().await?, b"cde");
    /// assert_eq!(receiver.recv_bytes().await?, b"");
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn send_bytes(&self, bytes: &[u8]) -> impl Future<Output = Result<()>> + Send + use<'_, A, B> {
        self.deliver(self.end.write_bytes(bytes, self.max))
    }

    /// As [`send_bytes`](Self::send_bytes), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// See [`recv_bytes_into`](Self::recv_bytes_into).
    pub fn blocking_send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.end.blocking_send(&self.end.write_bytes(bytes, self.max)?)
    }

    /// As [`send_bytes`](Self::send_bytes), if there is room now.
    ///
    /// # Errors
    ///
    /// As for [`try_send`](Self::try_send).
    ///
    /// # Examples
    ///
    /// ```
    /// let (receiver, sender) = multiprocess::one_way::<Vec<u8>>()?;
    /// sender.try_send_bytes(b"abc")?;
    /// assert_eq!(receiver.blocking_recv_bytes()?, b"abc");
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.try_deliver(&self.end.write_bytes(bytes, self.max)?)
    }

    async fn deliver(&self, written: Result<Written>) -> Result<()> {
        let written = written?;
        self.end.send(&written).await
    }

    fn try_deliver(&self, written: &Written) -> Result<()> {
        if self.end.try_deliver(written)? { Ok(()) } else { Err(Error::Full) }
    }
}
