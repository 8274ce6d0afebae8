//! The sending side: while a value is encoded, the handles in it are collected on its thread.
//!
//! 1. A handle that is serialized while no encoding of this crate runs is refused.
//! 2. Encodings may nest, as a `Serialize` may make calls of its own: each has only its own handles.

use std::cell::{Cell, RefCell};
use std::io;

use super::fd::Fd;

/// Handles that one value may have: far below the 253 descriptors that the kernel takes in one message.
pub(crate) const MOST_HANDLES: u8 = 64;

/// What an encoding has met that takes handles: so many of them, up to `MOST_HANDLES`, or this.
const REFUSED: u8 = u8::MAX - 2;
/// An encoding that takes none, since it may go to another machine.
#[cfg(feature = "net")]
const REMOTE: u8 = u8::MAX - 3;
/// An encoding that takes none.
const WITHOUT: u8 = u8::MAX - 1;
/// No encoding of this crate runs.
const OUTSIDE: u8 = u8::MAX;

/// Why a handle cannot travel.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a handle can only be sent by multiprocess itself, as an argument or a result of a task")]
    Outside,
    #[error(
        "what is loaded or prepared in every worker takes no handles; only arguments and results of tasks do"
    )]
    Without,
    #[cfg(feature = "net")]
    #[error("a connection with a key carries no handles, since they would mean nothing on another machine")]
    Remote,
    #[error("the end of a connection with a key belongs to its process and does not travel")]
    RemoteEnd,
    #[cfg(feature = "net")]
    #[error("{0}")]
    Lent(&'static str),
    #[error("it has more than {MOST_HANDLES} handles, which is the most that one value may have")]
    TooMany,
    #[error("its handle cannot be copied: {}", io::Error::from_raw_os_error(*.0))]
    NoCopy(i32),
}

thread_local! {
    /// What the innermost encoding has met. A byte without a destructor, since it is set and restored for each element.
    static STAGE: Cell<u8> = const { Cell::new(OUTSIDE) };
    /// Why the innermost encoding was refused a handle; postcard would drop the text.
    static REFUSAL: Cell<Option<Refusal>> = const { Cell::new(None) };
    /// The handles of all encodings that run on this thread, those of the innermost last.
    static MET: RefCell<Vec<Fd>> = const { RefCell::new(Vec::new()) };
}

/// An encoding of one value that runs on this thread, and collects the handles that it meets. However it ends, one around it goes on as if nothing had been.
///
/// No closure but a guard, since a closure around each element was not inlined.
#[derive(Debug)]
pub(crate) struct Collecting {
    outer: u8,
}

impl Collecting {
    #[inline]
    pub(crate) fn begin() -> Self {
        Self { outer: STAGE.replace(0) }
    }

    /// As `begin`, of a value that must have no handles.
    pub(crate) fn nothing() -> Self {
        Self { outer: STAGE.replace(WITHOUT) }
    }

    /// As `nothing`, of a value that may go to another machine.
    #[cfg(feature = "net")]
    pub(crate) fn remote() -> Self {
        Self { outer: STAGE.replace(REMOTE) }
    }

    /// Ends it, and puts the handles that it has met in `handles`, which must be empty.
    #[inline]
    pub(crate) fn end(self, handles: &mut Vec<Fd>) {
        let stage = STAGE.replace(self.outer);
        std::mem::forget(self);
        if stage != 0 {
            *handles = leave(stage);
        }
    }
}

impl Drop for Collecting {
    #[inline]
    fn drop(&mut self) {
        let stage = STAGE.replace(self.outer);
        if stage != 0 {
            // It has panicked.
            drop(leave(stage));
        }
    }
}

/// Takes one more handle into the encoding that runs; its place among those of the value.
pub(super) fn put(copy: impl FnOnce() -> io::Result<Fd>) -> Result<u8, Refusal> {
    match STAGE.get() {
        OUTSIDE => Err(Refusal::Outside),
        WITHOUT => Err(noted(Refusal::Without)),
        #[cfg(feature = "net")]
        REMOTE => Err(noted(Refusal::Remote)),
        REFUSED => Err(REFUSAL.get().unwrap_or(Refusal::TooMany)),
        MOST_HANDLES.. => Err(refused(Refusal::TooMany)),
        place => match copy() {
            Ok(fd) => keep(fd, place),
            Err(error) => Err(refused(Refusal::NoCopy(error.raw_os_error().unwrap_or_default()))),
        },
    }
}

fn keep(fd: Fd, place: u8) -> Result<u8, Refusal> {
    // A thread that is ending has no list any more.
    MET.try_with(|met| met.borrow_mut().push(fd)).map_err(|_| Refusal::Outside)?;
    STAGE.set(place + 1);
    Ok(place)
}

fn noted(refusal: Refusal) -> Refusal {
    REFUSAL.set(Some(refusal));
    refusal
}

/// Nothing comes of this encoding any more.
fn refused(refusal: Refusal) -> Refusal {
    drop(take_met(STAGE.replace(REFUSED)));
    noted(refusal)
}

/// Why the end of a connection that has a key cannot be sent; the encoding that runs, if one does, tells it.
pub(crate) fn refuse_remote_end() -> impl std::error::Error {
    let refusal = Refusal::RemoteEnd;
    if STAGE.get() == OUTSIDE { refusal } else { noted(refusal) }
}

/// Notes why what a manager has lent cannot be sent, for the encoding that runs to tell it.
#[cfg(feature = "net")]
pub(crate) fn refuse_lent(why: &'static str) -> String {
    let refusal = Refusal::Lent(why);
    if STAGE.get() != OUTSIDE {
        noted(refusal);
    }
    why.to_owned()
}

/// Why a handle was refused in the encoding that runs, if one was.
#[cold]
pub(in crate::wire) fn take_refusal() -> Option<String> {
    REFUSAL.take().map(|refusal| refusal.to_string())
}

/// What an encoding has met that has come to its end.
#[cold]
fn leave(stage: u8) -> Vec<Fd> {
    REFUSAL.set(None);
    take_met(stage)
}

fn take_met(stage: u8) -> Vec<Fd> {
    let met = if stage <= MOST_HANDLES { usize::from(stage) } else { 0 };
    let take = |all: &RefCell<Vec<Fd>>| {
        let mut all = all.borrow_mut();
        let first = all.len() - met;
        all.split_off(first)
    };
    MET.try_with(take).unwrap_or_default()
}
