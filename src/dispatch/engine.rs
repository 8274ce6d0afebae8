//! The engine: the ledger behind a short lock, and everything that it decides done outside of that lock, by
//! whoever caused it.
//!
//! There is no dispatcher task: the submitting call writes to the worker's pipe itself, and whoever reads a result
//! sends the next call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::effect::Occasion;
use super::ledger::{Action, Ledger, Phase, Submission, UnitId};
use super::limits::Limits;
use super::links::Links;
use super::lookout::Looking;
use super::starting::Starting;
use super::stats::Stats;
use super::terms::{Rules, Terms};
use super::unit::{Demand, Job};
use crate::backend::{Backend, End, Events, Home, Link, Profile, WorkerId};
use crate::error::{Death, Error, Result};
use crate::os::{self, Rooted, background};
use crate::wire::{Luggage, Parcel, Records, Reply, Store};

/// What an engine is made of.
pub(crate) struct EngineConfig {
    pub(crate) workers: usize,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) home: Arc<Home>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) limits: Limits,
    pub(crate) rules: Rules,
    /// The terms of calls that do not say otherwise.
    pub(crate) terms: Terms,
}

pub(crate) struct Engine {
    state: Rooted<Mutex<State>>,
    backend: Box<dyn Backend>,
    home: Arc<Home>,
    profile: Arc<Profile>,
    limits: Limits,
    terms: Terms,
    /// Told when a worker comes or goes, or the pool changes as a whole.
    pub(super) changed: Rooted<watch::Sender<()>>,
    next_id: AtomicU64,
    /// How many workers the ledger is told to have, for whoever asks often.
    wanted: AtomicUsize,
    /// Threads that are doing what follows from an event, which is not settled before they have.
    pub(super) performing: AtomicUsize,
    looking: Looking,
    this: Weak<Engine>,
}

pub(super) struct State {
    pub(super) ledger: Ledger<Arc<dyn Job>>,
    pub(super) links: Links,
    pub(super) starts: HashMap<WorkerId, AbortHandle>,
    /// Room for what an event comes to, empty between two of them.
    pub(super) actions: Vec<Action<Arc<dyn Job>>>,
    /// The timer that is set, and when it goes off.
    timer: Option<(Instant, AbortHandle)>,
}

/// A unit that was submitted.
pub(crate) struct Ticket {
    engine: Arc<Engine>,
    unit: UnitId,
}

impl Ticket {
    /// Cancels the unit: unless it was settled already, its job hears nothing more of it.
    pub(crate) fn cancel(&self) {
        if os::forked() {
            return;
        }
        self.engine.act(Occasion::default(), |ledger, links, out| {
            ledger.notice(Instant::now());
            ledger.cancel(self.unit, links, out)
        });
    }

    /// The worker it is on.
    pub(crate) fn link(&self) -> Option<Arc<dyn Link>> {
        let state = self.engine.lock();
        state.link(state.ledger.worker_of(self.unit)?)
    }
}

/// Keeps a pool that is being closed open for the rest of an input.
pub(crate) struct Hold {
    engine: Arc<Engine>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !os::forked() {
            self.engine.act(Occasion::default(), |ledger, _, out| ledger.release(out));
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
    }
}

impl State {
    pub(super) fn link(&self, worker: WorkerId) -> Option<Arc<dyn Link>> {
        self.links.0.get(&worker).map(Arc::clone)
    }
}

impl Engine {
    /// A pool whose workers are being started.
    pub(crate) fn start(config: EngineConfig) -> Arc<Self> {
        let ledger = Ledger::new(config.workers, config.rules, Instant::now());
        let (links, starts) = (Links::default(), HashMap::new());
        let state = State { ledger, links, starts, actions: Vec::new(), timer: None };
        let busy_poll = Duration::from_nanos(config.profile.configure.busy_poll_ns);
        let engine = Arc::new_cyclic(|this| Self {
            state: Rooted::new(Mutex::new(state)),
            backend: config.backend,
            home: config.home,
            profile: config.profile,
            limits: config.limits,
            terms: config.terms,
            changed: Rooted::new(watch::Sender::new(())),
            next_id: AtomicU64::new(1),
            wanted: AtomicUsize::new(config.workers),
            performing: AtomicUsize::new(0),
            looking: Looking::new(busy_poll),
            this: Weak::clone(this),
        });
        engine.act(Occasion::default(), |ledger, _, out| ledger.start_missing(out));
        engine
    }

    /// Nobody has made a call since this one.
    pub(crate) fn is_latest(&self, id: u64) -> bool {
        self.next_id.load(Ordering::Relaxed) == id + 1
    }

    pub(crate) fn looking(&self) -> &Looking {
        &self.looking
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The terms of calls that do not say otherwise.
    pub(crate) fn terms(&self) -> Terms {
        self.terms
    }

    /// The most bytes of one element's arguments or result.
    pub(crate) fn max_frame(&self) -> usize {
        self.profile.configure.max_frame
    }

    /// A number for a task or a lane that no other has.
    pub(crate) fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Where large arguments go, if there is such a place.
    pub(crate) fn store(&self) -> Option<&Arc<Store>> {
        self.profile.arguments()
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(super) fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn this(&self) -> Arc<Self> {
        self.this.upgrade().expect("whoever calls the engine holds it")
    }

    /// Notes a call from the current context, so that its results are surely read.
    pub(crate) fn visit(&self, blocking: bool) {
        if os::forked() {
            return;
        }
        if let Some(background) = self.home.visit(blocking) {
            let links: Vec<_> = self.lock().links.0.values().map(Arc::clone).collect();
            for link in links {
                link.attend(background);
            }
        }
    }

    /// Queues a unit, and sends it if a worker has room for it.
    pub(crate) fn submit(&self, job: Arc<dyn Job>, demand: Demand) -> Result<Ticket> {
        os::not_forked()?;
        let unit = job.unit();
        self.backend.check(unit.task)?;
        self.visit(false);
        let (elements, is_light) = (unit.elements, unit.is_light());
        let submission = Submission { task: job, elements, is_light, demand };
        let terms = demand.terms;
        let unit = self.act(Occasion::default(), |ledger, _, out| {
            if terms.timeout.or(terms.queue_timeout).is_some() {
                ledger.notice(Instant::now());
            }
            ledger.submit(submission, out)
        })?;
        Ok(Ticket { engine: self.this(), unit })
    }

    /// Keeps the pool from ending before an input was read to its end, should it be closed meanwhile.
    pub(crate) fn hold(&self) -> Result<Hold> {
        os::not_forked()?;
        self.lock().ledger.hold()?;
        Ok(Hold { engine: self.this() })
    }

    /// Takes no more units.
    pub(crate) fn close(&self) {
        if os::forked() {
            return;
        }
        self.act(Occasion::default(), |ledger, _, out| ledger.close(out));
        self.changed.send_replace(());
    }

    /// Cancels everything and kills the workers.
    pub(crate) fn terminate(&self) {
        if os::forked() {
            return;
        }
        self.act(Occasion::default(), |ledger, _, out| {
            ledger.notice(Instant::now());
            ledger.terminate(out, cancelled);
        });
        self.changed.send_replace(());
    }

    /// Cancels everything that has not started; how many elements that were.
    pub(crate) fn cancel_pending(&self) -> u64 {
        if os::forked() {
            return 0;
        }
        self.act(Occasion::default(), |ledger, links, out| {
            ledger.notice(Instant::now());
            ledger.cancel_pending(links, out, cancelled)
        })
    }

    pub(crate) fn resize(&self, workers: usize) {
        self.act(Occasion::default(), |ledger, _, out| {
            self.wanted.store(workers, Ordering::Relaxed);
            ledger.resize(workers, out);
        });
        self.changed.send_replace(());
    }

    pub(crate) fn stats(&self) -> Stats {
        if os::forked() { Stats::default() } else { self.lock().ledger.stats() }
    }

    /// How many workers the pool is to have.
    pub(crate) fn workers_wanted(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Why the pool takes nothing more, if it does not.
    pub(crate) fn refusal(&self) -> Option<Error> {
        os::not_forked().err().or_else(|| self.lock().ledger.refusal())
    }

    pub(crate) fn worker_ids(&self) -> Vec<u32> {
        if os::forked() {
            return Vec::new();
        }
        let state = self.lock();
        let ids = state.ledger.ready_workers().filter_map(|worker| state.links.0.get(&worker));
        ids.map(|link| link.id()).collect()
    }

    /// Waits until all workers take calls.
    pub(crate) async fn complete(&self) -> Result<()> {
        self.until(|ledger| match ledger.refusal() {
            Some(error) => Some(Err(error)),
            None => ledger.is_complete().then_some(Ok(())),
        })
        .await
    }

    /// Waits until everything is settled and no worker lives.
    pub(crate) async fn finished(&self) -> Result<()> {
        self.until(|ledger| match ledger.phase() {
            Phase::Open => Some(Err(Error::NotClosed)),
            _ => (ledger.is_finished() && self.has_performed()).then_some(Ok(())),
        })
        .await?;
        self.backend.end().await;
        Ok(())
    }

    async fn until(&self, mut answer: impl FnMut(&Ledger<Arc<dyn Job>>) -> Option<Result<()>>) -> Result<()> {
        os::not_forked()?;
        let mut changed = self.changed.subscribe();
        let mut answered = Rooted::new(Box::pin(async move {
            loop {
                if let Some(answer) = answer(&self.lock().ledger) {
                    return answer;
                }
                let _the_sender_is_ours = changed.changed().await;
            }
        }));
        std::future::poll_fn(|cx| match os::not_forked() {
            Ok(()) => answered.as_mut().poll(cx),
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    /// Nobody is doing any more what followed from an event.
    fn has_performed(&self) -> bool {
        fence(Ordering::SeqCst);
        self.performing.load(Ordering::SeqCst) == 0
    }

    /// Somebody waits for the pool as a whole. Whoever comes later looks himself.
    pub(super) fn is_waited_for(&self) -> bool {
        fence(Ordering::SeqCst);
        self.changed.receiver_count() > 0
    }

    /// Starts a worker on the background runtime. The start itself cannot run before the lock is free.
    pub(super) fn start_worker(&self, state: &mut State, worker: WorkerId, index: usize) {
        let Ok(background) = background() else { return };
        let starting = Starting { engine: self.this(), worker, outcome: None };
        let start = background.spawn(starting.run(index));
        state.starts.insert(worker, start.abort_handle());
    }

    pub(super) fn started(&self, worker: WorkerId, outcome: Result<Arc<dyn Link>>) {
        match outcome {
            Ok(link) => {
                let mut state = self.lock();
                state.starts.remove(&worker);
                // It may have died already; then nobody would ever take the link out again.
                if state.ledger.knows(worker) {
                    state.links.0.insert(worker, Arc::clone(&link));
                }
                drop(state);
                let wanted =
                    self.act(Occasion::default(), |ledger, links, out| ledger.ready(worker, links, out));
                if !wanted {
                    link.kill();
                }
            }
            Err(error) => {
                self.lock().starts.remove(&worker);
                self.act(Occasion::default(), |ledger, links, out| {
                    ledger.notice(Instant::now());
                    ledger.lost(worker, error, links, out);
                });
            }
        }
        self.changed.send_replace(());
    }

    /// Sets the timer for what the ledger has to do next, unless it is set for an earlier time already.
    pub(super) fn set_timer(&self, state: &mut State) {
        if state.ledger.needs_pulse() {
            state.ledger.set_pulse(Instant::now());
        }
        if state.ledger.needs_look() {
            state.ledger.set_look(Instant::now());
        }
        let Some(at) = state.ledger.next_tick() else { return };
        if state.timer.as_ref().is_some_and(|(set, _)| *set <= at) {
            return;
        }
        let Ok(background) = background() else { return };
        let engine = Weak::clone(&self.this);
        let timer = background.spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            if let Some(engine) = engine.upgrade() {
                engine.lock().timer = None;
                let now = Instant::now();
                while engine.act(Occasion::default(), |ledger, links, out| ledger.tick(now, links, out)) {}
            }
        });
        if let Some((_, later)) = state.timer.replace((at, timer.abort_handle())) {
            later.abort();
        }
    }

    /// Results that a dead worker had finished and not sent.
    fn recover(&self, worker: WorkerId) {
        let (calls, link) = {
            let state = self.lock();
            (state.ledger.calls_of(worker), state.link(worker))
        };
        let Some(link) = link else { return };
        for (head, received) in calls {
            let Some((claimed, bytes)) = link.unsent(head.call, received) else { continue };
            let elements = claimed;
            let fits = received.saturating_add(elements) <= head.elements;
            if fits && Records::new(&bytes).are_exactly(elements) {
                let last = received + elements == head.elements;
                let outgrown = false;
                let reply = Reply {
                    call: head.call,
                    slot: head.slot,
                    elements,
                    last,
                    outgrown,
                    elapsed_ns: 0,
                    handles: 0,
                    stowed: None,
                };
                let _checked = self.replies(worker, vec![(reply, Parcel::new(bytes, Luggage::default()))]);
            }
        }
    }
}

fn cancelled(job: &Arc<dyn Job>) -> Error {
    Error::Cancelled { task: job.unit().label.task() }
}

impl Events for Engine {
    fn replies(&self, worker: WorkerId, replies: Vec<(Reply, Parcel)>) -> Result<(), String> {
        let mut turn = self.turn();
        let mut told = replies.into_iter().map(|(reply, parcel)| {
            let occasion = Occasion { parcel, end: None };
            turn.tell(occasion, |ledger, links, out| ledger.reply(worker, reply, links, out))
        });
        let told = told.try_for_each(|told| told);
        turn.flush(worker);
        turn.end();
        told
    }

    fn gone(&self, worker: WorkerId, end: End) {
        self.recover(worker);
        let link = self.lock().link(worker);
        let pid = link.as_ref().map_or(0, |link| link.id());
        let End { exit, fault, oom_likely, stderr_tail } = end;
        let death = Death { fault, oom_likely, stderr_tail, ..Death::new(pid, exit) };
        let cause = Error::WorkerDied(death.clone());
        let occasion = Occasion { parcel: Parcel::default(), end: Some(death) };
        self.act(occasion, |ledger, links, out| {
            ledger.notice(Instant::now());
            ledger.lost(worker, cause, links, out);
        });
        // Only now: what was sent meanwhile has been entered on its board, and so is known not to have started.
        self.lock().links.0.remove(&worker);
        self.changed.send_replace(());
    }
}
