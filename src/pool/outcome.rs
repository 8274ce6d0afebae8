//! From the pieces of a reply to values and errors.

use crate::dispatch::{Piece, Pieces};
use crate::error::{Error, Result};
use crate::task::{Label, Payload};
use crate::wire::{Arriving, Fd, Parcel, Parts, Record, Records};

/// The value of a single call.
pub(super) fn single<R: Payload>(label: &Label, results: Pieces) -> Result<R> {
    Results::of(results, 1).next(label).unwrap_or_else(|| Err(label.broken("there is no result".into())))
}

/// The results of a piece, taken one by one.
#[derive(Debug)]
pub(super) struct Results {
    state: State,
    left: u32,
    taken: u32,
}

#[derive(Debug)]
enum State {
    Records(Parcel),
    Failed(Error),
}

impl Results {
    pub(super) fn new(piece: Piece) -> Self {
        Self::of(piece.results, piece.elements)
    }

    fn of(results: Pieces, elements: u32) -> Self {
        let state = match results {
            Pieces::Records(parcel) => State::Records(parcel),
            Pieces::Failed(error) => State::Failed(error),
        };
        Self { state, left: elements, taken: 0 }
    }

    pub(super) fn failed(error: Error) -> Self {
        Self { state: State::Failed(error), left: 1, taken: 0 }
    }

    /// How many elements they are of.
    pub(super) fn len(&self) -> u32 {
        self.left
    }

    /// The first failure among them, without decoding the others.
    pub(super) fn failure(&self, label: &Label) -> Option<Error> {
        match &self.state {
            State::Failed(error) => Some(error.clone()),
            State::Records(parcel) => {
                let failed = Records::new(&parcel.records).failure(self.left)?;
                label.value::<()>(true, failed.bytes).err()
            }
        }
    }

    /// The next element's result; nothing when all were taken. A worker that sent fewer records than it said is
    /// not believed: the missing ones are errors.
    pub(super) fn next<R: Payload>(&mut self, label: &Label) -> Option<Result<R>> {
        self.next_as(label, |record, handles, parts| label.value_with(record, handles, parts))
    }

    /// As `next`, of a result that is opened in another way.
    pub(super) fn next_as<T>(
        &mut self,
        label: &Label,
        open: impl FnOnce(Record<'_>, &mut Vec<Fd>, &Parts) -> Result<T>,
    ) -> Option<Result<T>> {
        self.left = self.left.checked_sub(1)?;
        let Parcel { records, luggage, freight } = match &mut self.state {
            State::Failed(error) => return Some(Err(error.clone())),
            State::Records(parcel) => parcel,
        };
        let mut handles = Vec::new();
        luggage.take(self.taken, &mut handles);
        let parts = freight.take(self.taken);
        self.taken += 1;
        let mut reader = Records::new(records);
        let Some(record) = reader.next() else {
            return Some(Err(label.too_few()));
        };
        let value = open(record, &mut handles, &parts);
        *records = records.slice_ref(reader.rest());
        Some(value)
    }

    /// Appends all results that are left, up to the first error.
    pub(super) fn collect_into<R: Payload>(self, label: &Label, values: &mut Vec<R>) -> Result<()> {
        let State::Records(mut parcel) = self.state else {
            return match self.state {
                State::Failed(error) if self.left > 0 => Err(error),
                _ => Ok(()),
            };
        };
        let is_plain = parcel.is_plain();
        let mut reader = Records::new(&parcel.records);
        let mut handles = Vec::new();
        // Once for all that have none.
        let _none = Arriving::begin(&mut handles);
        if is_plain {
            return label.values(self.left, &mut reader, values);
        }
        let mut next = || reader.next().ok_or_else(|| label.too_few());
        for element in self.taken..self.taken + self.left {
            let record = next()?;
            parcel.luggage.take(element, &mut handles);
            values.push(label.value_with(record, &mut handles, &parcel.freight.take(element))?);
        }
        Ok(())
    }
}
