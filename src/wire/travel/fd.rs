//! A descriptor that travels: what every handle is made of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{arriving, collecting};

/// A descriptor, shared by the value that holds it and the calls that carry it.
#[derive(Debug, Clone)]
pub(crate) struct Fd(Arc<OwnedFd>);

impl Fd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }

    /// A share in it, for whoever needs it open.
    pub(crate) fn share(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.0)
    }

    /// The descriptor for its only user, or a copy if there are others: on threads it travels without being sent.
    pub(crate) fn into_owned(self) -> io::Result<OwnedFd> {
        Arc::try_unwrap(self.0).or_else(|shared| shared.try_clone())
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Serialize for Fd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = collecting::put(|| Ok(self.clone())).map_err(S::Error::custom)?;
        serializer.serialize_u8(place)
    }
}

impl<'de> Deserialize<'de> for Fd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        arriving::take(u8::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
