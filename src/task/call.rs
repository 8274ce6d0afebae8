//! One element of a call in its worker: decode, run, encode, drop, each caught on its own.

use std::cell::Cell;
use std::mem::needs_drop;

use super::arity::{Arguments, TaskFn};
use super::entry::conjure;
use super::outcome::Payload;
use super::panics::{Caught, caught};
use crate::os;
use crate::wire::{Arriving, Collecting, Failure, Fd, Input, Output};

/// Runs the task `F` on encoded arguments, and appends its encoded result. The handles of the arguments are exchanged for those of the result.
pub(super) fn call<F, Args, M>(
    input: Input<'_>,
    handles: &mut Vec<Fd>,
    out: &mut Output,
) -> Result<(), Failure>
where
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    let step = Cell::new(Step::Decode);
    let (mut value, mut failure) = (None, None);
    // One net for all steps but the last, as hanging it up is what a small element costs most. The value is held
    // outside of it, so that a panic of its `Serialize` does not meet one of its `Drop`. So is the failure, since carrying
    // the room for one through the net takes as long again.
    let ran = caught(|| {
        let arriving = Arriving::begin(handles);
        let args = match Args::decode(input) {
            Ok(args) => args,
            Err(cause) => return failure = Some(Failure::Decode(cause)),
        };
        drop(arriving);
        step.set(Step::Run);
        let value = value.insert(conjure::<F>().invoke(args));
        step.set(Step::Encode);
        let collecting = Collecting::begin();
        failure = out.put(value).err().map(Failure::Encode);
        collecting.end(handles);
    });
    let dropped = if needs_drop::<F::Value>() { caught(|| drop(value)) } else { Ok(()) };
    if let Err(panic) = ran {
        return Err(step.get().failed(panic));
    }
    match failure {
        None => dropped.map_err(panicked),
        Some(failure) => Err(failure),
    }
}

/// Runs a function that is already here, appends its encoded value, and gives the handles of that.
pub(crate) fn call_once<R: Payload>(
    f: impl FnOnce() -> R,
    handles: &mut Vec<Fd>,
    out: &mut Output,
) -> Result<(), Failure> {
    let step = Cell::new(Step::Run);
    let mut value = None;
    let encoded = caught(|| {
        let value = value.insert(f());
        step.set(Step::Encode);
        let collecting = Collecting::begin();
        let encoded = out.put(value).map_err(Failure::Encode);
        collecting.end(handles);
        encoded
    });
    let dropped = caught(|| drop(value));
    encoded.map_err(|panic| step.get().failed(panic))??;
    dropped.map_err(panicked)
}

/// A task that forks returns twice. Only the worker goes on; the child it has made ends here, before it would touch the
/// board or answer a second time.
#[inline]
pub(crate) fn leave_if_forked() {
    if os::forked() {
        os::leave_at_once(0);
    }
}

/// Where a panic came from.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Decode,
    Run,
    Encode,
}

impl Step {
    #[cold]
    pub(super) fn failed(self, panic: Caught) -> Failure {
        match self {
            Self::Decode => Failure::Decode(text(&panic)),
            Self::Run => panicked(panic),
            Self::Encode => Failure::Encode(text(&panic)),
        }
    }
}

pub(super) fn text(panic: &Caught) -> String {
    format!("it panicked at {}: {}", panic.location, panic.message)
}

pub(super) fn panicked(panic: Caught) -> Failure {
    let Caught { message, location, backtrace } = panic;
    Failure::Panicked { message, location, backtrace }
}
