//! The links of all workers of a pool, as its ledger sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::ledger::Boards;
use crate::backend::{Link, Vitals, WorkerId};
use crate::os::Start;
use crate::wire::CallHead;

#[derive(Default)]
pub(super) struct Links(pub(super) BTreeMap<WorkerId, Arc<dyn Link>>);

impl Boards for Links {
    fn revoke(&self, worker: WorkerId, slot: u8, call: u64) -> bool {
        let Some(link) = self.0.get(&worker) else { return false };
        let is_back = link.revoke(slot, call);
        if is_back {
            // What was to follow it may be what the worker has to do next.
            Arc::clone(link).flush();
        }
        is_back
    }

    fn cancel(&self, worker: WorkerId, slot: u8) {
        if let Some(link) = self.0.get(&worker) {
            link.cancel(slot);
        }
    }

    fn running(&self, worker: WorkerId, head: CallHead) -> Option<(u32, Duration)> {
        self.0.get(&worker)?.running(head.slot, head.call)
    }

    fn expire(&self, worker: WorkerId, slot: u8, element: u32) -> bool {
        self.0.get(&worker).is_some_and(|link| link.expire(slot, element))
    }

    fn condemn(&self, worker: WorkerId, slot: u8, element: u32) -> bool {
        self.0.get(&worker).is_some_and(|link| link.condemn(slot, element))
    }

    fn progress(&self, worker: WorkerId, head: CallHead) -> Start {
        self.0.get(&worker).map_or(Start::NotStarted, |link| link.progress(head.slot, head.call))
    }

    fn vitals(&self, worker: WorkerId) -> Vitals {
        let gone = Vitals { answered: true, moved: 0, mid_frame: false };
        self.0.get(&worker).map_or(gone, |link| link.vitals())
    }
}
