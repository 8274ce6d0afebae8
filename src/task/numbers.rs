//! Elements that are numbers, as are their results: what is computed with them takes less time than what is done around them, which is
//! therefore done here alone, and with as little as can be.
//!
//! The rules are those of a stretch. A number has no code that could panic, and its record is as long as every other.

use super::arity::{Arguments, TaskFn};
use super::call::{Step, leave_if_forked};
use super::entry::conjure;
use super::panics::caught;
use super::stretch::{Odd, Stretch};
use crate::os::{Board, Row};
use crate::wire::{Records, is_number, number_at, number_word, record_head};

/// Runs elements up to one that is no such record, or has no room on the board beside the others; if one panics, that is the last.
pub(super) fn numbers<F, Args, M>(stretch: &mut Stretch<'_, '_>) -> Option<Odd>
where
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    let bytes = Args::numbers()?;
    if !is_number::<F::Value>() || size_of::<F::Value>() >= stretch.max || stretch.out.len() > Board::room() {
        return None;
    }
    let mut row = stretch.board.row(stretch.out.len());
    let ran = caught(|| run::<F, Args, M>(bytes, stretch, &mut row));
    row.copy_to(stretch.out.bytes_mut());
    let panic = ran.err()?;
    leave_if_forked();
    Some(Odd { start: stretch.out.len(), came: Err(Step::Run.failed(panic)) })
}

fn run<F, Args, M>(bytes: usize, stretch: &mut Stretch<'_, '_>, row: &mut Row<'_>)
where
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    let size = size_of::<F::Value>();
    while stretch.number <= stretch.until && row.has_room() && !stretch.board.is_cancelled(stretch.slot) {
        let Some(args) = stretch.records.next_of(bytes).and_then(Args::read_numbers) else { return };
        stretch.board.begin(stretch.slot, stretch.number, None);
        let value = conjure::<F>().invoke(args);
        leave_if_forked();
        row.push(record_head(size), number_word(&value), size);
        stretch.number += 1;
    }
}

/// Takes results from the records as long as they are such numbers; how many were taken.
pub(super) fn take_numbers<R: 'static>(elements: u32, records: &mut Records<'_>, values: &mut Vec<R>) -> u32 {
    if !is_number::<R>() {
        return 0;
    }
    values.reserve(elements as usize);
    let next = || number_at(records.next_of(size_of::<R>())?);
    let before = values.len();
    values.extend(std::iter::from_fn(next).take(elements as usize));
    u32::try_from(values.len() - before).expect("no more than there are elements")
}
