//! What a sealed connection receives: one message after the other, read up to its end and not a byte further.
//!
//! 1. What was read of a message is kept here, so that whoever comes next goes on with it.
//! 2. Memory is taken as the bytes of a message come, and not as its head says.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use super::cipher::Opener;
use super::record::{Head, KEPT, OPEN};
use crate::error::{Error, Result};
use crate::os;

/// Records that one call reads at most, so that a future gives the thread to others now and then.
const AT_ONCE: usize = 128;

#[derive(Debug)]
pub(super) struct Incoming {
    opener: Opener,
    /// The record at hand; `read` bytes of it have come.
    sealed: Vec<u8>,
    read: usize,
    stage: Stage,
    /// Why nothing more comes.
    ended: Option<Error>,
}

#[derive(Debug)]
enum Stage {
    Head,
    /// So many bytes are to come; those that have come are kept, or not if the message is too large.
    Body {
        left: u64,
        kept: Option<Vec<u8>>,
    },
}

impl Incoming {
    pub(super) fn new(opener: Opener) -> Self {
        Self { opener, sealed: Vec::new(), read: 0, stage: Stage::Head, ended: None }
    }

    /// Takes the next message if all of it has come.
    pub(super) fn take(&mut self, socket: BorrowedFd<'_>, max: u64) -> Result<Option<Vec<u8>>> {
        if let Some(why) = &self.ended {
            return Err(why.clone());
        }
        let taken = self.read_records(socket, max);
        match &taken {
            Ok(_) | Err(Error::MessageTooLarge { .. }) => {}
            Err(why) => self.ended = Some(why.clone()),
        }
        taken
    }

    /// The other side has closed its end, and all is received.
    pub(super) fn is_parted(&self) -> bool {
        matches!(self.ended, Some(Error::Disconnected))
    }

    /// Nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    fn read_records(&mut self, socket: BorrowedFd<'_>, max: u64) -> Result<Option<Vec<u8>>> {
        for _ in 0..AT_ONCE {
            if !self.fill(socket)? {
                return Ok(None);
            }
            if let Some(message) = self.open(max)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Reads on in the record at hand; true if it is there.
    fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        loop {
            let wanted = self.opener.wanted(self.stage.left(), &self.sealed[..self.read])?;
            self.sealed.resize(wanted, 0);
            if self.read == wanted {
                self.read = 0;
                return Ok(true);
            }
            match os::take_some(socket, &mut self.sealed[self.read..]) {
                Ok(0) => return Err(cut()),
                Ok(read) => self.read += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if os::is_gone(&error) => return Err(cut()),
                Err(error) => return Err(Error::connection("receive a message", error)),
            }
        }
    }

    /// Opens the record at hand; the message that ends with it.
    fn open(&mut self, max: u64) -> Result<Option<Vec<u8>>> {
        match &mut self.stage {
            Stage::Head => {
                let mut head = Vec::with_capacity(OPEN);
                // A record may have nothing in it but what the cipher itself has to say.
                if self.opener.open(&self.sealed, &mut head)? > 0 {
                    self.begin(Head::from_bytes(&head), max)?;
                }
            }
            Stage::Body { left, kept } => {
                let mut unwanted = Vec::new();
                let opened = self.opener.open(&self.sealed, kept.as_mut().unwrap_or(&mut unwanted))?;
                *left = left.checked_sub(opened as u64).ok_or_else(another_language)?;
            }
        }
        Ok(self.end())
    }

    fn begin(&mut self, head: Option<Head>, max: u64) -> Result<()> {
        let length = match head {
            Some(Head::Message(length)) => length,
            Some(Head::Parting) => return Err(Error::Disconnected),
            None => return Err(another_language()),
        };
        let fits = length <= max && usize::try_from(length).is_ok();
        self.stage = Stage::Body { left: length, kept: fits.then(Vec::new) };
        if fits { Ok(()) } else { Err(Error::MessageTooLarge { size: length, max }) }
    }

    /// The message, if it has come to its end and is not one that is passed over.
    fn end(&mut self) -> Option<Vec<u8>> {
        let Stage::Body { left: 0, kept } = &mut self.stage else { return None };
        let message = kept.take();
        self.stage = Stage::Head;
        self.sealed.clear();
        self.sealed.shrink_to(KEPT);
        message
    }
}

impl Stage {
    /// Bytes that are to come before the next stage, open.
    fn left(&self) -> u64 {
        match self {
            Self::Head => OPEN as u64,
            Self::Body { left, .. } => *left,
        }
    }
}

fn cut() -> Error {
    damaged(ErrorKind::UnexpectedEof, "it was cut off: the other side has not closed it")
}

fn another_language() -> Error {
    damaged(ErrorKind::InvalidData, "the other side speaks another language")
}

fn damaged(kind: ErrorKind, why: &'static str) -> Error {
    Error::connection("receive a message", io::Error::new(kind, why))
}
