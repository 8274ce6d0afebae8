//! The crate's own runtimes: each one thread for the whole process, started at the first need and never ended.
//!
//! One belongs to the crate alone. Children are watched and reaped there, so that neither depends on a runtime of the
//! host that may end, stand still or never have existed, nor on what the host's code does. The other is for code of
//! callers who have no multi-thread runtime: what drives their maps. A third passes on what workers write to stderr. With the feature `net`, a fourth meets those who
//! connect with a key. And a thread without a runtime is for callbacks,
//! which may block: on a thread of a runtime that would stop others, perhaps the very one it waits for.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};

/// Threads that start children side by side; each is gone soon after its last start.
const STARTERS: usize = 4;
const STARTER_IDLE: Duration = Duration::from_millis(20);

type Callback = Box<dyn FnOnce() + Send>;

/// A runtime that is started at the first need.
struct Own {
    name: &'static str,
    handle: OnceLock<Handle>,
    starting: Mutex<()>,
}

static BACKGROUND: Own = Own::new("multiprocess");
static CALLERS: Own = Own::new("multiprocess-calls");
static STDERR: Own = Own::new("multiprocess-stderr");
#[cfg(feature = "net")]
static NET: Own = Own::new("multiprocess-net");

/// The runtime that is the crate's alone.
///
/// # Errors
///
/// The error of the operating system when the runtime or its thread cannot be made.
pub(crate) fn background() -> io::Result<&'static Handle> {
    BACKGROUND.handle()
}

/// The runtime that passes on what workers write to stderr, and may wait for our own.
///
/// # Errors
///
/// As for [`background`].
pub(super) fn stderr_runtime() -> io::Result<&'static Handle> {
    STDERR.handle()
}

/// The runtime where strangers are met: however many they are, they hold up nothing else of the crate's.
///
/// # Errors
///
/// As for [`background`].
#[cfg(feature = "net")]
pub(crate) fn net_runtime() -> io::Result<&'static Handle> {
    NET.handle()
}

/// Where a caller's code runs that nobody polls: on the multi-thread runtime of this call, or on a thread of its own.
///
/// Not on a current-thread runtime: that stands still as soon as its thread waits for what was to run there.
///
/// # Errors
///
/// As for [`background`].
pub(crate) fn callers_runtime() -> io::Result<Handle> {
    match Handle::try_current() {
        Ok(here) if here.runtime_flavor() == RuntimeFlavor::MultiThread => Ok(here),
        _ => CALLERS.handle().cloned(),
    }
}

/// Runs a callback on the thread of callbacks, one after the other. It should catch its own panics; a panic is lost.
///
/// # Errors
///
/// The callback itself where no thread can be had.
pub(crate) fn run_callback<F: FnOnce() + Send + 'static>(callback: F) -> Result<(), F> {
    static CALLBACKS: Mutex<Option<Sender<Callback>>> = Mutex::new(None);
    let mut callbacks = CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner);
    if callbacks.is_none() {
        *callbacks = start_callbacks().ok();
    }
    match &*callbacks {
        Some(sender) => {
            sender.send(Box::new(callback)).expect("the thread of callbacks never ends");
            Ok(())
        }
        None => Err(callback),
    }
}

fn start_callbacks() -> io::Result<Sender<Callback>> {
    let (sender, receiver) = channel::<Callback>();
    let run = move || {
        for callback in receiver {
            let _lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(callback));
        }
    };
    thread::Builder::new().name("multiprocess-callbacks".into()).spawn(run)?;
    Ok(sender)
}

impl Own {
    const fn new(name: &'static str) -> Self {
        Self { name, handle: OnceLock::new(), starting: Mutex::new(()) }
    }

    fn handle(&self) -> io::Result<&Handle> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let _one_at_a_time = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = self.handle.get() {
            return Ok(handle);
        }
        let handle = start(self.name)?;
        Ok(self.handle.get_or_init(|| handle))
    }
}

fn start(name: &'static str) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(STARTERS)
        .thread_keep_alive(STARTER_IDLE)
        .thread_name(name)
        .build()?;
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
