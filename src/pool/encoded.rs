//! Maps whose elements come as values for anybody to read, and whose results go so: for a process that runs them for others.
//!
//! How a pool and its workers write values to each other is their own affair. So each element is read here and written anew, and so is each result; the
//! functions that do so are all that is left of the types.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;

use super::feed::FromStream;
use super::flow::Flow;
use super::front::Pool;
use super::kind::Kind;
use super::outcome::Results;
use crate::error::{Error, Result};
use crate::task::{Arguments, Label, Payload, Task, TaskFn, caught};
use crate::wire::{self, Arriving, Collecting, Fd, Output, Parts, Record, encode};

/// A value's bytes with its handles, as they go between any processes.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) handles: Vec<Fd>,
}

/// The arguments of one element, or why there are none.
pub(crate) type Element = Result<Encoded, String>;

/// Opens a result, and writes it anew.
type Open = fn(&Label, Record<'_>, &mut Vec<Fd>, &Parts) -> Result<Encoded>;

/// A task, and how its arguments and its results are read and written.
#[derive(Clone, Copy)]
pub(crate) struct Recoded {
    task: Task,
    arguments: fn(&Encoded, &mut Output) -> Result<(), String>,
    result: Open,
}

struct Input {
    element: Element,
    write: fn(&Encoded, &mut Output) -> Result<(), String>,
}

/// What stands before the reason why arguments cannot be read, since whoever feeds a map says only why they cannot be written.
const UNREADABLE: &str = "they cannot be decoded: ";

/// Results as they come: in the order of the input, unless it is [unordered](Self::unordered). Dropping it cancels what has not started.
pub(crate) struct EncodedMap {
    flow: Flow,
    open: Open,
    current: Option<Results>,
    fails_fast: bool,
    finished: bool,
}

impl<K: Kind> Pool<K> {
    /// Calls a task for each element of the input, which is read as the workers need it.
    pub(crate) fn encoded_map(
        &self,
        recoded: Recoded,
        input: impl Stream<Item = Element> + Send + 'static,
    ) -> EncodedMap {
        let Recoded { task, arguments: write, result: open } = recoded;
        let input = futures::StreamExt::map(input, move |element| Input { element, write });
        let flow = Flow::new(Arc::clone(self.engine()), task, Box::new(FromStream(Box::pin(input))));
        EncodedMap { flow, open, current: None, fails_fast: false, finished: false }
    }

    /// How many workers it should have.
    pub(crate) fn workers_wanted(&self) -> usize {
        self.engine().workers_wanted()
    }
}

impl Recoded {
    pub(crate) fn of<F, Args, M>(f: F) -> Self
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        Self { task: Task::of(f), arguments: write_again::<Args>, result: open_and_write::<F::Value> }
    }
}

fn write_again<Args: Arguments>(encoded: &Encoded, out: &mut Output) -> Result<(), String> {
    let read = caught(|| {
        let mut handles = encoded.handles.clone();
        let _arriving = Arriving::begin(&mut handles);
        Args::decode(wire::Input::plain(&encoded.bytes))
    });
    let read = read.unwrap_or_else(|panic| Err(format!("it panicked: {}", panic.message)));
    read.map_err(|cause| format!("{UNREADABLE}{cause}"))?.encode(out)
}

fn open_and_write<R: Payload>(
    label: &Label,
    record: Record<'_>,
    handles: &mut Vec<Fd>,
    parts: &Parts,
) -> Result<Encoded> {
    let value: R = label.value_with(record, handles, parts)?;
    let mut written = Encoded::default();
    let writing = caught(|| {
        let collecting = Collecting::begin();
        let encoded = encode(&value, &mut written.bytes);
        collecting.end(&mut written.handles);
        encoded
    });
    let failed = |cause| Error::Encode { what: "the result", task: label.task(), cause };
    writing.map_err(|panic| failed(format!("it panicked: {}", panic.message)))?.map_err(failed)?;
    Ok(written)
}

impl EncodedMap {
    /// Hands results out in the order they come.
    pub(crate) fn unordered(mut self) -> Self {
        self.flow = self.flow.unordered();
        self
    }

    /// The first failure that comes, of whichever element, is the last result.
    pub(crate) fn failing_fast(mut self) -> Self {
        self.flow = self.flow.failing_fast();
        self.fails_fast = true;
        self
    }

    pub(crate) fn timeout(mut self, limit: Duration) -> Self {
        self.flow.wish(|wishes| wishes.terms.timeout = Some(limit));
        self
    }

    pub(crate) fn chunksize(mut self, elements: usize) -> Self {
        self.flow.set_chunksize(elements);
        self
    }

    /// A pool that is closed from now on reads its input to the end.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`](crate::Error::Closed) if it was closed before, or why the pool is broken.
    pub(crate) fn hold(&mut self) -> Result<()> {
        self.flow.hold()
    }

    /// What errors call it by.
    pub(crate) fn task(&self) -> String {
        self.flow.label().task()
    }

    fn next_result(&mut self) -> Option<Result<Encoded>> {
        loop {
            let (label, open) = (self.flow.label(), self.open);
            let next = |results: &mut Results| {
                results.next_as(label, |record, handles, parts| open(label, record, handles, parts))
            };
            if let Some(result) = self.current.as_mut().and_then(next) {
                self.flow.handed_out(1);
                return Some(result.map_err(as_read));
            }
            self.current = self.flow.take_next();
            self.current.as_ref()?;
        }
    }
}

/// What was not written since it could not be read is told so.
fn as_read(error: Error) -> Error {
    match error {
        Error::Encode { task, cause, what } => match cause.strip_prefix(UNREADABLE) {
            Some(cause) => Error::Decode { what, task, cause: cause.to_owned() },
            None => Error::Encode { what, task, cause },
        },
        other => other,
    }
}

impl Unpin for EncodedMap {}

impl Stream for EncodedMap {
    type Item = Result<Encoded>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.finished {
            return Poll::Ready(None);
        }
        self.flow.advance(cx);
        let failure = if self.fails_fast { self.flow.take_failure() } else { None };
        if let Some(error) = failure {
            self.finished = true;
            self.flow.cancel();
            return Poll::Ready(Some(Err(as_read(error))));
        }
        if let Some(result) = self.next_result() {
            return Poll::Ready(Some(result));
        }
        self.finished = self.flow.is_finished();
        if self.finished { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl fmt::Debug for EncodedMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedMap").field("task", &self.task()).finish_non_exhaustive()
    }
}

impl Arguments for Input {
    fn encode(&self, out: &mut Output) -> Result<(), String> {
        (self.write)(self.element.as_ref().map_err(Clone::clone)?, out)
    }

    fn decode(_: wire::Input<'_>) -> Result<Self, String> {
        Err("its bytes are for a task that has other types".into())
    }
}
