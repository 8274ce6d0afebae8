//! A word that says who holds a thing. It is taken, given back and inherited by one exchange each.
//!
//! ```text
//! bits 0..58  the holder, 0 if it is free      bit 61  its holder died, and nobody has put right what it left
//!                                              bits 62, 63  somebody waits for it
//! ```
//!
//! 1. Of several that take it at once exactly one succeeds, also if its holder is dead.
//! 2. Whoever finds it held and wants to wait has left a bit there before it sleeps, so that whoever gives it back knows.
//! 3. Giving it back wakes one of those that block a thread. That one leaves its bit again before it takes it or gives up: there may be more.

use std::sync::atomic::Ordering;

use super::waiting::{Look, WAITED_FOR};
use crate::os::{Owner, Word};

/// Its holder died, and nobody has put right what it left.
const ABANDONED: u64 = 1 << 61;

/// How a thing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// As whoever held it last has left it on purpose.
    InOrder,
    /// As a dead holder has left it.
    Abandoned,
}

impl Taken {
    fn of(word: u64) -> Self {
        if word & ABANDONED == 0 { Self::InOrder } else { Self::Abandoned }
    }

    #[inline]
    fn bits(self) -> u64 {
        if self == Self::Abandoned { ABANDONED } else { 0 }
    }
}

/// Takes it if nobody has it nor waits for it. This is all that an uncontended lock costs.
#[inline]
pub(super) fn take_at_once(word: &Word, owner: Owner) -> bool {
    word.compare_exchange(0, owner.bits(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// Takes it if it is free, or if its holder is found to be dead.
pub(super) fn take(word: &Word, owner: Owner, look: Look) -> Option<Taken> {
    let mut now = word.load(Ordering::Acquire);
    loop {
        let held = Owner::of(now);
        let next = match held {
            None => owner.bits() | now & WAITED_FOR | look.announce,
            Some(holder) if look.closely && holder.is_gone() => {
                owner.bits() | now & WAITED_FOR | look.announce
            }
            Some(_) if now & look.announce == look.announce => return None,
            Some(_) => now | look.announce,
        };
        match word.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) if held.is_none() => return Some(Taken::of(now)),
            Ok(_) if Owner::of(next) != held => return Some(Taken::Abandoned),
            Ok(_) => return None,
            Err(other) => now = other,
        }
    }
}

/// Gives it back as it was taken, if it is still this owner's. The bits of those that wait for it.
#[inline]
pub(super) fn give_back(word: &Word, owner: Owner, taken: Taken) -> Option<u64> {
    let mut now = word.load(Ordering::Relaxed);
    while Owner::of(now) == Some(owner) {
        match word.compare_exchange(now, taken.bits(), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return Some(now & WAITED_FOR),
            Err(other) => now = other,
        }
    }
    None
}

/// Whoever holds it now.
pub(super) fn holder(word: &Word) -> Option<Owner> {
    Owner::of(word.load(Ordering::Acquire))
}

/// True if a dead process holds it, or has held it last.
pub(super) fn is_abandoned(word: &Word) -> bool {
    let now = word.load(Ordering::Acquire);
    now & ABANDONED != 0 || Owner::of(now).is_some_and(Owner::is_gone)
}
