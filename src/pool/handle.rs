//! The handle of a call that has been started: a future that need not be awaited.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::cell::Cell;
use crate::dispatch::{Engine, Lookout, Unit};
use crate::error::{Error, Limit, Result};
use crate::os;
use crate::task::Payload;
use crate::wait::{block_on, within};

/// The number of a call, unique within its pool. Errors name it.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(1)?;
/// let handle = pool.apply_async(|n: u8| 1 / n, (0,));
/// let id = handle.id();
/// let error = handle.await.unwrap_err().to_string();
/// assert!(error.contains(&format!("#{id}")), "{error}");
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
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
    lookout: Lookout,
}

impl<R: Payload> TaskHandle<R> {
    pub(super) fn new(cell: Arc<Cell<R>>, engine: Arc<Engine>) -> Self {
        Self { cell, engine, abort_on_drop: false, lookout: Lookout::default() }
    }

    /// The handle of a call that failed before it was made.
    pub(super) fn failed(unit: Unit, error: Error, engine: Arc<Engine>) -> Self {
        let cell = Cell::new(unit);
        cell.settle(Err(error));
        Self::new(cell, engine)
    }

    /// The same call once more, not submitted.
    pub(super) fn unit(&self) -> Unit {
        self.cell.blank()
    }

    /// Lets the call go on when the handle is dropped, as it does at first.
    pub(super) fn detach_on_drop(mut self) -> Self {
        self.abort_on_drop = false;
        self
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
        TaskId(self.cell.label().id)
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
        os::forked() || self.cell.is_settled()
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
        !os::forked() && self.cell.cancel()
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
    /// Callbacks run once, in the order they were attached, on a thread of the crate that runs all callbacks of the program one after the
    /// other, with the runtime this was called in at hand for `tokio::spawn`. One that is attached after the call has finished runs at once, unless the result has been taken: then it never runs. The handle is ready when all of them have run; if one
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
        if os::forked() {
            return self;
        }
        self.cell.attach(Box::new(move |result| {
            if let Ok(value) = result {
                f(value);
            }
        }));
        self
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
        if os::forked() {
            f(&Error::Forked);
            return self;
        }
        self.cell.attach(Box::new(move |result| {
            if let Err(error) = result {
                f(error);
            }
        }));
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
        let settled =
            std::future::poll_fn(
                |cx| if os::forked() { Poll::Ready(()) } else { self.cell.poll_settled(cx) },
            );
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
        let taken = within(limit, std::future::poll_fn(|cx| poll_cell(&self.cell, cx))).await;
        let task = || self.cell.label().task();
        match taken {
            Some(Some(result)) => result,
            Some(None) => Err(Error::Taken { task: task() }),
            None => Err(Error::TimedOut { task: task(), limit: Limit::Wait, after: limit }),
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

/// What has come, if this is the process that it comes to.
fn poll_cell<R: Payload>(cell: &Cell<R>, cx: &Context<'_>) -> Poll<Option<Result<R>>> {
    match os::not_forked() {
        Ok(()) => cell.poll(cx),
        Err(error) => Poll::Ready(Some(Err(error))),
    }
}

impl<R: Payload> Future for TaskHandle<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { cell, engine, lookout, .. } = &mut *self;
        let mut polled = poll_cell(cell, cx);
        if polled.is_pending() {
            engine.visit(false);
            let came = || {
                polled = cell.poll(cx);
                polled.is_ready()
            };
            // Calls that were made together are waited for together: looking for one would hold up the next.
            let link = || engine.is_latest(cell.label().id).then(|| cell.link()).flatten();
            lookout.look(engine.looking(), link, came);
        }
        polled.map(|result| {
            lookout.came(engine.looking());
            result.expect("a handle is not polled after it was ready")
        })
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
            .field("task", &self.cell.label().task())
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
