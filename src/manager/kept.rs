//! What a session keeps for its client, and what the call that runs has it do beside its answer.
//!
//! A session has a thread of its own, and so all of this is the thread's.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::task::Object;

type Kept = HashMap<u64, Box<dyn Any>>;
type Undo = Box<dyn FnOnce()>;

thread_local! {
    /// What the session of this thread keeps for its client.
    pub(super) static KEPT: RefCell<Kept> = RefCell::default();
    pub(super) static NEXT: Cell<u64> = const { Cell::new(1) };
    /// What is to be done if the answer to the call that runs does not reach the client.
    pub(super) static UNDO: RefCell<Option<Undo>> = const { RefCell::new(None) };
    /// What the call that runs has made, and which of the crate's own types it is.
    pub(super) static MADE: RefCell<Option<(Object, &'static str)>> = const { RefCell::new(None) };
    /// Which of the crate's own types the object is that is being made.
    pub(super) static KIND: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Keeps something for the client of the call that runs, until it gives it back or is gone; its number.
pub(super) fn keep(what: impl Any) -> u64 {
    let number = NEXT.replace(NEXT.get() + 1);
    KEPT.with_borrow_mut(|kept| kept.insert(number, Box::new(what)));
    number
}

/// Takes out what is kept under this number.
pub(super) fn give_back<T: 'static>(number: u64) -> Option<T> {
    let kept = KEPT.with_borrow_mut(|kept| kept.remove(&number))?;
    kept.downcast().ok().map(|kept| *kept)
}

/// Has this done if the answer to the call that runs does not reach its client.
pub(super) fn if_undelivered(undo: impl FnOnce() + 'static) {
    UNDO.set(Some(Box::new(undo)));
}

/// Has the client of the call that runs get an object instead of a value: one of the crate's own types.
pub(super) fn hand_over(what: Object, kind: &'static str) {
    MADE.set(Some((what, kind)));
}

/// Has the object that is being made be one of the crate's own types.
pub(super) fn served_as(kind: &'static str) {
    KIND.set(Some(kind));
}
