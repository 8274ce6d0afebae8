//! How a listener is made.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::end::End;
use super::listener::Listener;
#[cfg(feature = "net")]
use super::net::AuthKey;
use super::net::{Credentials, Doorman, HANDSHAKE, Shown, Terms};
use super::place::Place;
use crate::error::{Error, Result};
use crate::os::{self, Carries};
use crate::wire::DEFAULT_MAX;

/// How to listen. Made by [`Listener::builder`].
///
/// # Examples
///
/// See [`Listener::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does not listen until it is bound"]
pub struct ListenerBuilder {
    max: u64,
    shown: Shown,
    handshake: Duration,
}

impl Default for ListenerBuilder {
    fn default() -> Self {
        Self { max: DEFAULT_MAX as u64, shown: Shown::default(), handshake: HANDSHAKE }
    }
}

impl ListenerBuilder {
    /// Bytes that a message of the connections may have, as [`Connection::max_frame`](crate::Connection::max_frame) says; 1 GiB unless it is set.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Client, Connection, Error, Listener};
    ///
    /// let path = std::env::temp_dir().join(format!("example-of-frames-{}", std::process::id()));
    /// let listener = Listener::builder().max_frame(4).bind(&path)?;
    /// let theirs: Connection<String, u32> = Client::blocking_connect(&path)?;
    /// theirs.blocking_send(&"too long".to_owned())?;
    /// let ours: Connection<u32, String> = listener.blocking_accept()?;
    /// assert!(matches!(ours.blocking_recv(), Err(Error::MessageTooLarge { size: 9, max: 4 })));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn max_frame(self, bytes: u64) -> Self {
        Self { max: bytes, ..self }
    }

    /// What whoever connects has to know, and this listener shows that it knows too. Whatever is sent is sealed. The key vouches for those who connect, of whichever user and
    /// machine they are. Python: `authkey`.
    ///
    /// Handshakes go on in the background, side by side, whether or not somebody waits in [`accept`](Listener::accept). Up to 128 who have shown that they know the key wait there; whoever
    /// comes then is greeted when there is room.
    ///
    /// # Examples
    ///
    /// See [`Listener::builder`].
    #[cfg(feature = "net")]
    pub fn authkey(mut self, key: AuthKey) -> Self {
        self.shown.key = Some(key);
        self
    }

    /// The certificate of this listener, and whose certificates it takes, in place of a key: whoever connects has to show one. All that is said of a key holds for them.
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
    /// See [`ClientBuilder::credentials`](crate::ClientBuilder::credentials).
    #[cfg(feature = "net")]
    pub fn credentials(self, credentials: impl Into<Credentials>) -> Self {
        self.shown(Some(credentials.into()))
    }

    pub(crate) fn shown(self, credentials: Option<Credentials>) -> Self {
        Self { shown: credentials.map(Shown::from).unwrap_or_default(), ..self }
    }

    /// Time that whoever connects has to show that it knows the key; 5 s unless it is set. At most 64 are given that time at once, and for one more the one that
    /// came first is given up.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpStream;
    /// use std::time::Duration;
    /// use multiprocess::{Address, AuthKey, Error, Listener};
    ///
    /// let limit = Duration::from_millis(20);
    /// let listener = Listener::builder().authkey(AuthKey::generate()).handshake_timeout(limit).bind(("127.0.0.1", 0))?;
    /// let Address::Tcp { host, port } = listener.address() else { panic!("it listens on a port") };
    /// let _silent = TcpStream::connect((host.as_str(), *port)).unwrap();
    /// assert!(matches!(listener.blocking_accept::<u32, u32>(), Err(Error::Authentication { .. })));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[cfg(feature = "net")]
    pub fn handshake_timeout(self, limit: Duration) -> Self {
        Self { handshake: limit, ..self }
    }

    /// Listens there. The name of a host is looked up, for which this thread waits.
    ///
    /// # Errors
    ///
    /// As for [`Listener::bind`], [`Error::Option`] if there are both a key and certificates, and [`Error::Connection`] if the port is taken, if the host is none of this machine's, or if the crate's thread for those who connect
    /// cannot be started; with a key [`Error::Forked`] in a child by `fork` of a process that has used this crate.
    ///
    /// # Examples
    ///
    /// See [`Listener::builder`].
    pub fn bind(self, address: impl Into<Address>) -> Result<Listener> {
        let Self { max, shown, handshake } = self;
        let plan = Plan { max, credentials: shown.one()?, handshake };
        match address.into() {
            Address::Unix(path) => plan.listen_at(path),
            #[cfg(feature = "net")]
            Address::Tcp { host, port } => plan.listen_on(&host, port),
        }
    }

    /// Listens at an address that nobody else has.
    pub(super) fn bind_anywhere(self) -> Result<Listener> {
        let Self { max, shown, handshake } = self;
        let plan = Plan { max, credentials: shown.one()?, handshake };
        let place = Place::of_nobody_else().map_err(not_listening)?;
        let socket = os::listen_at(place.path(), plan.carries()).map_err(not_listening)?;
        plan.open(socket, place)
    }
}

/// What was built.
struct Plan {
    max: u64,
    credentials: Option<Credentials>,
    handshake: Duration,
}

impl Plan {
    fn listen_at(self, path: PathBuf) -> Result<Listener> {
        let socket = os::listen_at(&path, self.carries()).map_err(not_listening)?;
        // It is ours only now.
        self.open(socket, Place::of(path))
    }

    fn open(self, socket: OwnedFd, place: Place) -> Result<Listener> {
        let address = Address::Unix(place.path().to_owned());
        let Some(credentials) = self.credentials else {
            return Ok(Listener::without_key(End::new(socket), self.max, address, place));
        };
        let doorman = Doorman::hire(socket, Terms { credentials, limit: self.handshake, is_remote: false })?;
        Listener::with_key(doorman, self.max, address, Some(place))
    }

    #[cfg(feature = "net")]
    fn listen_on(self, host: &str, port: u16) -> Result<Listener> {
        let exposed = "a listener on a network needs one, or certificates: without them anybody could connect and have decoded what they send";
        let credentials = self.credentials.ok_or_else(|| Error::option("authkey", exposed))?;
        let (socket, local) = os::listen_on(host, port).map_err(not_listening)?;
        let doorman = Doorman::hire(socket, Terms { credentials, limit: self.handshake, is_remote: true })?;
        Listener::with_key(doorman, self.max, local.into(), None)
    }

    /// What is sealed are bytes.
    fn carries(&self) -> Carries {
        if self.credentials.is_some() { Carries::Bytes } else { Carries::Datagrams }
    }
}

fn not_listening(cause: io::Error) -> Error {
    Error::connection("listen", cause)
}
