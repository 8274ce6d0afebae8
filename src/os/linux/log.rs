//! A file of words in memory, far longer than the memory there is: what is written is allocated piece by piece, and what was read is given
//! back. It has no path, and its length is sealed, so that no place within it can go away.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags};

use super::shared::Word;

const WORD: u64 = size_of::<Word>() as u64;
/// Mappings begin at a page.
const PAGE: u64 = 4096 / WORD;

/// So many words, of which few are there at a time.
#[derive(Debug)]
pub(crate) struct Log {
    memory: Arc<OwnedFd>,
}

impl Log {
    /// The words of a log.
    pub(crate) const WORDS: u64 = 1 << 36;

    /// A new one, of which nothing is allocated.
    pub(crate) fn create() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = super::pipe::lift(rustix::fs::memfd_create("multiprocess queue", flags)?)?;
        rustix::fs::ftruncate(&memory, Self::WORDS * WORD)?;
        rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self { memory: Arc::new(memory) })
    }

    /// Attaches to the one behind this descriptor.
    pub(crate) fn attach(memory: Arc<OwnedFd>) -> io::Result<Self> {
        let size = u64::try_from(rustix::fs::fstat(&memory)?.st_size);
        let sealed = rustix::fs::fcntl_get_seals(&memory)?.contains(SealFlags::SHRINK);
        if sealed && size == Ok(Self::WORDS * WORD) {
            Ok(Self { memory })
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the memory has a wrong size or no seal"))
        }
    }

    /// The descriptor by which another process attaches.
    pub(crate) fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.memory)
    }

    /// Has memory for these words; those that have some keep what is in it.
    pub(crate) fn allocate(&self, from: u64, words: u64) -> io::Result<()> {
        self.change(FallocateFlags::empty(), from, words)
    }

    /// Gives the memory of these words back.
    pub(crate) fn give_back(&self, from: u64, words: u64) -> io::Result<()> {
        self.change(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, words)
    }

    fn change(&self, how: FallocateFlags, from: u64, words: u64) -> io::Result<()> {
        match retry_on_intr(|| fallocate(&self.memory, how, from * WORD, words * WORD)) {
            Err(Errno::INVAL) if words == 0 => Ok(()),
            changed => Ok(changed?),
        }
    }

    /// Maps these words, which lie within the log. What is to be written must have been allocated.
    pub(crate) fn map(&self, from: u64, words: u64) -> io::Result<Mapped> {
        let begin = from - from % PAGE;
        let end = from.checked_add(words).filter(|end| words > 0 && *end <= Self::WORDS);
        let end = end.ok_or(io::ErrorKind::InvalidInput)?;
        let [first, words, length] = [from - begin, words, (end - begin) * WORD].map(in_memory);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let (anywhere, offset) = (std::ptr::null_mut(), begin * WORD);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base =
            unsafe { rustix::mm::mmap(anywhere, length, access, MapFlags::SHARED, &self.memory, offset) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapped { base, length, first, words })
    }
}

fn in_memory(number: u64) -> usize {
    usize::try_from(number).expect("there is no system but of 64 bits")
}

/// Words of a log, mapped.
#[derive(Debug)]
pub(crate) struct Mapped {
    base: NonNull<Word>,
    length: usize,
    first: usize,
    words: usize,
}

// SAFETY: the memory is made of atomics, and the mapping belongs to this value until it is dropped.
unsafe impl Send for Mapped {}
// SAFETY: as above; shared access goes through atomics only.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// The words. Other processes may change each at any time.
    #[inline]
    pub(crate) fn words(&self) -> &[Word] {
        // SAFETY: the first word stands in the first page of the mapping.
        let first = unsafe { self.base.as_ptr().add(self.first) };
        // SAFETY: `map` has mapped so many words behind the first one; the mapping lives as long as `self` and lies within a file that cannot shrink, and
        // any bit pattern is valid for its atomics.
        unsafe { std::slice::from_raw_parts(first, self.words) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and no reference to it outlives `self`.
        // Unmapping what is mapped cannot fail.
        let _unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Log, PAGE, in_memory};

    #[test]
    fn whoever_attaches_sees_the_same_words_wherever_they_are() {
        let one = Log::create().expect("there is memory");
        let other = Log::attach(one.descriptor()).expect("it is the same");
        for place in [0, 5, PAGE - 1, Log::WORDS - 3] {
            one.allocate(place, 3).expect("there is memory");
            one.map(place, 3).expect("it can be mapped").words()[2].store(place + 7, Ordering::Release);
            let seen = other.map(place, 3).expect("it can be mapped").words()[2].load(Ordering::Acquire);
            assert_eq!(seen, place + 7);
        }
    }

    #[test]
    fn what_is_given_back_is_empty_again() {
        let log = Log::create().expect("there is memory");
        log.allocate(0, 4 * PAGE).expect("there is memory");
        let mapped = log.map(0, 4 * PAGE).expect("it can be mapped");
        mapped.words()[0].store(1, Ordering::Release);
        mapped.words()[in_memory(PAGE)].store(2, Ordering::Release);
        log.give_back(0, PAGE).expect("it is there");
        let blocks = rustix::fs::fstat(&log.memory).expect("it is open").st_blocks;
        assert_eq!(blocks, 3 * 8, "in units of 512 bytes");
        assert_eq!(mapped.words()[0].load(Ordering::Acquire), 0);
        assert_eq!(mapped.words()[in_memory(PAGE)].load(Ordering::Acquire), 2);
    }

    #[test]
    fn what_lies_outside_or_is_no_log_is_refused() {
        let log = Log::create().expect("there is memory");
        for (from, words) in [(Log::WORDS, 1), (Log::WORDS - 1, 2), (0, 0), (u64::MAX, 2), (1, u64::MAX)] {
            assert!(log.map(from, words).is_err());
        }
        let other = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::ALLOW_SEALING);
        let other = std::sync::Arc::new(other.expect("there is memory"));
        assert!(Log::attach(std::sync::Arc::clone(&other)).is_err());
        rustix::fs::ftruncate(&other, Log::WORDS * 8).expect("it has no seals");
        assert!(Log::attach(other).is_err());
    }
}
