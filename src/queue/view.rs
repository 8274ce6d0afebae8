//! What one side of a queue sees of the log: a window, which moves along with what it does.

use std::sync::atomic::Ordering;
#[cfg(not(models))]
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(models)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(models)]
use std::sync::PoisonError;

use super::record::{SMALL, WINDOW, WORD};
use crate::error::{Error, Result};
use crate::os::{Log, Mapped, Word};

#[derive(Debug, Default)]
pub(super) struct View(Mutex<Window>);

/// The words that are mapped, and the number of the window that they are.
#[derive(Debug, Default)]
pub(super) struct Window(Option<(u64, Mapped)>);

impl View {
    /// The window, for whoever acts for this side in this process.
    pub(super) fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// The words from here to the end of the window.
    fn from(&mut self, log: &Log, at: u64) -> Result<&[Word]> {
        let number = at / WINDOW;
        if self.0.as_ref().is_none_or(|(current, _)| *current != number) {
            let mapped = log.map(number * WINDOW, WINDOW).map_err(not_mapped)?;
            self.0 = Some((number, mapped));
        }
        let (_, mapped) = self.0.as_ref().expect("it was just put there");
        let first = usize::try_from(at % WINDOW).expect("a window fits the memory");
        Ok(&mapped.words()[first..])
    }

    pub(super) fn load(&mut self, log: &Log, at: u64) -> Result<u64> {
        Ok(self.from(log, at)?[0].load(Ordering::Relaxed))
    }

    pub(super) fn store(&mut self, log: &Log, at: u64, value: u64) -> Result<()> {
        self.from(log, at)?[0].store(value, Ordering::Relaxed);
        Ok(())
    }

    /// Writes bytes here, which belong to a record of so many words.
    pub(super) fn write(&mut self, log: &Log, at: u64, record: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if record <= SMALL {
            write(self.from(log, at)?, bytes);
        } else {
            write(log.map(at, words(bytes.len())).map_err(not_mapped)?.words(), bytes);
        }
        Ok(())
    }

    /// Reads so many bytes from here, which belong to a record of so many words.
    pub(super) fn read(&mut self, log: &Log, at: u64, record: u64, length: usize) -> Result<Vec<u8>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        if record <= SMALL {
            Ok(read(self.from(log, at)?, length))
        } else {
            Ok(read(log.map(at, words(length)).map_err(not_mapped)?.words(), length))
        }
    }
}

fn words(bytes: usize) -> u64 {
    bytes.div_ceil(WORD) as u64
}

fn write(words: &[Word], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<WORD>();
    for (word, bytes) in words.iter().zip(whole) {
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

fn read(words: &[Word], length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length.next_multiple_of(WORD));
    for word in &words[..length.div_ceil(WORD)] {
        bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn not_mapped(cause: std::io::Error) -> Error {
    Error::connection("map the memory of a queue", cause)
}
