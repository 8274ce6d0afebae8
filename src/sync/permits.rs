//! The permits of a semaphore, and who holds which.
//!
//! ```text
//! word 0  the latch      2  permits that exist: free ones and those that guards hold      4  how many may exist
//!      1  who waits      3  those that are free, which follows from the rest              5  places that were ever used
//! from 8 on: places      whose guard holds a permit, or that a dead one has held it; 0 if it is nobody's
//! ```
//!
//! 1. Free permits are those that exist less the places that are taken. A guard takes a place, and gives back its permit by leaving it, with one store.
//! 2. A place of a dead process is taken over as it is, with one store.
//! 3. A permit that no guard holds and that is not free does not exist: it was acquired for good, and `release` makes a new one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::holder::Taken;
use super::latch;
use super::waiting::{self, Look, WAITED_FOR};
use crate::error::{Error, Result};
use crate::os::{Owner, Shared, Word};

const KIND: u32 = 4;
const LATCH: usize = 0;
const WAITERS: usize = 1;
const EXIST: usize = 2;
const FREE: usize = 3;
const BOUND: usize = 4;
const USED: usize = 5;
const FIRST: usize = 8;
/// Guards beyond so many have no place: their permits are lost if they die.
const PLACES: usize = if cfg!(models) { 3 } else { 1_000 };

/// In a place: a dead process held the permit, and nobody has put right what it left.
const ABANDONED: u64 = 1 << 61;

/// What a guard holds: a place, if there was one left.
pub(super) type Place = Option<usize>;

#[derive(Debug)]
pub(super) struct Permits(Shared);

impl Permits {
    pub(super) fn new(free: u32, bound: u32) -> io::Result<Self> {
        let permits = Self(Shared::create(KIND, FIRST + PLACES)?);
        permits.set(EXIST, u64::from(free));
        permits.set(FREE, u64::from(free));
        permits.set(BOUND, u64::from(bound));
        Ok(permits)
    }

    pub(super) fn attach(descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Ok(Self(Shared::attach(KIND, FIRST + PLACES, descriptors)?))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// How many are free now.
    pub(super) fn free(&self) -> u32 {
        u32::try_from(self.get(FREE)).unwrap_or(u32::MAX)
    }

    /// Takes one that is free, or one that a dead process holds.
    pub(super) fn take(&self, owner: Owner, look: Look) -> Option<(Place, Taken)> {
        let taken = self.alone(|| {
            self.take_free(owner).or_else(|| self.take_abandoned(owner)).or_else(|| {
                self.set(WAITERS, self.get(WAITERS) | look.announce);
                None
            })
        });
        taken.or_else(|| if look.closely { self.inherit(owner) } else { None })
    }

    /// Gives one back as it was taken.
    pub(super) fn give_back(&self, owner: Owner, place: Place, taken: Taken) {
        let waiters = self.alone(|| {
            match place {
                Some(place) if self.get(place) != owner.bits() => return 0,
                Some(place) if taken == Taken::Abandoned => self.set(place, ABANDONED),
                Some(place) => {
                    self.set(place, 0);
                    self.add(FREE, 1);
                }
                None => self.add_one(),
            }
            self.take_waiters()
        });
        waiting::ring(&self.0, waiters, u32::MAX);
    }

    /// The guard goes, and nobody has its permit back.
    pub(super) fn keep(&self, place: Place) {
        let Some(place) = place else { return };
        self.alone(|| {
            self.set(EXIST, self.get(EXIST).saturating_sub(1));
            self.set(place, 0);
        });
    }

    /// Makes a new one.
    pub(super) fn release(&self) -> Result<()> {
        let waiters = self.alone(|| {
            let bound = u32::try_from(self.get(BOUND)).unwrap_or(u32::MAX);
            if self.get(EXIST) >= u64::from(bound) {
                return Err(Error::TooManyReleases { bound });
            }
            self.add_one();
            Ok(self.take_waiters())
        })?;
        waiting::ring(&self.0, waiters, u32::MAX);
        Ok(())
    }

    fn take_free(&self, owner: Owner) -> Option<(Place, Taken)> {
        let free = self.get(FREE).checked_sub(1)?;
        let place = self.empty_place();
        match place {
            Some(place) => self.set(place, owner.bits()),
            None => self.set(EXIST, self.get(EXIST).saturating_sub(1)),
        }
        self.set(FREE, free);
        Some((place, Taken::InOrder))
    }

    fn take_abandoned(&self, owner: Owner) -> Option<(Place, Taken)> {
        let place = self.places().find(|place| self.get(*place) == ABANDONED)?;
        self.set(place, owner.bits());
        Some((Some(place), Taken::Abandoned))
    }

    /// Takes over the place of a dead process. Whether one is dead is seen outside the latch: that takes system calls.
    fn inherit(&self, owner: Owner) -> Option<(Place, Taken)> {
        let mut alive = Vec::new();
        for place in self.places() {
            let Some(holder) = Owner::of(self.get(place)).filter(|holder| !alive.contains(holder)) else {
                continue;
            };
            if !holder.is_gone() {
                alive.push(holder);
            } else if self.replace(place, holder, owner) {
                return Some((Some(place), Taken::Abandoned));
            }
        }
        None
    }

    fn replace(&self, place: usize, holder: Owner, owner: Owner) -> bool {
        self.alone(|| {
            let is_its = self.get(place) == holder.bits();
            if is_its {
                self.set(place, owner.bits());
            }
            is_its
        })
    }

    fn empty_place(&self) -> Place {
        let found = self.places().find(|place| self.get(*place) == 0);
        let next = self.places().end;
        found.or_else(|| {
            (next < FIRST + PLACES).then(|| {
                self.add(USED, 1);
                next
            })
        })
    }

    /// The places that were ever used.
    fn places(&self) -> std::ops::Range<usize> {
        let used = usize::try_from(self.get(USED)).unwrap_or(PLACES);
        FIRST..FIRST + used.min(PLACES)
    }

    fn add_one(&self) {
        self.add(EXIST, 1);
        self.add(FREE, 1);
    }

    fn take_waiters(&self) -> u64 {
        let waiters = self.get(WAITERS) & WAITED_FOR;
        self.set(WAITERS, 0);
        waiters
    }

    fn alone<T>(&self, act: impl FnOnce() -> T) -> T {
        latch::alone(self.0.word(LATCH), || self.repair(), act)
    }

    /// Computes what follows from the rest. Somebody may have been about to ring.
    fn repair(&self) {
        let taken = self.places().filter(|place| self.get(*place) != 0).count() as u64;
        self.set(FREE, self.get(EXIST).saturating_sub(taken));
        self.0.ring(u32::MAX, true);
    }

    fn word(&self, index: usize) -> &Word {
        self.0.word(index)
    }

    fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Acquire)
    }

    fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Release);
    }

    fn add(&self, index: usize, more: u64) {
        self.set(index, self.get(index).saturating_add(more));
    }
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::{ABANDONED, EXIST, FIRST, FREE, LATCH, Permits};
    use crate::os::Owner;
    use crate::sync::holder::Taken;
    use crate::sync::waiting::Look;

    // fault 87
    #[test]
    fn whoever_dies_within_the_latch_leaves_each_permit_with_somebody() {
        let dead = Owner::gone().bits();
        // What it has changed when it is killed: nothing, the place, or the place and the number.
        for step in 0..3 {
            let permits = Permits::new(2, u32::MAX).expect("there is memory");
            permits.take(Owner::ourselves(), Look::ONCE).expect("two are free");
            permits.set(LATCH, dead);
            permits.set(super::USED, 2);
            if step > 0 {
                permits.set(FIRST + 1, dead);
            }
            if step > 1 {
                permits.set(FREE, 0);
            }
            let (place, taken) = permits.take(Owner::ourselves(), Look::ONCE).expect("one is left");
            assert_eq!(taken, if step == 0 { Taken::InOrder } else { Taken::Abandoned });
            assert_eq!(permits.free(), 0);
            permits.give_back(Owner::ourselves(), place, Taken::InOrder);
            assert_eq!((permits.free(), permits.get(EXIST)), (1, 2));
        }
    }

    #[test]
    fn whoever_dies_while_it_makes_a_permit_has_made_it_or_not() {
        let dead = Owner::gone().bits();
        let permits = Permits::new(0, u32::MAX).expect("there is memory");
        permits.set(LATCH, dead);
        permits.set(EXIST, 1);
        assert!(permits.take(Owner::ourselves(), Look::ONCE).is_some());
    }

    #[test]
    fn a_permit_that_was_given_back_as_it_was_found_is_found_so_again() {
        let permits = Permits::new(1, u32::MAX).expect("there is memory");
        let (place, _) = permits.take(Owner::ourselves(), Look::ONCE).expect("one is free");
        permits.give_back(Owner::ourselves(), place, Taken::Abandoned);
        assert_eq!(permits.get(FIRST), ABANDONED);
        assert_eq!(permits.take(Owner::ourselves(), Look::ONCE), Some((place, Taken::Abandoned)));
    }

    #[test]
    fn guards_without_a_place_give_their_permits_back_too() {
        let permits = Permits::new(2_000, u32::MAX).expect("there is memory");
        let take = || permits.take(Owner::ourselves(), Look::ONCE);
        let places: Vec<_> = std::iter::from_fn(take).collect();
        assert_eq!(
            (places.len(), places.iter().filter(|(place, _)| place.is_none()).count()),
            (2_000, 1_000)
        );
        for (place, taken) in places {
            permits.give_back(Owner::ourselves(), place, taken);
        }
        assert_eq!(permits.free(), 2_000);
    }
}
