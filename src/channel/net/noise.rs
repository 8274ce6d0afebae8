//! The records of a connection with a key, each with its number, which is not sent: one that is left out, repeated or exchanged
//! does not open, any more than one that was changed.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use snow::StatelessTransportState;

use super::cipher::damaged;
use crate::error::{Error, Result};

/// Bytes by which a record is longer than what stands in it.
pub(super) const TAG: usize = 16;
/// Bytes that one record has at most, sealed and open.
const LARGEST: usize = 65_535;
pub(super) const MOST_OPEN: usize = LARGEST - TAG;

/// Bytes of a record in which so many of a message's stand, or as many as there is room for.
pub(super) fn wanted(open: u64) -> usize {
    usize::try_from(open).map_or(LARGEST, |open| LARGEST.min(open.saturating_add(TAG)))
}

/// The direction in which this side sends.
pub(super) struct Sealer {
    transport: Arc<StatelessTransportState>,
    next: u64,
}

/// The direction in which it receives.
pub(super) struct Opener {
    transport: Arc<StatelessTransportState>,
    next: u64,
}

impl Sealer {
    pub(super) fn new(transport: Arc<StatelessTransportState>) -> Self {
        Self { transport, next: 0 }
    }

    /// Appends the record of these bytes, of which there are at most `MOST_OPEN`.
    pub(super) fn seal(&mut self, open: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.resize(start + open.len() + TAG, 0);
        let sealed = self.transport.write_message(self.next, open, &mut out[start..]);
        sealed.map_err(|_| Error::connection("seal a message", ErrorKind::Other.into()))?;
        self.next += 1;
        Ok(())
    }

    /// The number of the next record. No second record may leave this process with a number that one has left with.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Goes back to a number; nothing of what was sealed since then has left this process.
    pub(super) fn take_back(&mut self, next: u64) {
        self.next = next;
    }
}

impl Opener {
    pub(super) fn new(transport: Arc<StatelessTransportState>) -> Self {
        Self { transport, next: 0 }
    }

    /// Appends what stands in a record; the number of its bytes.
    pub(super) fn open(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        let (start, length) = (out.len(), sealed.len().saturating_sub(TAG));
        out.resize(start + length, 0);
        let opened = self.transport.read_message(self.next, sealed, &mut out[start..]);
        if opened != Ok(length) {
            out.truncate(start);
            return Err(damaged("it was changed, repeated or exchanged on its way"));
        }
        self.next += 1;
        Ok(length)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("next", &self.next).finish_non_exhaustive()
    }
}
