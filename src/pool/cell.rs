//! Where the result of a call arrives, is shown to callbacks, and waits to be taken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::AbortHandle;
use tokio::runtime::Handle;

use super::outcome::Label;
use crate::dispatch::{Piece, Sink, Ticket};
use crate::error::{Error, Panic, Result};
use crate::os::background;
use crate::task::{Payload, panic_text};

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

pub(super) type Callback<R> = Box<dyn FnOnce(&Result<R>) + Send>;

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

    pub(super) fn label(&self) -> &Label {
        &self.label
    }

    pub(super) fn is_settled(&self) -> bool {
        !matches!(self.lock().stage, Stage::Pending | Stage::Shown)
    }

    /// Stops the call and settles it as cancelled; false if it was settled already.
    pub(super) fn cancel(self: &Arc<Self>) -> bool {
        let source = std::mem::replace(&mut self.lock().source, Source::Nowhere);
        let pending = matches!(self.lock().stage, Stage::Pending);
        pending && source.stop() && self.settle(Err(Error::Cancelled { task: self.label.task() }))
    }

    /// Attaches a callback, and runs it at once if the call is settled.
    pub(super) fn attach(self: &Arc<Self>, callback: Callback<R>) {
        let mut state = self.lock();
        state.callbacks.push(callback);
        if let Ok(here) = Handle::try_current() {
            state.runtime = Some(here);
        }
        let late = matches!(state.stage, Stage::Arrived(_) | Stage::Ready(_));
        drop(state);
        if late {
            self.show();
        }
    }

    /// Takes the result once it is there; nothing if it was taken before.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<R>>> {
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

    /// Ready once the call is settled, with nothing taken.
    pub(super) fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
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
