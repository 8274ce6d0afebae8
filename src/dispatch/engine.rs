//! The engine: the ledger behind a short lock, and everything that it decides done outside of that lock, by
//! whoever caused it.
//!
//! There is no dispatcher task: the submitting call writes to the worker's pipe itself, and whoever reads a result
//! sends the next call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::effect::{Effect, Occasion};
use super::lanes::LaneId;
use super::ledger::{Action, Boards, Ledger, Phase, UnitId};
use super::limits::Limits;
use super::lookout::Looking;
use super::starting::Starting;
use super::stats::Stats;
use super::unit::{Piece, Pieces, Unit};
use crate::backend::{Backend, Call, End, Events, Home, Link, Profile, WorkerId};
use crate::error::{Death, Error, Exit, Result};
use crate::os::{self, Rooted, Start, background};
use crate::wire::{Records, Reply};

/// What an engine is made of.
pub(crate) struct EngineConfig {
    pub(crate) workers: usize,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) home: Arc<Home>,
    pub(crate) profile: Profile,
    pub(crate) limits: Limits,
}

pub(crate) struct Engine {
    state: Rooted<Mutex<State>>,
    backend: Box<dyn Backend>,
    home: Arc<Home>,
    profile: Arc<Profile>,
    limits: Limits,
    /// Told when a worker comes or goes, or the pool changes as a whole.
    changed: Rooted<watch::Sender<()>>,
    next_id: AtomicU64,
    looking: Looking,
    this: Weak<Engine>,
}

struct State {
    ledger: Ledger<Arc<Unit>>,
    links: Links,
    starts: HashMap<WorkerId, AbortHandle>,
    /// When the timer that is set goes off.
    timer: Option<Instant>,
}

#[derive(Default)]
struct Links(HashMap<WorkerId, Arc<dyn Link>>);

/// A unit that was submitted.
pub(crate) struct Ticket {
    engine: Arc<Engine>,
    unit: UnitId,
}

impl Ticket {
    /// Cancels the unit: unless it was settled already, its sink hears nothing more of it.
    pub(crate) fn cancel(&self) {
        if !os::forked() {
            self.engine.act(Occasion::default(), |ledger, links, out| ledger.cancel(self.unit, links, out));
        }
    }

    /// The worker it is on.
    pub(crate) fn link(&self) -> Option<Arc<dyn Link>> {
        let state = self.engine.lock();
        let worker = state.ledger.worker_of(self.unit)?;
        state.links.0.get(&worker).map(Arc::clone)
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

impl Boards for Links {
    fn revoke(&self, worker: WorkerId, slot: u8, call: u64) -> bool {
        self.0.get(&worker).is_some_and(|link| link.revoke(slot, call))
    }

    fn cancel(&self, worker: WorkerId, slot: u8) {
        if let Some(link) = self.0.get(&worker) {
            link.cancel(slot);
        }
    }
}

impl Engine {
    /// A pool whose workers are being started.
    pub(crate) fn start(config: EngineConfig) -> Arc<Self> {
        let ledger = Ledger::new(config.workers);
        let state = State { ledger, links: Links::default(), starts: HashMap::new(), timer: None };
        let busy_poll = Duration::from_nanos(config.profile.configure.busy_poll_ns);
        let engine = Arc::new_cyclic(|this| Self {
            state: Rooted::new(Mutex::new(state)),
            backend: config.backend,
            home: config.home,
            profile: Arc::new(config.profile),
            limits: config.limits,
            changed: Rooted::new(watch::Sender::new(())),
            next_id: AtomicU64::new(1),
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

    /// The most bytes of one element's arguments or result.
    pub(crate) fn max_frame(&self) -> usize {
        self.profile.configure.max_frame
    }

    /// A number for a task or a lane that no other has.
    pub(crate) fn fresh_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(super) fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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
    pub(crate) fn submit(&self, unit: Unit, lane: LaneId, is_held: bool) -> Result<Ticket> {
        os::not_forked()?;
        self.backend.check(unit.task)?;
        self.visit(false);
        let unit = Arc::new(unit);
        let (elements, bytes) = (unit.elements, unit.records.len());
        let unit = self.act(Occasion::default(), |ledger, _, out| {
            ledger.submit(unit, lane, elements, bytes, is_held, out)
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
            ledger.terminate(out, |unit| Error::Cancelled { task: unit.name() });
        });
        self.changed.send_replace(());
    }

    pub(crate) fn resize(&self, workers: usize) {
        self.act(Occasion::default(), |ledger, _, out| ledger.resize(workers, out));
        self.changed.send_replace(());
    }

    pub(crate) fn stats(&self) -> Stats {
        if os::forked() { Stats::default() } else { self.lock().ledger.stats() }
    }

    /// How many workers the pool is to have.
    pub(crate) fn workers_wanted(&self) -> usize {
        self.lock().ledger.target()
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
            _ => ledger.is_finished().then_some(Ok(())),
        })
        .await
    }

    async fn until(&self, mut answer: impl FnMut(&Ledger<Arc<Unit>>) -> Option<Result<()>>) -> Result<()> {
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

    /// Tells the ledger of an event and does what follows.
    fn act<R>(
        &self,
        occasion: Occasion,
        event: impl FnOnce(&mut Ledger<Arc<Unit>>, &Links, &mut Vec<Action<Arc<Unit>>>) -> R,
    ) -> R {
        let mut actions = Vec::new();
        let mut state = self.lock();
        let State { ledger, links, .. } = &mut *state;
        let result = event(ledger, links, &mut actions);
        let ends = *ledger.phase() != Phase::Open;
        let effects: Vec<_> =
            actions.into_iter().filter_map(|action| self.prepare(&mut state, action, &occasion)).collect();
        self.set_timer(&mut state);
        drop(state);
        effects.into_iter().for_each(Effect::perform);
        if ends {
            self.changed.send_replace(());
        }
        result
    }

    /// What an action comes to, with what only the lock protects done already.
    fn prepare(&self, state: &mut State, action: Action<Arc<Unit>>, occasion: &Occasion) -> Option<Effect> {
        match action {
            Action::Start { worker, index } => {
                self.start_worker(state, worker, index);
                None
            }
            Action::Send { worker, head, task: unit, done } => {
                let link = Arc::clone(state.links.0.get(&worker)?);
                link.enter(head.slot, head.call);
                unit.leave_queue();
                let call = Call { head, task: unit.task, records: unit.records_from(done) };
                Some(Effect::Send(link, call))
            }
            Action::Deliver { task: unit, first, reply } => {
                let Reply { elements, elapsed_ns, .. } = reply;
                let results = Pieces::Records(occasion.records.clone());
                Some(Effect::Accept(unit, Piece { results, first, elements, elapsed_ns }))
            }
            Action::Died { task: unit, first, elements } => {
                let unknown = || Death::new(0, Exit::Unknown, None);
                let death = occasion.end.clone().unwrap_or_else(unknown);
                let error = Error::WorkerDied(Death { task: Some(unit.name()), ..death });
                Some(Effect::Fail { unit, error, first, elements })
            }
            Action::Fail { task: unit, first, elements, error } => {
                Some(Effect::Fail { unit, error, first, elements })
            }
            Action::Forget { task: unit } => Some(Effect::Forget(unit)),
            Action::Stop { worker } => state.links.0.get(&worker).map(Arc::clone).map(Effect::Stop),
            Action::Kill { worker } => match state.starts.get(&worker) {
                Some(start) => Some(Effect::Abort(start.clone())),
                None => state.links.0.get(&worker).map(Arc::clone).map(Effect::Kill),
            },
        }
    }

    /// Starts a worker on the background runtime. The start itself cannot run before the lock is free.
    fn start_worker(&self, state: &mut State, worker: WorkerId, index: usize) {
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
                self.act(Occasion::default(), |ledger, _, out| {
                    ledger.lost(worker, error, Instant::now(), |_| Start::NotStarted, out);
                });
            }
        }
        self.changed.send_replace(());
    }

    fn set_timer(&self, state: &mut State) {
        let next = state.ledger.next_tick();
        let (Some(at), Ok(background)) = (next, background()) else { return };
        if state.timer.is_some_and(|set| set <= at) {
            return;
        }
        state.timer = Some(at);
        let engine = Weak::clone(&self.this);
        background.spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            if let Some(engine) = engine.upgrade() {
                engine.lock().timer = None;
                engine.act(Occasion::default(), |ledger, _, out| ledger.tick(Instant::now(), out));
            }
        });
    }

    /// Results that a dead worker had finished and not sent.
    fn recover(&self, worker: WorkerId) {
        let (calls, link) = {
            let state = self.lock();
            (state.ledger.calls_of(worker), state.links.0.get(&worker).map(Arc::clone))
        };
        let Some(link) = link else { return };
        for (head, received) in calls {
            let Some((claimed, bytes)) = link.unsent(head.call, received) else { continue };
            let elements = claimed;
            let fits = received.saturating_add(elements) <= head.elements;
            if fits && Records::new(&bytes).are_exactly(elements) {
                let last = received + elements == head.elements;
                let reply = Reply { call: head.call, slot: head.slot, elements, last, elapsed_ns: 0 };
                let _checked = self.reply(worker, reply, bytes.into());
            }
        }
    }
}

impl Events for Engine {
    fn reply(&self, worker: WorkerId, reply: Reply, records: Bytes) -> Result<(), String> {
        let occasion = Occasion { records, end: None };
        self.act(occasion, |ledger, links, out| ledger.reply(worker, reply, links, out))
    }

    fn gone(&self, worker: WorkerId, end: End) {
        self.recover(worker);
        let link = self.lock().links.0.get(&worker).map(Arc::clone);
        let pid = link.as_ref().map_or(0, |link| link.id());
        let death = Death { fault: end.fault, ..Death::new(pid, end.exit, None) };
        let cause = Error::WorkerDied(death.clone());
        let occasion = Occasion { records: Bytes::new(), end: Some(death) };
        self.act(occasion, |ledger, _, out| {
            let progress = |head: crate::wire::CallHead| {
                link.as_ref().map_or(Start::NotStarted, |link| link.progress(head.slot, head.call))
            };
            ledger.lost(worker, cause, Instant::now(), progress, out);
        });
        // Only now: what was sent meanwhile has been entered on its board, and so is known not to have started.
        self.lock().links.0.remove(&worker);
        self.changed.send_replace(());
    }
}
