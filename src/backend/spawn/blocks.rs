//! The blocks between a pool and one of its workers: arguments that it may still read, and results that it has sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::{Freight, Reply, Store};

/// What a pool keeps of the blocks of one worker.
///
/// The arguments of a call that was cancelled are there until its worker is done with it: nobody is ever called with what somebody else has written there.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Where its large results are, if there is such a place.
    results: Option<Arc<Store>>,
    /// The most bytes of a result.
    max: usize,
    /// Arguments that were sent, by the slot of their call.
    sent: Mutex<Vec<(u8, Freight)>>,
    /// How many calls have some there.
    count: AtomicUsize,
}

impl Blocks {
    pub(super) fn new(results: Option<Arc<Store>>, max: usize) -> Self {
        Self { results, max, sent: Mutex::default(), count: AtomicUsize::new(0) }
    }

    /// Of a process that has none.
    pub(super) fn none() -> Self {
        Self::new(None, 0)
    }

    /// A call is about to be sent; whatever had its slot before is over.
    pub(super) fn keep(&self, slot: u8, freight: Freight) {
        if freight.is_empty() {
            return self.let_go(slot);
        }
        let mut sent = self.sent();
        let over = take_out(&mut sent, slot);
        sent.push((slot, freight));
        self.count.store(sent.len(), Ordering::Release);
        drop(sent);
        drop(over);
    }

    /// The worker is done with the call in this slot, or never starts it.
    #[inline]
    pub(super) fn let_go(&self, slot: u8) {
        if self.count.load(Ordering::Acquire) > 0 {
            let mut sent = self.sent();
            let over = take_out(&mut sent, slot);
            self.count.store(sent.len(), Ordering::Release);
            drop(sent);
            drop(over);
        }
    }

    /// The worker is gone.
    pub(super) fn let_all_go(&self) {
        let all = std::mem::take(&mut *self.sent());
        self.count.store(0, Ordering::Release);
        drop(all);
    }

    /// The block that a reply names.
    ///
    /// # Errors
    ///
    /// What no worker may do.
    pub(super) fn accept(&self, reply: &Reply) -> Result<Freight, String> {
        let Some(place) = reply.stowed else { return Ok(Freight::default()) };
        let (Some(results), Some(last)) = (&self.results, reply.elements.checked_sub(1)) else {
            return Err("it named a block, and there are none".into());
        };
        Ok(Freight::of(last, vec![(0, Arc::new(results.accept(place, self.max)?))]))
    }

    fn sent(&self) -> MutexGuard<'_, Vec<(u8, Freight)>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_out(sent: &mut Vec<(u8, Freight)>, slot: u8) -> Option<(u8, Freight)> {
    let place = sent.iter().position(|(other, _)| *other == slot)?;
    Some(sent.swap_remove(place))
}
