//! What errors call a task by, and the way from its arguments to bytes and from the bytes of a result to a value or an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::arity::Arguments;
use super::numbers::take_numbers;
use super::outcome::Payload;
use crate::error::{Error, Limit, Panic, Result};
use crate::wire::{
    Arriving, Collecting, Failure, Fd, Freight, Input, Luggage, Output, Parcel, Parts, Record, Records,
    Store, decode, put_record,
};

const NONE: &Parts = &Parts::new();

/// What errors call a task by, and how large its results may be.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    /// Tells the path of its function.
    pub(crate) name: fn() -> &'static str,
    pub(crate) id: u64,
    pub(crate) max: usize,
    /// How long it may run.
    pub(crate) timeout: Option<Duration>,
}

impl Label {
    pub(crate) fn task(&self) -> String {
        task_name((self.name)(), self.id)
    }

    pub(crate) fn encode_error(&self, cause: String) -> Error {
        Error::Encode { what: "the arguments", task: self.task(), cause }
    }

    /// The arguments as the one record of a payload; large ones in blocks of this store.
    pub(crate) fn encode(&self, args: &impl Arguments, store: Option<&Arc<Store>>) -> Result<Parcel> {
        let mut record = Output::new(store.cloned(), self.max);
        let mut handles = Vec::new();
        let encode = AssertUnwindSafe(|| {
            let collecting = Collecting::begin();
            let encoded = put_record(&mut record, |out| args.encode(out));
            collecting.end(&mut handles);
            encoded
        });
        match catch_unwind(encode) {
            Ok(Ok(())) if record.len() + record.elsewhere() <= self.max => {
                let (luggage, freight) = (Luggage::of(0, handles), Freight::of(0, record.take_parts()));
                // In a buffer that is just as large it needs no second allocation before it is sent.
                let records = record.into_bytes().into_boxed_slice().into();
                Ok(Parcel { records, luggage, freight })
            }
            Ok(Ok(())) => {
                let (task, size) = (self.task(), record.len() + record.elsewhere());
                Err(Error::TooLarge { what: "the arguments", task, size, max: self.max })
            }
            Ok(Err(cause)) => Err(self.encode_error(cause)),
            Err(payload) => {
                std::mem::forget(payload);
                Err(self.encode_error("its `Serialize` panicked".into()))
            }
        }
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

    pub(crate) fn too_few(&self) -> Error {
        self.broken("the worker sent too few results".into())
    }

    pub(crate) fn broken(&self, cause: String) -> Error {
        Error::Decode { what: "the result", task: self.task(), cause }
    }

    /// One element's value, for which these handles and blocks have come.
    pub(crate) fn value_with<R: Payload>(
        &self,
        record: Record<'_>,
        handles: &mut Vec<Fd>,
        parts: &Parts,
    ) -> Result<R> {
        let _arriving = Arriving::begin(handles);
        self.value_of(record.failed, record.bytes, parts)
    }

    /// The values of so many elements without handles, up to the first error. One net catches the panics of all.
    pub(crate) fn values<R: Payload>(
        &self,
        elements: u32,
        records: &mut Records<'_>,
        values: &mut Vec<R>,
    ) -> Result<()> {
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let numbers = take_numbers(elements, records, values);
            for _ in numbers..elements {
                let record = records.next().ok_or_else(|| self.too_few())?;
                if record.failed {
                    return self.value::<R>(true, record.bytes).map(drop);
                }
                let value = Input::new(record.bytes, NONE).only();
                values.push(value.map_err(|cause| self.broken(cause))?);
            }
            Ok(())
        }));
        decoded.unwrap_or_else(|payload| Err(self.panicked(payload)))
    }

    fn panicked(&self, payload: Box<dyn Any + Send>) -> Error {
        // It may panic when it is dropped.
        std::mem::forget(payload);
        self.broken("its `Deserialize` panicked".into())
    }

    /// One element's value. The caller's `Deserialize` may panic, and that is its element's error too.
    #[inline]
    pub(crate) fn value<R: Payload>(&self, failed: bool, bytes: &[u8]) -> Result<R> {
        self.value_of(failed, bytes, NONE)
    }

    #[inline]
    fn value_of<R: Payload>(&self, failed: bool, bytes: &[u8], parts: &Parts) -> Result<R> {
        if failed {
            let failure = decode(bytes).map_err(|cause| self.broken(cause))?;
            return Err(self.failed(failure));
        }
        match catch_unwind(AssertUnwindSafe(|| Input::new(bytes, parts).only())) {
            Ok(value) => value.map_err(|cause| self.broken(cause)),
            Err(payload) => Err(self.panicked(payload)),
        }
    }
}

/// The name that errors call a task by: its function, and its number in the pool.
pub(crate) fn task_name(function: &str, id: u64) -> String {
    format!("{function} #{id}")
}
