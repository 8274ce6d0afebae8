//! Panics of tasks, caught with what only the panic hook can see: where they were raised, and the stack.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
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

#[derive(Default)]
enum Capture {
    /// This thread runs no task: its panics are the program's own affair.
    #[default]
    Off,
    /// This thread runs a task.
    On,
    /// It has panicked; a second panic before the first was collected is fatal and must be seen on stderr.
    Full(Caught),
}

thread_local! {
    static CAPTURE: RefCell<Capture> = const { RefCell::new(Capture::Off) };
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

fn record(info: &PanicHookInfo<'_>) -> bool {
    let recorded = CAPTURE.try_with(|capture| {
        let Ok(mut capture) = capture.try_borrow_mut() else { return false };
        if !matches!(*capture, Capture::On) {
            return false;
        }
        let mut backtrace = Backtrace::force_capture().to_string();
        if backtrace.len() > BACKTRACE_LIMIT {
            let cut = backtrace.floor_char_boundary(BACKTRACE_LIMIT);
            backtrace.truncate(cut);
        }
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        *capture = Capture::Full(Caught { message: panic_text(info.payload()), location, backtrace });
        true
    });
    recorded.unwrap_or(false)
}

/// Runs `work` and tells of its panic, if it raises one.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    CAPTURE.with(|capture| capture.replace(Capture::On));
    let result = catch_unwind(AssertUnwindSafe(work));
    let capture = CAPTURE.with(|capture| capture.replace(Capture::Off));
    result.map_err(|payload| {
        let text = panic_text(&*payload);
        // A payload may panic when it is dropped.
        std::mem::forget(payload);
        match capture {
            Capture::Full(caught) => caught,
            Capture::On | Capture::Off => Caught { message: text, ..Caught::default() },
        }
    })
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic whose payload is no text").to_owned()
}
