//! Without the feature `net` there are no keys and no certificates, and so nothing of what needs one: types that have no values.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::end::End;
use crate::error::Result;

/// Nobody waits for a handshake.
pub(super) const HANDSHAKE: Duration = Duration::ZERO;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Credentials {}

#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Option<Credentials>);

#[derive(Debug, Clone)]
pub(super) struct Remote(Infallible);

#[derive(Debug)]
pub(super) struct Note(Infallible);

#[derive(Debug)]
pub(super) struct Doorman(Infallible);

pub(super) struct Terms {
    pub(super) credentials: Credentials,
    #[expect(dead_code, reason = "it is read with the feature `net`")]
    pub(super) limit: Duration,
    #[expect(dead_code, reason = "it is read with the feature `net`")]
    pub(super) is_remote: bool,
}

pub(super) async fn dial(_address: Address, credentials: &Credentials, _limit: Duration) -> Result<End> {
    match *credentials {}
}

impl Shown {
    #[expect(clippy::unnecessary_wraps, reason = "with the feature `net` there may be too many")]
    pub(crate) fn one(self) -> Result<Option<Credentials>> {
        Ok(self.0)
    }
}

impl From<Credentials> for Shown {
    fn from(credentials: Credentials) -> Self {
        Self(Some(credentials))
    }
}

impl Remote {
    pub(super) fn take(&self, _max: u64) -> Result<Option<Vec<u8>>> {
        match self.0 {}
    }

    pub(super) fn has_ended(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn write<T: Serialize + 'static>(&self, _value: &T, _max: u64) -> Result<Note> {
        match self.0 {}
    }

    pub(super) fn write_bytes(&self, _bytes: &[u8], _max: u64) -> Result<Note> {
        match self.0 {}
    }
}

impl Note {
    pub(super) fn push(&self) -> Result<bool> {
        match self.0 {}
    }

    pub(super) fn is_begun(&self) -> bool {
        match self.0 {}
    }
}

impl Doorman {
    pub(super) fn hire(_socket: OwnedFd, terms: Terms) -> Result<Self> {
        match terms.credentials {}
    }

    pub(super) fn bell(&self) -> Result<End> {
        match self.0 {}
    }

    pub(super) fn try_accept(&self) -> Result<Option<End>> {
        match self.0 {}
    }
}
