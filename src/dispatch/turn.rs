//! One turn of the engine: what the ledger is told under its lock, and what follows, done once that is free.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use super::effect::{Effects, Occasion};
use super::engine::{Engine, State};
use super::ledger::{Action, Ledger, Phase};
use super::links::Links;
use super::unit::Job;
use crate::backend::WorkerId;

/// Holds the lock until it ends.
#[must_use = "what follows is done at its end"]
pub(super) struct Turn<'e> {
    engine: &'e Engine,
    state: MutexGuard<'e, State>,
    effects: Effects,
}

impl Engine {
    /// Tells the ledger of an event and does what follows.
    pub(super) fn act<R>(
        &self,
        occasion: Occasion,
        event: impl FnOnce(&mut Ledger<Arc<dyn Job>>, &Links, &mut Vec<Action<Arc<dyn Job>>>) -> R,
    ) -> R {
        let mut turn = self.turn();
        let result = turn.tell(occasion, event);
        turn.end();
        result
    }

    /// Begins a turn, for one event or several.
    pub(super) fn turn(&self) -> Turn<'_> {
        let mut state = self.lock();
        if state.ledger.keeps_time() {
            state.ledger.notice(Instant::now());
        }
        Turn { engine: self, state, effects: Effects::default() }
    }
}

impl Turn<'_> {
    /// Tells the ledger of an event.
    pub(super) fn tell<R>(
        &mut self,
        mut occasion: Occasion,
        event: impl FnOnce(&mut Ledger<Arc<dyn Job>>, &Links, &mut Vec<Action<Arc<dyn Job>>>) -> R,
    ) -> R {
        let State { ledger, links, actions, .. } = &mut *self.state;
        let mut actions = std::mem::take(actions);
        let result = event(ledger, links, &mut actions);
        for action in actions.drain(..) {
            self.engine.prepare(&mut self.state, action, &mut occasion, &mut self.effects);
        }
        self.state.actions = actions;
        result
    }

    /// A worker has less to do now than before.
    pub(super) fn flush(&mut self, worker: WorkerId) {
        if let Some(link) = self.state.link(worker) {
            self.effects.flush(link);
        }
    }

    /// Does what follows.
    pub(super) fn end(self) {
        let Self { engine, mut state, effects, .. } = self;
        let ends = *state.ledger.phase() != Phase::Open;
        engine.set_timer(&mut state);
        engine.performing.fetch_add(1, Ordering::SeqCst);
        drop(state);
        effects.perform();
        let was_last = engine.performing.fetch_sub(1, Ordering::SeqCst) == 1;
        if ends || (was_last && engine.is_waited_for()) {
            engine.changed.send_replace(());
        }
    }
}
