//! What was started in a pool of a manager: a call, and a map.

use std::marker::PhantomData;
use std::time::Duration;

use super::both::{both, typed};
use super::guard::EVER;
use crate::error::{Error, Result};
use crate::manager::blob::Blob;
use crate::manager::reference::Reference;
use crate::manager::served::{ErrandPart, Mishap};
use crate::task::Payload;

/// A call that was started in a pool of a [`Manager`](crate::Manager). Python: `AsyncResult`.
///
/// It lives in the manager, goes on whoever waits for it, and keeps its result for whoever asks, also more than once and from several processes. When the last copy of this proxy is gone nobody can ask for the result any more, and the call is
/// cancelled unless it was [detached](Self::detach).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use multiprocess::{Manager, Process, TaskProxy};
///
/// fn hear(task: TaskProxy<u64>) -> u64 {
///     task.blocking_get().expect("it has no reason to fail")
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let pool = manager.pool(1).await?;
/// let task = pool.apply_async(|n: u64| n * n, (7,)).await?;
/// let process = Process::spawn(hear, (task.clone(),))?;
/// assert!(task.wait(Some(Duration::from_secs(60))).await?);
/// assert!(task.is_finished().await? && !task.cancel().await?);
/// assert_eq!(task.get().await?, 49);
/// assert_eq!(process.join().await?, 49);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[must_use = "without a proxy the call is cancelled; `detach` it to let it go on"]
pub struct TaskProxy<R> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> R>,
}

typed!(TaskProxy<R>);

/// A map that was started in a pool of a [`Manager`](crate::Manager), as a [`TaskProxy`] of all its results. Python: `MapResult`.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let pool = manager.pool(2).await?;
/// let squares = pool.map_async(|n: u64| n * n, 0..4).await?;
/// let powers = pool.starmap_async(u32::pow, [(2, 3), (3, 2)]).await?;
/// assert_eq!(squares.get().await?, [0, 1, 4, 9]);
/// assert_eq!(powers.get().await?, [8, 9]);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[must_use = "without a proxy the map is cancelled; `detach` it to let it go on"]
pub struct MapTaskProxy<R> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> R>,
}

typed!(MapTaskProxy<R>);

/// What calls and maps have in common.
macro_rules! controls {
    () => {
        both! {
            /// Waits until it has come to its end, at most so long, or as long as it takes; true if it has. Python: `wait(timeout)`.
            wait, blocking_wait(limit: Option<Duration>) -> bool { "wait" (limit,) => Ok }

            /// True if it has come to its end, whatever came of it. Python: `ready`.
            is_finished, blocking_is_finished() -> bool { "is_finished" () => Ok }

            /// Cancels it: what has not started never will, and what runs sees [`worker::is_cancelled`](crate::worker::is_cancelled). False if it had come to its end.
            cancel, blocking_cancel() -> bool { "cancel" () => Ok }

            /// From now on it goes on when the last proxy is gone, though nobody hears of it.
            detach, blocking_detach() -> () { "detach" () => Ok }
        }
    };
}

fn one<R: Payload>(answer: Result<ErrandPart, Mishap>) -> Result<R> {
    let (results, _) = answer?;
    results.into_iter().next().ok_or_else(missing)?.open()
}

fn missing() -> Error {
    Error::DecodeMessage { cause: "there are fewer results than were told".into() }
}

impl<R: Payload> TaskProxy<R> {
    controls!();

    both! {
        /// The result, as soon as it is there; it stays for others who ask. The error is the call's own, as for [`PoolProxy::apply`](crate::PoolProxy::apply). Python: `get`.
        get, blocking_get() -> R { "fetch" (0_u64, EVER) => one }

        /// As [`get`](Self::get), if it is there within a time; [`Error::TimedOut`] with [`Limit::Wait`](crate::Limit::Wait) if not, and the call goes on. Python: `get(timeout)`.
        get_timeout, blocking_get_timeout(limit: Duration) -> R { "fetch" (0_u64, Some(limit)) => one }
    }
}

impl<R: Payload> MapTaskProxy<R> {
    controls!();

    /// All results in the order of the input, as soon as they are there; they stay for others who ask. The error is that of an element, as for [`PoolProxy::map`](crate::PoolProxy::map). They
    /// are fetched in pages. Python: `get`.
    ///
    /// # Errors
    ///
    /// Those of the map, and as for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub async fn get(&self) -> Result<Vec<R>> {
        self.fetch(EVER).await
    }

    /// As [`get`](Self::get), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn blocking_get(&self) -> Result<Vec<R>> {
        self.blocking_fetch(EVER)
    }

    /// As [`get`](Self::get), if they are there within a time. Python: `get(timeout)`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with [`Limit::Wait`](crate::Limit::Wait), and the map goes on; and as for [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub async fn get_timeout(&self, limit: Duration) -> Result<Vec<R>> {
        self.fetch(Some(limit)).await
    }

    /// As [`get_timeout`](Self::get_timeout), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`get_timeout`](Self::get_timeout).
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn blocking_get_timeout(&self, limit: Duration) -> Result<Vec<R>> {
        self.blocking_fetch(Some(limit))
    }

    async fn fetch(&self, limit: Option<Duration>) -> Result<Vec<R>> {
        let mut all = Vec::new();
        loop {
            let asked = self.reference.ours("fetch", &(all.len() as u64, limit))?;
            if is_whole(&mut all, self.reference.finish(asked).await?)? {
                return Ok(all);
            }
        }
    }

    fn blocking_fetch(&self, limit: Option<Duration>) -> Result<Vec<R>> {
        let mut all = Vec::new();
        loop {
            let asked = self.reference.ours("fetch", &(all.len() as u64, limit))?;
            if is_whole(&mut all, self.reference.blocking_finish(&asked)?)? {
                return Ok(all);
            }
        }
    }
}

/// Adds a page; true if it was the last.
fn is_whole<R: Payload>(all: &mut Vec<R>, answer: Result<ErrandPart, Mishap>) -> Result<bool> {
    let (results, count) = answer?;
    let has_some = !results.is_empty();
    for result in results {
        all.push(Blob::open(result)?);
    }
    let whole = all.len() as u64 == count;
    if whole || has_some { Ok(whole) } else { Err(missing()) }
}
