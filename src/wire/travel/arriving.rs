//! The receiving side: while a value is decoded, the handles that came with it can be taken on its thread.

use std::cell::{Cell, RefCell};

use super::fd::Fd;

thread_local! {
    /// Apart from the handles, since it is looked at for each element: having no destructor, it costs nothing to reach.
    static SOME: Cell<bool> = const { Cell::new(false) };
    /// The handles of the value that is being decoded, each there until it is taken.
    static ARRIVED: RefCell<Vec<Option<Fd>>> = const { RefCell::new(Vec::new()) };
}

const NONE: &str = "no handle has come with the value: only multiprocess itself can send one, and there must be a descriptor left for it";
const MISSING: &str =
    "a handle has not come with its value, since too few descriptors are left, or was taken before";

/// Runs the decoding of one value, which finds these handles and no others. They are taken out, and closed if the value does not take them.
#[inline]
pub(crate) fn arriving<R>(handles: &mut Vec<Fd>, decode: impl FnOnce() -> R) -> R {
    let some = !handles.is_empty() || SOME.get();
    let _scope = some.then(|| Scope::enter(std::mem::take(handles)));
    decode()
}

/// Takes the handle at this place.
pub(super) fn take(place: u8) -> Result<Fd, &'static str> {
    if !SOME.get() {
        return Err(NONE);
    }
    let take = |arrived: &RefCell<Vec<Option<Fd>>>| arrived.borrow_mut().get_mut(usize::from(place))?.take();
    ARRIVED.try_with(take).ok().flatten().ok_or(MISSING)
}

/// A decoding that runs. However it ends, the one around it goes on as if nothing had been.
struct Scope {
    some: bool,
    arrived: Vec<Option<Fd>>,
}

impl Scope {
    #[cold]
    fn enter(handles: Vec<Fd>) -> Self {
        let (some, handles) = (!handles.is_empty(), handles.into_iter().map(Some).collect());
        // A thread that is ending has no list any more, and what cannot be put there is closed.
        let arrived = ARRIVED.try_with(|arrived| arrived.replace(handles));
        Self { some: SOME.replace(some && arrived.is_ok()), arrived: arrived.unwrap_or_default() }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let outer = std::mem::take(&mut self.arrived);
        drop(ARRIVED.try_with(|arrived| arrived.replace(outer)));
        SOME.set(self.some);
    }
}
