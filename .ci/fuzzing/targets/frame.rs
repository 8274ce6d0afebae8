//! Bytes as a stream of frames: however they are cut, the same frames come out, and no more memory is taken than bytes came.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use multiprocess::fuzzing::{Frames, order_again, report_again};

/// The most bytes of a payload; small, so that lengths above it are met often.
const MAX: usize = 64;
/// Room that a frame has beside its payload.
const AROUND: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((piece, stream)) = input.split_first() else { return };
    let (frames, refused) = frames_of(stream);
    let (read, refused_too) = read(stream, usize::from(*piece) + 1);
    assert!(read == frames && refused_too == refused, "{read:?} are not {frames:?}");
    for frame in frames {
        check(&Bytes::copy_from_slice(frame), report_again);
        check(&Bytes::copy_from_slice(frame), order_again);
    }
});

/// The frames of a stream, and whether it is refused behind them, by the plainest code that does it.
fn frames_of(mut stream: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut frames = Vec::new();
    while let Some((word, rest)) = stream.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*word) as usize;
        if length > MAX + AROUND {
            return (frames, true);
        }
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        frames.push(frame);
        stream = rest;
    }
    (frames, false)
}

/// The same by the codec, to which the stream comes in pieces.
fn read(stream: &[u8], piece: usize) -> (Vec<Bytes>, bool) {
    let (mut frames, mut read) = (Vec::new(), Frames::new(MAX));
    for piece in stream.chunks(piece) {
        read.push(piece);
        loop {
            match read.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
        assert!(read.capacity() <= 4 * stream.len() + (64 << 10), "{} bytes are held", read.capacity());
    }
    (frames, false)
}

/// A message that was read and written is read again as the same.
fn check(frame: &Bytes, again: fn(&Bytes) -> Option<Bytes>) {
    if let Some(rebuilt) = again(frame) {
        assert_eq!(again(&rebuilt).as_ref(), Some(&rebuilt), "made of {frame:?}");
    }
}
