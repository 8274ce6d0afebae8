//! A call on its way: its arguments to a request, and the answer to a value or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::blob::{Blob, Raw};
use super::message::{Answer, Door, Refusal};
use crate::error::{Error, Panic, Result};
use crate::task::{Arguments, Payload, task_name};
use crate::wire::{Collecting, Failure, Output};

/// A call: what errors name it by, and its arguments.
#[derive(Debug)]
pub(super) struct Call {
    name: Name,
    object: u64,
    arguments: Blob,
    /// What is lent and stands in the arguments, until the call is answered.
    #[cfg(feature = "net")]
    lent: Vec<std::sync::Arc<super::remote::Lease>>,
}

/// What a server has made: its number, and the door to it unless the server holds that.
#[derive(Debug)]
pub(super) enum Made {
    Here {
        object: u64,
        door: Door,
    },
    #[cfg(feature = "net")]
    Lent {
        object: u64,
    },
}

#[derive(Debug)]
enum Name {
    Function(&'static str),
    Registered(String),
}

impl Call {
    /// Of a function of this program.
    pub(super) fn of(name: &'static str, object: u64, args: &impl Arguments) -> Result<Self> {
        Self::new(Name::Function(name), object).with(args)
    }

    /// Of what is registered by a name.
    pub(super) fn named(name: &str, object: u64, args: &impl Arguments) -> Result<Self> {
        Self::new(Name::Registered(name.to_owned()), object).with(args)
    }

    fn new(name: Name, object: u64) -> Self {
        Self {
            name,
            object,
            arguments: Blob::default(),
            #[cfg(feature = "net")]
            lent: Vec::new(),
        }
    }

    fn with(mut self, args: &impl Arguments) -> Result<Self> {
        let encoded = encoded(args);
        self.arguments =
            encoded.map_err(|cause| Error::Encode { what: "the arguments", task: self.text(), cause })?;
        Ok(self)
    }

    pub(super) fn arguments(&self) -> Blob {
        self.arguments.clone()
    }

    /// Has what is lent travel as its numbers. Other handles stay, and are refused when they are sent.
    #[cfg(feature = "net")]
    pub(super) fn lend(&mut self) -> Vec<u64> {
        let leases: Option<Vec<_>> = self.arguments.handles.iter().map(super::remote::Lease::of).collect();
        let Some(leases) = leases else { return Vec::new() };
        self.arguments.handles.clear();
        self.lent = leases;
        self.lent.iter().map(|lease| lease.object()).collect()
    }

    fn text(&self) -> String {
        match &self.name {
            Name::Function(name) => task_name(name, self.object),
            Name::Registered(name) => task_name(name, self.object),
        }
    }

    pub(super) fn value<R: Payload>(&self, answer: Answer) -> Result<R> {
        match answer {
            Answer::Value(blob) => self.open(blob),
            other => Err(self.error(other)),
        }
    }

    /// What was made: its number, and the door to it.
    pub(super) fn made(&self, answer: Answer) -> Result<Made> {
        match answer {
            Answer::Made { object, door } => Ok(Made::Here { object, door }),
            #[cfg(feature = "net")]
            Answer::Lent { object } => Ok(Made::Lent { object }),
            other => Err(self.error(other)),
        }
    }

    /// What was made; the value that the method gives, where it has made nothing.
    pub(super) fn made_or<R: Payload>(&self, answer: Answer) -> Result<Result<Made, R>> {
        match answer {
            Answer::Value(blob) => self.open(blob).map(Err),
            other => self.made(other).map(Ok),
        }
    }

    pub(super) fn open<R: Payload>(&self, blob: Blob) -> Result<R> {
        let opened = catch_unwind(|| blob.open()).unwrap_or_else(|payload| {
            std::mem::forget(payload);
            Err(Error::DecodeMessage { cause: "its `Deserialize` panicked".into() })
        });
        opened.map_err(|error| match error {
            Error::DecodeMessage { cause } => self.broken(cause),
            other => other,
        })
    }

    fn broken(&self, cause: String) -> Error {
        Error::Decode { what: "the result", task: self.text(), cause }
    }

    fn error(&self, answer: Answer) -> Error {
        let task = self.text();
        match answer {
            Answer::Failed(failure) => failed(failure, task),
            Answer::NotCreated(cause) => Error::NotCreated { task, cause },
            Answer::Refused(why) => Error::Refused { task, why },
            _ => self.broken("it answers another question".into()),
        }
    }
}

/// Arguments as they travel; a panic of their `Serialize` is what is wrong with them.
pub(super) fn encoded(args: &impl Arguments) -> Result<Blob, String> {
    let (mut bytes, mut handles) = (Output::plain(), Vec::new());
    let encode = AssertUnwindSafe(|| {
        let collecting = Collecting::begin();
        let encoded = args.encode(&mut bytes);
        collecting.end(&mut handles);
        encoded
    });
    let encoded = catch_unwind(encode).unwrap_or_else(|payload| {
        // It may panic once more.
        std::mem::forget(payload);
        Err("its `Serialize` panicked".into())
    });
    encoded.map(|()| Blob { bytes: Raw(bytes.into_bytes()), handles })
}

fn failed(failure: Failure, task: String) -> Error {
    match failure {
        Failure::Panicked { message, location, backtrace } => {
            Error::Panicked(Panic { message, location, backtrace, task })
        }
        Failure::Encode(cause) => Error::Encode { what: "the result", task, cause },
        Failure::Decode(cause) => Error::Decode { what: "the arguments", task, cause },
        Failure::TooLarge { size } => {
            Error::TooLarge { what: "the result", task, size, max: crate::wire::DEFAULT_MAX }
        }
        Failure::Foreign(_) => Error::Refused { task, why: Refusal::WrongTypes },
        Failure::Cancelled | Failure::TimedOut => Error::Cancelled { task },
    }
}
