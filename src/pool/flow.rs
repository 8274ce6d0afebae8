//! What all maps have in common: chunks of the input under way, and their results as they come back.
//!
//! ```text
//! feed ──chunk──► engine ──► workers
//!                              │ pieces
//! user ◄── results ◄── hub ◄───┘
//! ```
//!
//! The input is read only while somebody polls, and never further ahead than the workers need, or than `buffer`
//! allows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::feed::{Chunk, Feed, Lading, Portion};
use super::outcome::Results;
use super::pace::{CHUNK_BYTES, MOST_AHEAD, Options, Pace};
use super::window::{ChunkJob, Hub, Window, Windows};
use super::wishes::Wishes;
use crate::dispatch::{Demand, Engine, Hold, LaneId, Piece, Unit};
use crate::error::{Error, Result};
use crate::task::{Label, Task};

pub(super) struct Flow {
    engine: Arc<Engine>,
    task: Task,
    label: Label,
    lane: LaneId,
    feed: Box<dyn Feed>,
    options: Options,
    wishes: Wishes,
    /// Ready when the caller's token is cancelled; made when it is first waited for.
    cancelled: Option<BoxFuture<'static, ()>>,
    pace: Pace,
    hub: Arc<Hub>,
    windows: Windows,
    /// Chunks with results to take, in the order these came, where that is the order they are taken in.
    arrived: Option<VecDeque<usize>>,
    /// Elements that were read from the input and not handed to the user.
    held: usize,
    /// Chunks that are not settled.
    unsettled: usize,
    ended: bool,
    /// Look for failures in all results that arrive, and the first that was found.
    fails_fast: bool,
    failure: Option<(usize, Error)>,
    /// Keeps a pool that is being closed from ending before all of the input was read.
    hold: Option<Hold>,
}

impl Flow {
    pub(super) fn new(engine: Arc<Engine>, task: Task, feed: Box<dyn Feed>) -> Self {
        let id = engine.fresh_id();
        let wishes = Wishes::new(engine.terms());
        let (name, max) = (task.namer(), engine.max_frame());
        let label = Label { name, id, max, timeout: wishes.terms.timeout };
        Self {
            engine,
            task,
            label,
            lane: LaneId(id),
            feed,
            options: Options::default(),
            wishes,
            cancelled: None,
            pace: Pace::default(),
            hub: Arc::default(),
            windows: Windows::default(),
            arrived: None,
            held: 0,
            unsettled: 0,
            ended: false,
            fails_fast: false,
            failure: None,
            hold: None,
        }
    }

    /// Hands results out in the order they come.
    pub(super) fn unordered(mut self) -> Self {
        self.arrived = Some(VecDeque::new());
        self
    }

    /// Looks for failures as results arrive, in whatever order.
    pub(super) fn failing_fast(mut self) -> Self {
        self.fails_fast = true;
        self
    }

    /// The failure of the first of the failed elements that have arrived.
    pub(super) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take().map(|(_, error)| error)
    }

    fn failed_at(&mut self, number: usize, failure: Option<Error>) {
        let earlier = self.failure.as_ref().is_some_and(|(earlier, _)| *earlier <= number);
        if let (false, Some(error)) = (earlier, failure) {
            self.failure = Some((number, error));
        }
    }

    /// From now on a pool that is closed waits for the rest of this input.
    pub(super) fn hold(&mut self) -> Result<()> {
        if self.hold.is_none() && !self.ended {
            self.hold = Some(self.engine.hold()?);
        }
        Ok(())
    }

    pub(super) fn label(&self) -> &Label {
        &self.label
    }

    /// The map as one unit, for a handle of its own. It is never submitted itself.
    pub(super) fn unit(&self) -> Unit {
        Unit::new(self.task, self.label.clone(), 0)
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(super) fn set_chunksize(&mut self, elements: usize) {
        self.options.chunksize = Some(u32::try_from(elements).unwrap_or(u32::MAX));
    }

    pub(super) fn set_buffer(&mut self, elements: usize) {
        self.options.buffer = Some(elements);
    }

    pub(super) fn wish(&mut self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes);
        self.label.timeout = self.wishes.terms.timeout;
    }

    /// Gives everything up once the caller's token is cancelled.
    fn heed_token(&mut self, cx: &mut Context<'_>) {
        if self.ended && self.windows.is_empty() {
            return;
        }
        let Some(token) = &self.wishes.token else { return };
        let cancelled =
            self.cancelled.get_or_insert_with(|| Box::pin(CancellationToken::clone(token).cancelled_owned()));
        if cancelled.as_mut().poll(cx).is_ready() {
            (self.cancelled, self.wishes.token) = (None, None);
            self.cancel();
            self.push_failed(Error::Cancelled { task: self.label.task() });
        }
    }

    /// How many elements are certainly still to come.
    pub(super) fn remaining(&self) -> Option<usize> {
        self.feed.remaining()
    }

    /// Takes in what has come back, and reads and submits as much as may be under way. An option that cannot be, or a pool that takes
    /// nothing more, is one more failed element behind those that were submitted.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        self.heed_token(cx);
        self.take_arrivals(Some(cx));
        let options = self.options.check().and_then(|()| self.wishes.check());
        if let (false, Err(error)) = (self.ended, options) {
            self.fail(error);
        }
        while !self.ended && self.has_room() {
            let portion = self.portion();
            let lading = Lading { label: &self.label, store: self.engine.store() };
            let Poll::Ready(chunk) = self.feed.poll_chunk(cx, portion, lading) else { break };
            if let Err(error) = self.submit(chunk) {
                self.fail(error);
            }
            self.take_arrivals(None);
        }
    }

    /// Reads no more: this is the last result.
    fn fail(&mut self, error: Error) {
        self.ended = true;
        // An input that holds the pool open is refused only once the pool was terminated.
        let terminated = self.hold.take().is_some() && matches!(error, Error::Closed);
        let error = if terminated { Error::Cancelled { task: self.label.task() } } else { error };
        self.push_failed(error);
    }

    fn push_failed(&mut self, error: Error) {
        let number = self.windows.push(Window::new(None, 1));
        self.held += 1;
        self.failed_at(number, Some(error.clone()));
        self.put(number, 0, Results::failed(error));
    }

    /// Puts results in their place, to be taken.
    fn put(&mut self, number: usize, first: u32, results: Results) {
        let Some(chunk) = self.windows.get_mut(number) else { return };
        chunk.put(first, results);
        if let Some(arrived) = &mut self.arrived {
            arrived.push_back(number);
        }
    }

    /// Everything was read, submitted, settled and taken.
    pub(super) fn is_finished(&self) -> bool {
        self.ended && self.windows.is_empty()
    }

    /// The next results, in the order of the input or in that of their arrival, if they have come.
    pub(super) fn take_next(&mut self) -> Option<Results> {
        let number = match &mut self.arrived {
            Some(arrived) => arrived.pop_front()?,
            None => self.windows.first()?,
        };
        let chunk = self.windows.get_mut(number)?;
        let in_order = self.arrived.is_none();
        let results = if in_order { chunk.take_next() } else { chunk.take_any() };
        if chunk.is_taken() {
            self.windows.remove(number);
        }
        results
    }

    /// Notes that the user has got this many elements.
    pub(super) fn handed_out(&mut self, elements: usize) {
        self.held -= elements;
    }

    fn take_arrivals(&mut self, cx: Option<&Context<'_>>) {
        let mut arrivals = self.hub.lock();
        if let Some(cx) = cx {
            arrivals.waker = Some(cx.waker().clone());
        }
        let pieces = std::mem::take(&mut arrivals.pieces);
        drop(arrivals);
        for (number, piece) in pieces {
            self.piece_arrived(number, piece);
        }
    }

    fn piece_arrived(&mut self, number: usize, piece: Piece) {
        let Some(chunk) = self.windows.get_mut(number) else { return };
        if chunk.left <= piece.elements && chunk.ticket.take().is_some() {
            self.unsettled -= 1;
            self.pace.note(piece.elapsed_ns, chunk.elements);
        }
        let (first, results) = (piece.first, Results::new(piece));
        let failure = if self.fails_fast { results.failure(&self.label) } else { None };
        self.failed_at(number, failure);
        self.put(number, first, results);
    }

    fn has_room(&self) -> bool {
        let workers = self.engine.workers_wanted();
        let ahead = self.pace.chunks_ahead(self.options.chunksize);
        let within_buffer = self.options.buffer.is_none_or(|buffer| self.held < buffer);
        // Results that nobody takes hold back the input too.
        self.unsettled < workers * ahead && self.windows.len() < workers * MOST_AHEAD * 2 && within_buffer
    }

    fn portion(&self) -> Portion {
        let workers = self.engine.workers_wanted();
        let mut elements = match self.options.chunksize {
            Some(elements) => elements,
            None => self.pace.elements(self.feed.remaining(), workers),
        };
        if let Some(buffer) = self.options.buffer {
            let room = u32::try_from(buffer - self.held).unwrap_or(u32::MAX);
            elements = elements.min(room);
            if self.options.chunksize.is_none() {
                // A small buffer is shared by all workers.
                let share = u32::try_from(buffer / workers).unwrap_or(u32::MAX);
                elements = elements.min(share.max(1));
            }
        }
        let bytes = if self.options.chunksize.is_some() { usize::MAX } else { CHUNK_BYTES };
        Portion { elements, bytes }
    }

    fn submit(&mut self, chunk: Chunk) -> Result<()> {
        let Chunk { parcel, elements, failed, ended } = chunk;
        self.ended = ended;
        let is_held = self.hold.is_some();
        if elements > 0 {
            self.pace.largest = self.pace.largest.max(elements);
            let unit = Unit::new(self.task, self.label.clone(), elements);
            unit.load(parcel, None);
            let (hub, number) = (Arc::clone(&self.hub), self.windows.next_number());
            let (terms, start_by) = (self.wishes.terms, self.wishes.start_by());
            let demand = Demand { lane: self.lane, terms, start_by, is_held };
            let ticket = self.engine.submit(Arc::new(ChunkJob { unit, hub, number }), demand)?;
            self.windows.push(Window::new(Some(ticket), elements));
            self.held += elements as usize;
            self.unsettled += 1;
        }
        if let Some(error) = failed {
            self.push_failed(error);
        }
        if ended {
            self.hold = None;
        }
        Ok(())
    }

    /// Takes back what has not started.
    pub(super) fn cancel(&mut self) {
        self.ended = true;
        self.hold = None;
        if let Some(arrived) = &mut self.arrived {
            arrived.clear();
        }
        for ticket in self.windows.drain().filter_map(|chunk| chunk.ticket) {
            ticket.cancel();
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.cancel();
    }
}
