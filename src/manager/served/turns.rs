//! What stands behind a lock and a semaphore: so many may have their turn at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::super::exposed::Exposed;
use super::super::kept::{give_back, keep};
use super::fault::{Fault, within};

#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<State>);

#[derive(Debug)]
struct State {
    free: Semaphore,
    /// No more than this are ever free.
    bound: Option<u32>,
    /// Held while one is given back, so that they stay within the bound.
    giving: Mutex<()>,
}

/// A turn that a session keeps for its client.
pub(super) struct Turn(Turns);

pub(super) fn expose(turns: Exposed<Turns>) -> Exposed<Turns> {
    turns
        .create(Turns::new)
        .method("acquire", Turns::acquire)
        .method("forget", Turns::forget)
        .method("release", Turns::release)
        .method("free", Turns::free)
}

impl Turns {
    pub(super) fn new(free: u32, bound: Option<u32>) -> Self {
        let free = Semaphore::new((free as usize).min(Semaphore::MAX_PERMITS));
        Self(Arc::new(State { free, bound, giving: Mutex::default() }))
    }

    /// The number that the turn is kept under; nothing if there is none in time.
    async fn acquire(&self, limit: Option<Duration>) -> Option<u64> {
        within(limit, self.turn()).await.map(keep)
    }

    pub(super) async fn turn(&self) -> Turn {
        // Nobody closes it.
        if let Ok(permit) = self.0.free.acquire().await {
            permit.forget();
        }
        Turn(self.clone())
    }

    /// The turn stays taken, whatever becomes of its client.
    fn forget(&self, number: u64) {
        let turn = give_back::<Turn>(number).filter(|turn| Arc::ptr_eq(&turn.0.0, &self.0));
        std::mem::forget(turn);
    }

    /// Gives one back, whoever has it.
    fn release(&self) -> Result<(), Fault> {
        match self.0.bound {
            _ if self.give() => Ok(()),
            None => Err(Fault::Full),
            Some(bound) => Err(Fault::TooManyReleases { bound }),
        }
    }

    pub(super) fn free(&self) -> u64 {
        self.0.free.available_permits() as u64
    }

    fn give(&self) -> bool {
        let _one_at_a_time: MutexGuard<'_, ()> = self.0.giving.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = self.0.bound.map_or(Semaphore::MAX_PERMITS, |bound| bound as usize);
        let has_room = self.0.free.available_permits() < bound;
        if has_room {
            self.0.free.add_permits(1);
        }
        has_room
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Somebody may have given it back already.
        let _already = self.0.give();
    }
}
