//! An end whose messages are sealed, and a message that goes over it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use serde::Serialize;

use super::cipher::Ciphers;
use super::outgoing::Pushed;
use super::session::Session;
use crate::channel::letter::fits;
use crate::error::{Error, Result};
use crate::wire::{Collecting, Fd, encode};

/// One or more copies of an end in this process; the other side is told when the last is dropped.
#[derive(Debug, Clone)]
pub(in crate::channel) struct Remote(Arc<Open>);

#[derive(Debug)]
struct Open(Arc<Session>);

/// Cuts a connection off for all who use it, and does not keep it open.
#[derive(Debug, Clone)]
pub(crate) struct Cutter(Weak<Session>);

/// A message, of which nothing or a part may be written.
#[derive(Debug)]
pub(in crate::channel) struct Note {
    session: Arc<Session>,
    bytes: Bytes,
    /// Its number, once it is begun.
    number: AtomicU64,
}

impl Remote {
    pub(super) fn new(socket: Fd, ciphers: Ciphers) -> Self {
        Self(Arc::new(Open(Arc::new(Session::new(socket, ciphers)))))
    }

    /// Takes the next message if all of it has come.
    pub(in crate::channel) fn take(&self, max: u64) -> Result<Option<Vec<u8>>> {
        self.0.0.take(max)
    }

    /// Nothing more comes, for whatever reason.
    pub(in crate::channel) fn has_ended(&self) -> bool {
        self.0.0.has_ended()
    }

    /// A value, which has no handles.
    pub(in crate::channel) fn write<T: Serialize + 'static>(&self, value: &T, max: u64) -> Result<Note> {
        let mut bytes = Vec::new();
        let _refusing = Collecting::remote();
        encode(value, &mut bytes).map_err(|cause| Error::EncodeMessage { cause })?;
        fits(bytes.len() as u64, max)?;
        Ok(self.note(bytes.into()))
    }

    /// Bytes as they are.
    pub(in crate::channel) fn write_bytes(&self, bytes: &[u8], max: u64) -> Result<Note> {
        fits(bytes.len() as u64, max)?;
        Ok(self.note(Bytes::copy_from_slice(bytes)))
    }

    pub(in crate::channel) fn cutter(&self) -> Cutter {
        Cutter(Arc::downgrade(&self.0.0))
    }

    fn note(&self, bytes: Bytes) -> Note {
        Note { session: Arc::clone(&self.0.0), bytes, number: AtomicU64::new(0) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Cutter {
    /// Whoever waits for it, or uses it later, has an error.
    pub(crate) fn cut(&self) {
        if let Some(session) = self.0.upgrade() {
            session.cut();
        }
    }

    /// False if it is closed already.
    pub(crate) fn is_of_use(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Note {
    /// Sends what there is room for; true if that is all of it.
    pub(in crate::channel) fn push(&self) -> Result<bool> {
        let pushed = self.session.push(|outgoing, socket| match self.number() {
            None => outgoing.begin(socket, &self.bytes),
            Some(number) => outgoing.go_on(socket, number),
        });
        if let Ok(Pushed::Begun(number)) = pushed {
            self.number.store(number, Ordering::Relaxed);
        }
        Ok(pushed? == Pushed::Whole)
    }

    /// It has come so far that it will be sent whole.
    pub(in crate::channel) fn is_begun(&self) -> bool {
        self.number().is_some()
    }

    fn number(&self) -> Option<u64> {
        Some(self.number.load(Ordering::Relaxed)).filter(|number| *number > 0)
    }
}

/// Whoever sends it has given up, or waits for nothing: what is begun is written all the same.
impl Drop for Note {
    fn drop(&mut self) {
        if let Some(number) = self.number() {
            self.session.finish(number);
        }
    }
}
