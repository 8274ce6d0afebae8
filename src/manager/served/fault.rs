//! What can go wrong with the crate's own types, as it travels.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    Closed,
    Full,
    TooManyDone,
    NotAcquired,
    TooManyReleases { bound: u32 },
    BrokenBarrier,
    OutOfRange { start: u64, end: u64, length: u64 },
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Closed => Self::Closed,
            Fault::Full => Self::Full,
            Fault::TooManyDone => Self::TooManyDone,
            Fault::NotAcquired => Self::NotAcquired,
            Fault::TooManyReleases { bound } => Self::TooManyReleases { bound },
            Fault::BrokenBarrier => Self::BrokenBarrier,
            Fault::OutOfRange { start, end, length } => {
                Self::OutOfRange { start: in_memory(start), end: in_memory(end), length: in_memory(length) }
            }
        }
    }
}

/// As near as this machine's memory has it.
fn in_memory(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// What a future comes to within a limit; without one, whenever it does. A limit of zero polls once.
pub(super) async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        None => Some(future.await),
        Some(limit) if limit.is_zero() => futures::FutureExt::now_or_never(future),
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
    }
}
