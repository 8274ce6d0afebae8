//! One chunk of a map: what of it has come back, and what was taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::outcome::Results;
use crate::dispatch::{Piece, Sink, Ticket};

pub(super) struct Window {
    /// Gone once the chunk is settled.
    pub(super) ticket: Option<Ticket>,
    pub(super) elements: u32,
    /// Elements whose results have not come yet.
    pub(super) left: u32,
    /// The next element whose result is to be taken.
    next: u32,
    /// By their first element.
    pub(super) results: BTreeMap<u32, Results>,
}

impl Window {
    pub(super) fn new(ticket: Option<Ticket>, elements: u32) -> Self {
        Self { ticket, elements, left: elements, next: 0, results: BTreeMap::new() }
    }

    pub(super) fn is_taken(&self) -> bool {
        self.left == 0 && self.results.is_empty()
    }

    /// Any results that are there.
    pub(super) fn take_any(&mut self) -> Option<Results> {
        self.results.pop_first().map(|(_, results)| results)
    }

    /// The results of the next elements, if they are there.
    pub(super) fn take_next(&mut self) -> Option<Results> {
        let first = self.results.first_entry().filter(|first| *first.key() == self.next)?;
        let results = first.remove();
        self.next += results.len();
        Some(results)
    }
}

/// Where the results of all chunks of a map arrive.
#[derive(Default)]
pub(super) struct Hub(Mutex<Arrivals>);

#[derive(Default)]
pub(super) struct Arrivals {
    pub(super) pieces: Vec<(usize, Piece)>,
    pub(super) waker: Option<Waker>,
}

pub(super) struct ChunkSink {
    pub(super) hub: Arc<Hub>,
    pub(super) number: usize,
}

impl Hub {
    pub(super) fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for ChunkSink {
    fn accept(&self, piece: Piece) {
        let mut arrivals = self.hub.lock();
        arrivals.pieces.push((self.number, piece));
        let waker = arrivals.waker.take();
        drop(arrivals);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
