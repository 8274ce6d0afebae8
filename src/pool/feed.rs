//! The input of a map, read lazily and encoded by whoever polls it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use crate::error::{Error, Panic};
use crate::task::{Arguments, Label, panic_text};
use crate::wire::{Collecting, Fd, Freight, Luggage, MOST_HANDLES, Output, Parcel, Store, put_record};

/// How much to read at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    pub(super) elements: u32,
    pub(super) bytes: usize,
}

/// Elements that were read and encoded.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) parcel: Parcel,
    pub(super) elements: u32,
    /// The element behind them, which could not be encoded, or why nothing more comes.
    pub(super) failed: Option<Error>,
    /// Nothing more comes.
    pub(super) ended: bool,
}

/// A chunk that is being filled.
struct Filling<'l> {
    label: &'l Label,
    records: Output,
    luggage: Luggage,
    freight: Freight,
    /// Bytes in its blocks.
    stowed: usize,
    elements: u32,
    /// Those of the element that is being encoded.
    handles: Vec<Fd>,
}

/// For what elements are encoded, and where large ones of them go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lading<'f> {
    pub(super) label: &'f Label,
    pub(super) store: Option<&'f Arc<Store>>,
}

/// A source of elements, whatever their type.
pub(super) trait Feed: Send {
    /// Reads the next elements. Pending only if there is not a single one yet.
    fn poll_chunk(&mut self, cx: &mut Context<'_>, portion: Portion, lading: Lading<'_>) -> Poll<Chunk>;

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
    fn poll_chunk(&mut self, _cx: &mut Context<'_>, portion: Portion, lading: Lading<'_>) -> Poll<Chunk> {
        Poll::Ready(fill(portion, lading, || Poll::Ready(self.0.next())))
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
    fn poll_chunk(&mut self, cx: &mut Context<'_>, portion: Portion, lading: Lading<'_>) -> Poll<Chunk> {
        let chunk = fill(portion, lading, || self.0.as_mut().poll_next(cx));
        // What has come is sent at once; it does not wait for the chunk to fill.
        let nothing = chunk.elements == 0 && chunk.failed.is_none() && !chunk.ended;
        if nothing { Poll::Pending } else { Poll::Ready(chunk) }
    }

    fn remaining(&self) -> Option<usize> {
        None
    }
}

fn fill<A: Arguments>(portion: Portion, lading: Lading<'_>, next: impl FnMut() -> Poll<Option<A>>) -> Chunk {
    match A::numbers() {
        Some(bytes) if bytes < lading.label.max => fill_with_numbers(1 + bytes, portion, lading.label, next),
        _ => fill_with_any(portion, lading, next),
    }
}

/// Numbers have no handles, go into no block and have no code that could panic; and the record of each element has the same length.
fn fill_with_numbers<A: Arguments>(
    record: usize,
    portion: Portion,
    label: &Label,
    mut next: impl FnMut() -> Poll<Option<A>>,
) -> Chunk {
    let most = (portion.elements as usize).saturating_mul(record).min(portion.bytes);
    let mut records = Vec::new();
    let read = catch_unwind(AssertUnwindSafe(|| {
        while records.len() < most {
            let Poll::Ready(item) = next() else { return false };
            let Some(args) = item else { return true };
            args.put_numbers(&mut records);
        }
        false
    }));
    let (ended, failed) = match read {
        Ok(ended) => (ended, None),
        Err(payload) => (true, Some(input_panicked(label, payload))),
    };
    let elements = u32::try_from(records.len() / record).expect("no more than the portion has");
    Chunk { parcel: Parcel::new(records, Luggage::default()), elements, failed, ended }
}

fn input_panicked(label: &Label, payload: Box<dyn Any + Send>) -> Error {
    let panic = Panic::new(&label.task(), panic_text(&*payload));
    // It may panic when it is dropped.
    std::mem::forget(payload);
    Error::Input(panic)
}

fn fill_with_any<A: Arguments>(
    portion: Portion,
    lading: Lading<'_>,
    mut next: impl FnMut() -> Poll<Option<A>>,
) -> Chunk {
    let mut filling = Filling::new(lading);
    let (mut failed, mut ended) = (None, false);
    let mut reading = true;
    let mut whole = 0;
    let filled = catch_unwind(AssertUnwindSafe(|| {
        while filling.elements < portion.elements && filling.size() < portion.bytes {
            reading = true;
            let Poll::Ready(item) = next() else { return };
            let Some(args) = item else {
                ended = true;
                return;
            };
            reading = false;
            if let Err(error) = filling.add(&args) {
                failed = Some(error);
                return;
            }
            whole = filling.records.len();
            if filling.is_laden() {
                return;
            }
        }
    }));
    if let Err(payload) = filled {
        ended = reading;
        failed = Some(if reading {
            input_panicked(lading.label, payload)
        } else {
            std::mem::forget(payload);
            lading.label.encode_error("its `Serialize` panicked".into())
        });
    }
    // A `Serialize` that panics leaves half a record.
    filling.records.undo(whole);
    let Filling { records, luggage, freight, elements, .. } = filling;
    let parcel = Parcel { records: records.into_bytes().into(), luggage, freight };
    Chunk { parcel, elements, failed, ended }
}

impl<'l> Filling<'l> {
    fn new(lading: Lading<'l>) -> Self {
        let Lading { label, store } = lading;
        Self {
            label,
            records: Output::new(store.cloned(), label.max),
            luggage: Luggage::default(),
            freight: Freight::default(),
            stowed: 0,
            elements: 0,
            handles: Vec::new(),
        }
    }

    /// Bytes of its elements so far.
    #[inline]
    fn size(&self) -> usize {
        self.records.len() + self.stowed
    }

    /// It has as many handles as one value may have, and leaves the next ones to the next chunk.
    #[inline]
    fn is_laden(&self) -> bool {
        !self.luggage.is_empty() && self.luggage.len() >= MOST_HANDLES.into()
    }

    /// Appends one element.
    fn add(&mut self, args: &impl Arguments) -> Result<(), Error> {
        let start = self.records.len();
        let collecting = Collecting::begin();
        let encoded = put_record(&mut self.records, |out| args.encode(out));
        collecting.end(&mut self.handles);
        encoded.map_err(|cause| self.label.encode_error(cause))?;
        let (elsewhere, max) = (self.records.elsewhere(), self.label.max);
        let size = self.records.len() - start + elsewhere;
        if size > max {
            return Err(Error::TooLarge { what: "the arguments", task: self.label.task(), size, max });
        }
        self.luggage.add(self.elements, &mut self.handles);
        if elsewhere > 0 {
            self.freight.add(self.elements, &mut self.records.take_parts());
            self.stowed += elsewhere;
        }
        self.elements += 1;
        Ok(())
    }
}
