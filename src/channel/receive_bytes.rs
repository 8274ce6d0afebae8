//! Receiving messages as bytes.

use super::connection::Connection;
use super::letter::{copy_into, into_bytes};
use crate::error::Result;
use crate::task::Payload;

impl<A, B: Payload> Connection<A, B> {
    /// Receives the next message as bytes: those of [`send_bytes`](Self::send_bytes), or the encoded form of a value. Python: `recv_bytes`.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is taken only by a future that gives it.
    ///
    /// # Examples
    ///
    /// See [`send_bytes`](Self::send_bytes).
    pub async fn recv_bytes(&self) -> Result<Vec<u8>> {
        self.end.receive(self.max, into_bytes).await
    }

    /// As [`recv_bytes`](Self::recv_bytes), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// See [`try_send_bytes`](Self::try_send_bytes).
    pub fn blocking_recv_bytes(&self) -> Result<Vec<u8>> {
        self.end.receive_here(self.max, into_bytes)
    }

    /// As [`recv_bytes`](Self::recv_bytes), if there is a message now: `None` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// let (receiver, sender) = multiprocess::one_way::<Vec<u8>>()?;
    /// assert_eq!(receiver.try_recv_bytes()?, None);
    /// sender.blocking_send_bytes(b"abc")?;
    /// assert_eq!(receiver.try_recv_bytes()?, Some(b"abc".to_vec()));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn try_recv_bytes(&self) -> Result<Option<Vec<u8>>> {
        self.end.try_receive(self.max, into_bytes)
    }

    /// As [`recv_bytes`](Self::recv_bytes), into a buffer of the caller's; how many bytes the message has. A slice says where in the buffer. Python: `recv_bytes_into`.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooShort`](crate::Error::BufferTooShort), which carries the whole message, and as for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is taken only by a future that is ready then.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, one_way};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let (receiver, sender) = one_way::<Vec<u8>>()?;
    /// let mut buffer = [0; 6];
    /// sender.blocking_send_bytes(b"abc")?;
    /// assert_eq!(receiver.recv_bytes_into(&mut buffer[2..]).await?, 3);
    /// assert_eq!(&buffer, b"\0\0abc\0");
    ///
    /// sender.blocking_send_bytes(b"longer than that")?;
    /// match receiver.recv_bytes_into(&mut buffer).await {
    ///     Err(Error::BufferTooShort { message, .. }) => assert_eq!(message, b"longer than that"),
    ///     other => panic!("unexpected: {other:?}"),
    /// }
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize> {
        self.end.receive(self.max, |arrived| copy_into(arrived, buffer)).await
    }

    /// As [`recv_bytes_into`](Self::recv_bytes_into), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`recv_bytes_into`](Self::recv_bytes_into).
    ///
    /// # Examples
    ///
    /// ```
    /// let (receiver, sender) = multiprocess::one_way::<Vec<u8>>()?;
    /// let mut buffer = [0; 6];
    /// sender.blocking_send_bytes(b"abc")?;
    /// assert_eq!(receiver.blocking_recv_bytes_into(&mut buffer)?, 3);
    /// assert_eq!(&buffer[..3], b"abc");
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize> {
        self.end.receive_here(self.max, |arrived| copy_into(arrived, buffer))
    }
}
