//! By what both sides of a connection know each other.

use serde::{Deserialize, Serialize};

use super::auth_key::AuthKey;
use super::greet::Opening;
use super::handshake::Handshake;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::channel::address::Address;
#[cfg(feature = "tls")]
use crate::error::Error;
use crate::error::Result;

/// By what both sides of a connection over a network know each other: a key that both have, or certificates (`Tls`, with the feature `tls`).
///
/// # Examples
///
/// ```
/// use multiprocess::{AuthKey, Credentials};
///
/// let credentials = Credentials::from(AuthKey::generate());
/// assert!(matches!(credentials, Credentials::Key(_)));
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Credentials {
    /// Both have this key.
    Key(AuthKey),
    /// Each has a certificate, and trusts those of some authorities.
    #[cfg(feature = "tls")]
    Tls(Tls),
}

/// What a builder was told, of which there may be one at most.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) key: Option<AuthKey>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

impl Shown {
    /// What was set of the two.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] if both were: whoever believes that both are checked would be wrong.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unnecessary_wraps, reason = "there is one alone"))]
    pub(crate) fn one(self) -> Result<Option<Credentials>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls {
            let two = "there is a key too: both sides know each other by one of the two";
            return if self.key.is_some() { Err(Error::option("tls", two)) } else { Ok(Some(tls.into())) };
        }
        Ok(self.key.map(Credentials::Key))
    }
}

impl From<Credentials> for Shown {
    fn from(credentials: Credentials) -> Self {
        let mut shown = Self::default();
        match credentials {
            Credentials::Key(key) => shown.key = Some(key),
            #[cfg(feature = "tls")]
            Credentials::Tls(tls) => shown.tls = Some(tls),
        }
        shown
    }
}

impl Credentials {
    /// How a listener begins.
    pub(super) fn listener(&self) -> Result<Opening> {
        match self {
            Self::Key(key) => Ok(Opening::Key(Handshake::listener(key)?, Vec::new())),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.listener().map(Opening::Certificate),
        }
    }

    /// How a client begins that connects to this address.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "a key is of no address"))]
    pub(super) fn client(&self, address: &Address) -> Result<Opening> {
        match self {
            Self::Key(key) => Handshake::client(key).map(|(begun, first)| Opening::Key(begun, first)),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.client(address).map(Opening::Certificate),
        }
    }
}

impl From<AuthKey> for Credentials {
    fn from(key: AuthKey) -> Self {
        Self::Key(key)
    }
}

impl From<&AuthKey> for Credentials {
    fn from(key: &AuthKey) -> Self {
        Self::Key(key.clone())
    }
}

#[cfg(feature = "tls")]
impl From<Tls> for Credentials {
    fn from(tls: Tls) -> Self {
        Self::Tls(tls)
    }
}

#[cfg(feature = "tls")]
impl From<&Tls> for Credentials {
    fn from(tls: &Tls) -> Self {
        Self::Tls(tls.clone())
    }
}

impl From<&Self> for Credentials {
    fn from(credentials: &Self) -> Self {
        credentials.clone()
    }
}
