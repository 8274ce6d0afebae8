//! The sending side: while a value is encoded, the handles in it are collected on its thread.
//!
//! 1. A handle that is serialized while no encoding of this crate runs is refused.
//! 2. Encodings may nest, as a `Serialize` may make calls of its own: each has only its own handles.

use std::cell::{Cell, RefCell};
use std::io;

use super::fd::Fd;

/// Handles that one value may have: far below the 253 descriptors that the kernel takes in one message.
pub(crate) const MOST_HANDLES: u8 = 64;

/// What the innermost encoding of a thread takes.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// None of this crate runs.
    Outside,
    /// It takes no handles.
    Without,
    /// It has met so many handles.
    With(u8),
}

/// Why a handle cannot travel.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a handle can only be sent by multiprocess itself, as an argument or a result of a task")]
    Outside,
    #[error(
        "what is loaded or prepared in every worker takes no handles; only arguments and results of tasks do"
    )]
    Without,
    #[error("it has more than {MOST_HANDLES} handles, which is the most that one value may have")]
    TooMany,
    #[error("its handle cannot be copied: {}", io::Error::from_raw_os_error(*.0))]
    NoCopy(i32),
}

#[derive(Debug, Clone, Copy)]
struct State {
    stage: Stage,
    /// Why a handle was refused; postcard would drop the text.
    refusal: Option<Refusal>,
}

thread_local! {
    /// Apart from the handles, since it is set and restored for each element: having no destructor, it costs nothing
    /// to reach.
    static STATE: Cell<State> = const { Cell::new(State { stage: Stage::Outside, refusal: None }) };
    /// The handles of all encodings that run on this thread, those of the innermost last.
    static MET: RefCell<Vec<Fd>> = const { RefCell::new(Vec::new()) };
}

/// Runs the encoding of one value, and gives the handles that it has met.
#[inline]
pub(crate) fn collecting<R>(encode: impl FnOnce() -> R) -> (R, Vec<Fd>) {
    let scope = Scope::enter(Stage::With(0));
    let result = encode();
    let met = scope.take();
    (result, met)
}

/// Runs the encoding of a value that must have no handles.
pub(crate) fn without_handles<R>(encode: impl FnOnce() -> R) -> R {
    let _scope = Scope::enter(Stage::Without);
    encode()
}

/// Takes one more handle into the encoding that runs; its place among those of the value.
pub(super) fn put(copy: impl FnOnce() -> io::Result<Fd>) -> Result<u8, Refusal> {
    let put = match STATE.get().stage {
        Stage::Outside => Err(Refusal::Outside),
        Stage::Without => Err(Refusal::Without),
        Stage::With(MOST_HANDLES..) => Err(Refusal::TooMany),
        Stage::With(place) => match copy() {
            Ok(fd) => keep(fd, place),
            Err(error) => Err(Refusal::NoCopy(error.raw_os_error().unwrap_or_default())),
        },
    };
    if let Err(refusal) = put {
        STATE.set(State { refusal: Some(refusal), ..STATE.get() });
    }
    put
}

fn keep(fd: Fd, place: u8) -> Result<u8, Refusal> {
    // A thread that is ending has no list any more.
    MET.try_with(|met| met.borrow_mut().push(fd)).map_err(|_| Refusal::Outside)?;
    STATE.set(State { stage: Stage::With(place + 1), ..STATE.get() });
    Ok(place)
}

/// Why a handle was refused in the encoding that runs, if one was.
#[cold]
pub(in crate::wire) fn take_refusal() -> Option<String> {
    let State { stage, refusal } = STATE.get();
    STATE.set(State { stage, refusal: None });
    refusal.map(|refusal| refusal.to_string())
}

/// An encoding that runs. However it ends, the one around it goes on as if nothing had been.
struct Scope {
    outer: State,
}

impl Scope {
    #[inline]
    fn enter(stage: Stage) -> Self {
        Self { outer: STATE.replace(State { stage, refusal: None }) }
    }

    #[inline]
    fn take(&self) -> Vec<Fd> {
        match STATE.get().stage {
            Stage::With(met @ 1..) => take_last(met),
            _ => Vec::new(),
        }
    }
}

#[cold]
fn take_last(met: u8) -> Vec<Fd> {
    STATE.set(State { stage: Stage::With(0), refusal: None });
    let take = |all: &RefCell<Vec<Fd>>| {
        let mut all = all.borrow_mut();
        let first = all.len() - usize::from(met);
        all.split_off(first)
    };
    MET.try_with(take).unwrap_or_default()
}

impl Drop for Scope {
    #[inline]
    fn drop(&mut self) {
        // It has panicked if there are still some.
        drop(self.take());
        STATE.set(self.outer);
    }
}
