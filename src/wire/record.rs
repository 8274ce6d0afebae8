//! Records: the elements of a payload, each with its length, so that one that cannot be decoded spoils no other.
//!
//! ```text
//! | (bytes << 1 | failed), as a base-128 number, least significant first | bytes |
//! ```

use super::output::Output;

/// Appends one record that `write` fills with the parts of an element; on an error nothing is appended.
#[inline]
pub(crate) fn put_record<E>(
    out: &mut Output,
    write: impl FnOnce(&mut Output) -> Result<(), E>,
) -> Result<(), E> {
    let start = open_record(out.bytes_mut());
    out.begin();
    if let Err(error) = write(out) {
        out.undo(start);
        return Err(error);
    }
    close_record(out.bytes_mut(), start, false);
    Ok(())
}

/// Appends one record that says why its element failed.
pub(crate) fn failed_record(out: &mut Vec<u8>, failure: &super::Failure) {
    let start = open_record(out);
    super::encode(failure, out).expect("a failure is plain data");
    close_record(out, start, true);
}

/// The most bytes of a record whose length takes one byte.
pub(crate) const SHORT: usize = 0x3f;

/// What stands before a record of so many bytes, at most `SHORT`, that has not failed.
#[inline]
pub(crate) fn record_head(bytes: usize) -> u8 {
    u8::try_from(bytes << 1).expect("a short record")
}

/// Where a record begins, whose length is not known yet.
#[inline]
fn open_record(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

#[inline]
fn close_record(out: &mut Vec<u8>, start: usize, failed: bool) {
    let length = (out.len() - start - 1) << 1 | usize::from(failed);
    if let (true, Ok(byte)) = (length < 0x80, u8::try_from(length)) {
        out[start] = byte;
    } else {
        widen(out, start, length);
    }
}

/// Makes room for a length of more than one byte, which few elements need.
#[cold]
fn widen(out: &mut Vec<u8>, start: usize, length: usize) {
    let mut prefix = [0; 10];
    let mut rest = length;
    let mut used = 0;
    loop {
        let low = u8::try_from(rest & 0x7f).expect("seven bits fit");
        rest >>= 7;
        prefix[used] = if rest == 0 { low } else { low | 0x80 };
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.splice(start..=start, prefix[..used].iter().copied());
}

/// One element of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) failed: bool,
    pub(crate) bytes: &'a [u8],
}

/// Reads the records of a payload one by one. Ends at the first that is not whole, with a non-empty rest.
#[derive(Debug, Clone)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// True if the payload is exactly this many whole records.
    pub(crate) fn are_exactly(mut self, elements: u32) -> bool {
        if self.are_alike(elements) {
            return true;
        }
        let counted = self.by_ref().take(elements as usize).count();
        counted == elements as usize && self.rest.is_empty()
    }

    /// The first that failed.
    pub(crate) fn failure(mut self, elements: u32) -> Option<Record<'a>> {
        if self.rest.first().is_none_or(|first| first & 1 == 0) && self.are_alike(elements) {
            return None;
        }
        self.find(|record| record.failed)
    }

    /// True if the payload is exactly this many records which are equally long and short, and all or none of which failed, as those of
    /// numbers are. They need not be followed from one to the next, which takes several times as long.
    fn are_alike(&self, elements: u32) -> bool {
        let Some(&first) = self.rest.first() else { return elements == 0 };
        let stride = 1 + usize::from(first >> 1);
        let is_all = (elements as usize).checked_mul(stride) == Some(self.rest.len());
        first < 0x80 && is_all && self.rest.chunks_exact(stride).all(|record| record[0] == first)
    }

    /// The bytes of the next record, if it has just so many and has not failed. Otherwise nothing is read.
    #[inline]
    pub(crate) fn next_of(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (first, behind) = self.rest.split_first()?;
        if *first >= 0x80 || usize::from(*first) != bytes << 1 {
            return None;
        }
        let (record, rest) = behind.split_at_checked(bytes)?;
        self.rest = rest;
        Some(record)
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        let (length, used) = match self.rest {
            [byte, ..] if *byte < 0x80 => (u64::from(*byte), 1),
            _ => long_length(self.rest)?,
        };
        let bytes = usize::try_from(length >> 1).ok()?;
        let body = self.rest.get(used..)?;
        if bytes > body.len() {
            return None;
        }
        let (record, rest) = body.split_at(bytes);
        self.rest = rest;
        Some(Record { failed: length & 1 == 1, bytes: record })
    }
}

fn long_length(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut length = 0_u64;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Some((length, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::{Records, failed_record, put_record};
    use crate::wire::{Failure, Output};

    fn put(out: &mut Output, bytes: &[u8]) {
        let written: Result<(), Infallible> = put_record(out, |out| {
            out.bytes_mut().extend_from_slice(bytes);
            Ok(())
        });
        written.expect("it cannot fail");
    }

    proptest! {
        #[test]
        fn records_come_back_as_they_were_put(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
        ) {
            let mut payload = Output::plain();
            for record in &records {
                put(&mut payload, record);
            }
            let payload = payload.into_bytes();
            let mut reader = Records::new(&payload);
            let read: Vec<Vec<u8>> = reader.by_ref().map(|record| record.bytes.to_vec()).collect();
            prop_assert_eq!(read, records);
            prop_assert!(reader.rest().is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Records::new(&bytes);
            let total: usize = reader.by_ref().map(|record| record.bytes.len()).sum();
            prop_assert!(total + reader.rest().len() <= bytes.len());
        }
    }

    #[test]
    fn a_record_that_fails_to_be_written_leaves_nothing() {
        let mut payload = Output::plain();
        payload.bytes_mut().extend([1, 2]);
        let written = put_record(&mut payload, |out| {
            out.bytes_mut().push(9);
            Err("no")
        });
        assert_eq!(written, Err("no"));
        assert_eq!(payload.bytes(), [1, 2]);
    }

    #[test]
    fn a_failure_is_marked_as_one() {
        let mut payload = Vec::new();
        failed_record(&mut payload, &Failure::Cancelled);
        assert!(Records::new(&payload).next().expect("there is one").failed);
    }
}
