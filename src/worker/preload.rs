//! What is loaded once and shared: by the forkserver for the workers it forks, or by a worker that was not forked for itself.

use std::sync::{Arc, OnceLock};

use super::context::preloaded_here;
use crate::task::{self, InitializerRef, State};
use crate::wire::{OnError, Preload};

/// Nothing was loaded here, the attempt has failed, or what it came to.
static LOADED: OnceLock<Option<State>> = OnceLock::new();

/// Loads it, unless that was done already in this process or in the one it was forked from.
///
/// # Errors
///
/// Why it failed, if that is to be the end of this process.
pub(super) fn load(preload: &Preload) -> Result<(), String> {
    if LOADED.get().is_none() {
        let loaded = match task::resolve_initializer(&preload.function) {
            Ok(function) => run(function, &preload.arguments, preload.on_error)?,
            Err(cause) => failed(cause, preload.on_error)?,
        };
        LOADED.set(loaded).expect("it was empty, and only this thread sets it");
    }
    Ok(())
}

/// Runs the function: its value, or nothing if it has failed and may.
///
/// # Errors
///
/// Why it failed, if it must not.
pub(crate) fn run(
    function: InitializerRef,
    arguments: &[u8],
    on_error: OnError,
) -> Result<Option<State>, String> {
    task::capture_panics();
    function.call(arguments).map(Some).or_else(|cause| failed(cause, on_error))
}

fn failed(cause: String, on_error: OnError) -> Result<Option<State>, String> {
    match on_error {
        OnError::Fail => return Err(cause),
        OnError::Warn => eprintln!("multiprocess: the preload failed: {cause}"),
        OnError::Ignore => {}
    }
    Ok(None)
}

/// What was loaded in this process.
pub(super) fn loaded() -> Option<State> {
    LOADED.get().cloned().flatten()
}

/// What the pool's `preload` returned, if it returned a `T`: loaded once, and shared by all workers of a pool whose start method is
/// [`StartMethod::Forkserver`](crate::StartMethod::Forkserver). Nothing outside of tasks and initializers.
///
/// A worker that was not forked has loaded it itself. What is shared takes memory once, for as long as nobody writes to it: a lock or a
/// counter in it that a task changes is that worker's own from then on. Python: the modules of `set_forkserver_preload`.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, StartMethod, worker};
///
/// fn load(words: u64) -> Vec<u64> {
///     (0..words).map(|word| word * word).collect()
/// }
///
/// fn look_up(word: usize) -> u64 {
///     worker::preloaded::<Vec<u64>>().expect("the pool has a preload")[word]
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::builder()
///     .workers(2)
///     .start_method(StartMethod::Forkserver)
///     .preload(load, (1_000,))
///     .build()?;
/// assert_eq!(pool.apply(look_up, (999,)).await?, 998_001);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[must_use]
pub fn preloaded<T: Send + Sync + 'static>() -> Option<Arc<T>> {
    preloaded_here().or_else(loaded)?.downcast().ok()
}
