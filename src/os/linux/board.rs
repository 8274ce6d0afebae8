//! The board: a page of memory that the pool and one worker share, so that both know without a message which
//! calls have started, and so that what a worker had finished outlives it.
//!
//! ```text
//! slot 0..32   how far each call that was sent has come
//! held         replies that were not written yet: number of the first, bytes
//! results      call, first element, elements, bytes
//! desks        one for each way, for whoever polls
//! area         the encoded results of a call that runs, or the frames of the replies that are held
//! marks        who has which block of the worker's large results
//! ```
//!
//! The pool never trusts what stands here: it is copied, then checked, and at worst misjudges the worker that wrote it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

use super::desk::Desk;
use super::held::{Byte, Held};
use super::slot::{Finish, Running, Slot, Start};

/// Calls that may be under way on one worker.
pub(crate) const SLOTS: usize = 32;

const PAGE: usize = 64 * 1024;
/// Blocks that the results of one worker may lie in at a time.
pub(crate) const RESULT_BLOCKS: usize = 64;
const AREA: usize = PAGE - SLOTS * 64 - RESULT_BLOCKS * 8 - 2 * 64 - 2 * size_of::<Desk>();

#[repr(C, align(64))]
struct Page {
    slots: [Slot; SLOTS],
    held: Held,
    results: Results,
    orders: Desk,
    reports: Desk,
    area: [Byte; AREA],
    marks: [AtomicU64; RESULT_BLOCKS],
}

#[repr(C, align(64))]
struct Results {
    call: AtomicU64,
    first: AtomicU32,
    elements: AtomicU32,
    bytes: AtomicU32,
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

    #[inline]
    fn page(&self) -> &Page {
        // SAFETY: the mapping is PAGE bytes long and lives as long as `self`; any bit pattern is valid for its
        // atomics, and shared memory changes under no other kind of reference.
        unsafe { self.page.as_ref() }
    }

    #[inline]
    fn slot(&self, slot: usize) -> &Slot {
        &self.page().slots[slot]
    }

    /// Where the pool hands orders to a worker that polls for them.
    pub(crate) fn orders(&self) -> &Desk {
        &self.page().orders
    }

    /// Where a worker hands reports to whoever polls for them.
    pub(crate) fn reports(&self) -> &Desk {
        &self.page().reports
    }

    /// Who has which block of the worker's large results.
    pub(super) fn marks(&self) -> &[AtomicU64] {
        &self.page().marks
    }

    /// The pool's: enters a call that is about to be sent.
    pub(crate) fn enter(&self, slot: usize, call: u64) {
        self.slot(slot).enter(call);
    }

    /// The worker's: starts a call, unless it was taken back.
    #[inline]
    pub(crate) fn start(&self, slot: usize, call: u64) -> bool {
        self.slot(slot).start(call)
    }

    /// The pool's: takes a call back, unless it has started.
    pub(crate) fn revoke(&self, slot: usize, call: u64) -> bool {
        self.slot(slot).revoke(call)
    }

    /// The worker's: element number `element`, counted from 1, is about to run; `now_ns` if the pool keeps an eye on it.
    #[inline]
    pub(crate) fn begin(&self, slot: usize, element: u32, watched_ns: Option<u64>) {
        match watched_ns {
            Some(now_ns) => self.slot(slot).begin_watched(element, now_ns),
            None => self.slot(slot).begin(element),
        }
    }

    /// The worker's: a watched element has come to its end.
    pub(crate) fn finish(&self, slot: usize, element: u32) -> Finish {
        self.slot(slot).finish(element)
    }

    /// The pool's: the watched element of a call that runs.
    pub(crate) fn running(&self, slot: usize, call: u64) -> Option<Running> {
        self.slot(slot).running(call)
    }

    /// The pool's: the time of a watched element is over. False if it is finished.
    pub(crate) fn expire(&self, slot: usize, element: u32) -> bool {
        self.slot(slot).expire(element)
    }

    /// The pool's: the worker is going to be ended for a watched element. False if that is finished.
    pub(crate) fn condemn(&self, slot: usize, element: u32) -> bool {
        self.slot(slot).condemn(element)
    }

    /// The pool's: how far a call had come. Settled only once the worker is dead.
    pub(crate) fn progress(&self, slot: usize, call: u64) -> Start {
        self.slot(slot).progress(call)
    }

    /// The pool's: asks the task to end early.
    pub(crate) fn cancel(&self, slot: usize) {
        self.slot(slot).cancel();
    }

    /// The worker's: nobody wants the rest of the call.
    #[inline]
    pub(crate) fn is_cancelled(&self, slot: usize) -> bool {
        self.slot(slot).is_cancelled()
    }

    /// The worker's: the element that runs had better end.
    pub(crate) fn is_unwanted(&self, slot: usize) -> bool {
        self.slot(slot).is_unwanted()
    }

    /// Bytes of results that the board keeps.
    #[inline]
    pub(crate) const fn room() -> usize {
        AREA
    }

    /// The worker's: keeps frames of replies, whole ones, behind the `at` bytes of those that are held already.
    pub(crate) fn hold(&self, at: usize, frames: &[u8]) {
        self.page().held.add(&self.page().area, at, frames);
    }

    /// The worker's: so many more replies have gone into the pipe, and none is held.
    pub(crate) fn written(&self, replies: u64) {
        self.page().held.written(replies);
    }

    /// The pool's: the frames of replies that the worker holds, and how many went into the pipe before them.
    pub(crate) fn held(&self) -> Option<(u64, Vec<u8>)> {
        self.page().held.read(&self.page().area)
    }

    /// The worker's: the results on the board are now those of `call` from element `first` on, none yet. No reply may be held.
    pub(crate) fn open_results(&self, call: u64, first: u32) {
        let results = &self.page().results;
        results.elements.store(0, Ordering::Release);
        results.bytes.store(0, Ordering::Release);
        results.first.store(first, Ordering::Release);
        results.call.store(call, Ordering::Release);
    }

    /// The worker's: puts the next result behind those on the board, which must have room for it.
    #[inline]
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

    /// The worker's: results that follow one another on the board, from `at` on, and are numbers.
    pub(crate) fn row(&self, at: usize) -> Row<'_> {
        assert!(at <= AREA, "a row was begun on a full board");
        let elements = self.page().results.elements.load(Ordering::Relaxed);
        Row { page: self.page(), begin: at, end: at, elements }
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

/// Bytes that a number of a row is written with, however few it has.
const WORD: usize = size_of::<u64>();

/// Results that are numbers, while their worker adds one after the other. They are written here alone, and copied at once when there are no more of them.
pub(crate) struct Row<'b> {
    page: &'b Page,
    begin: usize,
    end: usize,
    elements: u32,
}

impl Row<'_> {
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.end + 1 + WORD <= AREA
    }

    /// Adds the record of a number: its head, and so many bytes, of which there are at most eight. There must be room.
    #[inline]
    pub(crate) fn push(&mut self, head: u8, number: [u8; WORD], size: usize) {
        assert!(self.has_room(), "a number was added to a full row");
        debug_assert!(size <= WORD, "a number has at most eight bytes");
        let place = self.page.area[self.end..].as_ptr().cast::<u8>().cast_mut();
        // SAFETY: the area has room for this byte, which was just checked; only this worker writes there, and the pool reads it only after this worker is dead.
        unsafe { place.write(head) };
        // SAFETY: as above, for the eight bytes behind it. An array of bytes may lie anywhere.
        unsafe { place.wrapping_add(1).cast::<[u8; WORD]>().write(number) };
        self.end += 1 + size;
        self.elements += 1;
        let results = &self.page.results;
        let end = u32::try_from(self.end).expect("the area is small");
        results.bytes.store(end, Ordering::Release);
        results.elements.store(self.elements, Ordering::Release);
    }

    /// Appends what was added.
    pub(crate) fn copy_to(&self, out: &mut Vec<u8>) {
        let row = &self.page.area[self.begin..self.end];
        // SAFETY: only this worker writes there, which does nothing else meanwhile.
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(row.as_ptr().cast(), row.len()) });
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and no reference to it outlives `self`.
        // Unmapping what is mapped cannot fail.
        let _unmapped = unsafe { rustix::mm::munmap(self.page.as_ptr().cast(), PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::{Board, Finish, Running, Start};

    #[test]
    fn a_call_that_was_taken_back_cannot_start() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        pool.enter(3, 7);
        assert!(pool.revoke(3, 7));
        assert!(!worker.start(3, 7));
        assert_eq!(pool.progress(3, 7), Start::NotStarted);
    }

    #[test]
    fn a_call_that_has_started_cannot_be_taken_back() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        pool.enter(0, 9);
        assert!(worker.start(0, 9));
        worker.begin(0, 2, None);
        assert!(!pool.revoke(0, 9));
        assert_eq!(pool.progress(0, 9), Start::Begun(2));
    }

    #[test]
    fn an_element_is_finished_in_time_or_condemned_and_never_both() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        pool.enter(0, 9);
        assert_eq!(pool.running(0, 9), None, "it has not started");
        assert!(worker.start(0, 9));
        worker.begin(0, 1, Some(70));
        assert_eq!(pool.running(0, 9), Some(Running { element: 1, begun_ns: 70 }));
        assert_eq!(pool.running(0, 8), None, "that is another call");
        assert_eq!(worker.finish(0, 1), Finish::InTime);
        assert!(!pool.expire(0, 1) && !pool.condemn(0, 1), "it is finished");
        worker.begin(0, 2, Some(80));
        assert!(pool.expire(0, 2) && worker.is_unwanted(0) && !worker.is_cancelled(0));
        assert_eq!(worker.finish(0, 2), Finish::Late);
        assert!(!pool.condemn(0, 2), "it is finished");
        worker.begin(0, 3, Some(90));
        assert!(pool.condemn(0, 3));
        assert_eq!(worker.finish(0, 3), Finish::Condemned);
        worker.begin(0, 4, None);
        assert!(!pool.condemn(0, 4), "nobody watches it");
    }

    #[test]
    fn a_slot_that_was_given_to_another_call_does_not_start_the_old_one() {
        let (pool, memory) = Board::create().expect("there is memory");
        let worker = Board::attach(&memory).expect("it is a board");
        pool.enter(0, 1);
        assert!(pool.revoke(0, 1));
        pool.enter(0, 2);
        assert!(!worker.start(0, 1));
        assert!(worker.start(0, 2));
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
