//! From the records of a reply to values and errors.

use std::time::Duration;

use bytes::Bytes;

use crate::dispatch::{Piece, Pieces, task_name};
use crate::error::{Error, Limit, Panic, Result};
use crate::task::Payload;
use crate::wire::{Failure, Records, decode};

/// What errors call a task by, and how large its results may be.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) id: u64,
    pub(super) max: usize,
    /// How long it may run.
    pub(super) timeout: Option<Duration>,
}

impl Label {
    pub(super) fn task(&self) -> String {
        task_name(self.name, self.id)
    }

    pub(super) fn encode_error(&self, cause: String) -> Error {
        Error::Encode { what: "the arguments", task: self.task(), cause }
    }

    fn failed(&self, failure: Failure) -> Error {
        let task = self.task();
        match failure {
            Failure::Panicked { message, location, backtrace } => {
                Error::Panicked(Panic { message, location, backtrace, task })
            }
            Failure::Encode(cause) => Error::Encode { what: "the result", task, cause },
            Failure::Decode(cause) => Error::Decode { what: "the arguments", task, cause },
            Failure::TooLarge { size } => Error::TooLarge { what: "the result", task, size, max: self.max },
            Failure::Foreign(why) => Error::Incompatible { why: format!("task {task}: {why}") },
            Failure::Cancelled => Error::Cancelled { task },
            Failure::TimedOut => {
                Error::TimedOut { task, limit: Limit::Run, after: self.timeout.unwrap_or_default() }
            }
        }
    }

    fn broken(&self, cause: String) -> Error {
        Error::Decode { what: "the result", task: self.task(), cause }
    }

    /// One element's value. The caller's `Deserialize` may panic, and that is its element's error too.
    #[inline]
    pub(super) fn value<R: Payload>(&self, failed: bool, bytes: &[u8]) -> Result<R> {
        if failed {
            let failure = decode(bytes).map_err(|cause| self.broken(cause))?;
            return Err(self.failed(failure));
        }
        match std::panic::catch_unwind(|| decode(bytes)) {
            Ok(value) => value.map_err(|cause| self.broken(cause)),
            Err(payload) => {
                std::mem::forget(payload);
                Err(self.broken("its `Deserialize` panicked".into()))
            }
        }
    }

    /// The value of a single call.
    pub(super) fn single<R: Payload>(&self, piece: Piece) -> Result<R> {
        Results::new(piece).next(self).unwrap_or_else(|| Err(self.broken("there is no result".into())))
    }
}

/// The results of a piece, taken one by one.
#[derive(Debug)]
pub(super) struct Results {
    state: State,
    left: u32,
}

#[derive(Debug)]
enum State {
    Records(Bytes),
    Failed(Error),
}

impl Results {
    pub(super) fn new(piece: Piece) -> Self {
        let state = match piece.results {
            Pieces::Records(records) => State::Records(records),
            Pieces::Failed(error) => State::Failed(error),
        };
        Self { state, left: piece.elements }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self { state: State::Failed(error), left: 1 }
    }

    /// How many elements they are of.
    pub(super) fn len(&self) -> u32 {
        self.left
    }

    /// The first failure among them, without decoding the others.
    pub(super) fn failure(&self, label: &Label) -> Option<Error> {
        match &self.state {
            State::Failed(error) => Some(error.clone()),
            State::Records(records) => {
                let failed = Records::new(records).find(|record| record.failed)?;
                label.value::<()>(true, failed.bytes).err()
            }
        }
    }

    /// The next element's result; nothing when all were taken. A worker that sent fewer records than it said is
    /// not believed: the missing ones are errors.
    pub(super) fn next<R: Payload>(&mut self, label: &Label) -> Option<Result<R>> {
        self.left = self.left.checked_sub(1)?;
        let records = match &mut self.state {
            State::Failed(error) => return Some(Err(error.clone())),
            State::Records(records) => records,
        };
        let mut reader = Records::new(records);
        let Some(record) = reader.next() else {
            return Some(Err(label.broken("the worker sent too few results".into())));
        };
        let value = label.value(record.failed, record.bytes);
        *records = records.slice_ref(reader.rest());
        Some(value)
    }

    /// Appends all results that are left, up to the first error.
    pub(super) fn collect_into<R: Payload>(self, label: &Label, values: &mut Vec<R>) -> Result<()> {
        let State::Records(records) = self.state else {
            return match self.state {
                State::Failed(error) if self.left > 0 => Err(error),
                _ => Ok(()),
            };
        };
        let mut reader = Records::new(&records);
        for _ in 0..self.left {
            let record =
                reader.next().ok_or_else(|| label.broken("the worker sent too few results".into()))?;
            values.push(label.value(record.failed, record.bytes)?);
        }
        Ok(())
    }
}
