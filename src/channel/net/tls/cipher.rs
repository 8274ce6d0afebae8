//! The records of TLS: what is sealed and opened is what the connection says, which numbers them itself.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::Connection;

use super::refusal::reason;
use crate::channel::net::cipher::{Ciphers, Opener as AnyOpener, Sealer as AnySealer, damaged};
use crate::error::{Error, Result};

/// Bytes that stand in one record at most.
pub(in crate::channel::net) const MOST_OPEN: usize = 16_384;
/// What a record begins with: its kind, a version, and the length of what follows.
const HEAD: usize = 5;
/// And the most that follows.
const MOST_SEALED: usize = MOST_OPEN + 256;
/// The kinds that there are: a change of ciphers, an alert, a handshake, and data.
const KINDS: std::ops::RangeInclusive<u8> = 20..=23;

/// Both directions are of one connection, which answers in the one what is asked in the other.
#[derive(Clone)]
struct Shared(Arc<Mutex<Connection>>);

/// The direction in which this side sends.
pub(in crate::channel::net) struct Sealer(Shared);

/// The direction in which it receives.
pub(in crate::channel::net) struct Opener(Shared);

/// Both directions of a connection whose handshake is over.
pub(super) fn ciphers(connection: Connection) -> Ciphers {
    let shared = Shared(Arc::new(Mutex::new(connection)));
    Ciphers {
        sealer: AnySealer::Certificate(Sealer(shared.clone())),
        opener: AnyOpener::Certificate(Opener(shared)),
    }
}

/// Bytes of the record of which these have come, as far as they say it.
pub(in crate::channel::net) fn wanted(come: &[u8]) -> Result<usize> {
    let Some([kind, _, _, high, low]) = come.first_chunk::<HEAD>() else { return Ok(HEAD) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if KINDS.contains(kind) && length <= MOST_SEALED {
        Ok(HEAD + length)
    } else {
        Err(damaged("it is no record of TLS"))
    }
}

/// What the connection has to say, at the end of `out`.
pub(super) fn take_said(connection: &mut Connection, out: &mut Vec<u8>) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(out)?;
    }
    Ok(())
}

/// Takes in a record that has come; false if the other side has said that nothing follows.
pub(super) fn take_in(connection: &mut Connection, mut sealed: &[u8]) -> Result<bool, rustls::Error> {
    while !sealed.is_empty() {
        match connection.read_tls(&mut sealed) {
            // There is room for a record, so that nothing is wrong but that.
            Ok(0) | Err(_) => return Ok(false),
            Ok(_) if connection.process_new_packets()?.peer_has_closed() => return Ok(false),
            Ok(_) => {}
        }
    }
    Ok(true)
}

/// Appends what has come in.
pub(super) fn take_opened(connection: &mut Connection, out: &mut Vec<u8>) -> io::Result<usize> {
    match connection.reader().read_to_end(out) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        // All that has come is read.
        read => Ok(read.unwrap_or(0)),
    }
}

impl Sealer {
    /// Appends the record of these bytes, of which there are at most `MOST_OPEN`.
    pub(in crate::channel::net) fn seal(&mut self, open: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut connection = self.0.lock();
        let sealed = connection.writer().write_all(open).and_then(|()| take_said(&mut connection, out));
        sealed.map_err(|cause| Error::connection("seal a message", cause))
    }
}

impl Opener {
    /// Appends what stands in a record; the number of its bytes, of which there may be none.
    pub(in crate::channel::net) fn open(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        let mut connection = self.0.lock();
        if !take_in(&mut connection, sealed).map_err(|error| damaged(reason(&error)))? {
            return Err(damaged("the other side has ended it between two messages"));
        }
        let before = out.len();
        take_opened(&mut connection, out).map_err(damaged)?;
        Ok(out.len() - before)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault 95
    #[test]
    fn what_is_no_record_is_refused_by_its_first_bytes() {
        for kind in 0..=u8::MAX {
            let known = wanted(&[kind, 3, 3, 0, 7]).ok();
            assert_eq!(known, (20..=23).contains(&kind).then_some(12), "kind {kind}");
        }
        for length in [0, 1, MOST_SEALED, MOST_SEALED + 1, 0xffff] {
            let [high, low] = u16::try_from(length).expect("it is small").to_be_bytes();
            let known = wanted(&[23, 3, 3, high, low]).ok();
            assert_eq!(known, (length <= MOST_SEALED).then_some(HEAD + length), "{length} bytes");
        }
        assert_eq!(wanted(&[23, 3, 3, 0]).expect("it is not known so far"), HEAD);
    }
}
