//! Without the feature `tls` there are no certificates, and so nothing of what needs one: types that have no values.

use crate::error::Result;

/// There is no such record.
pub(super) const MOST_OPEN: usize = 0;

#[derive(Debug)]
pub(super) enum Sealer {}

#[derive(Debug)]
pub(super) enum Opener {}

impl Sealer {
    pub(super) fn seal(&mut self, _open: &[u8], _out: &mut Vec<u8>) -> Result<()> {
        match *self {}
    }
}

impl Opener {
    pub(super) fn open(&mut self, _sealed: &[u8], _out: &mut Vec<u8>) -> Result<usize> {
        match *self {}
    }
}

#[expect(clippy::unnecessary_wraps, reason = "with the feature `tls` it may be no record")]
pub(super) fn wanted(_come: &[u8]) -> Result<usize> {
    Ok(0)
}
