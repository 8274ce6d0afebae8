//! The board: a page of memory that the pool and one worker share, so that both know without a message which
//! calls have started, and so that what a worker had finished outlives it.
//!
//! ```text
//! slot 0..32   state    call << 2 | Queued, Running or Revoked
//!              started  when the call started, nanoseconds of the monotonic clock
//!              begun    elements of the call that were begun
//!              cancel   not 0: the caller no longer wants the result
//! results      call, first element, elements, bytes, and then the encoded results themselves
//! ```
//!
//! 1. A call starts only by the worker's exchange of Queued for Running; it is taken back only by the pool's
//!    exchange of Queued for Revoked. Exactly one of the two can succeed.
//! 2. The pool never trusts what stands here: it is copied, then checked, and at worst misjudges the worker that
//!    wrote it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// Calls that may be under way on one worker.
pub(crate) const SLOTS: usize = 32;

const PAGE: usize = 64 * 1024;
const AREA: usize = PAGE - SLOTS * 64 - 64;

const QUEUED: u64 = 0;
const RUNNING: u64 = 1;
const REVOKED: u64 = 2;

#[repr(C, align(64))]
#[derive(Debug)]
struct Slot {
    state: AtomicU64,
    started_ns: AtomicU64,
    begun: AtomicU32,
    cancel: AtomicU32,
}

#[repr(C, align(64))]
struct Page {
    slots: [Slot; SLOTS],
    results: Results,
    area: [AtomicU8; AREA],
}

#[repr(C, align(64))]
struct Results {
    call: AtomicU64,
    first: AtomicU32,
    elements: AtomicU32,
    bytes: AtomicU32,
}

/// How far a call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// No element of it was begun.
    NotStarted,
    /// This many elements were begun, the last of them perhaps not finished.
    Begun(u32),
}

/// One worker's board, mapped.
pub(crate) struct Board {
    page: NonNull<Page>,
}

// SAFETY: the page is made of atomics, and the mapping belongs to this value until it is dropped.
unsafe impl Send for Board {}
// SAFETY: as above; shared access goes through atomics only.
unsafe impl Sync for Board {}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// A new board, and the descriptor by which a worker attaches to it. Its size is sealed and its memory
    /// reserved, so that neither a hostile worker nor a full `/dev/shm` can make a later access fail.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let memory =
            rustix::fs::memfd_create("multiprocess", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let memory = super::pipe::lift(memory)?;
        rustix::fs::ftruncate(&memory, PAGE as u64)?;
        rustix::fs::fallocate(&memory, FallocateFlags::empty(), 0, PAGE as u64)?;
        rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Self::map(&memory)?, memory))
    }

    /// Attaches to the board behind a descriptor, whose size is checked.
    pub(crate) fn attach(memory: &OwnedFd) -> io::Result<Self> {
        let size = rustix::fs::fstat(memory)?.st_size;
        let sealed = rustix::fs::fcntl_get_seals(memory)?.contains(SealFlags::SHRINK);
        if size != i64::try_from(PAGE).expect("a page is small") || !sealed {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the board has a wrong size or no seal"));
        }
        Self::map(memory)
    }

    fn map(memory: impl AsFd) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let page =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), PAGE, access, MapFlags::SHARED, memory, 0) }?;
        NonNull::new(page.cast()).map(|page| Self { page }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn page(&self) -> &Page {
        // SAFETY: the mapping is PAGE bytes long and lives as long as `self`; any bit pattern is valid for its
        // atomics, and shared memory changes under no other kind of reference.
        unsafe { self.page.as_ref() }
    }

    /// The pool's: enters a call that is about to be sent.
    pub(crate) fn enter(&self, slot: usize, call: u64) {
        let slot = &self.page().slots[slot];
        slot.begun.store(0, Ordering::Relaxed);
        slot.cancel.store(0, Ordering::Relaxed);
        slot.state.store(call << 2 | QUEUED, Ordering::Release);
    }

    /// The worker's: starts a call, unless it was taken back.
    pub(crate) fn start(&self, slot: usize, call: u64, now_ns: u64) -> bool {
        let slot = &self.page().slots[slot];
        slot.started_ns.store(now_ns, Ordering::Relaxed);
        exchange(&slot.state, call << 2 | QUEUED, call << 2 | RUNNING)
    }

    /// The pool's: takes a call back, unless it has started.
    pub(crate) fn revoke(&self, slot: usize, call: u64) -> bool {
        exchange(&self.page().slots[slot].state, call << 2 | QUEUED, call << 2 | REVOKED)
    }

    /// The worker's: element number `begun`, counted from 1, is about to run.
    pub(crate) fn begin(&self, slot: usize, begun: u32) {
        self.page().slots[slot].begun.store(begun, Ordering::Release);
    }

    /// The pool's: how far a call had come. Settled only once the worker is dead.
    pub(crate) fn progress(&self, slot: usize, call: u64) -> Start {
        let slot = &self.page().slots[slot];
        let word = slot.state.load(Ordering::Acquire);
        if word == call << 2 | QUEUED || word == call << 2 | REVOKED {
            Start::NotStarted
        } else if word == call << 2 | RUNNING {
            Start::Begun(slot.begun.load(Ordering::Acquire))
        } else {
            // The worker has overwritten its board: whatever it did, it is not done twice.
            Start::Begun(u32::MAX)
        }
    }

    /// The pool's: asks the task to end early.
    pub(crate) fn cancel(&self, slot: usize) {
        self.page().slots[slot].cancel.store(1, Ordering::Release);
    }

    /// The worker's: was it asked to?
    pub(crate) fn is_cancelled(&self, slot: usize) -> bool {
        self.page().slots[slot].cancel.load(Ordering::Acquire) != 0
    }

    /// Bytes of results that the board keeps.
    pub(crate) const fn room() -> usize {
        AREA
    }

    /// The worker's: the results on the board are now those of `call` from element `first` on, none yet.
    pub(crate) fn open_results(&self, call: u64, first: u32) {
        let results = &self.page().results;
        results.elements.store(0, Ordering::Release);
        results.bytes.store(0, Ordering::Release);
        results.first.store(first, Ordering::Release);
        results.call.store(call, Ordering::Release);
    }

    /// The worker's: puts the next result behind those on the board, which must have room for it.
    pub(crate) fn add_result(&self, at: usize, record: &[u8]) {
        assert!(at + record.len() <= AREA, "a result was added to a full board");
        let place = self.page().area[at..].as_ptr().cast::<u8>().cast_mut();
        // SAFETY: the range was just checked to lie within the area; only this worker writes there, and the pool
        // reads it only after this worker is dead.
        unsafe { std::ptr::copy_nonoverlapping(record.as_ptr(), place, record.len()) };
        let results = &self.page().results;
        let end = u32::try_from(at + record.len()).expect("the area is small");
        results.bytes.store(end, Ordering::Release);
        let elements = results.elements.load(Ordering::Relaxed);
        results.elements.store(elements + 1, Ordering::Release);
    }

    /// The pool's, of a dead worker: the results of `call` that follow the first `received`, if they were kept
    /// here, with their number as the worker claimed it.
    pub(crate) fn unsent_results(&self, call: u64, received: u32) -> Option<(u32, Vec<u8>)> {
        let results = &self.page().results;
        let belongs =
            results.call.load(Ordering::Acquire) == call && results.first.load(Ordering::Acquire) == received;
        let elements = results.elements.load(Ordering::Acquire);
        let bytes = usize::try_from(results.bytes.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        (belongs && elements > 0 && bytes <= AREA).then(|| {
            let kept = self.page().area[..bytes].iter().map(|byte| byte.load(Ordering::Relaxed));
            (elements, kept.collect())
        })
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and no reference to it outlives `self`.
        // Unmapping what is mapped cannot fail.
        let _unmapped = unsafe { rustix::mm::munmap(self.page.as_ptr().cast(), PAGE) };
    }
}

fn exchange(state: &AtomicU64, from: u64, to: u64) -> bool {
    state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Board, Start};

    #[test]
    fn a_call_that_was_taken_back_cannot_start() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        pool.enter(3, 7);
        assert!(pool.revoke(3, 7));
        assert!(!worker.start(3, 7, 1));
        assert_eq!(pool.progress(3, 7), Start::NotStarted);
    }

    #[test]
    fn a_call_that_has_started_cannot_be_taken_back() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        pool.enter(0, 9);
        assert!(worker.start(0, 9, 1));
        worker.begin(0, 2);
        assert!(!pool.revoke(0, 9));
        assert_eq!(pool.progress(0, 9), Start::Begun(2));
    }

    #[test]
    fn a_slot_that_was_given_to_another_call_does_not_start_the_old_one() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        pool.enter(0, 1);
        assert!(pool.revoke(0, 1));
        pool.enter(0, 2);
        assert!(!worker.start(0, 1, 1));
        assert!(worker.start(0, 2, 1));
    }

    #[test]
    fn results_that_were_not_sent_are_found_and_those_that_were_are_not() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        worker.open_results(5, 10);
        worker.add_result(0, b"abc");
        worker.add_result(3, b"d");
        assert_eq!(pool.unsent_results(5, 10), Some((2, b"abcd".to_vec())));
        assert_eq!(pool.unsent_results(5, 12), None, "those were sent");
        assert_eq!(pool.unsent_results(6, 10), None, "those are of another call");
    }

    #[test]
    fn the_size_of_a_board_cannot_be_changed() {
        let (_pool, memory) = Board::create().expect("there is memory");
        assert!(rustix::fs::ftruncate(&memory, 0).is_err()); // fault 86
        assert!(rustix::fs::ftruncate(&memory, 1 << 20).is_err());
    }
}
