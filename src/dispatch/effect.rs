//! What the engine does about an action once its lock is free.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::unit::{Piece, Unit};
use crate::backend::{Call, Link};
use crate::error::{Death, Error};
use crate::wire::Parcel;

/// What is done once the lock is free.
pub(super) enum Effect {
    Send(Arc<dyn Link>, Call),
    Accept(Arc<Unit>, Piece),
    Fail {
        unit: Arc<Unit>,
        error: Error,
        first: u32,
        elements: u32,
    },
    /// Only dropped, outside of the lock: what the caller left in it may use the pool when it is dropped.
    Forget(Arc<Unit>),
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

impl Effect {
    pub(super) fn perform(self) {
        match self {
            Self::Send(link, call) => link.send(call),
            Self::Accept(unit, piece) => unit.sink.accept(piece),
            Self::Fail { unit, error, first, elements } => unit.fail(error, first, elements),
            Self::Forget(unit) => drop(unit),
            Self::Stop(link) => link.stop(),
            Self::Ping(link) => link.ping(),
            Self::Interrupt(link) => link.interrupt(),
            Self::Kill(link) => link.kill(),
            Self::Accuse(link, why) => link.accuse(why),
            Self::Abort(start) => start.abort(),
        }
    }
}
