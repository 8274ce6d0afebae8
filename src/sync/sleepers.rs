//! Those that wait for a notification, each in a place of its own, so that a notification is for one of them and for no other.
//!
//! ```text
//! word 0  who waits: the bits        2  places that were ever used
//!      1  the next ticket            3  how often it was notified
//! from 8 on, two words a place: the process and its state, and its ticket
//!
//! 0 ──► Coming ──► Waiting ──notify──► Notified ──► 0
//!                     └────── gives up ───────────► 0
//! ```
//!
//! 1. Each arrow is one exchange: a sleeper was notified or has given up, and never both.
//! 2. Of those that wait the one with the lowest ticket is notified; one whose process is dead is cleared away instead.
//! 3. A sleeper that was notified and does not wake up for it hands it on.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::waiting::{self, Look};
use crate::os::{Owner, Shared, Word};

const KIND: u32 = 5;
const WAITERS: usize = 0;
const TICKETS: usize = 1;
const USED: usize = 2;
const TIMES: usize = 3;
const FIRST: usize = 8;
/// Sleepers beyond so many have no place, and wake at each notification.
const PLACES: usize = if cfg!(models) { 3 } else { 1_000 };

const WAITING: u64 = 1 << 60;
const NOTIFIED: u64 = 1 << 61;

#[derive(Debug)]
pub(super) struct Sleepers(Shared);

/// One that waits. Dropping it gives up.
#[derive(Debug)]
pub(super) struct Sleeper<'a> {
    sleepers: &'a Sleepers,
    owner: Owner,
    place: Option<usize>,
    times: u64,
}

impl Sleepers {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Shared::create(KIND, FIRST + 2 * PLACES)?))
    }

    pub(super) fn attach(descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Ok(Self(Shared::attach(KIND, FIRST + 2 * PLACES, descriptors)?))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// From now on one more can be notified.
    pub(super) fn join(&self) -> Sleeper<'_> {
        let owner = Owner::ourselves();
        let times = self.0.word(TIMES).load(Ordering::Acquire);
        let place = self.empty_place(owner).or_else(|| {
            self.clear_away_the_dead();
            self.empty_place(owner)
        });
        if let Some(place) = place {
            let ticket = self.0.word(TICKETS).fetch_add(1, Ordering::AcqRel);
            self.ticket(place).store(ticket, Ordering::Release);
            self.state(place).store(owner.bits() | WAITING, Ordering::Release);
        }
        Sleeper { sleepers: self, owner, place, times }
    }

    /// Notifies at most so many.
    pub(super) fn notify(&self, most: usize) {
        let notified = (0..most).take_while(|_| self.notify_one()).count();
        if notified > 0 || self.is_crowded() {
            self.0.word(TIMES).fetch_add(1, Ordering::AcqRel);
            let waiters = self.0.word(WAITERS).swap(0, Ordering::AcqRel);
            waiting::ring(&self.0, waiters, u32::MAX);
        }
    }

    /// How many wait and were not notified.
    pub(super) fn waiting(&self) -> usize {
        self.places().filter(|place| self.waits(*place).is_some()).count()
    }

    fn notify_one(&self) -> bool {
        let ticket = |(place, _): &(usize, u64)| self.ticket(*place).load(Ordering::Acquire);
        let waiting = || self.places().filter_map(|place| Some((place, self.waits(place)?)));
        while let Some((place, state)) = waiting().min_by_key(ticket) {
            let is_gone = Owner::of(state).is_some_and(Owner::is_gone);
            let next = if is_gone { 0 } else { (state & Owner::MASK) | NOTIFIED };
            if exchange(self.state(place), state, next) && !is_gone {
                return true;
            }
        }
        false
    }

    fn waits(&self, place: usize) -> Option<u64> {
        Some(self.state(place).load(Ordering::Acquire)).filter(|state| state & WAITING != 0)
    }

    fn empty_place(&self, owner: Owner) -> Option<usize> {
        let place = (0..PLACES).find(|place| exchange(self.state(*place), 0, owner.bits()))?;
        self.0.word(USED).fetch_max(place as u64 + 1, Ordering::AcqRel);
        Some(place)
    }

    fn clear_away_the_dead(&self) {
        for place in self.places() {
            let state = self.state(place).load(Ordering::Acquire);
            if Owner::of(state).is_some_and(Owner::is_gone) {
                exchange(self.state(place), state, 0);
            }
        }
    }

    /// True if all places were used, so that there may be sleepers without one.
    fn is_crowded(&self) -> bool {
        self.places().end == PLACES
    }

    fn places(&self) -> std::ops::Range<usize> {
        let used = usize::try_from(self.0.word(USED).load(Ordering::Acquire)).unwrap_or(PLACES);
        0..used.min(PLACES)
    }

    fn state(&self, place: usize) -> &Word {
        self.0.word(FIRST + 2 * place)
    }

    fn ticket(&self, place: usize) -> &Word {
        self.0.word(FIRST + 2 * place + 1)
    }
}

impl Sleeper<'_> {
    /// Whether it was notified. If not, its bit stands there before it looks, so that a notification after the look rings.
    pub(super) fn look(&self, look: Look) -> bool {
        if look.announce != 0 {
            self.sleepers.0.word(WAITERS).fetch_or(look.announce, Ordering::AcqRel);
        }
        match self.place {
            Some(place) => self.sleepers.state(place).load(Ordering::Acquire) & NOTIFIED != 0,
            None => self.sleepers.0.word(TIMES).load(Ordering::Acquire) != self.times,
        }
    }

    /// It is awake, and keeps a notification that it has. True if it has one.
    pub(super) fn wake(mut self) -> bool {
        let is_notified = self.place.is_some() || self.look(Look::ONCE);
        self.leave().unwrap_or(is_notified)
    }

    /// Leaves its place; whether it was notified there.
    fn leave(&mut self) -> Option<bool> {
        let place = self.place.take()?;
        Some(self.sleepers.state(place).swap(0, Ordering::AcqRel) & NOTIFIED != 0)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        // A forked child sleeps in no place of its parent's.
        if self.owner == Owner::ourselves() && self.leave() == Some(true) {
            self.sleepers.notify(1);
        }
    }
}

fn exchange(word: &Word, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::{FIRST, Owner, PLACES, Sleepers, WAITING};
    use crate::sync::waiting::Look;
    use std::sync::atomic::Ordering;

    #[test]
    fn those_that_came_first_are_notified_first() {
        let sleepers = Sleepers::new().expect("there is memory");
        let (first, second, third) = (sleepers.join(), sleepers.join(), sleepers.join());
        sleepers.notify(1);
        assert!(first.wake());
        // It stands where the first stood, and behind the others.
        let fourth = sleepers.join();
        sleepers.notify(2);
        assert!(second.wake() && third.wake() && !fourth.wake());
    }

    #[test]
    fn a_notification_that_nobody_wakes_up_for_is_handed_on() {
        let sleepers = Sleepers::new().expect("there is memory");
        let (first, second) = (sleepers.join(), sleepers.join());
        sleepers.notify(1);
        drop(first);
        assert!(second.wake());
    }

    #[test]
    fn a_notification_without_a_sleeper_is_gone() {
        let sleepers = Sleepers::new().expect("there is memory");
        sleepers.notify(3);
        assert!(!sleepers.join().wake());
    }

    // fault 87
    #[test]
    fn the_dead_are_not_notified() {
        let sleepers = Sleepers::new().expect("there is memory");
        let dead = sleepers.join();
        sleepers.0.word(FIRST).store(Owner::gone().bits() | WAITING, Ordering::Release);
        std::mem::forget(dead);
        let alive = sleepers.join();
        sleepers.notify(1);
        assert!(alive.wake());
        assert_eq!(sleepers.waiting(), 0);
    }

    #[test]
    fn sleepers_without_a_place_wake_at_each_notification() {
        let sleepers = Sleepers::new().expect("there is memory");
        let many: Vec<_> = (0..PLACES + 2).map(|_| sleepers.join()).collect();
        assert_eq!(sleepers.waiting(), PLACES);
        sleepers.notify(1);
        let awake: Vec<_> = (0..many.len()).filter(|number| many[*number].look(Look::ONCE)).collect();
        assert_eq!(awake, [0, PLACES, PLACES + 1]);
    }
}
