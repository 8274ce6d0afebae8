//! One element of a call in its worker: decode, run, encode, drop, each caught on its own.

use super::arity::{Arguments, TaskFn};
use super::entry::conjure;
use super::panics::{Caught, caught};
use crate::wire::{Failure, encode};

/// Runs the task `F` on encoded arguments, and appends its encoded result.
pub(super) fn call<F, Args, M>(input: &[u8], out: &mut Vec<u8>) -> Result<(), Failure>
where
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    let args = caught(|| Args::decode(input)).map_err(|panic| Failure::Decode(text(&panic)))?;
    let args = args.map_err(Failure::Decode)?;
    let value = caught(|| conjure::<F>().invoke(args)).map_err(panicked)?;
    let encoded = caught(|| encode(&value, out));
    let dropped = caught(move || drop(value));
    encoded.map_err(|panic| Failure::Encode(text(&panic)))?.map_err(Failure::Encode)?;
    dropped.map_err(panicked)
}

fn text(panic: &Caught) -> String {
    format!("it panicked at {}: {}", panic.location, panic.message)
}

fn panicked(panic: Caught) -> Failure {
    let Caught { message, location, backtrace } = panic;
    Failure::Panicked { message, location, backtrace }
}
