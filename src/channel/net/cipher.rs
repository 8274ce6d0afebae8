//! Sealing and opening the records of a connection, whichever way both sides know each other.
//!
//! A record stands alone: how long it is follows from what came before, or from its own first bytes, so that nothing is read beyond it. None may be left out,
//! repeated, exchanged or changed.

use std::io::{self, ErrorKind};

use super::{noise, tls};
use crate::error::{Error, Result};

/// The direction in which this side sends.
#[derive(Debug)]
pub(super) enum Sealer {
    Key(noise::Sealer),
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no such value"))]
    Certificate(tls::Sealer),
}

/// The direction in which it receives.
#[derive(Debug)]
pub(super) enum Opener {
    Key(noise::Opener),
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no such value"))]
    Certificate(tls::Opener),
}

/// What messages are sealed and opened with.
#[derive(Debug)]
pub(super) struct Ciphers {
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

impl Sealer {
    /// Bytes that one record takes.
    pub(super) fn most(&self) -> usize {
        match self {
            Self::Key(_) => noise::MOST_OPEN,
            Self::Certificate(_) => tls::MOST_OPEN,
        }
    }

    /// Appends the record of these bytes, of which there are at most `most`.
    pub(super) fn seal(&mut self, open: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Key(sealer) => sealer.seal(open, out),
            Self::Certificate(sealer) => sealer.seal(open, out),
        }
    }

    /// The number of the next record, where records can be taken back that have not left this process.
    pub(super) fn next(&self) -> Option<u64> {
        match self {
            Self::Key(sealer) => Some(sealer.next()),
            Self::Certificate(_) => None,
        }
    }

    /// Goes back to a number; nothing of what was sealed since then has left this process.
    pub(super) fn take_back(&mut self, next: u64) {
        if let Self::Key(sealer) = self {
            sealer.take_back(next);
        }
    }
}

impl Opener {
    /// Bytes of the record at hand, as far as can be said by those of it that have come; `open` bytes are to stand in it.
    pub(super) fn wanted(&self, open: u64, come: &[u8]) -> Result<usize> {
        match self {
            Self::Key(_) => Ok(noise::wanted(open)),
            Self::Certificate(_) => tls::wanted(come),
        }
    }

    /// Appends what stands in a record; the number of its bytes, of which there may be fewer than are to come, and none.
    pub(super) fn open(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        match self {
            Self::Key(opener) => opener.open(sealed, out),
            Self::Certificate(opener) => opener.open(sealed, out),
        }
    }
}

/// What came is not what was sent.
pub(super) fn damaged(how: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::connection("open a message", io::Error::new(ErrorKind::InvalidData, how))
}
