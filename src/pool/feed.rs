//! The input of a map, read lazily and encoded by whoever polls it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use crate::error::{Error, Panic};
use crate::task::{Arguments, Label, panic_text};
use crate::wire::{Collecting, Fd, Luggage, MOST_HANDLES, put_record};

/// How much to read at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    pub(super) elements: u32,
    pub(super) bytes: usize,
}

/// Elements that were read and encoded.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) records: Vec<u8>,
    pub(super) luggage: Luggage,
    pub(super) elements: u32,
    /// The element behind them, which could not be encoded, or why nothing more comes.
    pub(super) failed: Option<Error>,
    /// Nothing more comes.
    pub(super) ended: bool,
}

impl Chunk {
    /// It has as many handles as one value may have, and leaves the next ones to the next chunk.
    #[inline]
    fn is_laden(&self) -> bool {
        !self.luggage.is_empty() && self.luggage.len() >= MOST_HANDLES.into()
    }
}

/// A source of elements, whatever their type.
pub(super) trait Feed: Send {
    /// Reads the next elements. Pending only if there is not a single one yet.
    fn poll_chunk(&mut self, cx: &mut Context<'_>, portion: Portion, label: &Label) -> Poll<Chunk>;

    /// How many elements are left, if that is known.
    fn remaining(&self) -> Option<usize>;
}

/// Elements of an iterator.
pub(super) struct FromIter<I>(pub(super) I);

/// Elements of a stream.
pub(super) struct FromStream<S>(pub(super) Pin<Box<S>>);

impl<I> Feed for FromIter<I>
where
    I: Iterator + Send,
    I::Item: Arguments,
{
    fn poll_chunk(&mut self, _cx: &mut Context<'_>, portion: Portion, label: &Label) -> Poll<Chunk> {
        Poll::Ready(fill(portion, label, || Poll::Ready(self.0.next())))
    }

    fn remaining(&self) -> Option<usize> {
        match self.0.size_hint() {
            (least, Some(most)) if least == most => Some(most),
            _ => None,
        }
    }
}

impl<S> Feed for FromStream<S>
where
    S: Stream + Send,
    S::Item: Arguments,
{
    fn poll_chunk(&mut self, cx: &mut Context<'_>, portion: Portion, label: &Label) -> Poll<Chunk> {
        let chunk = fill(portion, label, || self.0.as_mut().poll_next(cx));
        // What has come is sent at once; it does not wait for the chunk to fill.
        let nothing = chunk.elements == 0 && chunk.failed.is_none() && !chunk.ended;
        if nothing { Poll::Pending } else { Poll::Ready(chunk) }
    }

    fn remaining(&self) -> Option<usize> {
        None
    }
}

fn fill<A: Arguments>(portion: Portion, label: &Label, mut next: impl FnMut() -> Poll<Option<A>>) -> Chunk {
    let mut chunk = Chunk::default();
    let mut reading = true;
    let mut whole = 0;
    let mut handles = Vec::new();
    let filled = catch_unwind(AssertUnwindSafe(|| {
        while chunk.elements < portion.elements && chunk.records.len() < portion.bytes {
            reading = true;
            let Poll::Ready(item) = next() else { return };
            let Some(args) = item else {
                chunk.ended = true;
                return;
            };
            reading = false;
            match append(&mut chunk.records, &mut handles, &args, label) {
                Ok(()) => chunk.luggage.add(chunk.elements, &mut handles),
                Err(error) => {
                    chunk.failed = Some(error);
                    return;
                }
            }
            chunk.elements += 1;
            whole = chunk.records.len();
            if chunk.is_laden() {
                return;
            }
        }
    }));
    // A `Serialize` that panics leaves half a record.
    chunk.records.truncate(whole);
    if let Err(payload) = filled {
        chunk.ended = reading;
        chunk.failed = Some(if reading {
            Error::Input(Panic::new(&label.task(), panic_text(&*payload)))
        } else {
            label.encode_error("its `Serialize` panicked".into())
        });
        std::mem::forget(payload);
    }
    chunk
}

/// Appends one element, and gives its handles.
fn append(
    records: &mut Vec<u8>,
    handles: &mut Vec<Fd>,
    args: &impl Arguments,
    label: &Label,
) -> Result<(), Error> {
    let start = records.len();
    let collecting = Collecting::begin();
    let encoded = put_record(records, |out| args.encode(out));
    collecting.end(handles);
    encoded.map_err(|cause| label.encode_error(cause))?;
    let size = records.len() - start;
    if size > label.max {
        return Err(Error::TooLarge { what: "the arguments", task: label.task(), size, max: label.max });
    }
    Ok(())
}
