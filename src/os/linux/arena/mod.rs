//! Memory for large payloads, used again and again: page faults, not copies, are what they cost.
//!
//! ```text
//! 0            one span         two spans
//! | block 0 ...| block 1 ...    | ...            one memfd, of which only the pages in use are there
//!   ^ reserved   ^ reserved
//! ```
//!
//! 1. Its size is sealed when it is made, so that no place within it goes away.
//! 2. One process writes to it, and reserves space before it does, so that a full memory is an error there and no signal.
//! 3. Nobody ever has a reference to its bytes; they are copied, by atomics where another process may change them meanwhile.

mod marks;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};

use super::fork::notice_forks;
use super::sealed::BLOCK;
use super::space::check_space;

pub(crate) use marks::{Marks, Taken};
pub(crate) use window::Window;

/// How far blocks are apart: more than any of them grows, as `max_frame` is less than 4 GiB.
const SPAN: usize = 8 << 30;
/// The least that is mapped, and reserved, at once.
const STEP: u64 = 1 << 20;

/// Blocks of memory that one process writes to and others read.
#[derive(Debug)]
pub(crate) struct Arena {
    memory: OwnedFd,
    access: Access,
    blocks: usize,
    /// What is mapped here, by its block.
    windows: Mutex<BTreeMap<usize, Arc<Window>>>,
}

/// What this process does to the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Arena {
    /// A new one of so many blocks, of which nothing is there yet.
    pub(crate) fn create(blocks: usize, access: Access) -> io::Result<Self> {
        let size = size_of(blocks);
        // A file beyond the limit would end the process by a signal.
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < size) {
            return Err(Errno::FBIG.into());
        }
        notice_forks()?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = super::pipe::lift(rustix::fs::memfd_create("multiprocess payloads", flags)?)?;
        rustix::fs::ftruncate(&memory, size)?;
        rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self::of(memory, blocks, access))
    }

    /// That of another process.
    pub(crate) fn attach(memory: OwnedFd, blocks: usize, access: Access) -> io::Result<Self> {
        let sealed = rustix::fs::fcntl_get_seals(&memory)?.contains(SealFlags::SHRINK);
        let size = u64::try_from(rustix::fs::fstat(&memory)?.st_size);
        if sealed && size == Ok(size_of(blocks)) {
            Ok(Self::of(memory, blocks, access))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the memory has a wrong size or no seal"))
        }
    }

    fn of(memory: OwnedFd, blocks: usize, access: Access) -> Self {
        Self { memory, access, blocks, windows: Mutex::default() }
    }

    /// The descriptor by which the process attaches that is to write to it.
    pub(crate) fn memory(&self) -> &OwnedFd {
        &self.memory
    }

    /// A descriptor by which a process attaches that only reads.
    pub(crate) fn readable(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.memory.as_raw_fd());
        super::pipe::lift(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The most bytes that a block has room for.
    pub(crate) const fn room() -> usize {
        SPAN
    }

    /// Has memory for the first `wanted` bytes of a block, of which `reserved` have some already; for how many bytes there is some now.
    pub(crate) fn reserve(&self, block: usize, reserved: u64, wanted: usize) -> io::Result<u64> {
        let wanted = wanted as u64;
        if wanted <= reserved {
            return Ok(reserved);
        }
        let end = wanted.next_multiple_of(STEP);
        let (place, missing) = (self.place(block, end)? + reserved, end - reserved);
        check_space(missing)?;
        retry_on_intr(|| fallocate(&self.memory, FallocateFlags::empty(), place, missing))?;
        Ok(end)
    }

    /// Gives the memory of a block back, but for its first `kept` bytes.
    pub(crate) fn give_back(&self, block: usize, kept: u64) -> io::Result<()> {
        let (how, place) = (FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, self.place(block, kept)?);
        retry_on_intr(|| fallocate(&self.memory, how, place + kept, SPAN as u64 - kept))?;
        if kept == 0 {
            self.windows().remove(&block);
        }
        Ok(())
    }

    /// How many bytes of memory there are in all blocks.
    pub(crate) fn held(&self) -> io::Result<u64> {
        let blocks = rustix::fs::fstat(&self.memory)?.st_blocks;
        Ok(u64::try_from(blocks).unwrap_or(0).saturating_mul(BLOCK))
    }

    /// The first `length` bytes of a block. What is mapped once stays so, until all of it is given back.
    pub(crate) fn window(&self, block: usize, length: usize) -> io::Result<Arc<Window>> {
        let mut windows = self.windows();
        if let Some(window) = windows.get(&block).filter(|window| window.len() >= length) {
            return Ok(Arc::clone(window));
        }
        let place = self.place(block, length as u64)?;
        // More than is needed now, so that a value that grows is not mapped anew with each piece.
        let length = (length as u64).max(STEP).next_power_of_two().min(SPAN as u64);
        let mapped = Arc::new(Window::map(self.memory.as_fd(), place, length, self.access)?);
        windows.insert(block, Arc::clone(&mapped));
        Ok(mapped)
    }

    /// How many bytes are mapped.
    pub(crate) fn mapped(&self) -> u64 {
        self.windows().values().map(|window| window.len() as u64).sum()
    }

    fn windows(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Window>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a block begins, if so many bytes of it lie within it.
    fn place(&self, block: usize, length: u64) -> io::Result<u64> {
        let is_within = block < self.blocks() && length <= SPAN as u64;
        if is_within { Ok(size_of(block)) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

fn size_of(blocks: usize) -> u64 {
    (blocks * SPAN) as u64
}

#[cfg(test)]
mod tests {
    use super::{Access, Arena, STEP, size_of};

    fn arena() -> Arena {
        Arena::create(3, Access::Write).expect("there is memory")
    }

    fn reader_of(arena: &Arena) -> Arena {
        Arena::attach(arena.readable().expect("it is ours"), 3, Access::Read).expect("it is the same")
    }

    // fault 70
    #[test]
    fn what_was_written_to_a_block_is_read_from_it_in_another_mapping() {
        let (here, bytes) = (arena(), vec![7_u8; 3_000_001]);
        let there = reader_of(&here);
        for block in [0, 2] {
            let reserved = here.reserve(block, 0, bytes.len()).expect("there is memory");
            assert_eq!(reserved, 3 * STEP);
            here.window(block, bytes.len()).expect("it can be mapped").write(0, &bytes);
            let window = there.window(block, bytes.len()).expect("it can be mapped");
            assert_eq!(window.read::<u8>(0, bytes.len()).expect("there is memory"), bytes);
        }
        assert_eq!(here.held().expect("it is memory"), 6 * STEP);
    }

    #[test]
    fn what_is_given_back_is_gone_and_what_is_kept_is_not() {
        let arena = arena();
        arena.reserve(1, 0, 2 << 20).expect("there is memory");
        arena.window(1, 2 << 20).expect("it can be mapped").write(0, &vec![5; 2 << 20]);
        arena.give_back(1, 1 << 20).expect("it is there");
        assert_eq!(arena.held().expect("it is memory"), STEP);
        let left = arena.window(1, 2 << 20).expect("it can be mapped").read::<u8>((1 << 20) - 1, 2);
        assert_eq!(left.expect("there is memory"), [5, 0]);
        arena.give_back(1, 0).expect("it is there");
        assert_eq!((arena.held().expect("it is memory"), arena.mapped()), (0, 0));
    }

    // fault 86
    #[test]
    fn whoever_reads_cannot_write_and_nobody_can_change_the_size() {
        let arena = arena();
        let readable = arena.readable().expect("it is ours");
        assert!(rustix::io::pwrite(&readable, &[1], 0).is_err());
        assert!(rustix::fs::ftruncate(arena.memory(), 0).is_err());
        assert!(rustix::fs::ftruncate(arena.memory(), size_of(4)).is_err());
    }

    // faults 86, 90
    #[test]
    fn what_lies_outside_or_is_no_arena_is_refused() {
        let arena = arena();
        assert!(arena.window(3, 1).is_err() && arena.window(0, Arena::room() + 1).is_err());
        assert!(arena.reserve(3, 0, 1).is_err() && arena.give_back(3, 0).is_err());
        assert!(Arena::attach(arena.readable().expect("it is ours"), 4, Access::Read).is_err());
        let pipe = std::io::pipe().expect("there are descriptors left").0;
        assert!(Arena::attach(pipe.into(), 3, Access::Read).is_err());
    }

    // fault 70
    #[test]
    fn what_no_memory_can_hold_is_an_error_before_it_is_written() {
        assert!(arena().reserve(0, 0, 1 << 46).is_err());
    }
}
