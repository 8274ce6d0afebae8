//! The chunks of a map that are under way: what of them has come back, and what was taken.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::outcome::Results;
use crate::dispatch::{Job, Piece, Ticket, Unit};

/// Chunks that are not settled, or whose results were not all taken, by their numbers.
#[derive(Default)]
pub(super) struct Windows {
    /// The number of the first, which is there unless there are none.
    first: usize,
    chunks: VecDeque<Option<Window>>,
    len: usize,
}

impl Windows {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the next chunk.
    pub(super) fn next_number(&self) -> usize {
        self.first + self.chunks.len()
    }

    pub(super) fn push(&mut self, chunk: Window) -> usize {
        let number = self.next_number();
        self.chunks.push_back(Some(chunk));
        self.len += 1;
        number
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Window> {
        self.chunks.get_mut(number.checked_sub(self.first)?)?.as_mut()
    }

    /// The number of the first.
    pub(super) fn first(&self) -> Option<usize> {
        (self.len > 0).then_some(self.first)
    }

    pub(super) fn remove(&mut self, number: usize) {
        let chunk = number.checked_sub(self.first).and_then(|at| self.chunks.get_mut(at));
        if chunk.is_some_and(|chunk| chunk.take().is_some()) {
            self.len -= 1;
        }
        while self.chunks.front().is_some_and(Option::is_none) {
            self.chunks.pop_front();
            self.first += 1;
        }
    }

    /// Removes all; those that come later have numbers of their own all the same.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Window> {
        self.first = self.next_number();
        self.len = 0;
        std::mem::take(&mut self.chunks).into_iter().flatten()
    }
}

/// One chunk.
pub(super) struct Window {
    /// Gone once the chunk is settled.
    pub(super) ticket: Option<Ticket>,
    pub(super) elements: u32,
    /// Elements whose results have not come yet.
    pub(super) left: u32,
    /// The next element whose result is to be taken.
    next: u32,
    /// In the order of their first elements.
    results: VecDeque<(u32, Results)>,
}

impl Window {
    pub(super) fn new(ticket: Option<Ticket>, elements: u32) -> Self {
        Self { ticket, elements, left: elements, next: 0, results: VecDeque::new() }
    }

    /// Results of the elements from `first` on have come.
    pub(super) fn put(&mut self, first: u32, results: Results) {
        self.left = self.left.saturating_sub(results.len());
        let at = self.results.partition_point(|(earlier, _)| *earlier < first);
        self.results.insert(at, (first, results));
    }

    pub(super) fn is_taken(&self) -> bool {
        self.left == 0 && self.results.is_empty()
    }

    /// Any results that are there.
    pub(super) fn take_any(&mut self) -> Option<Results> {
        self.results.pop_front().map(|(_, results)| results)
    }

    /// The results of the next elements, if they are there.
    pub(super) fn take_next(&mut self) -> Option<Results> {
        let (first, _) = self.results.front()?;
        let results = if *first == self.next { self.take_any() } else { None };
        self.next += results.as_ref().map_or(0, Results::len);
        results
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

/// A chunk, as it is dispatched.
pub(super) struct ChunkJob {
    pub(super) unit: Unit,
    pub(super) hub: Arc<Hub>,
    pub(super) number: usize,
}

impl Hub {
    pub(super) fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job for ChunkJob {
    fn unit(&self) -> &Unit {
        &self.unit
    }

    fn accept(self: Arc<Self>, piece: Piece, waiting: &mut Vec<Waker>) {
        let mut arrivals = self.hub.lock();
        arrivals.pieces.push((self.number, piece));
        waiting.extend(arrivals.waker.take());
    }
}
