//! The limits of the queue: how many calls may wait, and how many bytes their arguments may take.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::error::{Error, Result};
use crate::os::Rooted;

/// Bytes are counted in these, since a semaphore counts up to 2^29 or so.
const UNIT: usize = 1024;

/// What a call must get before it may wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    calls: Option<Arc<Semaphore>>,
    bytes: Option<(Arc<Semaphore>, u32)>,
}

/// A place in the queue; dropping it gives it back.
#[derive(Debug, Default)]
pub(crate) struct Permit {
    _call: Option<Rooted<OwnedSemaphorePermit>>,
    _bytes: Option<Rooted<OwnedSemaphorePermit>>,
}

impl Limits {
    pub(crate) fn new(calls: Option<usize>, bytes: Option<usize>) -> Self {
        let calls = calls.map(|calls| Arc::new(Semaphore::new(calls.min(Semaphore::MAX_PERMITS))));
        let bytes = bytes.map(|bytes| {
            let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, 1 << 28)).expect("it was just clamped");
            (Arc::new(Semaphore::new(units as usize)), units)
        });
        Self { calls, bytes }
    }

    pub(crate) fn is_unlimited(&self) -> bool {
        self.calls.is_none() && self.bytes.is_none()
    }

    /// Waits for a place for a call whose arguments take `bytes`. One that is larger than the limit itself waits
    /// for an empty queue.
    pub(crate) async fn acquire(self, bytes: usize) -> Permit {
        const NEVER_CLOSED: &str = "the limits of a queue are never closed";
        let call = match self.calls {
            Some(calls) => Some(calls.acquire_owned().await.expect(NEVER_CLOSED)),
            None => None,
        };
        let bytes = match self.bytes {
            Some((room, most)) => {
                Some(room.acquire_many_owned(units(bytes, most)).await.expect(NEVER_CLOSED))
            }
            None => None,
        };
        Permit { _call: call.map(Rooted::new), _bytes: bytes.map(Rooted::new) }
    }

    /// Takes a place at once, or fails with `QueueFull`.
    pub(crate) fn try_acquire(&self, bytes: usize) -> Result<Permit> {
        let full = |_: TryAcquireError| Error::QueueFull;
        let call = self.calls.as_ref().map(|calls| Arc::clone(calls).try_acquire_owned()).transpose();
        let take = |(room, most): &(Arc<Semaphore>, u32)| {
            Arc::clone(room).try_acquire_many_owned(units(bytes, *most))
        };
        let bytes = self.bytes.as_ref().map(take).transpose();
        let (call, bytes) = (call.map_err(full)?, bytes.map_err(full)?);
        Ok(Permit { _call: call.map(Rooted::new), _bytes: bytes.map(Rooted::new) })
    }
}

fn units(bytes: usize, most: u32) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, most)
}
