//! What the fuzz targets of `.ci/fuzzing` reach inside the crate. It exists only where they are built.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::Decoder as _;

use crate::backend::greet;
#[cfg(feature = "net")]
use crate::channel;
use crate::dispatch::run_ledger;
use crate::error::Result;
use crate::os::Image;
use crate::wire::{self, Codec, Frame, Order, PROTOCOL, Records, Report};
use crate::worker::confirms;

/// A stream of frames, as both sides read it.
#[derive(Debug)]
pub struct Frames {
    codec: Codec,
    buffer: BytesMut,
}

impl Frames {
    /// A stream whose payloads have up to `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { codec: wire::codec(max), buffer: BytesMut::new() }
    }

    /// More bytes have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame that has come whole.
    ///
    /// # Errors
    ///
    /// That of the codec; the stream is of no use from then on.
    pub fn next_frame(&mut self) -> io::Result<Option<Bytes>> {
        Ok(self.codec.decode(&mut self.buffer)?.map(BytesMut::freeze))
    }

    /// Bytes of memory that are held for what has not come whole.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

/// The frame again that its report and its payload make, if it is one with a report.
#[must_use]
pub fn report_again(frame: &Bytes) -> Option<Bytes> {
    let (report, payload) = wire::split::<Report>(frame).ok()?;
    Some(without_length(&Frame::new(&report, payload)))
}

/// The frame again that its order and its payload make, if it is one with an order.
#[must_use]
pub fn order_again(frame: &Bytes) -> Option<Bytes> {
    let (order, payload) = wire::split::<Order>(frame).ok()?;
    Some(without_length(&Frame::new(&order, payload)))
}

fn without_length(frame: &Frame) -> Bytes {
    [&frame.head[4..], &frame.body[..]].concat().into()
}

/// True if a worker takes this for the set-up message that goes with the token in its environment.
#[must_use]
pub fn is_set_up(message: &[u8], token: &str) -> bool {
    confirms(message, OsStr::new(token))
}

/// The frame by which a worker of this build says hello.
#[must_use]
pub fn hello() -> Vec<u8> {
    let hello = Report::Hello { protocol: PROTOCOL, image: Image::of_this_process().identity() };
    Frame::new(&hello, Bytes::new()).head.to_vec()
}

/// What a pool makes of a worker that reports these bytes and is gone.
///
/// # Errors
///
/// Why the start failed.
///
/// # Panics
///
/// If the start waits although nothing more can come.
pub fn start_with(reported: &[u8]) -> Result<()> {
    greet(reported).now_or_never().expect("all bytes are there, and the worker is gone")
}

/// True if two who know the same key take each other for such, although what they say has these differences on its way.
#[cfg(feature = "net")]
#[must_use]
pub fn shaken(differences: &[u8]) -> bool {
    channel::shaken(differences)
}

/// What is received over a connection with a key of these messages if what is sent has these differences and is cut at this byte, and whether the end looks clean.
///
/// # Panics
///
/// If the messages take more room than a socket has.
#[cfg(feature = "net")]
#[must_use]
pub fn received(messages: &[&[u8]], differences: &[u8], cut: usize, max: u64) -> (Vec<Vec<u8>>, bool) {
    channel::received(messages, differences, cut, max)
}

/// Decodes a value as those of tasks are.
///
/// # Errors
///
/// The text of the cause.
pub fn decode<T: DeserializeOwned + 'static>(bytes: &[u8]) -> std::result::Result<T, String> {
    wire::decode(bytes)
}

/// Encodes a value as those of tasks are.
///
/// # Errors
///
/// The text of the cause.
pub fn encode<T: Serialize + 'static>(value: &T) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    wire::encode(value, &mut bytes).map(|()| bytes)
}

/// The records at the front of a payload, each with its mark of failure, and the bytes behind the last whole one.
#[must_use]
pub fn records(payload: &[u8]) -> (Vec<(bool, &[u8])>, &[u8]) {
    let mut records = Records::new(payload);
    let read = records.by_ref().map(|record| (record.failed, record.bytes)).collect();
    (read, records.rest())
}

/// True if a payload is taken for so many records.
#[must_use]
pub fn are_exactly(payload: &[u8], elements: u32) -> bool {
    Records::new(payload).are_exactly(elements)
}

/// Appends a record as a task that succeeds does.
pub fn put_record(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut record = wire::Output::plain();
    let Ok(()) = wire::put_record::<Infallible>(&mut record, |out| {
        out.bytes_mut().extend_from_slice(bytes);
        Ok(())
    });
    out.extend(record.into_bytes());
}

/// Appends a record as a task that fails does, and returns true, if the bytes say why it failed.
pub fn put_failed_record(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let failure = wire::decode::<wire::Failure>(bytes);
    failure.is_ok_and(|failure| {
        wire::failed_record(out, &failure);
        true
    })
}

/// Has the ledger of a pool go through events that are made of these bytes, and the pool come to its end.
///
/// # Panics
///
/// If an element was not settled exactly once, or ran more often than it may.
pub fn ledger(events: &[u8]) {
    run_ledger(events);
}
