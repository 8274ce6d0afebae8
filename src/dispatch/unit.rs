//! What is dispatched: a call, or a chunk of a map's elements, with the place its results go to.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lanes::LaneId;
use super::limits::Permit;
use super::terms::Terms;
use crate::error::{Error, Limit};
use crate::task::{Task, task_name};
use crate::wire::{Parcel, Records};

/// Only units up to this size are sent ahead: a larger one would fill the pipe of a busy worker.
const AHEAD_BYTES: usize = 64 * 1024;

/// What its caller asks of a unit, beside its results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) lane: LaneId,
    pub(crate) terms: Terms,
    /// It fails if it has not started by then.
    pub(crate) start_by: Option<Instant>,
    /// Its input holds the pool open.
    pub(crate) is_held: bool,
}

/// One call or chunk, as it waits and travels.
pub(crate) struct Unit {
    pub(crate) task: Task,
    /// The task's number, which its errors name.
    pub(crate) id: u64,
    /// The arguments, one record an element. Their handles are kept until it is settled, since it may have to be sent again.
    pub(crate) parcel: Parcel,
    pub(crate) elements: u32,
    pub(crate) sink: Arc<dyn Sink>,
    /// Its place in a limited queue, given back when it is sent.
    pub(crate) permit: Mutex<Option<Permit>>,
}

/// Results of a unit. Pieces may overtake each other; each element is in exactly one.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) results: Pieces,
    /// The first element they are of.
    pub(crate) first: u32,
    /// How many elements they are of.
    pub(crate) elements: u32,
    /// How long its worker has spent on it so far.
    pub(crate) elapsed_ns: u64,
}

#[derive(Debug)]
pub(crate) enum Pieces {
    /// One record an element.
    Records(Parcel),
    /// All of them failed so.
    Failed(Error),
}

/// Where results go. Called from any thread; must neither block nor run the caller's code.
pub(crate) trait Sink: Send + Sync {
    /// Takes results in. Whoever waits for them is to be woken once all that have come together are taken in: else he would come for each by itself.
    fn accept(&self, piece: Piece, waiting: &mut Vec<Waker>);
}

impl Unit {
    /// The name that errors call the task by.
    pub(crate) fn name(&self) -> String {
        task_name(self.task.name(), self.id)
    }

    /// It may be sent to a worker that is busy. One with handles may not, as descriptors under way are few.
    pub(super) fn is_light(&self) -> bool {
        self.parcel.luggage.is_empty() && self.parcel.size() <= AHEAD_BYTES
    }

    /// What so many elements behind the first `done` travel with.
    pub(crate) fn parcel_of(&self, done: u32, elements: u32) -> Parcel {
        if done == 0 && elements == self.elements {
            return self.parcel.clone();
        }
        let luggage = self.parcel.luggage.share(done, elements);
        let freight = self.parcel.freight.share(done, elements);
        Parcel { records: self.records_of(done, elements), luggage, freight }
    }

    fn records_of(&self, done: u32, elements: u32) -> Bytes {
        let mut records = Records::new(&self.parcel.records);
        let skipped = records.by_ref().take(done as usize).count();
        debug_assert_eq!(skipped, done as usize, "a unit has as many records as elements");
        let from_there = records.rest();
        let taken = records.by_ref().take(elements as usize).count();
        debug_assert_eq!(taken, elements as usize, "a unit has as many records as elements");
        self.parcel.records.slice_ref(&from_there[..from_there.len() - records.rest().len()])
    }

    /// The error of elements that did not start or end in time.
    pub(crate) fn timed_out(&self, limit: Limit, after: Duration) -> Error {
        Error::TimedOut { task: self.name(), limit, after }
    }

    /// Gives its place in a limited queue back.
    pub(crate) fn leave_queue(&self) {
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Tells the caller that `elements` of it failed.
    pub(crate) fn fail(&self, error: Error, first: u32, elements: u32, waiting: &mut Vec<Waker>) {
        self.sink.accept(Piece { results: Pieces::Failed(error), first, elements, elapsed_ns: 0 }, waiting);
    }
}
