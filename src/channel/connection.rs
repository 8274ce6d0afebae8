//! The end of a connection that users hold, and how it travels.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::end::End;
use super::stream::Sending;
use crate::error::{Error, Result};
use crate::wire::{DEFAULT_MAX, Fd, refuse_remote_end};

/// One end of a connection between processes: it sends values of type `A` and receives values of type `B`. Made by [`pipe`](crate::pipe()), or by a [`Listener`](crate::Listener) and a [`Client`](crate::Client).
/// Python: `multiprocessing.connection.Connection`.
///
/// # Messages
///
/// A message is a whole value, or the bytes of [`send_bytes`](Self::send_bytes). It comes whole or not at all, whoever is killed at whatever moment,
/// and never partly. Messages of one sender come in their order. Nothing is read ahead: what one process has polled, another one may still take.
///
/// Messages wait in the socket until they are received: some hundreds of small ones, about six of 32 KiB or more. Then [`send`](Self::send) waits for room. What is
/// beyond 32 KiB of a message goes along in memory of its own.
///
/// # Who holds an end
///
/// An end travels: it can be an argument or a result of any task or [`Process`](crate::Process), and can be sent over another connection, alone or anywhere inside of a value that derives `Serialize`
/// and `Deserialize`. What arrives is a copy, as [`try_clone`](Self::try_clone) makes one. Any number of processes and threads may use copies of an end
/// at once; a message goes to one of those that receive.
///
/// When the last copy of an end is closed, the other end can receive what was sent before, and then fails with [`Error::Disconnected`]; sending fails so
/// at once, and never raises SIGPIPE. A copy that a process keeps without need keeps the other end waiting for it: the pool keeps its own copy of
/// an argument until its call is settled, and the caller keeps an end that it has only lent out.
///
/// A value that is sent over a connection may hold up to 64 [`Handle`](crate::Handle)s and ends, as that of a task may.
///
/// # With a key
///
/// The connections of a [`Listener`](crate::Listener) that has a key, which needs the feature `net`, or certificates, which need `tls`, have the same methods. What differs:
///
/// - Each message is sealed (Noise, `NNpsk0`, with X25519, ChaCha20-Poly1305 and BLAKE2s; with certificates TLS 1.3): nobody in between can read it, and one that was changed, repeated, exchanged or
///   left out is [`Error::Connection`] for who receives it. Nothing comes behind that.
/// - The end is [`Error::Disconnected`] only if the other end was closed. A process that is killed, or that leaves before what it has sent is gone, and a network that fails, are
///   [`Error::Connection`], since nobody can tell them from somebody who cuts the wire. So may be an end that is closed while messages to it are under way.
/// - Sending to an end that was closed fails once that is known, which may be some messages later.
/// - A message whose sending has begun is sent whole, also if its future is dropped or its end is closed meanwhile.
/// - It can be read, for [`wait`](crate::wait()) and [`poll`](Self::poll), as soon as a part of a message has come: receiving may have to wait for the rest.
/// - The end belongs to the process that has made it. It does not travel, and values that go over it have no handles: both are errors of whoever sends them. Copies of
///   it in one process share what they have.
/// - A machine that is gone without a word is noticed after 30 s by who waits for it, and after a quarter of an hour, which the kernel decides, by who was sending to it. A program that needs to know it sooner has both sides say something now and then, as managers do.
/// - Messages wait in the buffers of the network: how many, the kernel decides.
///
/// # Blocking, async, at once
///
/// Each operation comes in three forms: as a future, which goes under any executor; with `blocking_`, for code outside async; and with `try_`, which waits for
/// nothing. The connection is a [`Stream`](futures::Stream) of what it receives, until the other end is closed, and a [`Sink`](futures::Sink) for
/// what it sends.
///
/// # Examples
///
/// ```
/// use multiprocess::{Connection, Error, Process, pipe};
///
/// fn count_letters(connection: Connection<usize, String>) -> multiprocess::Result<()> {
///     loop {
///         match connection.blocking_recv() {
///             Ok(word) => connection.blocking_send(&word.len())?,
///             Err(Error::Disconnected) => return Ok(()),
///             Err(error) => return Err(error),
///         }
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (ours, theirs) = pipe::<String, usize>()?;
/// let process = Process::spawn(|connection| count_letters(connection).is_ok(), (theirs,))?;
/// ours.send(&"hello".to_owned()).await?;
/// assert_eq!(ours.recv().await?, 5);
/// ours.close();
/// assert!(process.join().await?);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub struct Connection<A, B> {
    pub(super) end: End,
    pub(super) max: u64,
    /// What a sink has taken and not sent so far.
    pub(super) sending: Sending,
    /// As a stream, it has told that nothing can come any more.
    pub(super) told_its_end: bool,
    values: PhantomData<fn(A) -> B>,
}

/// The end of a [`one_way`](crate::one_way()) connection that sends.
///
/// It has the methods of a [`Connection`] that send, and no others:
///
/// ```compile_fail
/// # let (receiver, sender) = multiprocess::one_way::<u32>().unwrap();
/// sender.blocking_recv();
/// ```
///
/// # Examples
///
/// See [`one_way`](crate::one_way()).
pub type Sender<T> = Connection<T, Nothing>;

/// The end of a [`one_way`](crate::one_way()) connection that receives.
///
/// It has the methods of a [`Connection`] that receive, and no others. The kernel refuses whatever else this end should be made to send:
///
/// ```compile_fail
/// # let (receiver, sender) = multiprocess::one_way::<u32>().unwrap();
/// receiver.blocking_send(&7);
/// ```
///
/// # Examples
///
/// See [`one_way`](crate::one_way()).
pub type Receiver<T> = Connection<Nothing, T>;

/// What goes over a connection against its one direction: there is no such value.
///
/// # Examples
///
/// ```
/// use multiprocess::{Connection, Nothing, Receiver};
///
/// fn is_receiver(end: Connection<Nothing, u32>) -> Receiver<u32> {
///     end
/// }
/// ```
#[derive(Debug)]
pub enum Nothing {}

impl<A, B> Connection<A, B> {
    pub(super) fn new(fd: OwnedFd, max: u64) -> Self {
        Self::of(End::new(fd), max)
    }

    pub(super) fn of(end: End, max: u64) -> Self {
        Self { end, max, sending: Sending::default(), told_its_end: false, values: PhantomData }
    }

    pub(crate) fn with_defaults(fd: OwnedFd) -> Self {
        Self::new(fd, DEFAULT_MAX as u64)
    }

    /// The descriptor, of an end that travels.
    pub(crate) fn into_fd(self) -> Fd {
        self.end.into_fd()
    }

    /// What cuts it off for all who use it; nothing where there is no key.
    #[cfg(feature = "net")]
    pub(crate) fn cutter(&self) -> Option<super::net::Cutter> {
        self.end.cutter()
    }

    /// Bytes that a message of this end may have, sent or received; 1 GiB unless it is set. It travels with the end, and says nothing to the other one.
    ///
    /// A message over it is [`Error::MessageTooLarge`] for who sends it and for who receives it, before memory is made for it. Lengths have 64 bits.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, one_way};
    ///
    /// let (receiver, sender) = one_way::<String>()?;
    /// let receiver = receiver.max_frame(4);
    /// sender.blocking_send(&"too long".to_owned())?;
    /// sender.blocking_send(&"abc".to_owned())?;
    /// assert!(matches!(receiver.blocking_recv(), Err(Error::MessageTooLarge { size: 9, max: 4 })));
    /// assert_eq!(receiver.blocking_recv()?, "abc");
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn max_frame(mut self, bytes: u64) -> Self {
        self.max = bytes;
        self
    }

    /// A second copy of this end in this process. The other end sees the end of the connection when all copies are closed.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if there is no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let (receiver, sender) = multiprocess::one_way::<u32>()?;
    /// let second = sender.try_clone()?;
    /// drop(sender);
    /// second.blocking_send(&7)?;
    /// assert_eq!(receiver.blocking_recv()?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self::of(self.end.try_clone()?, self.max))
    }

    /// Closes this copy of the end, as dropping it does. Python: `close`.
    ///
    /// # Examples
    ///
    /// ```
    /// let (receiver, sender) = multiprocess::one_way::<u32>()?;
    /// sender.close();
    /// assert!(matches!(receiver.blocking_recv(), Err(multiprocess::Error::Disconnected)));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn close(self) {}
}

/// For [`wait`](crate::wait()), and for `poll` and the like: it can be read when there is a message, or nobody is left to send one; with a key, when there is a part of a message. Whatever else is done to the
/// socket is done to the messages.
impl<A, B> AsFd for Connection<A, B> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl<A, B> fmt::Debug for Connection<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("fd", &self.as_fd()).finish_non_exhaustive()
    }
}

impl<A, B> Serialize for Connection<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.end.travels() {
            return Err(serde::ser::Error::custom(refuse_remote_end()));
        }
        (self.end.fd(), self.max).serialize(serializer)
    }
}

impl<'de, A, B> Deserialize<'de> for Connection<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (fd, max) = <(Fd, u64)>::deserialize(deserializer)?;
        let owned = fd.into_owned();
        owned
            .map(|fd| Self::new(fd, max))
            .map_err(|error| D::Error::custom(format!("the end of a connection cannot be copied: {error}")))
    }
}

/// What a wait that went wrong in the kernel is.
pub(super) fn not_made(cause: std::io::Error) -> Error {
    Error::connection("make a connection", cause)
}
