//! Connecting to a listener.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::address::Address;
use super::connection::Connection;
use super::end::End;
#[cfg(feature = "net")]
use super::net::{AuthKey, Credentials};
use super::net::{HANDSHAKE, Shown, dial};
use crate::error::{Error, Result};
use crate::os::{self, Carries};
use crate::wait::block_on;
use crate::wait::until;
use crate::wire::DEFAULT_MAX;

/// How long a client waits where too many wait already; the kernel tells nobody when there is room.
pub(super) const AGAIN: Duration = Duration::from_millis(2);

/// Connects to a [`Listener`](crate::Listener). Python: `multiprocessing.connection.Client`.
///
/// # Examples
///
/// See [`Listener`](crate::Listener).
#[derive(Debug)]
pub enum Client {}

impl Client {
    /// Connects to the listener at this path. It does not wait to be accepted, and may send at once. Where a key is needed, there is [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if nobody listens there, or a process of another user. [`Error::Option`] if it is an address of a network: who listens there wants a key.
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
    pub async fn connect<A, B>(address: impl Into<Address>) -> Result<Connection<A, B>> {
        let address = address.into();
        Self::builder().connect(address).await
    }

    /// As [`connect`](Self::connect), for code outside async: blocks this thread where too many wait already.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// See [`Listener`](crate::Listener).
    pub fn blocking_connect<A, B>(address: impl Into<Address>) -> Result<Connection<A, B>> {
        Self::builder().blocking_connect(address)
    }

    /// A client with options: a key, which is needed where the listener has one.
    ///
    /// # Examples
    ///
    /// See [`ClientBuilder`].
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

/// How to connect to a [`Listener`](crate::Listener). Made by [`Client::builder`].
///
/// # Examples
///
/// ```
/// use multiprocess::{Client, Connection, Error, Listener};
///
/// let listener = Listener::new()?;
/// let theirs: Connection<String, u32> = Client::builder().max_frame(100).blocking_connect(listener.address())?;
/// let error = theirs.blocking_send(&"x".repeat(100)).unwrap_err();
/// assert!(matches!(error, Error::MessageTooLarge { size: 101, max: 100 }));
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder connects to nobody until it is told an address"]
pub struct ClientBuilder {
    max: u64,
    shown: Shown,
    handshake: Duration,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self { max: DEFAULT_MAX as u64, shown: Shown::default(), handshake: HANDSHAKE }
    }
}

impl ClientBuilder {
    /// Bytes that a message may have, as [`Connection::max_frame`] says; 1 GiB unless it is set.
    ///
    /// # Examples
    ///
    /// See [`ClientBuilder`].
    pub fn max_frame(self, bytes: u64) -> Self {
        Self { max: bytes, ..self }
    }

    /// The key that the listener has. Both sides show each other that they know it, and whatever is sent is sealed. Python: `authkey`.
    ///
    /// # Examples
    ///
    /// See [`Listener::builder`](crate::Listener::builder).
    #[cfg(feature = "net")]
    pub fn authkey(mut self, key: AuthKey) -> Self {
        self.shown.key = Some(key);
        self
    }

    /// The certificate of this client, and whose certificate it takes, in place of a key. The listener's has to be for the name of the host that is connected to, or for the one that
    /// [`Tls::server_name`](crate::Tls::server_name) says.
    ///
    /// # Examples
    ///
    /// See [`Tls`](crate::Tls).
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: super::net::Tls) -> Self {
        self.shown.tls = Some(tls);
        self
    }

    /// A key or certificates, in place of what was set before.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Address, AuthKey, Client, Connection, Credentials, Listener, Process};
    ///
    /// fn answer(address: Address, credentials: Credentials) -> multiprocess::Result<()> {
    ///     let connection: Connection<u32, u32> = Client::builder().credentials(credentials).blocking_connect(address)?;
    ///     connection.blocking_send(&42)
    /// }
    ///
    /// let credentials = Credentials::from(AuthKey::generate());
    /// let listener = Listener::builder().credentials(credentials.clone()).bind(("127.0.0.1", 0))?;
    /// let arguments = (listener.address().clone(), credentials);
    /// let process = Process::spawn(|address, credentials| answer(address, credentials).is_ok(), arguments)?;
    /// let connection: Connection<u32, u32> = listener.blocking_accept()?;
    /// assert_eq!(connection.blocking_recv()?, 42);
    /// assert!(process.blocking_join()?);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[cfg(feature = "net")]
    pub fn credentials(self, credentials: impl Into<Credentials>) -> Self {
        Self { shown: credentials.into().into(), ..self }
    }

    /// Time that the handshake may take once there is a connection; 5 s unless it is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiprocess::{AuthKey, Client, Connection, Error};
    ///
    /// // It takes connections and says nothing.
    /// let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// let client = Client::builder().authkey(AuthKey::generate()).handshake_timeout(Duration::from_millis(20));
    /// let connected: Result<Connection<u32, u32>, Error> = client.blocking_connect(silent.local_addr().unwrap());
    /// assert!(matches!(connected, Err(Error::Authentication { .. })));
    /// ```
    #[cfg(feature = "net")]
    pub fn handshake_timeout(self, limit: Duration) -> Self {
        Self { handshake: limit, ..self }
    }

    /// Connects. Without a key it does not wait to be accepted; with one, it waits until both sides have shown that they know it, which no `accept` is needed for. How long
    /// a machine that does not answer at all is tried, the operating system decides.
    ///
    /// # Errors
    ///
    /// As for [`Client::connect`]. [`Error::Option`] if there are both a key and certificates, or if it is not known which name the listener's certificate is to have. With a key or certificates: `Error::Authentication` if the listener has another one or none, speaks another version, or does not answer in time;
    /// [`Error::Connection`] if nobody can be reached at this address, and [`Error::Forked`] in a child by `fork` of a process that has used this crate.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped leaves no connection.
    ///
    /// # Examples
    ///
    /// See [`ClientBuilder`].
    pub async fn connect<A, B>(self, address: impl Into<Address>) -> Result<Connection<A, B>> {
        let address = address.into();
        let end = match self.shown.one()? {
            Some(credentials) => dial(address, &credentials, self.handshake).await?,
            None => reach_path(path_of(&address)?).await?,
        };
        Ok(Connection::of(end, self.max))
    }

    /// As [`connect`](Self::connect), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// See [`ClientBuilder`].
    pub fn blocking_connect<A, B>(self, address: impl Into<Address>) -> Result<Connection<A, B>> {
        let address = address.into();
        let end = match self.shown.one()? {
            Some(credentials) => block_on(dial(address, &credentials, self.handshake))?,
            None => accepted_by_us(os::connect_to(path_of(&address)?, Carries::Datagrams, true))?,
        };
        Ok(Connection::of(end, self.max))
    }
}

async fn reach_path(path: &Path) -> Result<End> {
    loop {
        match os::connect_to(path, Carries::Datagrams, false) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                super::wait::clock()?;
                until(Some(Instant::now() + AGAIN)).await;
            }
            connected => return accepted_by_us(connected),
        }
    }
}

/// What can be reached without a key.
fn path_of(address: &Address) -> Result<&Path> {
    let unsafe_without = "a connection over a network needs one, or certificates: without them anybody could listen there, and read what is sent";
    address.path().ok_or_else(|| Error::option("authkey", unsafe_without))
}

/// Whoever listens has to be of our user too: a path may have changed hands.
fn accepted_by_us(connected: io::Result<OwnedFd>) -> Result<End> {
    let socket = connected.map_err(not_connected)?;
    if os::is_of_our_user(&socket) {
        Ok(End::new(socket))
    } else {
        let stranger = "a process of another user listens there";
        Err(not_connected(io::Error::new(ErrorKind::PermissionDenied, stranger)))
    }
}

pub(super) fn not_connected(cause: io::Error) -> Error {
    Error::connection("connect", cause)
}
