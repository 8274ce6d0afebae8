//! What stands in the log: items, and pads where an item had to begin further on.
//!
//! ```text
//! | kind (8 bits) | handles (8) | length (48) |  the ticket of its handles, if it has some  |  its bytes, and zeros up to a whole word |
//! ```

use crate::os::Log;

const LENGTH_BITS: u32 = 48;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;
const HANDLES_SHIFT: u32 = LENGTH_BITS;
const KIND_SHIFT: u32 = 56;

const ITEM: u64 = 1;
const PAD: u64 = 2;

/// Bytes of a word.
pub(super) const WORD: usize = 8;

/// Words that are mapped at a time.
pub(super) const WINDOW: u64 = if cfg!(models) { Log::WORDS } else { 1 << 17 };
/// A record of at most so many words lies within one window; a longer one is mapped by itself.
pub(super) const SMALL: u64 = if cfg!(models) { WINDOW } else { 1 << 13 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// An item of so many bytes, with so many handles.
    Item { bytes: u64, handles: u8 },
    /// Nothing; the next record stands so many words further on.
    Pad { words: u64 },
}

impl Record {
    pub(super) fn header(self) -> u64 {
        match self {
            Self::Item { bytes, handles } => {
                ITEM << KIND_SHIFT | u64::from(handles) << HANDLES_SHIFT | bytes & LENGTH_MASK
            }
            Self::Pad { words } => PAD << KIND_SHIFT | words & LENGTH_MASK,
        }
    }

    /// What a header says, if it is one.
    pub(super) fn of(header: u64) -> Option<Self> {
        let length = header & LENGTH_MASK;
        let handles = header.to_be_bytes()[1];
        match header >> KIND_SHIFT {
            ITEM => Some(Self::Item { bytes: length, handles }),
            PAD if handles == 0 => Some(Self::Pad { words: length }),
            _ => None,
        }
    }

    /// Words in front of the bytes.
    pub(super) fn front(self) -> u64 {
        match self {
            Self::Item { handles: 1.., .. } => 2,
            _ => 1,
        }
    }

    /// Words that it takes in all.
    pub(super) fn words(self) -> u64 {
        match self {
            Self::Item { bytes, .. } => self.front() + bytes.div_ceil(WORD as u64),
            Self::Pad { words } => words,
        }
    }
}

/// Words to pass over, so that a record of so many words can stand behind `at`: a small one lies within a window, and a large one does not go beyond the end.
pub(super) fn pad(at: u64, words: u64) -> u64 {
    let piece = if words <= SMALL { WINDOW } else { Log::WORDS };
    let rest = piece - at % piece;
    if words <= rest { 0 } else { rest }
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_was_put_there() {
        let item = Record::Item { bytes: 17, handles: 3 };
        assert_eq!(Record::of(item.header()), Some(item));
        assert_eq!((item.front(), item.words()), (2, 5));
        let bare = Record::Item { bytes: 16, handles: 0 };
        assert_eq!((bare.front(), bare.words()), (1, 3));
        assert_eq!(Record::Item { bytes: 0, handles: 0 }.words(), 1);
        let pad = Record::Pad { words: 9 };
        assert_eq!(Record::of(pad.header()), Some(pad));
        assert_eq!(pad.words(), 9);
    }

    // fault 90
    #[test]
    fn what_is_no_header_is_none() {
        for header in [0, 7, 3 << KIND_SHIFT, u64::MAX, PAD << KIND_SHIFT | 1 << HANDLES_SHIFT] {
            assert_eq!(Record::of(header), None, "{header:x}");
        }
    }

    #[test]
    fn no_small_record_crosses_a_window_and_no_large_one_the_end() {
        assert_eq!(pad(0, WINDOW), 0);
        assert_eq!(pad(WINDOW - 2, 2), 0);
        assert_eq!(pad(WINDOW - 2, 3), 2);
        assert_eq!(pad(WINDOW - 2, SMALL + 1), 0);
        assert_eq!(pad(Log::WORDS - 2, SMALL + 1), 2);
        assert_eq!(pad(Log::WORDS - 2, 3), 2);
    }
}
