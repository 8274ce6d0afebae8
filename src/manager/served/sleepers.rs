//! What stands behind a condition: a lock, and those that sleep until they are notified.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::exposed::Exposed;
use super::super::kept::{give_back, keep};
use super::fault::{Fault, within};
use super::turns::{Turn, Turns};

#[derive(Debug)]
pub(crate) struct Sleepers {
    lock: Turns,
    asleep: Mutex<VecDeque<oneshot::Sender<()>>>,
}

/// One that sleeps. If it was woken and is gone all the same, the next one is.
struct Sleeper<'s> {
    sleepers: &'s Sleepers,
    woken: oneshot::Receiver<()>,
}

pub(super) fn expose(sleepers: Exposed<Sleepers>) -> Exposed<Sleepers> {
    sleepers
        .create(Sleepers::new)
        .method("acquire", Sleepers::acquire)
        .method("wait", Sleepers::wait)
        .method("notify", Sleepers::notify)
        .method("waiting", Sleepers::waiting)
        .method("locked", Sleepers::locked)
}

impl Sleepers {
    fn new() -> Self {
        Self { lock: Turns::new(1, Some(1)), asleep: Mutex::default() }
    }

    async fn acquire(&self, limit: Option<Duration>) -> Option<u64> {
        within(limit, self.lock.turn()).await.map(keep)
    }

    /// Gives the lock back, sleeps, and takes it again: under which number, and whether it was woken in time.
    async fn wait(&self, number: u64, limit: Option<Duration>) -> Result<(u64, bool), Fault> {
        let mut sleeper = self.sleeper();
        // Only now, so that no notice comes in between.
        drop(give_back::<Turn>(number).ok_or(Fault::NotAcquired)?);
        let woken = within(limit, &mut sleeper.woken).await.is_some();
        drop(sleeper);
        Ok((keep(self.lock.turn().await), woken))
    }

    fn sleeper(&self) -> Sleeper<'_> {
        let (wake, woken) = oneshot::channel();
        self.asleep().push_back(wake);
        Sleeper { sleepers: self, woken }
    }

    fn notify(&self, most: u64) {
        let mut woken = 0;
        while woken < most {
            let Some(next) = self.asleep().pop_front() else { return };
            // One whose time is over counts for nobody.
            woken += u64::from(next.send(()).is_ok());
        }
    }

    fn waiting(&self) -> u64 {
        self.asleep().iter().filter(|sleeper| !sleeper.is_closed()).count() as u64
    }

    fn locked(&self) -> bool {
        self.lock.free() == 0
    }

    fn asleep(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<()>>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.woken.close();
        let unseen = self.woken.try_recv().is_ok();
        let mut asleep = self.sleepers.asleep();
        asleep.retain(|sleeper| !sleeper.is_closed());
        drop(asleep);
        if unseen {
            self.sleepers.notify(1);
        }
    }
}
