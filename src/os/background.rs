//! The crate's own runtime: one thread for the whole process, started at the first need and never ended.
//!
//! Children are watched and reaped here, so that neither depends on a runtime of the host that may end, stand
//! still or never have existed. It is also the runtime of pools that are used outside any.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

static BACKGROUND: OnceLock<Handle> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// Threads that start children side by side; each is gone soon after its last start.
const STARTERS: usize = 4;
const STARTER_IDLE: Duration = Duration::from_millis(20);

/// The handle of the crate's own runtime.
///
/// # Errors
///
/// The error of the operating system when the runtime or its thread cannot be made.
pub(crate) fn background() -> io::Result<&'static Handle> {
    if let Some(handle) = BACKGROUND.get() {
        return Ok(handle);
    }
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = BACKGROUND.get() {
        return Ok(handle);
    }
    let handle = start()?;
    Ok(BACKGROUND.get_or_init(|| handle))
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(STARTERS)
        .thread_keep_alive(STARTER_IDLE)
        .thread_name("multiprocess")
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("multiprocess".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
