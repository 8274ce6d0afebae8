//! How to connect to a manager over a network.

use std::time::Duration;

use super::lines::Lines;
use super::remote::Route;
use super::root::Manager;
use crate::channel::{Address, Credentials};
use crate::error::{Error, Result};
use crate::wait::block_on;

/// How long the server may give no sign of life, unless it is set.
const LIMIT: Duration = Duration::from_secs(20);

/// Connects to a [`Manager`] over a network, with options. Made by [`Manager::client`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use multiprocess::{AuthKey, Manager};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let key = AuthKey::generate();
/// let manager = Manager::builder()
///     .address(("127.0.0.1", 0))
///     .authkey(&key)
///     .client_timeout(Duration::from_secs(10))
///     .start()
///     .await?;
/// let address = manager.address().expect("it listens");
///
/// // On another machine, where a call is to fail 5 s after the network was cut:
/// let theirs = Manager::client().server_timeout(Duration::from_secs(5)).connect(address, &key).await?;
/// # drop(theirs);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "it connects to nobody until it is told an address"]
pub struct ManagerClient {
    limit: Duration,
}

impl ManagerClient {
    pub(super) fn new() -> Self {
        Self { limit: LIMIT }
    }

    /// How long the manager may give no sign of life; 20 s unless it is set, and at most three quarters of the manager's own [`client_timeout`](crate::ManagerBuilder::client_timeout). Then every call,
    /// also one that waits, fails with [`Error::Disconnected`], and so does every later one, whatever becomes of the network.
    ///
    /// It is asked four times within that time.
    ///
    /// # Examples
    ///
    /// See [`ManagerClient`].
    pub fn server_timeout(self, limit: Duration) -> Self {
        Self { limit }
    }

    /// Connects, as [`Manager::connect_with`] does.
    ///
    /// # Errors
    ///
    /// As for [`Manager::connect_with`]; [`Error::Option`] for a time of 0.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// See [`ManagerClient`].
    pub async fn connect(
        self,
        address: impl Into<Address>,
        credentials: impl Into<Credentials>,
    ) -> Result<Manager> {
        let (address, credentials) = (address.into(), credentials.into());
        if self.limit.is_zero() {
            return Err(Error::option("server_timeout", "the server would be lost at once"));
        }
        let (route, server) = Route::open(address, credentials, self.limit).await?;
        Ok(Manager::lent(Lines::over(server, route)))
    }

    /// As [`connect`](Self::connect), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiprocess::{AuthKey, Error, Manager};
    ///
    /// let client = Manager::client().server_timeout(Duration::ZERO);
    /// let connected = client.blocking_connect(("127.0.0.1", 1), &AuthKey::generate());
    /// assert!(matches!(connected, Err(Error::Option { option: "server_timeout", .. })));
    /// ```
    pub fn blocking_connect(
        self,
        address: impl Into<Address>,
        credentials: impl Into<Credentials>,
    ) -> Result<Manager> {
        block_on(self.connect(address, credentials))
    }
}
