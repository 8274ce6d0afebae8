//! The receiving side: while a value is decoded, the handles that came with it can be taken on its thread.

use std::cell::{Cell, RefCell};

use super::fd::Fd;

/// What the innermost decoding of a thread has: no handles.
const NONE: u8 = 0;
/// Some, which stand last in the list.
const SOME: u8 = 1;
/// Neither it nor the one around it has any, so that nothing was changed for it.
const UNCHANGED: u8 = 2;

const NOTHING_CAME: &str = "no handle has come with the value: only multiprocess itself can send one, and there must be a descriptor left for it";
const MISSING: &str =
    "a handle has not come with its value, since too few descriptors are left, or was taken before";

thread_local! {
    /// A byte without a destructor, since it is looked at for each element.
    static STAGE: Cell<u8> = const { Cell::new(NONE) };
    /// The handles of the values that are being decoded, those of the innermost last, each there until it is taken.
    static ARRIVED: RefCell<Vec<Vec<Option<Fd>>>> = const { RefCell::new(Vec::new()) };
}

/// A decoding of one value that runs on this thread. However it ends, one around it goes on as if nothing had been.
#[derive(Debug)]
#[must_use = "the handles are there until it is dropped"]
pub(crate) struct Arriving {
    outer: u8,
}

impl Arriving {
    /// From now on these handles are found and no others. They are taken out, and closed if the value does not take them.
    #[inline]
    pub(crate) fn begin(handles: &mut Vec<Fd>) -> Self {
        let unchanged = handles.is_empty() && STAGE.get() == NONE;
        Self { outer: if unchanged { UNCHANGED } else { enter(std::mem::take(handles)) } }
    }
}

impl Drop for Arriving {
    #[inline]
    fn drop(&mut self) {
        if self.outer != UNCHANGED {
            leave(self.outer);
        }
    }
}

#[cold]
fn enter(handles: Vec<Fd>) -> u8 {
    let stage = if handles.is_empty() { NONE } else { SOME };
    let handles = handles.into_iter().map(Some).collect();
    // A thread that is ending has no list any more, and what cannot be put there is closed.
    let _closed = ARRIVED.try_with(|arrived| arrived.borrow_mut().push(handles));
    STAGE.replace(stage)
}

#[cold]
fn leave(outer: u8) {
    let _closed = ARRIVED.try_with(|arrived| arrived.borrow_mut().pop());
    STAGE.set(outer);
}

/// Takes the handle at this place.
pub(super) fn take(place: u8) -> Result<Fd, &'static str> {
    if STAGE.get() == NONE {
        return Err(NOTHING_CAME);
    }
    let take = |arrived: &RefCell<Vec<Vec<Option<Fd>>>>| {
        arrived.borrow_mut().last_mut()?.get_mut(usize::from(place))?.take()
    };
    ARRIVED.try_with(take).ok().flatten().ok_or(MISSING)
}
