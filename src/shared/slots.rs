//! A value of any size that is read and written as a whole, whoever is killed meanwhile.
//!
//! ```text
//! word 0  who writes       1  generation       from 2 on: one slot, and as many words of the other
//!
//! write:  take word 0 ─► fill the slot that is not current ─► generation + 1, which makes it the current one ─► give word 0 back
//! read:   generation g ─► copy slot g mod 2 ─► still g? then the copy is whole
//! ```
//!
//! 1. The slot of generation g is written to only after generation g + 1 is there. A reader that has met one word of a later value sees that its generation is over.
//! 2. Whoever is killed in the middle of a write has spoilt the slot that nobody reads. The next writer takes word 0 from the dead and fills it anew.
//! 3. A reader that is overtaken again and again takes its turn as a writer does, so that it gets there too.

use crate::os::{Cells, Owner};

const WORD: usize = 8;

/// So often a reader tries before it keeps the writers away.
const ATTEMPTS: u32 = if cfg!(models) { 1 } else { 100 };
/// So often one looks before one yields.
const SPINS: u32 = 20;
/// After that, at so many looks one sees whether the writer lives, which takes system calls.
const CLOSELY: u32 = 4;

/// Words that processes share. All reading acquires, and all writing releases.
pub(super) trait Words {
    fn load(&self, index: usize) -> u64;
    fn store(&self, index: usize, word: u64);
    fn exchange(&self, index: usize, from: u64, to: u64) -> Result<u64, u64>;
    /// Lets others go on.
    fn pause(&self, times: u32) {
        if times < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

impl Words for Cells {
    #[inline]
    fn load(&self, index: usize) -> u64 {
        self.load(index * WORD)
    }

    #[inline]
    fn store(&self, index: usize, word: u64) {
        self.store(index * WORD, word);
    }

    #[inline]
    fn exchange(&self, index: usize, from: u64, to: u64) -> Result<u64, u64> {
        self.exchange(index * WORD, from, to)
    }
}

/// Where such a value lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    /// The word of whoever writes, which several may have in common.
    pub(super) writer: usize,
    /// The generation; the slots come behind it.
    pub(super) generation: usize,
    /// The words of one slot.
    pub(super) words: usize,
}

impl Slots {
    /// The only one in its memory, for so many bytes.
    pub(super) const fn alone(bytes: usize) -> Self {
        Self { writer: 0, generation: 1, words: bytes.div_ceil(WORD) }
    }

    /// The bytes of memory that it takes up to its end.
    pub(super) const fn end(self) -> usize {
        (self.generation + 1 + 2 * self.words) * WORD
    }

    /// Reads the bytes at the front of the value.
    pub(super) fn read(self, words: &impl Words, room: &mut [u8]) {
        if (0..ATTEMPTS).any(|_| self.attempt(words, room)) {
            return;
        }
        let _turn = Turn::take(words, self.writer);
        self.copy(words, words.load(self.generation), room);
    }

    /// Makes these bytes the front of the value; the rest of it is undefined.
    pub(super) fn write(self, words: &impl Words, bytes: &[u8]) {
        let _turn = Turn::take(words, self.writer);
        let next = words.load(self.generation).wrapping_add(1);
        let first = self.first(next);
        for (index, part) in bytes.chunks(WORD).take(self.words).enumerate() {
            let mut word = [0; WORD];
            word[..part.len()].copy_from_slice(part);
            words.store(first + index, u64::from_ne_bytes(word));
        }
        words.store(self.generation, next);
    }

    fn attempt(self, words: &impl Words, room: &mut [u8]) -> bool {
        let generation = words.load(self.generation);
        self.copy(words, generation, room);
        words.load(self.generation) == generation
    }

    fn copy(self, words: &impl Words, generation: u64, room: &mut [u8]) {
        let first = self.first(generation);
        for (index, part) in room.chunks_mut(WORD).take(self.words).enumerate() {
            let word = words.load(first + index).to_ne_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    fn first(self, generation: u64) -> usize {
        self.generation + 1 + if generation.is_multiple_of(2) { 0 } else { self.words }
    }
}

/// The right to write, until it is dropped.
struct Turn<'w, W: Words> {
    words: &'w W,
    writer: usize,
    ours: u64,
}

impl<'w, W: Words> Turn<'w, W> {
    fn take(words: &'w W, writer: usize) -> Self {
        let ours = Owner::ourselves().bits();
        let mut times: u32 = 0;
        while let Err(held) = words.exchange(writer, 0, ours) {
            times = times.saturating_add(1);
            let closely = !cfg!(models) && times > SPINS && times.is_multiple_of(CLOSELY);
            if closely && Owner::of(held).is_none_or(Owner::is_gone) {
                // Of several that have seen it dead one succeeds.
                if words.exchange(writer, held, ours).is_ok() {
                    break;
                }
            }
            words.pause(times);
        }
        Self { words, writer, ours }
    }
}

impl<W: Words> Drop for Turn<'_, W> {
    fn drop(&mut self) {
        let _scribbled = self.words.exchange(self.writer, self.ours, 0);
    }
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::{Slots, Words};
    use crate::os::{Cells, Content, Owner};

    fn slots(bytes: usize) -> (Slots, Cells) {
        let slots = Slots::alone(bytes);
        let cells = Cells::create(Content { kind: 7, element: 1 }, slots.end()).expect("there is memory");
        (slots, cells)
    }

    fn read(slots: Slots, cells: &Cells) -> [u8; 20] {
        let mut room = [0; 20];
        slots.read(cells, &mut room);
        room
    }

    #[test]
    fn a_value_is_read_as_it_was_written_last() {
        let (slots, cells) = slots(20);
        assert_eq!(read(slots, &cells), [0; 20]);
        for times in 1..5 {
            slots.write(&cells, &[times; 20]);
            assert_eq!(read(slots, &cells), [times; 20]);
        }
    }

    // fault 88
    #[test]
    fn whoever_has_died_in_the_middle_of_a_write_has_spoilt_nothing() {
        let (slots, cells) = slots(20);
        slots.write(&cells, &[1; 20]);
        // As far as it came: it writes, and one word of the slot is new.
        Words::store(&cells, slots.writer, Owner::gone().bits());
        Words::store(&cells, slots.first(2), u64::MAX);
        assert_eq!(read(slots, &cells), [1; 20]);
        slots.write(&cells, &[2; 20]);
        assert_eq!((read(slots, &cells), Words::load(&cells, slots.writer)), ([2; 20], 0));
    }

    // fault 88
    #[test]
    fn a_reader_beside_writers_never_sees_a_mixed_value() {
        let (slots, cells) = slots(20);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers = [0_u8, 100].map(|first| {
                let cells = &cells;
                scope.spawn(move || {
                    for byte in (first..first + 100).cycle().take(20_000) {
                        slots.write(cells, &[byte; 20]);
                    }
                })
            });
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let value = read(slots, &cells);
                    assert!(value.iter().all(|byte| *byte == value[0]), "{value:?}");
                }
            });
            for writer in writers {
                writer.join().expect("it does not panic");
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
