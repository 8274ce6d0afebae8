//! Words of memory that processes share, and the doorbell beside them, by which one that has changed a word wakes those that
//! wait for it.
//!
//! ```text
//! 0    rings     how often it was rung; whoever blocks a thread waits here (futex)
//! 4    kind      what the words are of
//! 64   words
//! ```
//!
//! 1. Whoever waits notes the number of rings, then looks, and then waits for another number: no ring after the look is missed.
//! 2. A ring takes nothing from anybody: the eventfd is never read, and each write to it is an event of its own for everyone
//!    who watches. So nobody that dies in its sleep takes a wake-up along.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures::future::poll_fn;
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;
use tokio::io::unix::AsyncFd;

use super::fork::{Rooted, forked, notice_forks};
use crate::os::{Quick, background};

const HEAD: usize = 64;

/// For how long a future blocks its thread where nothing can wake it.
const MOMENT: Duration = Duration::from_millis(10);

/// A word that processes share.
pub(crate) type Word = AtomicU64;

#[repr(C, align(64))]
struct Head {
    rings: AtomicU32,
    kind: AtomicU32,
}

type Watched = Rooted<AsyncFd<Arc<OwnedFd>>>;

/// So many words, mapped.
pub(crate) struct Shared {
    head: NonNull<Head>,
    words: usize,
    memory: Arc<OwnedFd>,
    doorbell: Arc<OwnedFd>,
    watched: OnceLock<Option<Watched>>,
    quick: Quick,
}

// SAFETY: the memory is made of atomics, and the mapping belongs to this value until it is dropped.
unsafe impl Send for Shared {}
// SAFETY: as above; shared access goes through atomics only.
unsafe impl Sync for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("words", &self.words).finish_non_exhaustive()
    }
}

fn bytes(words: usize) -> usize {
    HEAD + words * size_of::<AtomicU64>()
}

impl Shared {
    /// New words, all of them 0. Their size is sealed and their memory reserved, so that no later access can fail.
    pub(crate) fn create(kind: u32, words: usize) -> io::Result<Self> {
        let size = bytes(words) as u64;
        let memory =
            rustix::fs::memfd_create("multiprocess", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let memory = super::pipe::lift(memory)?;
        rustix::fs::ftruncate(&memory, size)?;
        rustix::fs::fallocate(&memory, FallocateFlags::empty(), 0, size)?;
        rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let doorbell = super::pipe::lift(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)?;
        let shared = Self::map(words, Arc::new(memory), Arc::new(doorbell))?;
        shared.head().kind.store(kind, Ordering::Release);
        Ok(shared)
    }

    /// Attaches to the words behind these descriptors, which must be so many and of this kind.
    pub(crate) fn attach(kind: u32, words: usize, [memory, doorbell]: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        let wrong = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        let size = rustix::fs::fstat(&memory)?.st_size;
        let sealed = rustix::fs::fcntl_get_seals(&memory)?.contains(SealFlags::SHRINK);
        if usize::try_from(size).ok() != Some(bytes(words)) || !sealed {
            return wrong("the shared memory has a wrong size or no seal");
        }
        let shared = Self::map(words, memory, doorbell)?;
        let same = shared.head().kind.load(Ordering::Acquire) == kind;
        if same { Ok(shared) } else { wrong("the shared memory is of another kind") }
    }

    fn map(words: usize, memory: Arc<OwnedFd>, doorbell: Arc<OwnedFd>) -> io::Result<Self> {
        notice_forks()?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let (anywhere, length) = (std::ptr::null_mut(), bytes(words));
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let head = unsafe { rustix::mm::mmap(anywhere, length, access, MapFlags::SHARED, &memory, 0) }?;
        let head = NonNull::new(head.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { head, words, memory, doorbell, watched: OnceLock::new(), quick: Quick::default() })
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping begins with it and lives as long as `self`; any bit pattern is valid for its atomics.
        unsafe { self.head.as_ref() }
    }

    /// One of the words.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> &Word {
        assert!(index < self.words, "there is no such word");
        // SAFETY: it was just checked that the word lies within the mapping, behind the head, whose size keeps it aligned.
        let word = unsafe { self.head.cast::<u8>().add(bytes(index)) };
        // SAFETY: as above; any bit pattern is valid, and shared memory changes under no other kind of reference.
        unsafe { word.cast().as_ref() }
    }

    /// The descriptors by which another process attaches.
    pub(crate) fn descriptors(&self) -> [Arc<OwnedFd>; 2] {
        [Arc::clone(&self.memory), Arc::clone(&self.doorbell)]
    }

    /// Whether those that wait here for something wait for long.
    pub(crate) fn quick(&self) -> &Quick {
        &self.quick
    }

    /// True if both are of the same memory.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let file = |shared: &Self| {
            let stat = rustix::fs::fstat(&shared.memory).ok()?;
            Some((stat.st_dev, stat.st_ino))
        };
        // The number of a file is its own for as long as it is open, as both are.
        self.head == other.head || file(self).is_some_and(|its| Some(its) == file(other))
    }

    /// How often it was rung.
    pub(crate) fn rings(&self) -> u32 {
        self.head().rings.load(Ordering::Acquire)
    }

    /// Wakes so many of those that block a thread, and, if asked for, all that listen.
    pub(crate) fn ring(&self, parked: u32, listening: bool) {
        self.head().rings.fetch_add(1, Ordering::AcqRel);
        if parked > 0 {
            // The kernel takes it for a signed number, and wakes one where it is negative.
            let parked = parked.min(i32::MAX.unsigned_abs());
            // The address is that of our own mapping, so that nothing can go wrong.
            let _woken = futex::wake(&self.head().rings, futex::Flags::empty(), parked);
        }
        if listening {
            // Its count overflows after more rings than anybody can make.
            let _rung = rustix::io::write(&self.doorbell, &1_u64.to_ne_bytes());
        }
    }

    /// Blocks until it has been rung more often than so, at most for so long. True if it has.
    pub(crate) fn park(&self, rings: u32, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).ok();
        match futex::wait(&self.head().rings, futex::Flags::empty(), rings, limit.as_ref()) {
            Err(Errno::TIMEDOUT) => false,
            // A signal is a reason to look too.
            Ok(()) | Err(_) => true,
        }
    }

    /// Waits until it has been rung more often than so. Cancel safe: nothing is taken from anybody.
    pub(crate) async fn listen(&self, rings: u32) {
        // A forked child has none of the crate's threads.
        let watched = if forked() { None } else { self.watched.get_or_init(|| self.watch().ok()).as_ref() };
        let Some(watched) = watched else {
            // Nobody wakes us here, and nobody waits for the clock: whoever polls us blocks for a moment.
            self.park(rings, MOMENT);
            return;
        };
        let mut readable = pin!(watched.readable());
        // First it stands where events wake it, and then it looks: the event of a ring may have been cleared by another that listens here.
        poll_fn(|cx| match readable.as_mut().poll(cx) {
            Poll::Ready(guard) => {
                if let Ok(mut guard) = guard {
                    guard.clear_ready();
                }
                Poll::Ready(())
            }
            Poll::Pending if self.rings() != rings => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        })
        .await;
    }

    fn watch(&self) -> io::Result<Watched> {
        let _inside = background()?.enter();
        Ok(Rooted::new(super::child::watch(Arc::clone(&self.doorbell))?))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and no reference to it outlives `self`.
        // Unmapping what is mapped cannot fail.
        let _unmapped = unsafe { rustix::mm::munmap(self.head.as_ptr().cast(), bytes(self.words)) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::Shared;

    #[test]
    fn whoever_attaches_has_the_same_words_and_hears_the_same_rings() {
        let one = Shared::create(7, 3).expect("there is memory");
        let other = Shared::attach(7, 3, one.descriptors()).expect("it is the same");
        other.word(2).store(5, Ordering::Release);
        assert_eq!((one.word(1).load(Ordering::Acquire), one.word(2).load(Ordering::Acquire)), (0, 5));
        let rings = one.rings();
        assert!(!one.park(rings, Duration::ZERO));
        other.ring(1, false);
        assert!(one.park(rings, Duration::MAX));
    }

    #[test]
    fn what_is_of_another_kind_or_size_is_refused() {
        let shared = Shared::create(7, 3).expect("there is memory");
        assert!(Shared::attach(8, 3, shared.descriptors()).is_err());
        assert!(Shared::attach(7, 4, shared.descriptors()).is_err());
        let [_, doorbell] = shared.descriptors();
        assert!(Shared::attach(7, 3, [std::sync::Arc::clone(&doorbell), doorbell]).is_err());
    }

    /// True once each of these threads of this process sleeps in the kernel.
    fn all_sleep(threads: &[i32]) -> bool {
        let sleeps = |thread: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
            stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S")))
        };
        threads.iter().all(sleeps)
    }

    // fault 89
    #[test]
    fn a_ring_for_all_wakes_each_thread_that_is_parked() {
        let shared = Shared::create(7, 1).expect("there is memory");
        let (tell, told) = std::sync::mpsc::channel();
        let rings = shared.rings();
        std::thread::scope(|scope| {
            for tell in [tell.clone(), tell.clone(), tell] {
                let shared = &shared;
                scope.spawn(move || {
                    let id = rustix::thread::gettid().as_raw_nonzero().get();
                    tell.send(id).expect("the test listens");
                    assert!(shared.park(rings, Duration::from_hours(1)));
                });
            }
            let threads: Vec<_> = told.iter().take(3).collect();
            while !all_sleep(&threads) {
                std::thread::yield_now();
            }
            // Once: whoever it does not reach sleeps on.
            shared.ring(u32::MAX, false);
        });
    }

    // fault 89
    #[test]
    fn each_ring_reaches_each_that_listens_although_nobody_takes_it() {
        let shared = Shared::create(7, 1).expect("there is memory");
        let others = Shared::attach(7, 1, shared.descriptors()).expect("it is the same");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        for _ in 0..100 {
            let (here, there) = (shared.rings(), others.rings());
            let both = async { tokio::join!(shared.listen(here), shared.listen(here), others.listen(there)) };
            let rings = std::thread::scope(|scope| {
                scope.spawn(|| others.ring(0, true));
                runtime.block_on(both)
            });
            assert_eq!(rings, ((), (), ()));
        }
    }
}
