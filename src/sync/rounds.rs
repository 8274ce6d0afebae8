//! The rounds of a barrier: who has arrived, and how each round ended.
//!
//! ```text
//! word 0  the latch      2  how many make a round full      4  how many have arrived, which follows from the places
//!      1  who waits      3  round << 2 | state              5  who runs the action      6  whose round the places are
//! from 8 on: how the last rounds ended, a bit each; and then the places of those that have arrived, each with its process
//!
//! Filling ──full──► Acting ──done──► the next round      Filling, Acting ──abort, a time, a death──► Broken
//!    └──full, and there is no action──► the next round      all ──reset──► the next round
//! ```
//!
//! 1. The word of round and state decides, and is changed by one store. Whoever waits reads there how its round ends.
//! 2. How a round has ended is kept for 1,024 rounds: others may be through with the next before a slow one has looked.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::latch;
use super::waiting::{self, Look, WAITED_FOR};
use crate::os::{Owner, Shared};

const KIND: u32 = 6;
const LATCH: usize = 0;
const WAITERS: usize = 1;
const PARTIES: usize = 2;
const ROUND: usize = 3;
const ARRIVED: usize = 4;
const ACTOR: usize = 5;
const PLACES_OF: usize = 6;
const ENDS: usize = 8;
const ENDS_KEPT: usize = if cfg!(models) { 64 } else { 1_024 };
const FIRST: usize = ENDS + ENDS_KEPT / 64;

/// The most that can make a round full.
pub(super) const MOST_PARTIES: usize = if cfg!(models) { 3 } else { 1_000 };

const FILLING: u64 = 0;
const ACTING: u64 = 1;
const BROKEN: u64 = 2;
const STATE: u64 = 3;

/// One that has arrived: its round, and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    round: u64,
    pub(super) index: usize,
}

/// What becomes of one that comes or has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The round before is not over: it comes again.
    Outside,
    Waits(Arrival),
    /// The round is full by it, and it runs the action.
    Acts(Arrival),
    Passed(Arrival),
    Broken,
}

#[derive(Debug)]
pub(super) struct Rounds(Shared);

impl Rounds {
    pub(super) fn new(parties: usize) -> io::Result<Self> {
        let rounds = Self(Shared::create(KIND, FIRST + MOST_PARTIES)?);
        rounds.set(PARTIES, parties as u64);
        Ok(rounds)
    }

    pub(super) fn attach(descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Ok(Self(Shared::attach(KIND, FIRST + MOST_PARTIES, descriptors)?))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// How many make a round full.
    pub(super) fn parties(&self) -> usize {
        usize::try_from(self.get(PARTIES)).unwrap_or(MOST_PARTIES).min(MOST_PARTIES)
    }

    /// How many have arrived in a round that is not broken.
    pub(super) fn arrived(&self) -> usize {
        self.alone(|| if self.state() == BROKEN { 0 } else { self.count() })
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state() == BROKEN
    }

    /// Arrives, if the round is open. The last one is to act if there is an action; otherwise all pass.
    pub(super) fn arrive(&self, owner: Owner, has_action: bool, look: Look) -> Step {
        let (step, waiters) = self.alone(|| {
            let round = self.round();
            let place = self.places().find(|place| self.get(*place) == 0);
            let Some(place) = place.filter(|_| self.state() == FILLING) else {
                self.announce(look);
                return (if self.state() == BROKEN { Step::Broken } else { Step::Outside }, 0);
            };
            let arrival = Arrival { round, index: place - FIRST };
            self.set(place, owner.bits());
            self.set(ARRIVED, self.get(ARRIVED) + 1);
            if self.count() < self.parties() {
                return (Step::Waits(arrival), 0);
            }
            if has_action {
                self.set(ACTOR, owner.bits());
                self.set(ROUND, round << 2 | ACTING);
                return (Step::Acts(arrival), 0);
            }
            self.end_round(false);
            (Step::Passed(arrival), self.take_waiters())
        });
        waiting::ring(&self.0, waiters, u32::MAX);
        step
    }

    /// What has become of one that has arrived.
    pub(super) fn see(&self, arrival: Arrival, look: Look) -> Step {
        let step = self.alone(|| {
            if self.round() != arrival.round {
                let broken = self.ended_broken(arrival.round);
                return if broken { Step::Broken } else { Step::Passed(arrival) };
            }
            if self.state() == BROKEN {
                return Step::Broken;
            }
            self.announce(look);
            Step::Waits(arrival)
        });
        if step == Step::Waits(arrival) && look.closely && self.somebody_is_gone() {
            self.abort(Some(arrival));
            return self.see(arrival, Look { announce: look.announce, closely: false });
        }
        step
    }

    /// The action of this round is done, and all pass.
    pub(super) fn acted(&self, arrival: Arrival) -> Step {
        let (step, waiters) = self.alone(|| {
            if self.get(ROUND) != arrival.round << 2 | ACTING {
                return (Step::Broken, 0);
            }
            self.end_round(false);
            (Step::Passed(arrival), self.take_waiters())
        });
        waiting::ring(&self.0, waiters, u32::MAX);
        step
    }

    /// Takes an arrival back, unless its round is full.
    pub(super) fn withdraw(&self, owner: Owner, arrival: Arrival) {
        self.alone(|| {
            let place = FIRST + arrival.index;
            if self.get(ROUND) == arrival.round << 2 | FILLING && self.get(place) == owner.bits() {
                self.set(place, 0);
                self.set(ARRIVED, self.get(ARRIVED).saturating_sub(1));
            }
        });
    }

    /// Breaks the round; if it is for one that has arrived, only if it is still that one's.
    pub(super) fn abort(&self, arrival: Option<Arrival>) {
        let waiters = self.alone(|| {
            if arrival.is_some_and(|arrival| arrival.round != self.round()) {
                return 0;
            }
            self.set(ROUND, self.round() << 2 | BROKEN);
            self.take_waiters()
        });
        waiting::ring(&self.0, waiters, u32::MAX);
    }

    /// Opens a new round. Whoever is in the one before finds it broken.
    pub(super) fn reset(&self) {
        let waiters = self.alone(|| {
            if self.state() == FILLING && self.count() == 0 {
                return 0;
            }
            self.end_round(true);
            self.take_waiters()
        });
        waiting::ring(&self.0, waiters, u32::MAX);
    }

    fn end_round(&self, broken: bool) {
        let round = self.round();
        let (word, bit) = Self::end_of(round);
        let ends = self.get(word);
        self.set(word, if broken { ends | bit } else { ends & !bit });
        // This is what counts.
        self.set(ROUND, (round + 1) << 2 | FILLING);
        self.clear_places();
    }

    fn ended_broken(&self, round: u64) -> bool {
        let (word, bit) = Self::end_of(round);
        self.get(word) & bit != 0
    }

    fn end_of(round: u64) -> (usize, u64) {
        let number = usize::try_from(round % ENDS_KEPT as u64).expect("it is less than that many");
        (ENDS + number / 64, 1 << (number % 64))
    }

    fn clear_places(&self) {
        for place in self.places() {
            self.set(place, 0);
        }
        self.set(ARRIVED, 0);
        self.set(PLACES_OF, self.round());
    }

    /// True if a process has ended that has arrived, or that runs the action. It is seen outside the latch: that takes system calls.
    fn somebody_is_gone(&self) -> bool {
        let mut owners: Vec<_> = self.places().filter_map(|place| Owner::of(self.get(place))).collect();
        owners.extend(Owner::of(self.get(ACTOR)).filter(|_| self.state() == ACTING));
        owners.sort_unstable_by_key(|owner| owner.bits());
        owners.dedup();
        owners.into_iter().any(Owner::is_gone)
    }

    fn count(&self) -> usize {
        usize::try_from(self.get(ARRIVED)).unwrap_or(MOST_PARTIES)
    }

    fn places(&self) -> std::ops::Range<usize> {
        FIRST..FIRST + self.parties()
    }

    fn round(&self) -> u64 {
        self.get(ROUND) >> 2
    }

    fn state(&self) -> u64 {
        self.get(ROUND) & STATE
    }

    fn announce(&self, look: Look) {
        self.set(WAITERS, self.get(WAITERS) | look.announce);
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
        if self.get(PLACES_OF) != self.round() {
            self.clear_places();
        }
        let taken = self.places().filter(|place| self.get(*place) != 0).count();
        self.set(ARRIVED, taken as u64);
        self.0.ring(u32::MAX, true);
    }

    fn get(&self, index: usize) -> u64 {
        self.0.word(index).load(Ordering::Acquire)
    }

    fn set(&self, index: usize, value: u64) {
        self.0.word(index).store(value, Ordering::Release);
    }
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::{ACTOR, ARRIVED, FIRST, LATCH, PLACES_OF, ROUND, Rounds, Step};
    use crate::os::Owner;
    use crate::sync::waiting::Look;

    fn arrive(rounds: &Rounds) -> Step {
        rounds.arrive(Owner::ourselves(), false, Look { announce: 0, closely: false })
    }

    #[test]
    fn a_slow_one_reads_how_its_round_ended_when_others_are_through_with_the_next() {
        let rounds = Rounds::new(2).expect("there is memory");
        let Step::Waits(slow) = arrive(&rounds) else { panic!("one is missing") };
        rounds.reset();
        let Step::Waits(next) = arrive(&rounds) else { panic!("one is missing") };
        assert!(matches!(arrive(&rounds), Step::Passed(_)));
        assert!(matches!(arrive(&rounds), Step::Waits(_)));
        assert_eq!(rounds.see(slow, Look::ONCE), Step::Broken);
        assert_eq!(rounds.see(next, Look::ONCE), Step::Passed(next));
    }

    // fault 87
    #[test]
    fn whoever_dies_while_it_ends_a_round_has_ended_it_or_not() {
        let dead = Owner::gone().bits();
        for step in 0..3 {
            let rounds = Rounds::new(2).expect("there is memory");
            let Step::Waits(ours) = arrive(&rounds) else { panic!("one is missing") };
            rounds.set(LATCH, dead);
            if step > 0 {
                rounds.set(FIRST + 1, dead);
            }
            if step > 1 {
                rounds.set(ARRIVED, 2);
                rounds.set(ROUND, 1 << 2);
            }
            let seen = rounds.see(ours, Look::ONCE);
            // It has not arrived; it has, and is dead; the round was over.
            assert_eq!(seen, [Step::Waits(ours), Step::Broken, Step::Passed(ours)][step]);
            rounds.reset();
            assert!(matches!(arrive(&rounds), Step::Waits(_)));
            assert_eq!(rounds.get(PLACES_OF), rounds.round());
        }
    }

    #[test]
    fn a_round_whose_actor_died_is_broken() {
        let rounds = Rounds::new(1).expect("there is memory");
        let look = Look { announce: 0, closely: false };
        let Step::Acts(arrival) = rounds.arrive(Owner::ourselves(), true, look) else { panic!("it is full") };
        rounds.set(ACTOR, Owner::gone().bits());
        assert_eq!(rounds.see(arrival, Look::ONCE), Step::Broken);
        assert_eq!(rounds.acted(arrival), Step::Broken);
    }
}
