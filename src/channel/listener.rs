//! Connections between processes of which neither has started the other: one listens at an address, others connect to it.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};

use super::address::Address;
use super::connection::Connection;
use super::end::End;
use super::listener_builder::ListenerBuilder;
use super::net::Doorman;
use super::place::Place;
use crate::error::{Error, Result};
use crate::os::{self, Wanted};

/// Listens at an address, where others can connect, whoever has started them: at a path, processes of the same user, and with a key
/// whoever knows it. Python: `multiprocessing.connection.Listener`.
///
/// Without a key, the kernel says which user a process belongs to; one of another user is never accepted, and nothing that it sends is ever looked at. What
/// goes over the connections that are accepted, handles too, is as for those of [`pipe`](crate::pipe()). Both sides have to agree on the types; what does not
/// fit is an error of whoever receives it.
///
/// With a key, which needs the feature `net` and [`builder`](Self::builder), it may listen on a port too, and nobody who does not know the key can connect, read or change
/// anything. See [`Connection`](crate::Connection#with-a-key) for what differs then.
///
/// Dropping it removes its address. Connections that were accepted stay.
///
/// # Examples
///
/// ```
/// use multiprocess::{Address, Client, Connection, Listener, Process};
///
/// fn ask(address: Address) -> multiprocess::Result<String> {
///     let connection: Connection<u32, String> = Client::blocking_connect(address)?;
///     connection.blocking_send(&3)?;
///     connection.blocking_recv()
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = Listener::new()?;
/// let process = Process::spawn(|address| ask(address).ok(), (listener.address().clone(),))?;
/// let connection: Connection<String, u32> = listener.accept().await?;
/// let times = connection.recv().await?;
/// connection.send(&"hello ".repeat(times as usize)).await?;
/// assert_eq!(process.join().await?.as_deref(), Some("hello hello hello "));
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Listener {
    /// What can be read when somebody can be accepted: the socket, or the doorman's bell.
    door: End,
    max: u64,
    doorman: Option<Doorman>,
    address: Address,
    _place: Option<Place>,
}

impl Listener {
    /// Listens at an address that nobody else has: in a directory of its own below that for temporary files, which only this user can open.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if that cannot be made.
    ///
    /// # Examples
    ///
    /// See [`Listener`].
    pub fn new() -> Result<Self> {
        Self::builder().bind_anywhere()
    }

    /// Listens at this path, which must not be there yet. Who may reach it is up to its directory; who may connect is not: processes of this user. Where a key is
    /// wanted, there is [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if there is something at this path, if it is longer than 107 bytes, or if its directory cannot be written to. A listener that was
    /// killed leaves its path behind. [`Error::Option`] if it is an address of a network: that needs a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Client, Connection, Listener};
    ///
    /// let path = std::env::temp_dir().join(format!("example-{}", std::process::id()));
    /// let listener = Listener::bind(&path)?;
    /// let theirs: Connection<u32, u32> = Client::blocking_connect(&path)?;
    /// let ours: Connection<u32, u32> = listener.blocking_accept()?;
    /// theirs.blocking_send(&7)?;
    /// assert_eq!(ours.blocking_recv()?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn bind(address: impl Into<Address>) -> Result<Self> {
        Self::builder().bind(address)
    }

    /// A listener with options: a key, by which it may listen on a port.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "net")] {
    /// use multiprocess::{AuthKey, Client, Connection, Listener};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let key = AuthKey::generate();
    /// let listener = Listener::builder().authkey(key.clone()).bind(("localhost", 0))?;
    ///
    /// // In a program on another machine, which was told the address and the key:
    /// let address = listener.address();
    /// let theirs: Connection<u32, String> = Client::builder().authkey(key).connect(address).await?;
    ///
    /// let ours: Connection<String, u32> = listener.accept().await?;
    /// theirs.send(&3).await?;
    /// let times = ours.recv().await?;
    /// ours.send(&"hello ".repeat(times as usize)).await?;
    /// assert_eq!(theirs.recv().await?, "hello hello hello ");
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// # }
    /// ```
    pub fn builder() -> ListenerBuilder {
        ListenerBuilder::default()
    }

    pub(super) fn without_key(socket: End, max: u64, address: Address, place: Place) -> Self {
        Self { door: socket, max, doorman: None, address, _place: Some(place) }
    }

    pub(super) fn with_key(
        doorman: Doorman,
        max: u64,
        address: Address,
        place: Option<Place>,
    ) -> Result<Self> {
        Ok(Self { door: doorman.bell()?, max, doorman: Some(doorman), address, _place: place })
    }

    /// Where it listens; on a port, with the true one and not 0. Python: `address`.
    ///
    /// # Examples
    ///
    /// See [`Listener`].
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits for the next process that connects. What it has sent meanwhile is there, even if it has left. Python: `accept`.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if the operating system refuses: there are no descriptors left.
    ///
    /// With a key, `Error::Authentication` if somebody has connected and not shown that they know it. That says nothing of those who come next: a server goes on. Whoever
    /// knows the key is told of first, and of those who do not only the last, so that a flood of them holds up nobody.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection is taken only by a future that gives it.
    ///
    /// # Examples
    ///
    /// See [`Listener`].
    pub async fn accept<A, B>(&self) -> Result<Connection<A, B>> {
        self.door.when_readable(|| self.try_accept()).await
    }

    /// As [`accept`](Self::accept), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// See [`bind`](Self::bind).
    pub fn blocking_accept<A, B>(&self) -> Result<Connection<A, B>> {
        loop {
            if let Some(connection) = self.try_accept()? {
                return Ok(connection);
            }
            self.door.wait_here(Wanted::Input, None)?;
        }
    }

    /// As [`accept`](Self::accept), if somebody has connected: `None` if nobody has.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// let listener = multiprocess::Listener::new()?;
    /// assert!(listener.try_accept::<u32, u32>()?.is_none());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn try_accept<A, B>(&self) -> Result<Option<Connection<A, B>>> {
        if let Some(doorman) = &self.doorman {
            return Ok(doorman.try_accept()?.map(|end| Connection::of(end, self.max)));
        }
        loop {
            match os::accept(self.door.as_fd()) {
                Ok(socket) if os::is_of_our_user(&socket) => {
                    return Ok(Some(Connection::new(socket, self.max)));
                }
                // Closed at once: a stranger gets no answer, and keeps nobody else waiting.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Error::connection("accept a connection", error)),
            }
        }
    }
}

/// For [`wait`](crate::wait()): it is ready when somebody can be accepted, with a key also when somebody has failed.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }
}
