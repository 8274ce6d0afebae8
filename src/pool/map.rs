//! A map as a lazy future of all its results.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{AbortHandle, Abortable};
use tokio_util::sync::CancellationToken;

use super::cell::{Cell, Stop};
use super::flow::Flow;
use super::handle::TaskHandle;
use super::wishes::{Wishes, wishes};
use crate::error::{Error, Result};
use crate::os::{self, callers_runtime};
use crate::task::Payload;

/// Room made for results before any has come.
const EXPECTED_AT_MOST: usize = 1 << 20;

/// After this many rounds of reading and taking, other tasks of the runtime have their turn.
const ROUNDS: usize = 16;

/// A map: a future of all results, in the order of the input.
///
/// It starts when it is first polled. The input is read as the workers need it, on the task that polls, and travels in chunks. The
/// first error ends the map: what has not started never will. Made by [`Pool::map`](super::Pool::map) and [`Pool::starmap`](super::Pool::starmap).
///
/// # Examples
///
/// ```
/// use multiprocess::Map;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(1)?;
/// let map: Map<u64> = pool.map(|n: u64| n * n, 0..3);
/// assert_eq!(map.await?, [0, 1, 4]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
///
/// # Cancel safety
///
/// Dropping it cancels what has not started; tasks that run see [`worker::is_cancelled`](crate::worker::is_cancelled).
///
/// # Panics
///
/// Polling it again after it was ready panics, as with any future.
#[must_use = "futures do nothing unless polled; `start` it, or use `map_async`"]
pub struct Map<R: Payload> {
    flow: Flow,
    /// Results so far, in order.
    values: Vec<R>,
    finished: bool,
}

impl<R: Payload> Map<R> {
    pub(super) fn new(flow: Flow) -> Self {
        let expected = flow.remaining().unwrap_or(0).min(EXPECTED_AT_MOST);
        Self { flow: flow.failing_fast(), values: Vec::with_capacity(expected), finished: false }
    }

    /// Sends this many elements to a worker at once. By default as many as take about a millisecond.
    ///
    /// An element is cancelled, fails and is answered on its own however they travel. Must not be 0. Python: `chunksize`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let squares = pool.map(|x: u64| x * x, 0..100).chunksize(25).await?;
    /// assert_eq!(squares[99], 9_801);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn chunksize(mut self, elements: usize) -> Self {
        self.flow.set_chunksize(elements);
        self
    }

    /// Reads the input at most this many elements ahead of the results. By default as far as the workers need it. Must not be 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// assert_eq!(pool.map(|x: u64| x + 1, 0..10).buffer(4).await?.len(), 10);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn buffer(mut self, elements: usize) -> Self {
        self.flow.set_buffer(elements);
        self
    }

    fn change(mut self, _option: &'static str, change: impl FnOnce(&mut Wishes)) -> Self {
        self.flow.wish(change);
        self
    }

    /// Starts the map now, driven by a task of its own, whether or not the handle is awaited.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let handle = pool.map(|x: u64| x * x, 0..10).chunksize(5).start();
    /// assert_eq!(handle.await?.len(), 10);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn start(mut self) -> TaskHandle<Vec<R>>
    where
        Vec<R>: Payload,
    {
        let cell = Cell::new(self.flow.unit());
        let handle = TaskHandle::new(Arc::clone(&cell), Arc::clone(self.flow.engine()));
        let runtime = || callers_runtime().map_err(|cause| Error::start("start a thread to drive it", cause));
        let runtime = match self.flow.hold().and_then(|()| runtime()) {
            Ok(runtime) => runtime,
            Err(error) => {
                cell.settle(Err(error));
                return handle;
            }
        };
        let (abort, registration) = AbortHandle::new_pair();
        let task = self.flow.label().task();
        let driven = Arc::new(Driven { map: Mutex::new(Some(self)), given_up: AtomicBool::new(false) });
        cell.driven(abort, Arc::<Driven<R>>::clone(&driven));
        runtime.spawn(Abortable::new(Driver { driven, cell, task }, registration));
        handle
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.flow.hold()?;
        for _ in 0..ROUNDS {
            self.flow.advance(cx);
            if let Some(error) = self.flow.take_failure() {
                return Poll::Ready(Err(error));
            }
            let took_some = self.take_results()?;
            if self.flow.is_finished() {
                return Poll::Ready(Ok(()));
            }
            // Taking results makes room, and perhaps nothing is under way any more that would wake us.
            if !took_some {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take_results(&mut self) -> Result<bool> {
        let label = self.flow.label().clone();
        let mut took_some = false;
        while let Some(results) = self.flow.take_next() {
            took_some = true;
            self.flow.handed_out(results.len() as usize);
            results.collect_into(&label, &mut self.values)?;
        }
        Ok(took_some)
    }
}

wishes!(Map);

impl<R: Payload> Unpin for Map<R> {}

impl<R: Payload> Future for Map<R> {
    type Output = Result<Vec<R>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.finished, "a map is not polled after it was ready");
        os::not_forked()?;
        let done = std::task::ready!(self.advance(cx));
        self.finished = true;
        self.flow.cancel();
        Poll::Ready(done.map(|()| std::mem::take(&mut self.values)))
    }
}

impl<R: Payload> fmt::Debug for Map<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("results", &self.values.len()).finish_non_exhaustive()
    }
}

/// A map that a task drives, and that its handle can give up.
struct Driven<R: Payload> {
    map: Mutex<Option<Map<R>>>,
    given_up: AtomicBool,
}

impl<R: Payload> Driven<R> {
    fn lock(&self) -> MutexGuard<'_, Option<Map<R>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Payload> Stop for Driven<R> {
    /// Drops the map, which takes back what has not started. If it is being polled just now, its driver does so.
    fn stop(&self) {
        self.given_up.store(true, Ordering::Release);
        let map = self.map.try_lock().ok().and_then(|mut map| map.take());
        drop(map);
    }
}

/// Drives a map, and settles its handle whatever becomes of it.
struct Driver<R: Payload> {
    driven: Arc<Driven<R>>,
    cell: Arc<Cell<Vec<R>>>,
    task: String,
}

impl<R: Payload> Future for Driver<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.driven.lock();
        let Some(map) = slot.as_mut() else { return Poll::Ready(()) };
        let polled = Pin::new(map).poll(cx);
        if polled.is_pending() && !self.driven.given_up.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let map = slot.take();
        drop(slot);
        drop(map);
        if let Poll::Ready(result) = polled {
            self.cell.settle(result);
        }
        Poll::Ready(())
    }
}

impl<R: Payload> Drop for Driver<R> {
    fn drop(&mut self) {
        if os::forked() {
            return;
        }
        let map = self.driven.lock().take();
        drop(map);
        // The runtime that drove it has ended, or the handle was cancelled and is settled already.
        self.cell.settle(Err(Error::Cancelled { task: std::mem::take(&mut self.task) }));
    }
}
