//! A store of blocks: who may have one, who has which, and when the memory of those that nobody needs is given back.
//!
//! 1. A block has one owner: its lease, then the call or the value that was made of it, then nobody.
//! 2. In a process that was forked off, nothing is lent and nothing is freed: the blocks are its parent's.
//! 3. Free blocks keep what was in use within the last second or two, so that their pages are there when they are needed again.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::block::{Block, Place};
use super::lease::Lease;
use crate::os::{self, Access, Arena, Board, Marks, RESULT_BLOCKS, Taken, background};

/// Blocks that the arguments of one pool may lie in at a time. What is beyond goes over the pipe.
const ARGUMENT_BLOCKS: usize = 512;
/// How long memory that is not in use is kept.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Memory is given back by pages.
const PAGE: u64 = 4096;

/// Blocks of memory that two processes share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) arena: Arena,
    /// Where blocks are lent or freed here; whoever only reads arguments does neither.
    marks: Option<Marks>,
    /// In the pool, which sees to it that memory is given back.
    tended: Option<Tended>,
    this: Weak<Store>,
}

/// What a pool keeps of a store.
#[derive(Debug)]
struct Tended {
    /// The longest part that each block had since it was last looked at.
    peaks: Box<[AtomicUsize]>,
    /// There is a timer.
    has_timer: AtomicBool,
    accepted: Mutex<Accepted>,
}

/// The results that a worker has sent and that were not taken yet.
#[derive(Debug, Default)]
struct Accepted {
    /// One bit for each block.
    blocks: u64,
    bytes: u64,
}

const _: () = assert!(RESULT_BLOCKS == 64, "each has a bit in `Accepted::blocks`");

impl Store {
    /// A pool's, for arguments.
    pub(crate) fn for_arguments() -> io::Result<Arc<Self>> {
        let arena = Arena::create(ARGUMENT_BLOCKS, Access::Write)?;
        Ok(Self::new(arena, Some(Marks::own(ARGUMENT_BLOCKS)), true))
    }

    /// A worker's, which reads the arguments in it.
    pub(crate) fn arguments_of(memory: OwnedFd) -> io::Result<Arc<Self>> {
        Ok(Self::new(Arena::attach(memory, ARGUMENT_BLOCKS, Access::Read)?, None, false))
    }

    /// A pool's, which reads the results of the worker with this board.
    pub(crate) fn for_results(board: Arc<Board>) -> io::Result<Arc<Self>> {
        let arena = Arena::create(RESULT_BLOCKS, Access::Read)?;
        Ok(Self::new(arena, Some(Marks::OnBoard(board)), true))
    }

    /// A worker's, for its results.
    pub(crate) fn results_of(memory: OwnedFd, board: Arc<Board>) -> io::Result<Arc<Self>> {
        let arena = Arena::attach(memory, RESULT_BLOCKS, Access::Write)?;
        Ok(Self::new(arena, Some(Marks::OnBoard(board)), false))
    }

    fn new(arena: Arena, marks: Option<Marks>, is_tended: bool) -> Arc<Self> {
        let tended = is_tended.then(|| Tended {
            peaks: (0..arena.blocks()).map(|_| AtomicUsize::new(0)).collect(),
            has_timer: AtomicBool::new(false),
            accepted: Mutex::default(),
        });
        Arc::new_cyclic(|this| Self { arena, marks, tended, this: Weak::clone(this) })
    }

    /// The descriptor by which the worker attaches that is to write its results.
    pub(crate) fn memory(&self) -> &OwnedFd {
        self.arena.memory()
    }

    /// The descriptor by which workers attach that are to read their arguments.
    pub(crate) fn readable(&self) -> io::Result<OwnedFd> {
        self.arena.readable()
    }

    /// How many bytes of it are mapped in this process.
    pub(crate) fn mapped(&self) -> u64 {
        self.arena.mapped()
    }

    /// A free block to write a part to, if there is one.
    pub(crate) fn lend(&self) -> Option<Lease> {
        if os::forked() {
            return None;
        }
        let taken = self.marks.as_ref()?.take()?;
        Some(Lease::new(self.this(), taken))
    }

    /// A pool's: the block that a worker has sent a result in.
    ///
    /// # Errors
    ///
    /// What no worker may do.
    pub(crate) fn accept(&self, place: Place, max: usize) -> Result<Block, String> {
        let block = place.number as usize;
        let length = usize::try_from(place.length).ok().filter(|length| (1..=max).contains(length));
        let (Some(length), true) = (length, block < self.arena.blocks()) else {
            return Err("it named a block that no result can be in".into());
        };
        let mut accepted = self.accepted();
        let bit = 1 << block;
        if accepted.blocks & bit != 0 {
            return Err("it named a block that has a result in it already".into());
        }
        // A hole costs its maker nothing, and is not worth memory of ours.
        let bytes = accepted.bytes + length as u64;
        if !self.arena.held().is_ok_and(|held| bytes <= held) {
            return Err("it named a block with more in it than it has memory for".into());
        }
        (accepted.blocks, accepted.bytes) = (accepted.blocks | bit, bytes);
        drop(accepted);
        Ok(Block::owned(self.this(), block, length))
    }

    /// A worker's: the block that an argument lies in.
    pub(crate) fn argument(&self, place: Place) -> Block {
        let length = usize::try_from(place.length).expect("there is no system but of 64 bits");
        Block::borrowed(self.this(), place.number as usize, length)
    }

    /// Notes how much of a block that was lent is reserved.
    pub(super) fn note(&self, taken: Taken) {
        if let Some(marks) = &self.marks {
            marks.note(taken);
        }
    }

    /// The owner of a block needs it no more.
    pub(super) fn free(&self, block: usize, length: usize) {
        let (false, Some(marks)) = (os::forked(), &self.marks) else { return };
        let Some(tended) = &self.tended else {
            // Nothing was sent in it, so that the pool knows nothing of it.
            let _as_far_as_it_goes = self.arena.give_back(block, 0);
            return marks.put_back(block, 0);
        };
        if let Marks::OnBoard(_) = marks {
            let mut accepted = self.accepted();
            accepted.blocks &= !(1 << block);
            accepted.bytes -= length as u64;
        }
        tended.peaks[block].fetch_max(length, Ordering::Relaxed);
        marks.release(block);
        self.set_timer(tended);
    }

    fn accepted(&self) -> MutexGuard<'_, Accepted> {
        let tended = self.tended.as_ref().expect("a pool tends its stores");
        tended.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn this(&self) -> Arc<Self> {
        self.this.upgrade().expect("whoever calls it holds it")
    }
}

impl Store {
    /// Has the free blocks looked at as long as there is memory in one.
    fn set_timer(&self, tended: &Tended) {
        if tended.has_timer.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(background) = background() else { return };
        let this = Weak::clone(&self.this);
        background.spawn(async move {
            loop {
                tokio::time::sleep_until(tokio::time::Instant::now() + KEPT_FOR).await;
                if !this.upgrade().is_some_and(|store| store.look_again()) {
                    return;
                }
            }
        });
    }

    /// Gives back what was not needed lately; true if there is to be another look.
    fn look_again(&self) -> bool {
        let (Some(tended), Some(marks)) = (&self.tended, &self.marks) else { return false };
        // First: a block that becomes free from now on has a timer of its own, unless this one goes on.
        tended.has_timer.store(false, Ordering::Release);
        let blocks = 0..self.arena.blocks();
        let kept: u64 = blocks.map(|block| self.shrink(block, &tended.peaks[block], marks)).sum();
        kept > 0 && !tended.has_timer.swap(true, Ordering::AcqRel)
    }

    /// Gives back what of a free block was not needed lately; how much it keeps.
    fn shrink(&self, block: usize, peak: &AtomicUsize, marks: &Marks) -> u64 {
        let Some(reserved) = marks.hold(block) else { return 0 };
        let needed = (peak.swap(0, Ordering::Relaxed) as u64).next_multiple_of(PAGE);
        let shrunk = needed < reserved && self.arena.give_back(block, needed).is_ok();
        let kept = if shrunk { needed } else { reserved };
        marks.put_back(block, kept);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    /// Both ends of a store for results.
    fn results() -> (Arc<Store>, Arc<Store>) {
        let (board, memory) = Board::create().expect("there is memory");
        let theirs = Arc::new(Board::attach(&memory).expect("it is a board"));
        let pool = Store::for_results(Arc::new(board)).expect("there is memory");
        let memory = pool.memory().try_clone().expect("there are descriptors left");
        (pool, Store::results_of(memory, theirs).expect("it is the same"))
    }

    fn sent(worker: &Store, bytes: &[u8]) -> Place {
        let mut lease = worker.lend().expect("there are blocks");
        lease.append(bytes).expect("there is memory");
        lease.finish().hand_over()
    }

    fn refused(pool: &Store, number: u32, length: u64) -> String {
        pool.accept(Place { number, length }, MAX).expect_err("no worker may do that")
    }

    // fault 90
    #[test]
    fn a_result_is_read_where_its_worker_has_put_it_and_the_block_is_free_then() {
        let (pool, worker) = results();
        for round in 0..1000 {
            let place = sent(&worker, &[7; 5000]);
            assert_eq!(place, Place { number: 0, length: 5000 }, "round {round}");
            let block = pool.accept(place, MAX).expect("it is right");
            assert_eq!(block.read::<u8>().expect("there is memory"), [7; 5000]);
        }
        let places = [sent(&worker, &[1]), sent(&worker, &[2])];
        assert_eq!(places.map(|place| place.number), [0, 1]);
    }

    // faults 24, 27
    #[test]
    fn a_block_that_a_worker_may_not_name_is_refused() {
        let (pool, worker) = results();
        let place = sent(&worker, &[7; 5000]);
        let refuse = |number, length| refused(&pool, number, length);
        assert!(refuse(64, 1).contains("no result can be in"));
        assert!(refuse(u32::MAX, 1).contains("no result can be in"));
        assert!(refuse(0, 0).contains("no result can be in"));
        assert!(refuse(0, MAX as u64 + 1).contains("no result can be in"));
        assert!(refuse(0, u64::MAX).contains("no result can be in"));
        let block = pool.accept(place, MAX).expect("it is right");
        assert!(refuse(0, 1).contains("already"));
        drop(block);
        pool.accept(place, MAX).expect("it is free again");
        assert!(pool.accept(Place { number: 5, length: MAX as u64 }, MAX).is_ok(), "there is so much");
    }

    // faults 24, 90
    #[test]
    fn a_worker_gets_no_memory_for_holes() {
        let (pool, worker) = results();
        let _reserved = sent(&worker, &[7; 5000]);
        let all = pool.accept(Place { number: 1, length: MAX as u64 }, MAX).expect("there is so much");
        assert!(refused(&pool, 2, 1).contains("more in it"));
        drop(all);
        assert!(pool.accept(Place { number: 2, length: 1 }, MAX).is_ok());
    }

    #[test]
    fn memory_is_kept_while_it_is_needed_and_given_back_then() {
        let (pool, worker) = results();
        let held = || pool.arena.held().expect("it is memory");
        let large = pool.accept(sent(&worker, &vec![7; 900_000]), MAX).expect("it is right");
        assert!(!pool.look_again(), "nothing is free");
        drop(large);
        assert!(pool.look_again() && held() >= 900_000, "it was needed");
        drop(pool.accept(sent(&worker, &[7; 5000]), MAX).expect("it is right"));
        assert!(pool.look_again());
        assert_eq!(held(), 8192, "no more was needed");
        assert!(!pool.look_again());
        assert_eq!(held(), 0);
        let again = pool.accept(sent(&worker, &vec![8; 900_000]), MAX).expect("it is right");
        assert_eq!(again.read::<u8>().expect("there is memory"), vec![8; 900_000]);
    }

    #[test]
    fn what_comes_to_nothing_leaves_nothing() {
        let (pool, worker) = results();
        let mut lease = worker.lend().expect("there are blocks");
        lease.append(&[1; 5000]).expect("there is memory");
        drop(lease);
        let mut lease = worker.lend().expect("there are blocks");
        lease.append(&[1; 5000]).expect("there is memory");
        drop(lease.finish());
        assert_eq!(pool.arena.held().expect("it is memory"), 0);
        assert_eq!(sent(&worker, &[1]).number, 0);
    }

    #[test]
    fn there_are_so_many_blocks_and_no_more() {
        let (pool, worker) = results();
        let places: Vec<_> = (0..RESULT_BLOCKS).map(|_| sent(&worker, &[1])).collect();
        assert!(worker.lend().is_none());
        drop(pool.accept(places[7], MAX).expect("it is right"));
        assert_eq!(sent(&worker, &[1]).number, 7);
    }
}
