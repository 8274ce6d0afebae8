//! What a sealed connection sends: one message after the other, each cut into records that are written as there is room.
//!
//! 1. A message of which a byte has been written is written whole, by whoever comes next: what follows it could not be opened otherwise.
//! 2. One of which nothing was written is not begun, and leaves no trace. Where records cannot be taken back, none is sealed before there is room.

use std::io::ErrorKind;
use std::os::fd::BorrowedFd;

use bytes::Bytes;

use super::cipher::Sealer;
use super::record::Head;
use crate::error::{Error, Result};
use crate::os::{self, Wanted};

/// Records that one call writes at most, so that a future gives the thread to others now and then.
const AT_ONCE: usize = 4;

#[derive(Debug)]
pub(super) struct Outgoing {
    sealer: Sealer,
    /// Sealed bytes, written up to `written`.
    sealed: Vec<u8>,
    written: usize,
    /// What is not sealed so far of the message at hand.
    rest: Bytes,
    /// Messages that were begun, and those of them that are written whole.
    begun: u64,
    done: u64,
    parting: Parting,
    /// Why nothing more can be sent.
    ended: Option<Error>,
}

/// The last record says that nothing follows on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    Unwanted,
    Wanted,
    Sealed,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is written whole.
    Whole,
    /// It is begun, with this number, and not written whole so far.
    Begun(u64),
    /// There is no room for any of it.
    NoRoom,
}

impl Outgoing {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            sealed: Vec::new(),
            written: 0,
            rest: Bytes::new(),
            begun: 0,
            done: 0,
            parting: Parting::Unwanted,
            ended: None,
        }
    }

    /// Begins a message as soon as all before it are written, and writes what there is room for.
    pub(super) fn begin(&mut self, socket: BorrowedFd<'_>, message: &Bytes) -> Result<Pushed> {
        if !self.flush(socket)? {
            return Ok(Pushed::NoRoom);
        }
        let next = self.sealer.next();
        if next.is_none() && !has_room(socket)? {
            return Ok(Pushed::NoRoom);
        }
        self.seal_first(message)?;
        let first = self.sealer.next();
        self.begun += 1;
        if self.flush(socket)? {
            return Ok(Pushed::Whole);
        }
        match next {
            Some(next) if self.written == 0 && self.sealer.next() == first => {
                self.take_back(next);
                Ok(Pushed::NoRoom)
            }
            _ => Ok(Pushed::Begun(self.begun)),
        }
    }

    /// Goes on with the message of this number.
    pub(super) fn go_on(&mut self, socket: BorrowedFd<'_>, number: u64) -> Result<Pushed> {
        let flushed = if self.done < number { self.flush(socket).map(drop) } else { Ok(()) };
        if self.is_done(number) {
            return Ok(Pushed::Whole);
        }
        flushed.map(|()| Pushed::Begun(number))
    }

    pub(super) fn is_done(&self, number: u64) -> bool {
        self.done >= number
    }

    /// Says, behind what was begun, that nothing follows.
    pub(super) fn part(&mut self) {
        if self.parting == Parting::Unwanted {
            self.parting = Parting::Wanted;
        }
    }

    /// All is said and written.
    pub(super) fn has_parted(&self) -> bool {
        self.parting == Parting::Sealed
    }

    /// The other side takes nothing more.
    pub(super) fn end(&mut self, why: Error) {
        self.ended.get_or_insert(why);
    }

    /// Writes what there is room for; true if that was all.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        if let Some(why) = &self.ended {
            return Err(why.clone());
        }
        let flushed = self.write_records(socket);
        if let Err(why) = &flushed {
            self.end(why.clone());
        }
        flushed
    }

    fn write_records(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        for _ in 0..AT_ONCE {
            if !self.write(socket)? {
                return Ok(false);
            }
            if !self.seal_next()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes what is sealed; false if there is no room for all of it.
    fn write(&mut self, socket: BorrowedFd<'_>) -> Result<bool> {
        while self.written < self.sealed.len() {
            match os::send_some(socket, &self.sealed[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if os::is_gone(&error) => return Err(Error::Disconnected),
                Err(error) => return Err(Error::connection("send a message", error)),
            }
        }
        self.sealed.clear();
        self.written = 0;
        Ok(true)
    }

    /// Seals the next record, once those before it are written; false if there is none.
    fn seal_next(&mut self) -> Result<bool> {
        if !self.rest.is_empty() {
            self.seal_part()?;
            return Ok(true);
        }
        self.done = self.begun;
        // What large messages took is given back.
        self.sealed.shrink_to(super::record::KEPT);
        if self.parting == Parting::Wanted {
            self.parting = Parting::Sealed;
            self.sealer.seal(&Head::Parting.to_bytes(), &mut self.sealed)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The head and the first part, which go together.
    fn seal_first(&mut self, message: &Bytes) -> Result<()> {
        self.rest = message.clone();
        self.sealer.seal(&Head::Message(message.len() as u64).to_bytes(), &mut self.sealed)?;
        if self.rest.is_empty() { Ok(()) } else { self.seal_part() }
    }

    fn seal_part(&mut self) -> Result<()> {
        let part = self.rest.split_to(self.rest.len().min(self.sealer.most()));
        self.sealer.seal(&part, &mut self.sealed)
    }

    fn take_back(&mut self, next: u64) {
        self.sealer.take_back(next);
        self.sealed.clear();
        self.rest = Bytes::new();
        self.begun -= 1;
    }
}

fn has_room(socket: BorrowedFd<'_>) -> Result<bool> {
    os::is_ready(socket, Wanted::Room).map_err(|cause| Error::connection("send a message", cause))
}
