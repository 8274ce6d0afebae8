//! One call as a lazy future.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::{AbortHandle, Abortable, BoxFuture};
use tokio_util::sync::CancellationToken;

use super::cell::Cell;
use super::handle::TaskHandle;
use super::wishes::{Wishes, wishes};
use crate::dispatch::{Demand, Engine, LaneId, Permit, Unit};
use crate::error::{Error, Limit, Result};
use crate::os::{self, Rooted, background, callers_runtime};
use crate::task::{Arguments, Label, Payload, Task, TaskFn};
use crate::wait::until;
use crate::wire::Parcel;

/// One call: a future that starts it when it is first polled, and cancels it when it is dropped.
///
/// The arguments are encoded when it is made. Made by [`Pool::apply`](super::Pool::apply).
///
/// # Examples
///
/// ```
/// use multiprocess::Apply;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(1)?;
/// let call: Apply<u64> = pool.apply(|n: u64| n * n, (12,));
/// assert_eq!(call.await?, 144);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
///
/// # Cancel safety
///
/// Dropping it cancels the call: one that has not started never will, one that runs sees
/// [`worker::is_cancelled`](crate::worker::is_cancelled).
///
/// # Panics
///
/// Polling it again after it was ready panics, as with any future.
#[must_use = "futures do nothing unless polled; `start` it, or use `apply_async`"]
pub struct Apply<R: Payload> {
    engine: Arc<Engine>,
    stage: Stage<R>,
}

enum Stage<R: Payload> {
    Prepared(Request<R>),
    /// Waits for a place in the queue.
    Waiting(Request<R>, Rooted<BoxFuture<'static, Result<Permit>>>),
    Started(TaskHandle<R>),
    /// Fails without having been started.
    Refused(Unit, Error),
    /// While moving from one stage to the next.
    Moving,
}

/// A call that was not submitted yet.
pub(super) struct Request<R> {
    task: Task,
    parcel: Result<Parcel>,
    permit: Option<Permit>,
    label: Label,
    wishes: Wishes,
    /// It fails if it has not started by then; set when it begins to wait.
    start_by: Option<Instant>,
    value: PhantomData<fn() -> R>,
}

impl<R: Payload> Request<R> {
    pub(super) fn new<F, Args, M>(engine: &Engine, f: F, args: &Args) -> Self
    where
        F: TaskFn<Args, M, Value = R>,
        Args: Arguments,
    {
        let task = Task::of(f);
        let wishes = Wishes::new(engine.terms());
        let (name, id, max) = (task.namer(), engine.fresh_id(), engine.max_frame());
        let label = Label { name, id, max, timeout: wishes.terms.timeout };
        let parcel = label.encode(args, engine.store());
        Self { task, parcel, permit: None, label, wishes, start_by: None, value: PhantomData }
    }

    fn unit(&self) -> Unit {
        Unit::new(self.task, self.label.clone(), 1)
    }

    /// How many bytes its arguments take.
    fn size(&self) -> usize {
        self.parcel.as_ref().map_or(0, Parcel::size)
    }

    /// From now on it waits, be it for a place in the queue or for a worker.
    fn begin_to_wait(&mut self) {
        self.start_by = self.start_by.or_else(|| self.wishes.start_by());
    }

    /// Submits the call; every failure settles its cell.
    fn submit(self, engine: &Arc<Engine>, cell: &Arc<Cell<R>>) {
        if !cell.begin_submission() {
            return;
        }
        let Self { parcel, permit, wishes, start_by, .. } = self;
        let submitted = wishes.check().and(parcel).and_then(|parcel| {
            cell.load(parcel, permit);
            let demand = Demand { lane: LaneId::CALLS, terms: wishes.terms, start_by, is_held: false };
            engine.submit(Arc::<Cell<R>>::clone(cell), demand)
        });
        match submitted {
            Ok(ticket) => cell.submitted(ticket),
            Err(error) => cell.refused(error),
        }
    }

    /// Starts the call now. Where the queue is full, a task of its own waits for a place.
    pub(super) fn start(mut self, engine: &Arc<Engine>) -> TaskHandle<R> {
        self.label.timeout = self.wishes.terms.timeout;
        self.begin_to_wait();
        let cell = Cell::new(self.unit());
        let handle = TaskHandle::new(Arc::clone(&cell), Arc::clone(engine));
        if let Err(error) = os::not_forked() {
            cell.settle(Err(error));
            return handle;
        }
        cancel_with(&self.wishes, &cell);
        if self.permit.is_some() || engine.limits().is_unlimited() {
            self.submit(engine, &cell);
            return handle;
        }
        match engine.limits().try_acquire(self.size()) {
            Ok(permit) => Self { permit: Some(permit), ..self }.submit(engine, &cell),
            Err(_) => self.queue_up(Arc::clone(engine), cell),
        }
        handle
    }

    fn queue_up(self, engine: Arc<Engine>, cell: Arc<Cell<R>>) {
        let (abort, registration) = AbortHandle::new_pair();
        cell.waits(abort);
        let runtime = match callers_runtime() {
            Ok(runtime) => runtime,
            Err(cause) => {
                cell.settle(Err(Error::start("start a thread to wait in", cause)));
                return;
            }
        };
        let place = self.place(&engine);
        let waiting = async move {
            match place.await {
                Ok(permit) => Self { permit: Some(permit), ..self }.submit(&engine, &cell),
                Err(error) => drop(cell.settle(Err(error))),
            }
        };
        runtime.spawn(Abortable::new(waiting, registration));
    }

    /// Waits for a place in the queue, as long as the caller does.
    fn place(&self, engine: &Engine) -> BoxFuture<'static, Result<Permit>> {
        let place = engine.limits().clone().acquire(self.size());
        let (wishes, task, start_by) = (self.wishes.clone(), self.label.task(), self.start_by);
        Box::pin(async move {
            tokio::select! {
                biased;
                permit = place => Ok(permit),
                () = wishes.cancelled() => Err(Error::Cancelled { task }),
                () = until(start_by) => {
                    let after = wishes.terms.queue_timeout.unwrap_or_default();
                    Err(Error::TimedOut { task, limit: Limit::Queue, after })
                }
            }
        })
    }
}

/// Has the caller's token cancel a call, for as long as that takes.
fn cancel_with<R: Payload>(wishes: &Wishes, cell: &Arc<Cell<R>>) {
    let (Some(token), Ok(background)) = (wishes.token.clone(), background()) else { return };
    if token.is_cancelled() {
        cell.cancel();
        return;
    }
    let cell = Arc::clone(cell);
    background.spawn(async move {
        tokio::select! {
            () = token.cancelled() => drop(cell.cancel()),
            () = std::future::poll_fn(|cx| cell.poll_settled(cx)) => {}
        }
    });
}

impl<R: Payload> Apply<R> {
    pub(super) fn new(engine: Arc<Engine>, request: Request<R>) -> Self {
        Self { engine, stage: Stage::Prepared(request) }
    }

    /// Takes the place in the queue now, or fails with `QueueFull`.
    pub(super) fn reserve(mut self) -> Result<Self> {
        if let Some(error) = self.engine.refusal() {
            return Err(error);
        }
        if let Stage::Prepared(request) = &mut self.stage {
            request.permit = Some(self.engine.limits().try_acquire(request.size())?);
        }
        Ok(self)
    }

    /// Sets an option, unless it is too late for that.
    fn change(mut self, option: &'static str, change: impl FnOnce(&mut Wishes)) -> Self {
        let unit = match &mut self.stage {
            Stage::Prepared(request) => {
                change(&mut request.wishes);
                return self;
            }
            Stage::Waiting(request, _) => request.unit(),
            Stage::Refused(unit, _) => Unit::new(unit.task, unit.label.clone(), 1),
            Stage::Started(handle) => handle.unit(),
            Stage::Moving => unreachable!("no stage is left in between"),
        };
        self.stage = Stage::Refused(unit, Error::option(option, "it is set after the first poll"));
        self
    }

    /// Starts the call now, whether or not the handle is awaited.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.apply(|a: u32| a + 1, (1,)).start();
    /// assert_eq!(handle.await?, 2);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn start(self) -> TaskHandle<R> {
        match self.stage {
            Stage::Prepared(request) | Stage::Waiting(request, _) => request.start(&self.engine),
            Stage::Started(handle) => handle.detach_on_drop(),
            Stage::Refused(unit, error) => TaskHandle::failed(unit, error, self.engine),
            Stage::Moving => unreachable!("no stage is left in between"),
        }
    }
}

wishes!(Apply);

impl<R: Payload> Unpin for Apply<R> {}

impl<R: Payload> Future for Apply<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        os::not_forked()?;
        loop {
            match std::mem::replace(&mut self.stage, Stage::Moving) {
                Stage::Prepared(request)
                    if request.permit.is_some() || self.engine.limits().is_unlimited() =>
                {
                    self.stage = Stage::Started(request.start(&self.engine).abort_on_drop());
                }
                Stage::Prepared(mut request) => {
                    request.begin_to_wait();
                    let place = Rooted::new(request.place(&self.engine));
                    self.stage = Stage::Waiting(request, place);
                }
                Stage::Waiting(request, mut place) => match place.as_mut().poll(cx) {
                    Poll::Ready(Ok(permit)) => {
                        self.stage = Stage::Prepared(Request { permit: Some(permit), ..request });
                    }
                    Poll::Ready(Err(error)) => self.stage = Stage::Refused(request.unit(), error),
                    Poll::Pending => {
                        self.stage = Stage::Waiting(request, place);
                        return Poll::Pending;
                    }
                },
                Stage::Started(mut handle) => {
                    let polled = Pin::new(&mut handle).poll(cx);
                    self.stage = Stage::Started(handle);
                    return polled;
                }
                Stage::Refused(_, error) => return Poll::Ready(Err(error)),
                Stage::Moving => unreachable!("no stage is left in between"),
            }
        }
    }
}

impl<R: Payload> fmt::Debug for Apply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = matches!(self.stage, Stage::Started(_));
        f.debug_struct("Apply").field("started", &started).finish_non_exhaustive()
    }
}
