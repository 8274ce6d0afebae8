//! Connections between processes of which neither has started the other: one listens at an address, others connect to it.

use std::fs::{DirBuilder, remove_dir, remove_file};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::end::End;
use crate::error::{Error, Result};
use crate::os::{self, Wanted};
use crate::wait::until;

/// How long a client waits where too many wait already; the kernel tells nobody when there is room.
const AGAIN: Duration = Duration::from_millis(2);

/// Listens at an address of the file system, where processes of the same user can connect, whoever has started them.
/// Python: `multiprocessing.connection.Listener`, family `AF_UNIX`.
///
/// The kernel says which user a process belongs to; one of another user is never accepted, and nothing that it sends is ever looked at. So there is no key. What
/// goes over the connections that it accepts, handles too, is as for those of [`pipe`](crate::pipe()). Both sides have to agree on the types; what does not
/// fit is an error of whoever receives it.
///
/// Dropping it removes its address. Connections that were accepted stay.
///
/// # Examples
///
/// ```
/// use std::path::PathBuf;
/// use multiprocess::{Client, Connection, Listener, Process};
///
/// fn ask(address: PathBuf) -> multiprocess::Result<String> {
///     let connection: Connection<u32, String> = Client::blocking_connect(address)?;
///     connection.blocking_send(&3)?;
///     connection.blocking_recv()
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = Listener::new()?;
/// let process = Process::spawn(|address| ask(address).ok(), (listener.address().to_owned(),))?;
/// let connection: Connection<String, u32> = listener.accept().await?;
/// let times = connection.recv().await?;
/// connection.send(&"hello ".repeat(times as usize)).await?;
/// assert_eq!(process.join().await?.as_deref(), Some("hello hello hello "));
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: End,
    address: Address,
}

/// What is removed with the listener, by the process that has made it and by no copy of that.
#[derive(Debug)]
struct Address {
    path: PathBuf,
    /// The directory that was made for it alone.
    directory: Option<PathBuf>,
    maker: u32,
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
        let random = u128::from_ne_bytes(os::random().map_err(not_listening)?);
        let directory = std::env::temp_dir().join(format!("multiprocess-{random:032x}"));
        DirBuilder::new().mode(0o700).create(&directory).map_err(not_listening)?;
        let path = directory.join("listener");
        let address = Address { path, directory: Some(directory), maker: std::process::id() };
        Self::at(address)
    }

    /// Listens at this path, which must not be there yet. Who may reach it is up to its directory; who may connect is not: processes of this user.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if there is something at this path, if it is longer than 107 bytes, or if its directory cannot be written to. A listener that was
    /// killed leaves its path behind.
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
    pub fn bind(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let socket = os::listen_at(&path).map_err(not_listening)?;
        let address = Address { path, directory: None, maker: std::process::id() };
        Ok(Self { socket: End::new(socket), address })
    }

    fn at(address: Address) -> Result<Self> {
        let socket = os::listen_at(&address.path).map_err(not_listening)?;
        Ok(Self { socket: End::new(socket), address })
    }

    /// Where it listens. Python: `address`.
    ///
    /// # Examples
    ///
    /// See [`Listener`].
    #[must_use]
    pub fn address(&self) -> &Path {
        &self.address.path
    }

    /// Waits for the next process that connects. What it has sent meanwhile is there, even if it has left. Python: `accept`.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if the operating system refuses: there are no descriptors left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection is taken only by a future that gives it.
    ///
    /// # Examples
    ///
    /// See [`Listener`].
    pub async fn accept<A, B>(&self) -> Result<Connection<A, B>> {
        self.socket.when_readable(|| self.try_accept()).await
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
            self.socket.wait_here(Wanted::Input, None)?;
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
        loop {
            match os::accept(self.socket.as_fd()) {
                Ok(socket) if os::is_of_our_user(&socket) => {
                    return Ok(Some(Connection::with_defaults(socket)));
                }
                // Closed at once: a stranger gets no answer, and keeps nobody else waiting.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Error::connection("accept a connection", error)),
            }
        }
    }
}

/// For [`wait`](crate::wait()): it is ready when somebody has connected.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        if self.maker != std::process::id() {
            return;
        }
        // Somebody may have removed them already, which is as good.
        let _gone = remove_file(&self.path);
        if let Some(directory) = &self.directory {
            let _gone = remove_dir(directory);
        }
    }
}

/// Connects to a [`Listener`]. Python: `multiprocessing.connection.Client`.
///
/// # Examples
///
/// See [`Listener`].
#[derive(Debug)]
pub enum Client {}

impl Client {
    /// Connects to the listener at this address. It does not wait to be accepted, and may send at once.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if nobody listens there, or a process of another user.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Client, Connection, Listener};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let listener = Listener::new()?;
    /// let theirs: Connection<u32, u32> = Client::connect(listener.address()).await?;
    /// theirs.send(&7).await?;
    /// let ours: Connection<u32, u32> = listener.accept().await?;
    /// assert_eq!(ours.recv().await?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn connect<A, B>(address: impl AsRef<Path>) -> Result<Connection<A, B>> {
        let path = address.as_ref().to_owned();
        drop(address);
        loop {
            match os::connect_to(&path, false) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    super::wait::clock()?;
                    until(Some(Instant::now() + AGAIN)).await;
                }
                connected => return accepted_by_us(connected),
            }
        }
    }

    /// As [`connect`](Self::connect), for code outside async: blocks this thread where too many wait already.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// See [`Listener`].
    pub fn blocking_connect<A, B>(address: impl AsRef<Path>) -> Result<Connection<A, B>> {
        accepted_by_us(os::connect_to(address.as_ref(), true))
    }
}

/// Whoever listens has to be of our user too: a path may have changed hands.
fn accepted_by_us<A, B>(connected: io::Result<OwnedFd>) -> Result<Connection<A, B>> {
    let socket = connected.map_err(not_connected)?;
    if os::is_of_our_user(&socket) {
        Ok(Connection::with_defaults(socket))
    } else {
        let stranger = "a process of another user listens there";
        Err(not_connected(io::Error::new(ErrorKind::PermissionDenied, stranger)))
    }
}

fn not_listening(cause: io::Error) -> Error {
    Error::connection("listen", cause)
}

fn not_connected(cause: io::Error) -> Error {
    Error::connection("connect", cause)
}
