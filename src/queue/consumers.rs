//! Taking an item: copied, and gone by one store.

use std::sync::atomic::Ordering;

use super::parcel::Parcel;
use super::place::Place;
use super::record::{Record, pad};
use super::ring::{GIVEN_BACK, Ring, TAIL, WAITERS, announce};
use super::view::Window;
use crate::error::{Error, Result};
use crate::os::Log;
use crate::sync::Look;

/// Words whose memory is given back at a time.
const STEP: u64 = if cfg!(models) { Log::WORDS } else { 1 << 15 };

impl Ring {
    /// Takes the next item, if there is one of at most so many bytes.
    pub(super) fn take(&self, max: u64, look: Look) -> Option<Result<Parcel>> {
        announce(self.items.word(WAITERS), look);
        // In this order: whoever has put an item before the queue was closed has moved the head.
        let was_closed = self.is_closed();
        if self.len() == 0 {
            self.lower_level();
            return was_closed.then_some(Err(Error::Closed));
        }
        let taken = {
            let mut window = self.consuming.lock();
            self.as_consumer(|| self.remove(&mut window, max))
        };
        // Somebody else may have taken the last one: that is a case of nothing there, too.
        let taken = taken.transpose()?;
        self.tell_producers();
        self.tell_next_consumer();
        Some(taken)
    }

    fn tell_next_consumer(&self) {
        if self.len() == 0 {
            self.lower_level();
        } else if self.items.word(WAITERS).load(Ordering::Relaxed) != 0 {
            // There is one for another that waits too: it was told of once only.
            self.tell_consumers();
        }
    }

    fn remove(&self, window: &mut Window, max: u64) -> Result<Option<Parcel>> {
        let (head, tail) = (self.head(), self.tail());
        if head.items_since(tail) == 0 {
            return Ok(None);
        }
        let Some((at, record)) = self.find(window, tail, head)? else {
            // Nobody can tell where an item begins any more.
            self.move_tail(head);
            return Err(Error::DecodeMessage { cause: "the memory of the queue was overwritten".to_owned() });
        };
        let ticket = window.load(&self.log, at.after(record.front() - 1, 0).at())?;
        let bytes = self.copy(window, at, record, max);
        self.move_tail(at.after(record.words(), 1));
        // Now that nobody else can take the item: whoever dies here takes nothing along that others need.
        let handles = match record {
            Record::Item { handles: handles @ 1.., .. } => self.handles.take(ticket, handles),
            _ => Vec::new(),
        };
        Ok(Some(Parcel { bytes: bytes?, handles }))
    }

    /// The next item, which stands at the tail or behind a pad.
    fn find(&self, window: &mut Window, tail: Place, head: Place) -> Result<Option<(Place, Record)>> {
        let mut at = tail;
        loop {
            let there = head.words_since(at);
            let record = Record::of(window.load(&self.log, at.at())?);
            match record.filter(|record| (1..=there).contains(&record.words())) {
                Some(Record::Pad { words }) if at == tail => at = at.after(words, 0),
                Some(item @ Record::Item { .. }) if pad(at.at(), item.words()) == 0 => {
                    return Ok(Some((at, item)));
                }
                _ => return Ok(None),
            }
        }
    }

    fn copy(&self, window: &mut Window, at: Place, record: Record, max: u64) -> Result<Vec<u8>> {
        let Record::Item { bytes: size, .. } = record else { unreachable!("what is found is an item") };
        let length = usize::try_from(size).ok().filter(|_| size <= max);
        let length = length.ok_or(Error::MessageTooLarge { size, max })?;
        window.read(&self.log, at.at() + record.front(), record.words(), length)
    }

    fn move_tail(&self, tail: Place) {
        self.items.word(TAIL).store(tail.word(), Ordering::Release);
        self.give_back(tail.at() / STEP * STEP);
    }

    /// Gives the memory in front of this word back.
    fn give_back(&self, end: u64) {
        let word = self.items.word(GIVEN_BACK);
        let from = word.load(Ordering::Relaxed) / STEP * STEP % Log::WORDS;
        if from == end {
            return;
        }
        let pieces =
            if from < end { [(from, end - from), (0, 0)] } else { [(from, Log::WORDS - from), (0, end)] };
        for (from, words) in pieces {
            // Memory that could not be given back now is kept, and harms nobody.
            let _kept = self.log.give_back(from, words);
        }
        word.store(end, Ordering::Relaxed);
    }
}
