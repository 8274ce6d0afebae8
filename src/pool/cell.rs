//! Where the result of a call arrives, is shown to callbacks, and waits to be taken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::AbortHandle;
use tokio::runtime::Handle;

use super::lock::{Mutex, MutexGuard, run_callback};
use super::outcome::single;
use crate::backend::Link;
use crate::dispatch::{Job, Permit, Piece, Pieces, Ticket, Unit};
use crate::error::{Error, Panic, Result};
use crate::task::{Label, Payload, panic_text};
use crate::wire::Parcel;

/// A call, and where its result arrives, decodes and waits to be taken. There may be a million of them, so what comes late, and what few have, lies elsewhere.
pub(super) struct Cell<R> {
    unit: Unit,
    state: Mutex<State<R>>,
}

struct State<R> {
    stage: Stage<R>,
    /// Who waits.
    waker: Option<Waker>,
    extras: Option<Box<Extras<R>>>,
}

/// What few calls have.
struct Extras<R> {
    /// Who waits too.
    wakers: Vec<Waker>,
    callbacks: Vec<Callback<R>>,
    /// What callbacks find as their runtime.
    runtime: Option<Handle>,
}

enum Stage<R> {
    Pending(Source),
    /// It is being cancelled, and nothing else can come of it.
    Stopping,
    /// It has come, and is decoded by whoever wants it.
    Arrived(Box<Pieces>),
    /// Callbacks have it.
    Shown,
    Ready(Box<Result<R>>),
    Taken,
}

pub(super) type Callback<R> = Box<dyn FnOnce(&Result<R>) + Send>;

/// Something that can be given up from outside.
pub(super) trait Stop: Send + Sync {
    fn stop(&self);
}

/// What to stop when the call is cancelled.
enum Source {
    /// It was not submitted yet.
    Nowhere,
    /// It is being submitted on some thread, which will note where it went.
    Submitting,
    Unit(Ticket),
    /// A task of a runtime that drives the call, and what it drives.
    Driver(AbortHandle, Option<Arc<dyn Stop>>),
}

impl<R: Payload> Cell<R> {
    pub(super) fn new(unit: Unit) -> Arc<Self> {
        let state = State { stage: Stage::Pending(Source::Nowhere), waker: None, extras: None };
        Arc::new(Self { unit, state: Mutex::new(state) })
    }

    /// Takes in what it is submitted with.
    pub(super) fn load(&self, parcel: Parcel, permit: Option<Permit>) {
        self.unit.load(parcel, permit);
    }

    /// The same call once more, without its arguments.
    pub(super) fn blank(&self) -> Unit {
        Unit::new(self.unit.task, self.unit.label.clone(), self.unit.elements)
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what to stop. A call that was cancelled in the meantime is stopped at once.
    fn comes_from(&self, source: Source) {
        let mut state = self.lock();
        if let Stage::Pending(unknown) = &mut state.stage {
            *unknown = source;
        } else {
            drop(state);
            source.stop();
        }
    }

    /// Comes before the call is submitted; false if it was cancelled, and must not be.
    pub(super) fn begin_submission(&self) -> bool {
        let mut state = self.lock();
        let Stage::Pending(source) = &mut state.stage else { return false };
        let before = std::mem::replace(source, Source::Submitting);
        drop(state);
        // The task that has waited for a place in the queue, if there is one: it is what submits the call now.
        drop(before);
        true
    }

    /// The call was submitted. If it was cancelled meanwhile, it is stopped, and only then told as cancelled.
    pub(super) fn submitted(self: &Arc<Self>, ticket: Ticket) {
        self.end_submission(Source::Unit(ticket));
    }

    fn end_submission(self: &Arc<Self>, source: Source) {
        let mut state = self.lock();
        match &mut state.stage {
            Stage::Pending(submitting) => *submitting = source,
            Stage::Stopping => {
                drop(state);
                source.stop();
                self.tell_cancelled();
            }
            // Its result was faster.
            Stage::Arrived(_) | Stage::Shown | Stage::Ready(_) | Stage::Taken => {
                drop(state);
                drop(source);
            }
        }
    }

    /// The call could not be submitted.
    pub(super) fn refused(self: &Arc<Self>, error: Error) {
        self.unit.unload();
        let is_cancelled = matches!(self.lock().stage, Stage::Stopping);
        if is_cancelled {
            self.tell_cancelled();
        } else {
            self.settle(Err(error));
        }
    }

    pub(super) fn driven(&self, driver: AbortHandle, driven: Arc<dyn Stop>) {
        self.comes_from(Source::Driver(driver, Some(driven)));
    }

    /// A task waits to submit the call.
    pub(super) fn waits(&self, waiting: AbortHandle) {
        self.comes_from(Source::Driver(waiting, None));
    }

    /// Settles the call, unless it is settled already.
    pub(super) fn settle(self: &Arc<Self>, result: Result<R>) -> bool {
        let mut waiting = Vec::new();
        let settled = self.settle_as(Stage::Ready(Box::new(result)), &mut waiting).is_some();
        waiting.into_iter().for_each(Waker::wake);
        settled
    }

    /// Settles the call, unless it is settled already, and returns where it came from. The ticket in it holds the
    /// engine, and must not be dropped under the lock. Whoever waits is to be woken then.
    fn settle_as(self: &Arc<Self>, stage: Stage<R>, waiting: &mut Vec<Waker>) -> Option<Source> {
        let mut state = self.lock();
        let Stage::Pending(source) = &mut state.stage else { return None };
        let source = std::mem::replace(source, Source::Nowhere);
        self.tell(state, stage, waiting);
        Some(source)
    }

    /// Whoever waits is to be woken, once the callbacks have run if there are any.
    fn tell(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<R>>,
        stage: Stage<R>,
        waiting: &mut Vec<Waker>,
    ) {
        state.stage = stage;
        if state.has_callbacks() {
            drop(state);
            self.show();
        } else {
            state.take_wakers(waiting);
        }
    }

    /// Has the callbacks run, on their own thread, in the context of the runtime they were attached in.
    fn show(self: &Arc<Self>) {
        let cell = Arc::clone(self);
        let runtime = self.lock().extras.as_ref().and_then(|extras| extras.runtime.clone());
        let shown = run_callback(move || {
            let _inside = runtime.as_ref().map(Handle::enter);
            cell.run_callbacks();
        });
        if let Err(run_here) = shown {
            run_here();
        }
    }

    /// Runs the callbacks, also those that are attached while others run, and then hands the result out.
    fn run_callbacks(&self) {
        while let Some((stage, callbacks)) = self.take_shown() {
            let result = match stage {
                Stage::Arrived(results) => single(self.label(), *results),
                Stage::Ready(result) => *result,
                Stage::Pending(_) | Stage::Stopping | Stage::Shown | Stage::Taken => return,
            };
            let result = self.call_back(callbacks, result);
            self.lock().stage = Stage::Ready(Box::new(result));
        }
        let mut waiting = Vec::new();
        self.lock().take_wakers(&mut waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn take_shown(&self) -> Option<(Stage<R>, Vec<Callback<R>>)> {
        let mut state = self.lock();
        let has_come = matches!(state.stage, Stage::Arrived(_) | Stage::Ready(_));
        if !has_come || !state.has_callbacks() {
            return None;
        }
        let callbacks = std::mem::take(&mut state.extras().callbacks);
        Some((std::mem::replace(&mut state.stage, Stage::Shown), callbacks))
    }

    fn call_back(&self, callbacks: Vec<Callback<R>>, result: Result<R>) -> Result<R> {
        let mut panicked = None;
        for callback in callbacks {
            let shown = catch_unwind(AssertUnwindSafe(|| callback(&result)));
            if let Err(payload) = shown {
                panicked.get_or_insert_with(|| panic_text(&*payload));
                std::mem::forget(payload);
            }
        }
        let Some(message) = panicked else { return result };
        // The value gives way to the error, and may panic in doing so.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
            std::mem::forget(payload);
        }
        Err(Error::Callback(Panic::new(&self.label().task(), message)))
    }

    /// The worker that it is on.
    pub(super) fn link(&self) -> Option<Arc<dyn Link>> {
        match &self.lock().stage {
            Stage::Pending(Source::Unit(ticket)) => ticket.link(),
            _ => None,
        }
    }

    pub(super) fn label(&self) -> &Label {
        &self.unit.label
    }

    pub(super) fn is_settled(&self) -> bool {
        self.lock().is_settled()
    }

    /// Stops the call and settles it as cancelled; false if it was settled already.
    pub(super) fn cancel(self: &Arc<Self>) -> bool {
        let source = {
            let mut state = self.lock();
            let Stage::Pending(source) = &mut state.stage else { return false };
            let source = std::mem::replace(source, Source::Nowhere);
            state.stage = Stage::Stopping;
            source
        };
        if let Source::Submitting = source {
            // Whoever submits it stops it, and tells.
            return true;
        }
        // Stopped first: whoever hears that it is cancelled may rely on it that it never starts.
        source.stop();
        self.tell_cancelled();
        true
    }

    fn tell_cancelled(self: &Arc<Self>) {
        let cancelled = Err(Error::Cancelled { task: self.label().task() });
        let mut waiting = Vec::new();
        self.tell(self.lock(), Stage::Ready(Box::new(cancelled)), &mut waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Attaches a callback, and runs it at once if the call is settled. Of a result that was taken it sees nothing.
    pub(super) fn attach(self: &Arc<Self>, callback: Callback<R>) {
        let mut state = self.lock();
        if matches!(state.stage, Stage::Taken) {
            // Kept, it would hold up whoever waits for all callbacks to have run.
            return;
        }
        let extras = state.extras();
        extras.callbacks.push(callback);
        if let Ok(here) = Handle::try_current() {
            extras.runtime = Some(here);
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
        if !state.is_settled() {
            state.watch(cx);
            return Poll::Pending;
        }
        match std::mem::replace(&mut state.stage, Stage::Taken) {
            Stage::Arrived(results) => {
                drop(state);
                Poll::Ready(Some(single(self.label(), *results)))
            }
            Stage::Ready(result) => Poll::Ready(Some(*result)),
            Stage::Pending(_) | Stage::Stopping | Stage::Shown | Stage::Taken => Poll::Ready(None),
        }
    }

    /// Ready once the call is settled, with nothing taken.
    pub(super) fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.is_settled() {
            state.watch(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl<R> State<R> {
    /// The result is there, and all callbacks have seen it.
    fn is_settled(&self) -> bool {
        let is_here = !matches!(self.stage, Stage::Pending(_) | Stage::Stopping | Stage::Shown);
        is_here && !self.has_callbacks()
    }

    fn has_callbacks(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| !extras.callbacks.is_empty())
    }

    fn extras(&mut self) -> &mut Extras<R> {
        self.extras.get_or_insert_with(Box::default)
    }

    fn watch(&mut self, cx: &Context<'_>) {
        let others = self.extras.iter().flat_map(|extras| &extras.wakers);
        if self.waker.iter().chain(others).any(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        let waker = cx.waker().clone();
        if self.waker.is_none() {
            self.waker = Some(waker);
        } else {
            self.extras().wakers.push(waker);
        }
    }

    fn take_wakers(&mut self, waiting: &mut Vec<Waker>) {
        waiting.extend(self.waker.take());
        if let Some(extras) = &mut self.extras {
            waiting.append(&mut extras.wakers);
        }
    }
}

impl<R> Default for Extras<R> {
    fn default() -> Self {
        Self { wakers: Vec::new(), callbacks: Vec::new(), runtime: None }
    }
}

impl<R: Payload> Job for Cell<R> {
    fn unit(&self) -> &Unit {
        &self.unit
    }

    fn accept(self: Arc<Self>, piece: Piece, waiting: &mut Vec<Waker>) {
        drop(self.settle_as(Stage::Arrived(Box::new(piece.results)), waiting));
    }
}

impl Source {
    fn stop(self) {
        match self {
            Self::Nowhere | Self::Submitting => {}
            Self::Unit(ticket) => ticket.cancel(),
            Self::Driver(driver, driven) => {
                // The task ends when its runtime comes to it; what it drives is stopped now.
                driver.abort();
                if let Some(driven) = driven {
                    driven.stop();
                }
            }
        }
    }
}
