//! What stands behind an rlock: whoever has it may take it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::exposed::Exposed;
use super::super::kept::keep;
use super::fault::within;

/// A client's process, and the task or thread in it.
pub(crate) type Who = (u128, u32, u64);

#[derive(Debug, Clone, Default)]
pub(crate) struct Owned(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Whoever has it, and how often.
    owner: Mutex<Option<(Who, u64)>>,
    free: Notify,
}

/// One time that somebody has it.
struct Time(Owned);

pub(super) fn expose(owned: Exposed<Owned>) -> Exposed<Owned> {
    owned.create(Owned::default).method("acquire", Owned::acquire).method("locked", Owned::locked)
}

impl Owned {
    /// The number that it is kept under; nothing if it is not free in time.
    async fn acquire(&self, who: Who, limit: Option<Duration>) -> Option<u64> {
        within(limit, self.time(who)).await.map(keep)
    }

    async fn time(&self, who: Who) -> Time {
        loop {
            let mut freed = std::pin::pin!(self.0.free.notified());
            freed.as_mut().enable();
            if self.take(who) {
                return Time(self.clone());
            }
            freed.await;
        }
    }

    fn take(&self, who: Who) -> bool {
        let mut owner = self.owner();
        match &mut *owner {
            Some((known, times)) if *known == who => *times += 1,
            Some(_) => return false,
            None => *owner = Some((who, 1)),
        }
        true
    }

    fn locked(&self) -> bool {
        self.owner().is_some()
    }

    fn owner(&self) -> MutexGuard<'_, Option<(Who, u64)>> {
        self.0.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Time {
    fn drop(&mut self) {
        let mut owner = self.0.owner();
        match &mut *owner {
            Some((_, times)) if *times > 1 => *times -= 1,
            _ => {
                *owner = None;
                self.0.0.free.notify_one();
            }
        }
    }
}
