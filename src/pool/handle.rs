//! The handle of a call that has been started: a future that need not be awaited.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::AbortHandle;
use tokio::runtime::Handle;

use super::blocking::block_on;
use super::outcome::Label;
use crate::dispatch::{Engine, Piece, Sink, Ticket};
use crate::error::{Error, Panic, Result};
use crate::os::background;
use crate::task::Payload;

/// The number of a call, unique within its pool. Errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(super) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A call that runs whether or not anybody waits for it: a future of its result.
///
/// Dropping the handle detaches the call; see [`abort_on_drop`](Self::abort_on_drop). Python's counterpart is
/// `AsyncResult`, with `concurrent.futures.Future`'s names where that has more.
///
/// # Examples
///
/// ```
/// use multiprocess::ProcessPool;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::new(2)?;
/// let handle = pool.apply_async(|a: u32, b: u32| a + b, (2, 3));
/// // ... something else meanwhile ...
/// assert_eq!(handle.await?, 5);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// Polling it again after it was ready panics, as with any future.
///
/// # Cancel safety
///
/// Waiting for `&mut handle` can be given up and taken up again; nothing is lost.
#[must_use = "dropping the handle detaches the call: use `drop` to say so"]
pub struct TaskHandle<R: Payload> {
    cell: Arc<Cell<R>>,
    engine: Arc<Engine>,
    abort_on_drop: bool,
}

/// Where the result of a call arrives, decodes and waits to be taken.
pub(super) struct Cell<R> {
    state: Mutex<State<R>>,
    label: Label,
}

struct State<R> {
    stage: Stage<R>,
    wakers: Vec<Waker>,
    callbacks: Vec<Callback<R>>,
    /// Where callbacks run.
    runtime: Option<Handle>,
    source: Source,
}

enum Stage<R> {
    Pending,
    /// It has come, and is decoded by whoever wants it.
    Arrived(Piece),
    /// Callbacks have it.
    Shown,
    Ready(Result<R>),
    Taken,
}

type Callback<R> = Box<dyn FnOnce(&Result<R>) + Send>;

/// What to stop when the call is cancelled.
enum Source {
    /// It was not submitted yet, or failed before it was.
    Nowhere,
    Unit(Ticket),
    /// A task of a runtime that drives the call.
    Driver(AbortHandle),
}

impl<R: Payload> Cell<R> {
    pub(super) fn new(label: Label) -> Arc<Self> {
        let state = State {
            stage: Stage::Pending,
            wakers: Vec::new(),
            callbacks: Vec::new(),
            runtime: None,
            source: Source::Nowhere,
        };
        Arc::new(Self { state: Mutex::new(state), label })
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what to stop. A call that was cancelled in the meantime is stopped at once.
    fn comes_from(&self, source: Source) {
        let mut state = self.lock();
        if matches!(state.stage, Stage::Pending) {
            state.source = source;
        } else {
            drop(state);
            source.stop();
        }
    }

    pub(super) fn submitted(&self, ticket: Ticket) {
        self.comes_from(Source::Unit(ticket));
    }

    pub(super) fn driven(&self, driver: AbortHandle) {
        self.comes_from(Source::Driver(driver));
    }

    /// Settles the call, unless it is settled already.
    pub(super) fn settle(self: &Arc<Self>, result: Result<R>) -> bool {
        self.settle_as(Stage::Ready(result))
    }

    fn settle_as(self: &Arc<Self>, stage: Stage<R>) -> bool {
        let mut state = self.lock();
        if !matches!(state.stage, Stage::Pending) {
            return false;
        }
        state.stage = stage;
        let source = std::mem::replace(&mut state.source, Source::Nowhere);
        if state.callbacks.is_empty() {
            let wakers = std::mem::take(&mut state.wakers);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        } else {
            drop(state);
            self.show();
        }
        // The ticket holds the engine, and must not be dropped under the lock.
        drop(source);
        true
    }

    /// Runs the callbacks in a task of their own.
    fn show(self: &Arc<Self>) {
        let runtime = self.lock().runtime.clone().or_else(|| background().ok().cloned());
        let showing = Showing(Arc::clone(self));
        match runtime {
            Some(runtime) => drop(runtime.spawn(async move { drop(showing) })),
            None => drop(showing),
        }
    }

    fn run_callbacks(&self) {
        let (result, callbacks) = {
            let mut state = self.lock();
            let taken = match std::mem::replace(&mut state.stage, Stage::Shown) {
                taken @ (Stage::Arrived(_) | Stage::Ready(_)) => taken,
                other => {
                    state.stage = other;
                    return;
                }
            };
            (taken, std::mem::take(&mut state.callbacks))
        };
        let result = match result {
            Stage::Arrived(piece) => self.label.single(piece),
            Stage::Ready(result) => result,
            Stage::Pending | Stage::Shown | Stage::Taken => return,
        };
        let mut panicked = None;
        for callback in callbacks {
            let shown = catch_unwind(AssertUnwindSafe(|| callback(&result)));
            if let Err(payload) = shown {
                panicked.get_or_insert_with(|| panic_text(&*payload));
                std::mem::forget(payload);
            }
        }
        let result = match panicked {
            Some(message) => Err(Error::Callback(Panic::new(&self.label.task(), message))),
            None => result,
        };
        let mut state = self.lock();
        state.stage = Stage::Ready(result);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<R>>> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.stage, Stage::Taken) {
            Stage::Arrived(piece) => {
                drop(state);
                Poll::Ready(Some(self.label.single(piece)))
            }
            Stage::Ready(result) => Poll::Ready(Some(result)),
            Stage::Taken => Poll::Ready(None),
            waits => {
                state.stage = waits;
                state.watch(cx);
                Poll::Pending
            }
        }
    }

    fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if matches!(state.stage, Stage::Pending | Stage::Shown) {
            state.watch(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl<R> State<R> {
    fn watch(&mut self, cx: &Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
    }
}

impl<R: Payload> Sink for ArcCell<R> {
    fn accept(&self, piece: Piece) {
        self.0.settle_as(Stage::Arrived(piece));
    }
}

/// The cell of a single call, as its sink.
pub(super) struct ArcCell<R>(pub(super) Arc<Cell<R>>);

/// Callbacks that are about to run. They run when this is dropped, so that a runtime that has ended meanwhile
/// cannot lose them.
struct Showing<R: Payload>(Arc<Cell<R>>);

impl<R: Payload> Drop for Showing<R> {
    fn drop(&mut self) {
        self.0.run_callbacks();
    }
}

impl Source {
    fn stop(self) -> bool {
        match self {
            Self::Nowhere => true,
            Self::Unit(ticket) => ticket.cancel(),
            Self::Driver(driver) => {
                driver.abort();
                true
            }
        }
    }
}

pub(super) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic whose payload is no text").to_owned()
}

impl<R: Payload> TaskHandle<R> {
    pub(super) fn new(cell: Arc<Cell<R>>, engine: Arc<Engine>) -> Self {
        Self { cell, engine, abort_on_drop: false }
    }

    /// The call's number.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let (a, b) = (pool.apply_async(|| 1, ()), pool.apply_async(|| 2, ()));
    /// assert_ne!(a.id(), b.id());
    /// # drop((a, b)); pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(self.cell.label.id)
    }

    /// True once the result is there and all callbacks have run. Python: `ready`, `done`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.apply_async(|| 1, ());
    /// assert!(handle.wait(std::time::Duration::from_secs(60)).await);
    /// assert!(handle.is_finished());
    /// # drop(handle); pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !matches!(self.cell.lock().stage, Stage::Pending | Stage::Shown)
    }

    /// Cancels the call: one that has not started never will, one that runs sees
    /// [`worker::is_cancelled`](crate::worker::is_cancelled). The handle fails with [`Error::Cancelled`] at once.
    ///
    /// False if the call was settled already. Unlike Python's `cancel` it also succeeds for a call that runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, ProcessPool, worker};
    ///
    /// fn until_cancelled() {
    ///     while !worker::is_cancelled() {
    ///         std::thread::yield_now();
    ///     }
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = ProcessPool::new(1)?;
    /// let handle = pool.apply_async(until_cancelled, ());
    /// assert!(handle.cancel());
    /// assert!(matches!(handle.await, Err(Error::Cancelled { .. })));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[expect(clippy::must_use_candidate, reason = "most callers need not know")]
    pub fn cancel(&self) -> bool {
        let source = std::mem::replace(&mut self.cell.lock().source, Source::Nowhere);
        if matches!(self.cell.lock().stage, Stage::Pending) && source.stop() {
            let task = self.cell.label.task();
            return self.cell.settle(Err(Error::Cancelled { task }));
        }
        false
    }

    /// From now on dropping the handle cancels the call, as [`cancel`](Self::cancel) does.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// drop(pool.apply_async(|| 1, ()).abort_on_drop());
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn abort_on_drop(mut self) -> Self {
        self.abort_on_drop = true;
        self
    }

    /// Runs a function with the value when the call succeeds, whether or not anybody awaits it.
    ///
    /// Callbacks run once, in the order they were attached, in a task of their own: on the runtime this was called in, or the crate's
    /// own. One that is attached after the call has finished runs at once. The handle is ready when all of them have run; if one
    /// panics, the others still run, and the handle fails with [`Error::Callback`]. For anything longer, await the handle instead.
    ///
    /// Python: `apply_async(.., callback=)`, `add_done_callback`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use std::sync::mpsc::channel;
    ///
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let (sender, receiver) = channel();
    /// let handle = pool.apply_async(|n: u32| n * n, (7,)).callback(move |n| sender.send(*n).unwrap());
    /// assert_eq!(handle.await?, 49);
    /// assert_eq!(receiver.recv().unwrap(), 49);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn callback(self, f: impl FnOnce(&R) + Send + 'static) -> Self {
        self.attach(Box::new(move |result| {
            if let Ok(value) = result {
                f(value);
            }
        }))
    }

    /// Runs a function with the error when the call fails or is cancelled; otherwise as [`callback`](Self::callback).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool
    ///     .apply_async(|n: u32| 1 / n, (0,))
    ///     .error_callback(|error| eprintln!("as expected: {error}"));
    /// assert!(handle.await.is_err());
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn error_callback(self, f: impl FnOnce(&Error) + Send + 'static) -> Self {
        self.attach(Box::new(move |result| {
            if let Err(error) = result {
                f(error);
            }
        }))
    }

    fn attach(self, callback: Callback<R>) -> Self {
        let mut state = self.cell.lock();
        state.callbacks.push(callback);
        if let Ok(here) = Handle::try_current() {
            state.runtime = Some(here);
        }
        let late = matches!(state.stage, Stage::Arrived(_) | Stage::Ready(_));
        drop(state);
        if late {
            self.cell.show();
        }
        self
    }

    /// Waits until the call has finished, at most for `limit`; true if it has. Python: `wait(timeout)`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.apply_async(|| 1, ());
    /// assert!(handle.wait(std::time::Duration::from_secs(60)).await);
    /// assert_eq!(handle.await?, 1);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub async fn wait(&self, limit: Duration) -> bool {
        self.engine.visit(false);
        let settled = std::future::poll_fn(|cx| self.cell.poll_settled(cx));
        within(limit, settled).await.is_some()
    }

    /// Takes the result, or fails with [`Error::TimedOut`] when it has not come within `limit`; the call goes on
    /// then, and can be waited for again. Python: `get(timeout)`, `result(timeout)`.
    ///
    /// # Errors
    ///
    /// The call's own, [`Error::TimedOut`], and [`Error::Taken`] if the result was taken before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the result is taken only if it is returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.apply_async(|| 1, ());
    /// assert_eq!(handle.get(std::time::Duration::from_secs(60)).await?, 1);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub async fn get(&self, limit: Duration) -> Result<R> {
        self.engine.visit(false);
        let taken = within(limit, std::future::poll_fn(|cx| self.cell.poll(cx))).await;
        let task = || self.cell.label.task();
        match taken {
            Some(Some(result)) => result,
            Some(None) => Err(Error::Taken { task: task() }),
            None => Err(Error::TimedOut { task: task(), after: limit }),
        }
    }

    /// Blocks this thread until the result is there, and takes it. For code outside async.
    ///
    /// # Errors
    ///
    /// The call's own.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// assert_eq!(pool.apply_async(|| 1, ()).blocking_get()?, 1);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_get(self) -> Result<R> {
        self.engine.visit(true);
        block_on(self)
    }
}

/// Waits with the crate's own clock, which goes under any executor.
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let sleep = {
        let background = background().expect("a pool has started the background runtime");
        let _inside = background.enter();
        // A limit beyond what the clock can hold is no limit.
        let end = tokio::time::Instant::now().checked_add(limit);
        end.map(tokio::time::sleep_until)
    };
    let Some(sleep) = sleep else { return Some(future.await) };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = sleep => None,
    }
}

impl<R: Payload> Future for TaskHandle<R> {
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.cell.poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.expect("a handle is not polled after it was ready")),
            Poll::Pending => {
                self.engine.visit(false);
                Poll::Pending
            }
        }
    }
}

impl<R: Payload> Drop for TaskHandle<R> {
    fn drop(&mut self) {
        if self.abort_on_drop {
            self.cancel();
        }
    }
}

impl<R: Payload> fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("task", &self.cell.label.task())
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
