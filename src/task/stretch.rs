//! Many elements of a call at a stretch, for tasks so short that what is done around each of them counts.
//!
//! One net is hung up for all of them, and everything within it is compiled together with the task. It ends at the first element that is
//! unlike the others, which the caller deals with.

use std::cell::Cell;
use std::mem::needs_drop;

use super::arity::{Arguments, TaskFn};
use super::call::{Step, leave_if_forked};
use super::entry::conjure;
use super::numbers::numbers;
use super::panics::caught;
use crate::os::Board;
use crate::wire::{Arriving, Collecting, Failure, Fd, Input, Output, Parts, Records, put_record};

const NONE: &Parts = &Parts::new();

/// What a stretch works with, and how far it has come.
#[derive(Debug)]
pub(crate) struct Stretch<'a, 'r> {
    pub(crate) board: &'a Board,
    pub(crate) slot: usize,
    pub(crate) records: &'a mut Records<'r>,
    /// Where the results go; those before are on the board.
    pub(crate) out: &'a mut Output,
    /// The handles of an element that ends the stretch by having some.
    pub(crate) handles: &'a mut Vec<Fd>,
    /// The next element, counted from 1.
    pub(crate) number: u32,
    /// It goes no further than this one.
    pub(crate) until: u32,
    /// The most bytes of a result.
    pub(crate) max: usize,
}

/// An element that was run and ends the stretch: what came of it, and where its record begins.
#[derive(Debug)]
pub(crate) struct Odd {
    pub(crate) start: usize,
    pub(crate) came: Result<(), Failure>,
}

/// Runs the task `F` on element after element, each begun on the board and its result put there.
pub(super) fn stretch<F, Args, M>(stretch: &mut Stretch<'_, '_>) -> Option<Odd>
where
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    if needs_drop::<F::Value>() {
        // Its drop may panic, and costs more than what is saved.
        return None;
    }
    if let Some(odd) = numbers::<F, Args, M>(stretch) {
        return Some(odd);
    }
    let (step, start) = (Cell::new(Step::Decode), Cell::new(stretch.out.len()));
    let ran = caught(|| {
        while stretch.goes_on() {
            start.set(stretch.out.len());
            step.set(Step::Decode);
            let came = stretch.one::<F, Args, M>(&step);
            if came.is_err() || stretch.is_odd(start.get()) {
                return Some(Odd { start: start.get(), came });
            }
            stretch.board.add_result(start.get(), &stretch.out.bytes()[start.get()..]);
            stretch.number += 1;
        }
        None
    });
    ran.unwrap_or_else(|panic| {
        leave_if_forked();
        Some(Odd { start: start.get(), came: Err(step.get().failed(panic)) })
    })
}

impl Stretch<'_, '_> {
    #[inline]
    fn goes_on(&self) -> bool {
        self.number <= self.until && self.out.len() <= Board::room() && !self.board.is_cancelled(self.slot)
    }

    #[inline]
    fn one<F, Args, M>(&mut self, step: &Cell<Step>) -> Result<(), Failure>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        self.board.begin(self.slot, self.number, None);
        let record = self.records.next();
        let record = record.ok_or_else(|| Failure::Decode("the payload ends before the element".into()))?;
        let mut none = Vec::new();
        let arriving = Arriving::begin(&mut none);
        let args = Args::decode(Input::new(record.bytes, NONE)).map_err(Failure::Decode)?;
        drop(arriving);
        step.set(Step::Run);
        let value = conjure::<F>().invoke(args);
        leave_if_forked();
        step.set(Step::Encode);
        let collecting = Collecting::begin();
        let encoded = put_record(self.out, |out| out.put(&value));
        collecting.end(self.handles);
        encoded.map_err(Failure::Encode)
    }

    /// It cannot stay on the board like the others.
    #[inline]
    fn is_odd(&self, start: usize) -> bool {
        let large = self.out.len() > Board::room() || self.out.elsewhere() > 0;
        large || self.out.len() - start > self.max || !self.handles.is_empty()
    }
}
