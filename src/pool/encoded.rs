//! Maps whose elements come encoded, and whose results stay so: for a process that runs them for others and need not know their types.

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
use crate::error::Result;
use crate::task::{Arguments, Task};
use crate::wire::{Fd, encode};

/// A value's bytes with its handles: arguments as their task gets them, or a result as its caller does.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) handles: Vec<Fd>,
}

/// The arguments of one element, or why there are none.
pub(crate) type Element = Result<Encoded, String>;

struct Input(Element);

/// Results as they come: in the order of the input, unless it is [unordered](Self::unordered). Dropping it cancels what has not started.
pub(crate) struct EncodedMap {
    flow: Flow,
    current: Option<Results>,
    fails_fast: bool,
    finished: bool,
}

impl<K: Kind> Pool<K> {
    /// Calls a task for each element of the input, which is read as the workers need it.
    pub(crate) fn encoded_map(
        &self,
        task: Task,
        input: impl Stream<Item = Element> + Send + 'static,
    ) -> EncodedMap {
        let input = futures::StreamExt::map(input, Input);
        let flow = Flow::new(Arc::clone(self.engine()), task, Box::new(FromStream(Box::pin(input))));
        EncodedMap { flow, current: None, fails_fast: false, finished: false }
    }

    /// How many workers it should have.
    pub(crate) fn workers_wanted(&self) -> usize {
        self.engine().workers_wanted()
    }
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
            let label = self.flow.label();
            if let Some(result) = self.current.as_mut().and_then(|results| results.next_encoded(label)) {
                self.flow.handed_out(1);
                return Some(result);
            }
            self.current = self.flow.take_next();
            self.current.as_ref()?;
        }
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
            return Poll::Ready(Some(Err(error)));
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
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let Encoded { bytes, handles } = self.0.as_ref().map_err(Clone::clone)?;
        out.extend_from_slice(bytes);
        // Each takes the place among all by which the bytes name it.
        let mut places = Vec::new();
        handles.iter().try_for_each(|handle| encode(handle, &mut places))
    }

    fn decode(_: &[u8]) -> Result<Self, String> {
        Err("its bytes are for a task that has other types".into())
    }
}
