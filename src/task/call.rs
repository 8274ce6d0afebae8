//! One element of a call in its worker: decode, run, encode, drop, each caught on its own.

use std::cell::Cell;
use std::mem::needs_drop;

use super::arity::{Arguments, TaskFn};
use super::entry::conjure;
use super::outcome::Payload;
use super::panics::{Caught, caught};
use crate::wire::{Failure, Fd, arriving, collecting, encode};

/// Runs the task `F` on encoded arguments, and appends its encoded result. The handles of the arguments are exchanged for those of the result.
pub(super) fn call<F, Args, M>(input: &[u8], handles: &mut Vec<Fd>, out: &mut Vec<u8>) -> Result<(), Failure>
where
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    let step = Cell::new(Step::Decode);
    let mut value = None;
    // One net for all steps but the last, as hanging it up is what a small element costs most. The value is held
    // outside of it, so that a panic of its `Serialize` does not meet one of its `Drop`.
    let encoded = caught(|| {
        let args = arriving(handles, || Args::decode(input)).map_err(Failure::Decode)?;
        step.set(Step::Run);
        let value = value.insert(conjure::<F>().invoke(args));
        step.set(Step::Encode);
        encode_result(value, handles, out)
    });
    let dropped = if needs_drop::<F::Value>() { caught(|| drop(value)) } else { Ok(()) };
    encoded.map_err(|panic| step.get().failed(panic))??;
    dropped.map_err(panicked)
}

/// Runs a function that is already here, appends its encoded value, and gives the handles of that.
pub(crate) fn call_once<R: Payload>(
    f: impl FnOnce() -> R,
    handles: &mut Vec<Fd>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let step = Cell::new(Step::Run);
    let mut value = None;
    let encoded = caught(|| {
        let value = value.insert(f());
        step.set(Step::Encode);
        encode_result(value, handles, out)
    });
    let dropped = caught(|| drop(value));
    encoded.map_err(|panic| step.get().failed(panic))??;
    dropped.map_err(panicked)
}

#[inline]
fn encode_result<R: Payload>(value: &R, handles: &mut Vec<Fd>, out: &mut Vec<u8>) -> Result<(), Failure> {
    collecting(handles, || encode(value, out)).map_err(Failure::Encode)
}

/// Where a panic came from.
#[derive(Clone, Copy)]
enum Step {
    Decode,
    Run,
    Encode,
}

impl Step {
    #[cold]
    fn failed(self, panic: Caught) -> Failure {
        match self {
            Self::Decode => Failure::Decode(text(&panic)),
            Self::Run => panicked(panic),
            Self::Encode => Failure::Encode(text(&panic)),
        }
    }
}

fn text(panic: &Caught) -> String {
    format!("it panicked at {}: {}", panic.location, panic.message)
}

fn panicked(panic: Caught) -> Failure {
    let Caught { message, location, backtrace } = panic;
    Failure::Panicked { message, location, backtrace }
}
