//! What is dispatched: a call, or a chunk of a map's elements, with the place its results go to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lanes::LaneId;
use super::limits::Permit;
use super::terms::Terms;
use crate::error::{Error, Limit};
use crate::task::{Label, Task};
use crate::wire::{Parcel, Records};

/// Only units up to this size are sent ahead: a larger one would fill the pipe of a busy worker.
const AHEAD_BYTES: usize = 64 * 1024;

/// A unit and the place its results go to, in one piece of memory. Called from any thread; must neither block nor run the caller's code.
pub(crate) trait Job: Send + Sync {
    fn unit(&self) -> &Unit;

    /// Takes results in. Whoever waits for them is to be woken once all that have come together are taken in: else he would come for each by itself.
    fn accept(self: Arc<Self>, piece: Piece, waiting: &mut Vec<Waker>);
}

/// One call or chunk, as it waits and travels.
pub(crate) struct Unit {
    pub(crate) task: Task,
    pub(crate) label: Label,
    pub(crate) elements: u32,
    load: Mutex<Load>,
}

/// What a unit has only until it is settled.
#[derive(Default)]
struct Load {
    /// The arguments, one record an element. Their handles are kept, since it may have to be sent again.
    parcel: Parcel,
    /// Its place in a limited queue, given back when it is sent.
    permit: Option<Box<Permit>>,
}

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

impl Unit {
    /// A unit without its load, as it is before it is submitted.
    pub(crate) fn new(task: Task, label: Label, elements: u32) -> Self {
        Self { task, label, elements, load: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn load(&self, parcel: Parcel, permit: Option<Permit>) {
        *self.lock() = Load { parcel, permit: permit.map(Box::new) };
    }

    /// It is settled, and needs its arguments no more. Whoever waits for its results may do so for long.
    pub(crate) fn unload(&self) {
        let load = std::mem::take(&mut *self.lock());
        drop(load);
    }

    /// Gives its place in a limited queue back.
    pub(crate) fn leave_queue(&self) {
        let permit = self.lock().permit.take();
        drop(permit);
    }

    /// It may be sent to a worker that is busy. One with handles may not, as descriptors under way are few.
    pub(super) fn is_light(&self) -> bool {
        let parcel = &self.lock().parcel;
        parcel.luggage.is_empty() && parcel.size() <= AHEAD_BYTES
    }

    /// What so many elements behind the first `done` travel with.
    pub(crate) fn parcel_of(&self, done: u32, elements: u32) -> Parcel {
        let parcel = &self.lock().parcel;
        if done == 0 && elements == self.elements {
            return parcel.clone();
        }
        let luggage = parcel.luggage.share(done, elements);
        let freight = parcel.freight.share(done, elements);
        Parcel { records: records_of(&parcel.records, done, elements), luggage, freight }
    }

    /// The error of elements that did not start or end in time.
    pub(crate) fn timed_out(&self, limit: Limit, after: Duration) -> Error {
        Error::TimedOut { task: self.label.task(), limit, after }
    }
}

fn records_of(all: &Bytes, done: u32, elements: u32) -> Bytes {
    let mut records = Records::new(all);
    let skipped = records.by_ref().take(done as usize).count();
    debug_assert_eq!(skipped, done as usize, "a unit has as many records as elements");
    let from_there = records.rest();
    let taken = records.by_ref().take(elements as usize).count();
    debug_assert_eq!(taken, elements as usize, "a unit has as many records as elements");
    all.slice_ref(&from_there[..from_there.len() - records.rest().len()])
}
