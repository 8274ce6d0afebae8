//! Putting an item: written behind the head, and there by one store.

use std::sync::atomic::Ordering;

use super::parcel::Parcel;
use super::record::{Record, SMALL, pad};
use super::ring::{ALLOCATED, FOR_ROOM, HEAD, Ring, TICKET, announce};
use super::view::Window;
use crate::error::{Error, Result};
use crate::os::Log;
use crate::sync::Look;

/// Words of memory that is made at a time.
const STEP: u64 = if cfg!(models) { Log::WORDS } else { SMALL };
/// Words that items may stand in at a time; what is further away is behind.
const MOST_WORDS: u64 = if cfg!(models) { Log::WORDS - 1 } else { Log::WORDS / 2 };

impl Ring {
    /// Puts an item if there is room for it.
    pub(super) fn put(&self, parcel: &Parcel, look: Look) -> Option<Result<()>> {
        announce(self.room.word(FOR_ROOM), look);
        let put = {
            let mut window = self.producing.lock();
            self.as_producer(|| self.append(&mut window, parcel))
        };
        match put {
            Ok(false) => None,
            Ok(true) => {
                self.tell_consumers();
                self.tell_next_producer();
                Some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// There may be room for another one that waits too: it was told of once only.
    fn tell_next_producer(&self) {
        if self.room.word(FOR_ROOM).load(Ordering::Relaxed) != 0 && !self.is_full() {
            self.tell_producers();
        }
    }

    fn append(&self, window: &mut Window, parcel: &Parcel) -> Result<bool> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let (head, tail) = (self.head(), self.tail());
        let record = parcel.record();
        let (pad, words) = (pad(head.at(), record.words()), record.words());
        if self.is_full() || head.words_since(tail) + pad + words > MOST_WORDS {
            return Ok(false);
        }
        let at = (head.at() + pad) % Log::WORDS;
        if pad > 0 {
            self.allocate(head.at(), 1)?;
            window.store(&self.log, head.at(), Record::Pad { words: pad }.header())?;
        }
        self.allocate(at, words)?;
        let Some(ticket) = self.send_handles(parcel)? else { return Ok(false) };
        window.store(&self.log, at, record.header())?;
        if record.front() > 1 {
            window.store(&self.log, at + 1, ticket)?;
        }
        window.write(&self.log, at + record.front(), words, &parcel.bytes)?;
        self.raise_level();
        self.room.word(HEAD).store(head.after(pad + words, 1).word(), Ordering::Release);
        Ok(true)
    }

    /// Sees to it that these words have memory, so that writing to them cannot fail.
    fn allocate(&self, at: u64, words: u64) -> Result<()> {
        let word = self.room.word(ALLOCATED);
        let ahead = word.load(Ordering::Relaxed).wrapping_sub(at) % Log::WORDS;
        let ahead = if ahead > MOST_WORDS { 0 } else { ahead };
        if ahead >= words {
            return Ok(());
        }
        let from = (at + ahead) / STEP * STEP;
        let end = (at + words).next_multiple_of(STEP);
        let made = self.log.allocate(from, end - from);
        made.map_err(|cause| Error::connection("make memory for an item", cause))?;
        word.store(end % Log::WORDS, Ordering::Relaxed);
        Ok(())
    }

    /// Sends the handles of an item ahead; nothing if there is no room for them.
    fn send_handles(&self, parcel: &Parcel) -> Result<Option<u64>> {
        if parcel.handles.is_empty() {
            return Ok(Some(0));
        }
        let word = self.room.word(TICKET);
        let ticket = word.load(Ordering::Relaxed) + 1;
        // Before they are sent: no other item may ever have the same.
        word.store(ticket, Ordering::Relaxed);
        Ok(self.handles.send(ticket, &parcel.handles)?.then_some(ticket))
    }
}
