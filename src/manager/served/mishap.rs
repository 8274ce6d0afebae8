//! What can go wrong with a pool in a manager, as it travels: its errors come to the caller as those of a pool of his own do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Death, Error, Limit, Panic};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Mishap {
    Panicked(Panic),
    WorkerDied(Death),
    TimedOut {
        task: String,
        limit: Limit,
        after: Duration,
    },
    Cancelled {
        task: String,
    },
    Closed,
    NotClosed,
    QueueFull,
    Encode {
        what: What,
        task: String,
        cause: String,
    },
    Decode {
        what: What,
        task: String,
        cause: String,
    },
    TooLarge {
        what: What,
        task: String,
        size: u64,
        max: u64,
    },
    Initializer {
        cause: String,
    },
    Sandbox {
        part: String,
        cause: String,
    },
    Broken {
        causes: Vec<Mishap>,
    },
    Preload {
        cause: String,
    },
    Incompatible {
        why: String,
    },
    ForeignTask {
        task: String,
    },
    Option {
        option: Asked,
        why: String,
    },
    /// Whatever else there is, and what the operating system refuses there.
    Other {
        text: String,
        os: Option<i32>,
    },
}

/// What was to be encoded or decoded.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum What {
    Arguments,
    Result,
}

/// An option of a pool that a client can set.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Asked {
    Resize,
    Timeout,
    Chunksize,
    Other,
}

impl From<Error> for Mishap {
    fn from(error: Error) -> Self {
        match error {
            Error::Panicked(panic) => Self::Panicked(panic),
            Error::WorkerDied(death) => Self::WorkerDied(death),
            Error::TimedOut { task, limit, after } => Self::TimedOut { task, limit, after },
            Error::Cancelled { task } => Self::Cancelled { task },
            Error::Closed => Self::Closed,
            Error::NotClosed => Self::NotClosed,
            Error::QueueFull => Self::QueueFull,
            Error::Encode { what, task, cause } => Self::Encode { what: what.into(), task, cause },
            Error::Decode { what, task, cause } => Self::Decode { what: what.into(), task, cause },
            Error::TooLarge { what, task, size, max } => {
                Self::TooLarge { what: what.into(), task, size: size as u64, max: max as u64 }
            }
            Error::Initializer { cause } => Self::Initializer { cause },
            Error::Sandbox { part, cause } => Self::Sandbox { part, cause },
            Error::Broken { causes } => Self::Broken { causes: causes.into_iter().map(Self::from).collect() },
            Error::Preload { cause } => Self::Preload { cause },
            Error::Incompatible { why } => Self::Incompatible { why },
            Error::ForeignTask { task } => Self::ForeignTask { task },
            Error::Option { option, why } => Self::Option { option: option.into(), why },
            other => Self::other(&other),
        }
    }
}

impl Mishap {
    fn other(error: &Error) -> Self {
        let cause = std::error::Error::source(error);
        let os = cause
            .and_then(|cause| cause.downcast_ref::<Arc<io::Error>>())
            .and_then(|cause| cause.raw_os_error());
        let text = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        Self::Other { text, os }
    }
}

impl From<Mishap> for Error {
    fn from(mishap: Mishap) -> Self {
        let in_memory = |size| usize::try_from(size).unwrap_or(usize::MAX);
        match mishap {
            Mishap::Panicked(panic) => Self::Panicked(panic),
            Mishap::WorkerDied(death) => Self::WorkerDied(death),
            Mishap::TimedOut { task, limit, after } => Self::TimedOut { task, limit, after },
            Mishap::Cancelled { task } => Self::Cancelled { task },
            Mishap::Closed => Self::Closed,
            Mishap::NotClosed => Self::NotClosed,
            Mishap::QueueFull => Self::QueueFull,
            Mishap::Encode { what, task, cause } => Self::Encode { what: what.name(), task, cause },
            Mishap::Decode { what, task, cause } => Self::Decode { what: what.name(), task, cause },
            Mishap::TooLarge { what, task, size, max } => {
                Self::TooLarge { what: what.name(), task, size: in_memory(size), max: in_memory(max) }
            }
            Mishap::Initializer { cause } => Self::Initializer { cause },
            Mishap::Sandbox { part, cause } => Self::Sandbox { part, cause },
            Mishap::Broken { causes } => {
                Self::Broken { causes: causes.into_iter().map(Self::from).collect() }
            }
            Mishap::Preload { cause } => Self::Preload { cause },
            Mishap::Incompatible { why } => Self::Incompatible { why },
            Mishap::ForeignTask { task } => Self::ForeignTask { task },
            Mishap::Option { option, why } => Self::option(option.name(), why),
            Mishap::Other { text, os } => {
                Self::start("have it from the manager's process", elsewhere(text, os))
            }
        }
    }
}

/// An error of the operating system of another process: its kind, and what it said there.
fn elsewhere(text: String, os: Option<i32>) -> io::Error {
    let kind = os.map_or(io::ErrorKind::Other, |code| io::Error::from_raw_os_error(code).kind());
    io::Error::new(kind, text)
}

impl From<&str> for What {
    fn from(what: &str) -> Self {
        if what == Self::Result.name() { Self::Result } else { Self::Arguments }
    }
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Arguments => "the arguments",
            Self::Result => "the result",
        }
    }
}

impl Asked {
    const ALL: [Self; 4] = [Self::Resize, Self::Timeout, Self::Chunksize, Self::Other];

    fn name(self) -> &'static str {
        match self {
            Self::Resize => "resize",
            Self::Timeout => "timeout",
            Self::Chunksize => "chunksize",
            Self::Other => "of the pool",
        }
    }
}

impl From<&str> for Asked {
    fn from(option: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.name() == option).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::Mishap;
    use crate::error::{Death, Error, Exit, Limit, Panic};
    use crate::wire::{decode, encode};

    #[test]
    fn an_error_of_a_pool_is_the_same_behind_the_way() {
        let task = || "work #7".to_owned();
        let refused = std::io::Error::from_raw_os_error(11);
        let all = [
            Error::Panicked(Panic::new("work #7", "no more paper".into())),
            Error::WorkerDied(Death { task: Some(task()), ..Death::new(7, Exit::Signal(9)) }),
            Error::TimedOut { task: task(), limit: Limit::Run, after: std::time::Duration::from_millis(5) },
            Error::Cancelled { task: task() },
            Error::Closed,
            Error::NotClosed,
            Error::QueueFull,
            Error::Encode { what: "the result", task: task(), cause: "no".into() },
            Error::Decode { what: "the arguments", task: task(), cause: "no".into() },
            Error::TooLarge { what: "the result", task: task(), size: 8, max: 7 },
            Error::Initializer { cause: "no".into() },
            Error::Sandbox { part: "files".into(), cause: "no".into() },
            Error::Broken { causes: vec![Error::Initializer { cause: "no".into() }] },
            Error::Preload { cause: "no".into() },
            Error::Incompatible { why: "no".into() },
            Error::ForeignTask { task: task() },
            Error::option("resize", "no"),
        ];
        for error in all {
            let text = format!("{error:?}");
            assert_eq!(format!("{:?}", behind_the_way(error)), text);
        }
        let other = behind_the_way(Error::start("make a pipe", refused));
        let Error::Start { cause, .. } = other else { panic!("unexpected: {other:?}") };
        assert_eq!(cause.kind(), std::io::ErrorKind::WouldBlock);
        assert!(cause.to_string().contains("failed to make a pipe"), "{cause}");
    }

    fn behind_the_way(error: Error) -> Error {
        let mut bytes = Vec::new();
        encode(&Mishap::from(error), &mut bytes).expect("it is plain");
        decode::<Mishap>(&bytes).expect("it is whole").into()
    }
}
