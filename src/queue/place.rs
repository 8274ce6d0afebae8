//! Where the head or the tail stands: a word of the log and the number of an item, in one word, so that both move by one store.
//!
//! ```text
//! bits 0..36  the word of the log        bits 36..64  how many items came before, of which the lowest bits are kept
//! ```

use crate::os::Log;

const AT_BITS: u32 = 36;
const AT_MASK: u64 = (1 << AT_BITS) - 1;

/// Items that can wait at a time: their number is to fit.
pub(super) const MOST_ITEMS: u64 = (1 << (u64::BITS - AT_BITS)) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) fn new(at: u64, items: u64) -> Self {
        Self((at % Log::WORDS) | ((items & MOST_ITEMS) << AT_BITS))
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    /// The word of the log.
    pub(super) fn at(self) -> u64 {
        (self.0 & AT_MASK) % Log::WORDS
    }

    /// The number of the item.
    pub(super) fn items(self) -> u64 {
        self.0 >> AT_BITS
    }

    /// So many words and items further on.
    pub(super) fn after(self, words: u64, items: u64) -> Self {
        Self::new(self.at().wrapping_add(words), self.items() + items)
    }

    /// Words from an earlier place to this one.
    pub(super) fn words_since(self, earlier: Self) -> u64 {
        self.at().wrapping_sub(earlier.at()) % Log::WORDS
    }

    /// Items from an earlier place to this one.
    pub(super) fn items_since(self, earlier: Self) -> u64 {
        self.items().wrapping_sub(earlier.items()) & MOST_ITEMS
    }
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::{MOST_ITEMS, Place};
    use crate::os::Log;

    #[test]
    fn words_and_items_begin_anew_where_they_end() {
        let early = Place::new(Log::WORDS - 3, MOST_ITEMS - 1);
        let late = early.after(5, 4);
        assert_eq!((late.at(), late.items()), (2, 2));
        assert_eq!((late.words_since(early), late.items_since(early)), (5, 4));
        assert_eq!((early.words_since(early), early.items_since(early)), (0, 0));
        assert_eq!(Place::from_word(late.word()), late);
    }
}
