//! A lock for the moment in which several words change together, or one item of a queue is copied. Nobody sleeps for it, and nobody waits
//! while it is held.
//!
//! A process may be killed within them. So every change is one store that counts, and what else is kept can be computed from what such stores have left: that is
//! what the next one does first.

use super::holder::{self, Taken};
use super::waiting::Look;
use crate::os::{Owner, Word};

/// How often to look before the core is left to others, one of which may have it.
const SPINS: u32 = 100;
/// And how often until one sees whether the holder lives.
const UNTIL_CLOSELY: u32 = 1_000;

struct Latched<'a> {
    word: &'a Word,
    owner: Owner,
}

/// Does something that nobody sees half done. If somebody has died within, `repair` comes first.
pub(crate) fn alone<T>(word: &Word, repair: impl FnOnce(), act: impl FnOnce() -> T) -> T {
    let owner = Owner::ourselves();
    let taken = if holder::take_at_once(word, owner) { Taken::InOrder } else { take(word, owner) };
    let _latched = Latched { word, owner };
    if taken == Taken::Abandoned {
        repair();
    }
    act()
}

fn take(word: &Word, owner: Owner) -> Taken {
    let mut turns = 0_u32;
    loop {
        turns = turns.wrapping_add(1);
        let closely = turns.is_multiple_of(UNTIL_CLOSELY);
        if let Some(taken) = holder::take(word, owner, Look { announce: 0, closely }) {
            return taken;
        }
        pause(turns);
    }
}

#[cfg(not(models))]
fn pause(turns: u32) {
    if turns < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

#[cfg(models)]
fn pause(_turns: u32) {
    loom::thread::yield_now();
}

impl Drop for Latched<'_> {
    fn drop(&mut self) {
        holder::give_back(self.word, self.owner, Taken::InOrder);
    }
}
