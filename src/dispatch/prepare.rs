//! What the ledger's actions come to, each with what only the lock protects done already.

use std::sync::Arc;

use super::effect::{Effect, Effects, Occasion};
use super::engine::{Engine, State};
use super::ledger::Action;
use super::unit::{Job, Piece, Pieces, Unit};
use crate::backend::{Call, WorkerId};
use crate::error::{Death, Error, Exit};
use crate::wire::Reply;

impl Engine {
    /// Does what only the lock protects of an action, and notes the rest of it among the effects.
    pub(super) fn prepare(
        &self,
        state: &mut State,
        action: Action<Arc<dyn Job>>,
        occasion: &mut Occasion,
        effects: &mut Effects,
    ) {
        let effect = match action {
            Action::Start { worker, index } => return self.start_worker(state, worker, index),
            Action::Send { worker, head, task: job, done, watched } => {
                let Some(link) = state.link(worker) else { return };
                link.enter(head.slot, head.call);
                let unit = job.unit();
                unit.leave_queue();
                let parcel = unit.parcel_of(done, head.elements);
                // Here, so that calls come to their worker in the order in which the ledger has sent them.
                link.send(Call { head, task: unit.task, parcel, watched });
                return effects.flush(link);
            }
            Action::Deliver { task: job, first, reply } => {
                let Reply { elements, elapsed_ns, .. } = reply;
                // What has come is of one unit.
                let results = Pieces::Records(std::mem::take(&mut occasion.parcel));
                Some(Effect::Accept(job, Piece { results, first, elements, elapsed_ns }))
            }
            Action::Died { worker, task: job, first, elements, attempts } => {
                let error = died(state, worker, job.unit(), attempts, occasion);
                Some(Effect::Fail { job, error, first, elements })
            }
            Action::TimedOut { task: job, first, elements, limit, after } => {
                Some(Effect::Fail { error: job.unit().timed_out(limit, after), job, first, elements })
            }
            Action::Fail { task: job, first, elements, error } => {
                Some(Effect::Fail { job, error, first, elements })
            }
            Action::Forget { task: job } => Some(Effect::Forget(job)),
            Action::Kill { worker } if state.starts.contains_key(&worker) => {
                state.starts.get(&worker).cloned().map(Effect::Abort)
            }
            Action::Kill { worker } => state.link(worker).map(Effect::Kill),
            Action::Stop { worker } => state.link(worker).map(Effect::Stop),
            Action::Ping { worker } => state.link(worker).map(Effect::Ping),
            Action::Interrupt { worker } => state.link(worker).map(Effect::Interrupt),
            Action::Accuse { worker, why } => state.link(worker).map(|link| Effect::Accuse(link, why)),
            Action::Abandon { worker } => state.links.0.remove(&worker).and(None),
        };
        effects.push(effect);
    }
}

/// The error of a task whose worker has died under it.
fn died(state: &State, worker: WorkerId, unit: &Unit, attempts: u32, occasion: &Occasion) -> Error {
    let pid = || state.link(worker).map_or(0, |link| link.id());
    let death = occasion.end.clone().unwrap_or_else(|| Death::new(pid(), Exit::Unknown));
    Error::WorkerDied(Death { task: Some(unit.label.task()), attempts, ..death })
}
