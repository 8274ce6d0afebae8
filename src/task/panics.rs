//! Panics of tasks, caught with what only the panic hook can see: where they were raised, and the stack.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// A stack of more text than this is cut.
const BACKTRACE_LIMIT: usize = 64 * 1024;

/// What is known of a panic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caught {
    pub(crate) message: String,
    pub(crate) location: String,
    pub(crate) backtrace: String,
}

/// What this thread does with a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// It runs no task: its panics are the program's own affair.
    Off,
    /// It runs a task.
    On,
    /// The task has panicked. If it panics again, either it has caught the first panic itself, or the second is
    /// fatal and must be seen on stderr.
    Seen,
}

thread_local! {
    /// Apart from what was seen, since it is set and cleared for each element: having no destructor, it costs
    /// nothing to reach.
    static WATCH: Cell<Watch> = const { Cell::new(Watch::Off) };
    /// What is collected is printed all the same.
    static PRINTS: Cell<bool> = const { Cell::new(false) };
    /// The panic that was not collected yet.
    static SEEN: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

/// From now on panics inside `caught` on this thread go into its error and are not printed.
///
/// The hook that was there stays in charge of all others. Where a panic aborts, nothing is ever collected, so
/// that it has to be printed.
pub(crate) fn capture_panics() {
    static ONCE: Once = Once::new();
    if cfg!(panic = "abort") {
        return;
    }
    ONCE.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            if !record(info) {
                previous(info);
            }
        }));
    });
}

/// From now on panics inside `caught` on this thread are printed too, as they are where no pool is.
pub(crate) fn print_panics() {
    PRINTS.set(true);
}

/// Takes note of a panic; false if it is to be printed.
fn record(info: &PanicHookInfo<'_>) -> bool {
    let watch = WATCH.get();
    if watch == Watch::Off {
        return false;
    }
    WATCH.set(Watch::Seen);
    let mut backtrace = Backtrace::force_capture().to_string();
    if backtrace.len() > BACKTRACE_LIMIT {
        let cut = backtrace.floor_char_boundary(BACKTRACE_LIMIT);
        backtrace.truncate(cut);
    }
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let caught = Caught { message: panic_text(info.payload()), location, backtrace };
    let noted = SEEN.try_with(|seen| seen.replace(Some(caught))).is_ok();
    noted && watch == Watch::On && !PRINTS.get()
}

/// Runs `work` and tells of its panic, if it raises one.
#[inline]
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    WATCH.set(Watch::On);
    let result = catch_unwind(AssertUnwindSafe(work));
    let seen = WATCH.replace(Watch::Off) == Watch::Seen;
    match result {
        Ok(value) if !seen => Ok(value),
        Ok(value) => {
            // The task has caught its panic itself.
            forget_seen();
            Ok(value)
        }
        Err(payload) => Err(collect(payload, seen)),
    }
}

#[cold]
fn forget_seen() {
    SEEN.take();
}

#[cold]
fn collect(payload: Box<dyn Any + Send>, seen: bool) -> Caught {
    let seen = if seen { SEEN.take() } else { None };
    let caught = seen.unwrap_or_else(|| Caught { message: panic_text(&*payload), ..Caught::default() });
    // A payload may panic when it is dropped.
    std::mem::forget(payload);
    caught
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic whose payload is no text").to_owned()
}
