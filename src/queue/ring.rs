//! What all holders of a queue share.
//!
//! ```text
//! items  0  the consumers' latch      8  who waits for items      16  1 if somebody looks at the level
//!        1  the tail                  2  given back up to here
//! room   0  the producers' latch      8  the head                 16  who waits for room
//!        1  allocated up to here     24  items that may wait      32  items that are done, of those that were put
//!        2  the last ticket          25  1 if it is closed        33  who waits until all are done
//!                                    26  1 if items are to be done
//! ```
//!
//! What one side writes often lies in another line of the cache than what the other side does.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
#[cfg(not(models))]
use std::sync::atomic::fence;

#[cfg(models)]
use loom::sync::atomic::fence;

use super::handles::Handles;
use super::place::{MOST_ITEMS, Place};
use super::view::View;
use crate::error::{Error, Result};
use crate::os::{Level, Log, Shared, Word};
use crate::sync::{self, Look};

const ITEMS: u32 = 20;
const ROOM: u32 = 21;
const WORDS: usize = 40;

pub(super) const LATCH: usize = 0;
pub(super) const TAIL: usize = 1;
pub(super) const GIVEN_BACK: usize = 2;
pub(super) const WAITERS: usize = 8;
pub(super) const WATCHED: usize = 16;

pub(super) const ALLOCATED: usize = 1;
pub(super) const TICKET: usize = 2;
pub(super) const HEAD: usize = 8;
pub(super) const FOR_ROOM: usize = 16;
const BOUND: usize = 24;
const CLOSED: usize = 25;
const JOINABLE: usize = 26;
const DONE: usize = 32;
const JOINERS: usize = 33;

/// The descriptors of a queue.
pub(super) type Descriptors = [Arc<OwnedFd>; 8];

#[derive(Debug)]
pub(super) struct Ring {
    /// What consumers change, and the bell for them.
    pub(super) items: Shared,
    /// What producers change, and the bell for them.
    pub(super) room: Shared,
    pub(super) log: Log,
    pub(super) handles: Handles,
    pub(super) level: Level,
    pub(super) producing: View,
    pub(super) consuming: View,
}

impl Ring {
    /// A new one, in which so many items may wait, and are to be done if it is joinable.
    pub(super) fn new(bound: u64, joinable: bool) -> Result<Self> {
        let ring = Self::starting_at(Place::new(0, 0), bound);
        let ring = ring.map_err(|cause| Error::shared("a queue", cause))?;
        ring.room.word(JOINABLE).store(u64::from(joinable), Ordering::Release);
        Ok(ring)
    }

    /// A new one, whose first item stands here.
    pub(super) fn starting_at(place: Place, bound: u64) -> io::Result<Self> {
        let ring = Self::of(
            [Shared::create(ITEMS, WORDS)?, Shared::create(ROOM, WORDS)?],
            Log::create()?,
            Handles::new()?,
            Level::new()?,
        );
        for (word, value) in [
            (ring.items.word(TAIL), place.word()),
            (ring.items.word(GIVEN_BACK), place.at()),
            (ring.room.word(HEAD), place.word()),
            (ring.room.word(ALLOCATED), place.at()),
            (ring.room.word(DONE), place.items()),
            (ring.room.word(BOUND), bound.min(MOST_ITEMS)),
        ] {
            word.store(value, Ordering::Release);
        }
        Ok(ring)
    }

    pub(super) fn attach(descriptors: Descriptors) -> io::Result<Self> {
        let [items, its_bell, room, its_too, log, receiver, sender, level] = descriptors;
        let items = Shared::attach(ITEMS, WORDS, [items, its_bell])?;
        let room = Shared::attach(ROOM, WORDS, [room, its_too])?;
        Ok(Self::of([items, room], Log::attach(log)?, Handles::from_fds([receiver, sender]), level.into()))
    }

    fn of([items, room]: [Shared; 2], log: Log, handles: Handles, level: Level) -> Self {
        Self { items, room, log, handles, level, producing: View::default(), consuming: View::default() }
    }

    pub(super) fn descriptors(&self) -> Descriptors {
        let [items, its_bell] = self.items.descriptors();
        let [room, its_too] = self.room.descriptors();
        let [receiver, sender] = self.handles.descriptors();
        [items, its_bell, room, its_too, self.log.descriptor(), receiver, sender, self.level.clone().into()]
    }

    pub(super) fn head(&self) -> Place {
        Place::from_word(self.room.word(HEAD).load(Ordering::Acquire))
    }

    pub(super) fn tail(&self) -> Place {
        Place::from_word(self.items.word(TAIL).load(Ordering::Acquire))
    }

    /// Items that wait.
    pub(super) fn len(&self) -> u64 {
        // The tail first: it never passes a head that is read later.
        let tail = self.tail();
        self.head().items_since(tail)
    }

    fn bound(&self) -> u64 {
        self.room.word(BOUND).load(Ordering::Relaxed)
    }

    /// True if there are as many items as may be, waiting or not done.
    pub(super) fn is_full(&self) -> bool {
        let is_joinable = self.room.word(JOINABLE).load(Ordering::Relaxed) != 0;
        self.len() >= self.bound() || is_joinable && self.unfinished() >= MOST_ITEMS
    }

    pub(super) fn is_closed(&self) -> bool {
        self.room.word(CLOSED).load(Ordering::Acquire) != 0
    }

    /// Nothing more is put from now on. All that wait see it.
    pub(super) fn close(&self) {
        self.as_producer(|| {
            self.room.word(CLOSED).store(1, Ordering::Release);
            self.raise_level();
        });
        ring(&self.items, self.items.word(WAITERS), u32::MAX);
        ring(&self.room, self.room.word(FOR_ROOM), u32::MAX);
    }

    /// Does something as the only producer.
    pub(super) fn as_producer<T>(&self, act: impl FnOnce() -> T) -> T {
        // Who has died there may have moved the head and told nobody.
        sync::alone(self.room.word(LATCH), || self.tell_consumers(), act)
    }

    /// Does something as the only consumer.
    pub(super) fn as_consumer<T>(&self, act: impl FnOnce() -> T) -> T {
        sync::alone(self.items.word(LATCH), || self.tell_producers(), act)
    }

    /// Wakes one thread that waits for an item, and the futures that do.
    pub(super) fn tell_consumers(&self) {
        ring(&self.items, self.items.word(WAITERS), 1);
    }

    /// Wakes one thread that waits for room, and the futures that do.
    pub(super) fn tell_producers(&self) {
        // Those that wait until all is done sleep at the same bell, and a ring for one may reach one of them.
        let joined = self.room.word(JOINERS).load(Ordering::Relaxed) != 0;
        ring(&self.room, self.room.word(FOR_ROOM), if joined { u32::MAX } else { 1 });
    }

    /// One item more is done. False if all that were put are so already.
    pub(super) fn done(&self) -> bool {
        let word = self.room.word(DONE);
        let mut now = word.load(Ordering::Acquire);
        loop {
            let left = self.head().items_since(Place::new(0, now));
            if left == 0 {
                return false;
            }
            match word.compare_exchange(now, (now + 1) & MOST_ITEMS, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if left > 1 => return true,
                Ok(_) => {
                    ring(&self.room, self.room.word(JOINERS), u32::MAX);
                    return true;
                }
                Err(other) => now = other,
            }
        }
    }

    /// Items that were put and are not done.
    pub(super) fn unfinished(&self) -> u64 {
        let done = self.room.word(DONE).load(Ordering::Acquire);
        self.head().items_since(Place::new(0, done))
    }

    /// Something once all are done.
    pub(super) fn all_done(&self, look: Look) -> Option<()> {
        announce(self.room.word(JOINERS), look);
        (self.unfinished() == 0).then_some(())
    }

    /// A descriptor that can be read while there is an item, or the queue is closed.
    pub(super) fn watched(&self) -> BorrowedFd<'_> {
        if !self.is_watched() {
            self.as_producer(|| {
                self.items.word(WATCHED).store(1, Ordering::Release);
                if self.len() > 0 || self.is_closed() {
                    self.level.raise();
                }
            });
        }
        self.level.as_fd()
    }

    /// Before an item is there, so that the level never stays low beside one.
    pub(super) fn raise_level(&self) {
        if self.is_watched() {
            self.level.raise();
        }
    }

    /// The queue was found empty, or was made so.
    pub(super) fn lower_level(&self) {
        if self.is_watched() {
            // Nobody puts one meanwhile.
            self.as_producer(|| {
                if self.len() == 0 && !self.is_closed() {
                    self.level.lower();
                }
            });
        }
    }

    fn is_watched(&self) -> bool {
        self.items.word(WATCHED).load(Ordering::Acquire) != 0
    }
}

/// Whoever waits leaves its bit before it looks.
pub(super) fn announce(word: &Word, look: Look) {
    if look.announce != 0 {
        word.fetch_or(look.announce, Ordering::AcqRel);
        // What it then looks at is read after the bit is there.
        fence(Ordering::SeqCst);
    }
}

/// Rings for those that have left a bit: for so many that block a thread, and all futures.
fn ring(shared: &Shared, left: &Word, parked: u32) {
    // What has changed is there before the bits are read.
    fence(Ordering::SeqCst);
    if left.load(Ordering::Relaxed) != 0 {
        sync::ring(shared, left.swap(0, Ordering::AcqRel), parked);
    }
}
