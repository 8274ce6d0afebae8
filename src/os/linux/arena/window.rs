//! The front of a block, mapped: bytes are copied into it and out of it.

use std::collections::TryReserveError;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use bytemuck::Pod;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::Access;

/// What one page is where the kernel has large ones.
const LARGE_PAGE: usize = 2 << 20;
/// From so much on it pays to ask for large pages.
const MANY: usize = 2 * LARGE_PAGE;

/// The front of a block.
#[derive(Debug)]
pub(crate) struct Window {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value until it is dropped, and nothing of it is handed out.
unsafe impl Send for Window {}
// SAFETY: as above. It is read by atomics; what may be written is said at `write`.
unsafe impl Sync for Window {}

impl Window {
    pub(super) fn map(memory: BorrowedFd<'_>, place: u64, length: u64, access: Access) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let access = match access {
            Access::Read => ProtFlags::READ,
            Access::Write => ProtFlags::READ | ProtFlags::WRITE,
        };
        let anywhere = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { mmap(anywhere, length, access, MapFlags::SHARED, memory, place) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Where so many bytes begin, which lie within the window.
    ///
    /// # Panics
    ///
    /// If they do not.
    fn place(&self, at: usize, length: usize) -> NonNull<u8> {
        assert!(at.checked_add(length).is_some_and(|end| end <= self.length), "it lies within the window");
        // SAFETY: it was just checked that this lies within the mapping.
        unsafe { self.start.add(at) }
    }

    /// Copies bytes to there. The space for them is reserved, the arena was opened for writing, and whoever calls has the block to himself.
    ///
    /// # Panics
    ///
    /// This and the other: if they lie outside of the window.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: so many bytes lie within the mapping, and `bytes` do not, as nobody has a reference to it. A block is written by the one lease that has it, and read
        // in this process only behind that; what other processes do to it can change the bytes and nothing else.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.as_ptr(), bytes.len()) };
    }

    /// Copies so many values from there, whoever may write to them meanwhile: each eight bytes are read at once, and at worst are something else.
    ///
    /// # Errors
    ///
    /// That there is no memory for them.
    pub(crate) fn read<T: Pod>(&self, at: usize, count: usize) -> Result<Vec<T>, TryReserveError> {
        let mut values = Vec::new();
        values.try_reserve_exact(count)?;
        let room = &mut values.spare_capacity_mut()[..count];
        ask_for_large_pages(room);
        self.copy(at, room);
        // SAFETY: `copy` has filled the first `count` of them, and any bytes are a `T`.
        unsafe { values.set_len(count) };
        Ok(values)
    }

    fn copy<T: Pod>(&self, at: usize, room: &mut [MaybeUninit<T>]) {
        let length = size_of_val(room);
        // SAFETY: so many bytes are in the room, and any are a `T`.
        let room =
            unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<MaybeUninit<u8>>(), length) };
        let words = if at.is_multiple_of(8) { length / 8 } else { 0 };
        let (front, rest) = room.split_at_mut(words * 8);
        for (word, room) in self.atoms::<AtomicU64>(at, words).iter().zip(front.chunks_exact_mut(8)) {
            room.write_copy_of_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        for (byte, room) in self.atoms::<AtomicU8>(at + words * 8, rest.len()).iter().zip(rest) {
            room.write(byte.load(Ordering::Relaxed));
        }
    }

    /// So many atomics, for which `at` is aligned.
    fn atoms<A: Atom>(&self, at: usize, count: usize) -> &[A] {
        if count == 0 {
            return &[];
        }
        let first = self.place(at, count * size_of::<A>()).cast::<A>();
        debug_assert!(first.is_aligned(), "a mapping begins at a page");
        // SAFETY: so many lie within the mapping, which lives as long as `self`, and are aligned; any bits are an atomic, and of this memory there are
        // no other references.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), count) }
    }
}

/// What may lie in shared memory.
trait Atom {}
impl Atom for AtomicU8 {}
impl Atom for AtomicU64 {}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and nothing that was handed out outlives `self`.
        // Unmapping what is mapped cannot fail.
        let _unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Memory that is about to be filled for the first time: with large pages that takes a fraction of the faults.
fn ask_for_large_pages<T>(room: &mut [MaybeUninit<T>]) {
    if size_of_val(room) < MANY {
        return;
    }
    let start = room.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(LARGE_PAGE);
    let length = size_of_val(room).saturating_sub(skipped) / LARGE_PAGE * LARGE_PAGE;
    if length > 0 {
        // SAFETY: the pages lie within the room, `skipped` bytes behind its start.
        let pages = unsafe { start.add(skipped) };
        // SAFETY: they are ours, and the advice changes nothing of what is in them.
        let _where_it_can = unsafe { madvise(pages.cast(), length, Advice::LinuxHugepage) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Arena};

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at % 251).expect("it is small")).collect()
    }

    #[test]
    fn values_of_every_size_and_number_come_out_as_they_went_in() {
        let arena = Arena::create(1, Access::Write).expect("there is memory");
        let bytes = bytes(5 << 20);
        arena.reserve(0, 0, bytes.len()).expect("there is memory");
        let window = arena.window(0, bytes.len()).expect("it can be mapped");
        window.write(0, &bytes);
        for (at, length) in [(0, 0), (0, 1), (0, 7), (0, 8), (0, 9), (3, 20), (8, 17), (0, 5 << 20)] {
            let read = window.read::<u8>(at, length).expect("there is memory");
            assert!(read == bytes[at..at + length], "{length} at {at}");
        }
        let words = window.read::<u64>(8, 100_000).expect("there is memory");
        assert!(bytemuck::cast_slice::<u64, u8>(&words) == &bytes[8..800_008]);
        let small = window.read::<u16>(0, 3).expect("there is memory");
        assert_eq!(bytemuck::cast_slice::<u16, u8>(&small), &bytes[..6]);
    }

    #[test]
    fn no_memory_for_the_values_is_an_error() {
        let arena = Arena::create(1, Access::Write).expect("there is memory");
        let window = arena.window(0, 1).expect("it can be mapped");
        window.read::<u64>(0, usize::MAX / 4).expect_err("nobody has so much");
    }

    #[test]
    #[should_panic(expected = "it lies within the window")]
    fn nothing_is_read_behind_the_end() {
        let arena = Arena::create(1, Access::Write).expect("there is memory");
        let window = arena.window(0, 1).expect("it can be mapped");
        let _panics = window.read::<u8>(1 << 20, 1);
    }
}
