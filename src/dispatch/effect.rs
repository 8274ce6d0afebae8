//! What the engine does about an action once its lock is free.

use std::sync::Arc;
use std::task::Waker;

use tokio::task::AbortHandle;

use super::unit::{Job, Piece, Pieces};
use crate::backend::Link;
use crate::error::{Death, Error};
use crate::wire::Parcel;

/// All that follows from one turn and may not be done under the lock.
#[derive(Default)]
pub(super) struct Effects {
    /// Links with calls in line, or whose workers have less to do than before. They come first, since their workers wait.
    flushed: Vec<Arc<dyn Link>>,
    others: Vec<Effect>,
}

/// What is done once the lock is free.
pub(super) enum Effect {
    Accept(Arc<dyn Job>, Piece),
    Fail {
        job: Arc<dyn Job>,
        error: Error,
        first: u32,
        elements: u32,
    },
    /// Only unloaded and dropped, outside of the lock: what the caller left in it may use the pool when it is dropped.
    Forget(Arc<dyn Job>),
    Stop(Arc<dyn Link>),
    Ping(Arc<dyn Link>),
    Interrupt(Arc<dyn Link>),
    Kill(Arc<dyn Link>),
    Accuse(Arc<dyn Link>, String),
    Abort(AbortHandle),
}

/// What an event came with, for the actions that follow from it.
#[derive(Default)]
pub(super) struct Occasion {
    pub(super) parcel: Parcel,
    pub(super) end: Option<Death>,
}

impl Effects {
    pub(super) fn push(&mut self, effect: Option<Effect>) {
        self.others.extend(effect);
    }

    /// Sends what is in line, if the worker has little to do. Each link once, however much it is.
    pub(super) fn flush(&mut self, link: Arc<dyn Link>) {
        if !self.flushed.iter().any(|known| Arc::ptr_eq(known, &link)) {
            self.flushed.push(link);
        }
    }

    pub(super) fn perform(self) {
        self.flushed.into_iter().for_each(Link::flush);
        let mut waiting = Vec::new();
        self.others.into_iter().for_each(|effect| effect.perform(&mut waiting));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Effect {
    fn perform(self, waiting: &mut Vec<Waker>) {
        match self {
            Self::Accept(job, piece) => job.accept(piece, waiting),
            Self::Fail { job, error, first, elements } => fail(job, error, first, elements, waiting),
            Self::Forget(job) => job.unit().unload(),
            Self::Stop(link) => link.stop(),
            Self::Ping(link) => link.ping(),
            Self::Interrupt(link) => link.interrupt(),
            Self::Kill(link) => link.kill(),
            Self::Accuse(link, why) => link.accuse(why),
            Self::Abort(start) => start.abort(),
        }
    }
}

/// Tells the caller that some elements failed. With its last element a unit is settled.
fn fail(job: Arc<dyn Job>, error: Error, first: u32, elements: u32, waiting: &mut Vec<Waker>) {
    if first + elements == job.unit().elements {
        job.unit().unload();
    }
    job.accept(Piece { results: Pieces::Failed(error), first, elements, elapsed_ns: 0 }, waiting);
}
