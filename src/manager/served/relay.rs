//! What stands behind a map whose client reads the input: arguments come in portions as the workers need them, results go in pages.
//!
//! Inputs and results are numbered, so that a client that has given up an exchange makes it again and nothing is done twice or lost.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;
use serde::{Deserialize, Serialize};

use super::super::blob::Blob;
use super::super::exposed::Exposed;
use super::mishap::Mishap;
use super::page::Room;
use crate::error::Result;
use crate::pool::{Element, Encoded, EncodedMap};

pub(super) const KIND: &str = "map";

/// A portion is never more than so many inputs, and at first so many for each worker.
const LARGEST: u64 = 1_024;
const FIRST: u64 = 4;

/// Inputs that come ahead of the results that have gone.
const MOST_AHEAD: u64 = 4 * LARGEST;

#[derive(Debug)]
pub(crate) struct Relay {
    map: EncodedMap,
    intake: Intake,
    /// Results that the client has not said that it has, and the number of the first of them.
    results: VecDeque<Result<Blob, Mishap>>,
    first: u64,
    portion: u64,
    ended: bool,
}

/// Inputs from a number on; the last of them if it is so.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Portion {
    pub(crate) first: u64,
    pub(crate) inputs: Vec<Result<Blob, String>>,
    pub(crate) ended: bool,
}

/// Results from the number on that was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Yield {
    pub(crate) results: Vec<Result<Blob, Mishap>>,
    /// There are no more.
    pub(crate) ended: bool,
    /// How many inputs the next portion may have.
    pub(crate) wanted: u64,
}

/// Inputs that have come and were not read.
#[derive(Debug, Clone, Default)]
struct Intake(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    inputs: VecDeque<Element>,
    /// How many have come in all.
    came: u64,
    ended: bool,
    /// Whoever would read one more, and found none.
    reader: Option<Waker>,
}

pub(super) fn expose(relay: Exposed<Relay>) -> Exposed<Relay> {
    relay.method("exchange", Relay::exchange)
}

impl Relay {
    pub(super) fn new(
        workers: usize,
        map: impl FnOnce(Pin<Box<dyn Stream<Item = Element> + Send>>) -> Result<EncodedMap>,
    ) -> Result<Self> {
        let intake = Intake::default();
        let map = map(Box::pin(intake.clone()))?;
        let portion = (workers as u64).saturating_mul(FIRST).clamp(FIRST, LARGEST);
        Ok(Self { map, intake, results: VecDeque::new(), first: 0, portion, ended: false })
    }

    /// Takes inputs in, and gives the results from a number on: at once those that are there, or none if more inputs are wanted; otherwise when there is one.
    async fn exchange(&mut self, inputs: Portion, from: u64) -> Yield {
        let had = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.results.drain(..had.min(self.results.len()));
        self.first = self.first.max(from);
        self.intake.take_in(inputs);
        std::future::poll_fn(|cx| self.poll_some(cx)).await;
        let mut room = Room::default();
        let page = self.results.iter().take_while(|result| match result {
            Ok(value) => room.takes(value.bytes.0.len(), value.handles.len()),
            Err(_) => room.takes(0, 0),
        });
        let results: Vec<_> = page.cloned().collect();
        let ended = self.ended && results.len() == self.results.len();
        Yield { results, ended, wanted: self.wanted() }
    }

    /// Ready with a result, with the end, or when inputs are wanted.
    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && (self.results.len() as u64) < LARGEST {
            match Pin::new(&mut self.map).poll_next(cx) {
                Poll::Ready(Some(result)) => {
                    self.results.push_back(result.map(Blob::from).map_err(Mishap::from));
                }
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => break,
            }
        }
        let has_come = self.ended || !self.results.is_empty();
        let wants = || {
            let waiting = self.intake.lock();
            waiting.is_wanting() && waiting.came < self.first.saturating_add(MOST_AHEAD)
        };
        if has_come || wants() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A map that has read all it has gets more the next time.
    fn wanted(&mut self) -> u64 {
        let waiting = self.intake.lock();
        if waiting.is_wanting() {
            self.portion = (self.portion * 2).min(LARGEST);
        }
        let is_low = (waiting.inputs.len() as u64) < self.portion / 2;
        let room = self.first.saturating_add(MOST_AHEAD).saturating_sub(waiting.came);
        if is_low && !waiting.ended { self.portion.min(room) } else { 0 }
    }
}

impl Intake {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that have come before are not taken again.
    fn take_in(&self, Portion { first, inputs, ended }: Portion) {
        let mut waiting = self.lock();
        let known = usize::try_from(waiting.came.saturating_sub(first)).unwrap_or(usize::MAX);
        for input in inputs.into_iter().skip(known) {
            waiting.inputs.push_back(input.map(Encoded::from));
            waiting.came += 1;
        }
        waiting.ended |= ended;
        let is_fed = !waiting.inputs.is_empty() || waiting.ended;
        let reader = if is_fed { waiting.reader.take() } else { None };
        drop(waiting);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Waiting {
    fn is_wanting(&self) -> bool {
        self.reader.is_some()
    }
}

impl Stream for Intake {
    type Item = Element;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Element>> {
        let mut waiting = self.lock();
        match waiting.inputs.pop_front() {
            Some(input) => Poll::Ready(Some(input)),
            None if waiting.ended => Poll::Ready(None),
            None => {
                waiting.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
