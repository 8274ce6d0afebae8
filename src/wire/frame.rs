//! Frames: a length word of four bytes, big-endian, and that many bytes.
//!
//! ```text
//! | length (4) | message, postcard | payload, records |
//! ```

use std::io;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

use super::message::Message;

/// What both sides read frames with.
///
/// Other than the codec it wraps, it reserves memory for a long frame only as its bytes come: four bytes from a
/// hostile worker are not worth a gigabyte.
#[derive(Debug)]
pub(crate) struct Codec {
    delimited: LengthDelimitedCodec,
    max: usize,
}

/// Bytes that the arguments or the result of one task may have, unless the builder says otherwise: 1 GiB.
pub(crate) const DEFAULT_MAX: usize = 1 << 30;
/// The most that `max_frame` can be: what a length word can say, less the message and its neighbours.
pub(crate) const LARGEST_MAX: usize = u32::MAX as usize - AROUND;
/// Room for the message before a payload, and for the small records that may share a frame with a large one.
const AROUND: usize = 1 << 20;
/// Room made for the first bytes of a frame that has not come whole; from then on the room doubles.
const FIRST_ROOM: usize = 16 * 1024;
/// Payloads up to this size are copied behind their message, so that one buffer goes out.
const COPIED: usize = 8 * 1024;

/// The codec for payloads of up to `max` bytes. It refuses a longer frame by its length word alone.
pub(crate) fn codec(max: usize) -> Codec {
    let max = max + AROUND;
    let delimited = LengthDelimitedCodec::builder().length_field_length(4).max_frame_length(max).new_codec();
    Codec { delimited, max }
}

impl Codec {
    /// Bytes that an allowed frame at the front of `buffer` still lacks.
    fn missing(&self, buffer: &BytesMut) -> Option<usize> {
        let word = buffer.first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*word)).ok().filter(|length| *length <= self.max)?;
        (4 + length).checked_sub(buffer.len()).filter(|missing| *missing > 0)
    }
}

impl Decoder for Codec {
    type Item = BytesMut;
    type Error = io::Error;

    #[inline]
    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        if let Some(missing) = self.missing(buffer) {
            buffer.reserve(missing.min(buffer.len().max(FIRST_ROOM)));
            return Ok(None);
        }
        self.delimited.decode(buffer)
    }
}

/// One frame on its way out, in at most two pieces so that a large payload is not copied.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Length word and message, and the payload if it is small.
    pub(crate) head: Bytes,
    /// The payload if it is large.
    pub(crate) body: Bytes,
}

impl Frame {
    pub(crate) fn new(message: &impl Message, payload: Bytes) -> Self {
        if payload.len() > COPIED {
            Self { head: assemble(message, &[], payload.len()).into(), body: payload }
        } else {
            Self { head: assemble(message, &payload, payload.len()).into(), body: Bytes::new() }
        }
    }
}

/// Appends a frame to others.
pub(crate) fn append_frame(bytes: &mut Vec<u8>, message: &impl Message, payload: &[u8]) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    *bytes = postcard::to_extend(message, std::mem::take(bytes)).expect("a message is plain data");
    let length = bytes.len() - start - 4 + payload.len();
    let length = u32::try_from(length).expect("payloads are held below LARGEST_MAX");
    bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
}

fn assemble(message: &impl Message, copied: &[u8], payload: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + 48 + copied.len());
    append_frame(&mut bytes, message, copied);
    let length = u32::try_from(bytes.len() - 4 - copied.len() + payload);
    let length = length.expect("payloads are held below LARGEST_MAX");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use tokio_util::codec::Decoder as _;

    use super::{COPIED, Frame, codec};
    use crate::wire::{Reply, Report, split};

    fn reply() -> Report {
        Report::Reply(Reply {
            call: 300,
            slot: 2,
            elements: 1,
            last: true,
            outgrown: false,
            elapsed_ns: 99,
            handles: 0,
            stowed: None,
        })
    }

    #[test]
    fn a_frame_of_either_form_is_what_the_codec_reads() {
        for size in [0, 1, COPIED, COPIED + 1, 1 << 20] {
            let payload = Bytes::from(vec![7; size]);
            let frame = Frame::new(&reply(), payload.clone());
            let mut wire = BytesMut::from(&[frame.head, frame.body].concat()[..]);
            let read = codec(1 << 20).decode(&mut wire).expect("it is short enough").expect("it is whole");
            let (message, rest) = split::<Report>(&read.freeze()).expect("it is a report");
            assert!(matches!(message, Report::Reply(Reply { call: 300, slot: 2, last: true, .. })));
            assert_eq!(rest, payload);
            assert!(wire.is_empty());
        }
    }

    // fault 24
    #[test]
    fn a_length_word_above_the_maximum_is_refused_before_memory_is_reserved() {
        for word in [u32::MAX, (2 << 20) + 1] {
            let mut wire = BytesMut::from(&word.to_be_bytes()[..]);
            assert!(codec(1 << 20).decode(&mut wire).is_err());
            assert!(wire.capacity() < 1 << 16);
        }
    }
}
