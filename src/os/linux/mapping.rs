//! Memory that processes share, mapped: a head that says what it is, and as many bytes behind it as its maker has asked for.
//!
//! ```text
//! 0    content   what the bytes are
//! 4    element   the size of one of them
//! 8    claim     who has references to the bytes, where there may be any
//! 64   the bytes
//! ```
//!
//! 1. The kernel keeps the size, and nothing in the memory does: it is sealed, and the space is reserved when it is made. So no later access can fail.
//! 2. Whoever attaches believes nothing: seals, size and space are looked at, and what the head says is compared once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::{pread, pwrite, retry_on_intr};
use rustix::mm::{MapFlags, ProtFlags};

use super::fork::notice_forks;
use super::sealed::has_all;
use super::space::check_space;

/// The bytes begin here, so that they are aligned to so much.
pub(crate) const STRICTEST: usize = 64;
const HEAD: usize = STRICTEST;

/// What the bytes are: the kind of thing, and the size of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) kind: u32,
    pub(crate) element: u32,
}

#[repr(C, align(64))]
struct Head {
    kind: AtomicU32,
    element: AtomicU32,
    claim: AtomicU64,
}

/// One mapping of such memory.
pub(super) struct Mapping {
    head: NonNull<Head>,
    length: usize,
    memory: Arc<OwnedFd>,
}

// SAFETY: the mapping belongs to this value until it is dropped, and this value hands out nothing but atomics and addresses.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapping").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Mapping {
    /// New memory, all of it 0.
    pub(super) fn create(content: Content, length: usize) -> io::Result<Self> {
        let size = HEAD.checked_add(length).and_then(|size| i64::try_from(size).ok());
        let size = size.ok_or(io::ErrorKind::FileTooLarge)?.unsigned_abs();
        check_space(size)?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = super::pipe::lift(rustix::fs::memfd_create("multiprocess", flags)?)?;
        rustix::fs::ftruncate(&memory, size)?;
        retry_on_intr(|| rustix::fs::fallocate(&memory, FallocateFlags::empty(), 0, size))?;
        rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let mapping = Self::map(length, Arc::new(memory))?;
        mapping.head().kind.store(content.kind, Ordering::Relaxed);
        mapping.head().element.store(content.element, Ordering::Release);
        Ok(mapping)
    }

    /// The memory behind a descriptor, which must be sealed, have all of its space, and be such content.
    pub(super) fn attach(content: Content, memory: Arc<OwnedFd>) -> io::Result<Self> {
        let mapping = Self::map(length_of(&memory)?, memory)?;
        let head = mapping.head();
        let element = head.element.load(Ordering::Acquire);
        let is_same = Content { kind: head.kind.load(Ordering::Relaxed), element } == content;
        if is_same { Ok(mapping) } else { Err(wrong("the shared memory is of something else")) }
    }

    fn map(length: usize, memory: Arc<OwnedFd>) -> io::Result<Self> {
        notice_forks()?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let (anywhere, size) = (std::ptr::null_mut(), HEAD + length);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let head = unsafe { rustix::mm::mmap(anywhere, size, access, MapFlags::SHARED, &memory, 0) }?;
        let head = NonNull::new(head.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { head, length, memory })
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping begins with it and lives as long as `self`; any bit pattern is valid for its atomics.
        unsafe { self.head.as_ref() }
    }

    /// The word that says who has references to the bytes.
    pub(super) fn claim(&self) -> &AtomicU64 {
        &self.head().claim
    }

    /// The bytes, without the head.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn memory(&self) -> &Arc<OwnedFd> {
        &self.memory
    }

    /// Has the kernel copy bytes from there, so that this process has no reference to them.
    pub(super) fn read(&self, at: usize, mut room: &mut [u8]) -> io::Result<()> {
        let mut place = self.place::<u8>(at, room.len()).addr().get() - self.head.addr().get();
        while !room.is_empty() {
            let read = retry_on_intr(|| pread(&self.memory, &mut *room, place as u64))?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            place += read;
            room = &mut room[read..];
        }
        Ok(())
    }

    /// Has the kernel copy bytes to there.
    pub(super) fn write(&self, at: usize, mut bytes: &[u8]) -> io::Result<()> {
        let mut place = self.place::<u8>(at, bytes.len()).addr().get() - self.head.addr().get();
        while !bytes.is_empty() {
            let written = retry_on_intr(|| pwrite(&self.memory, bytes, place as u64))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            place += written;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Where so many `T` begin, so many bytes behind the head. They lie within the mapping and are aligned.
    ///
    /// # Panics
    ///
    /// If they do not.
    #[inline]
    pub(super) fn place<T>(&self, at: usize, count: usize) -> NonNull<T> {
        let end = count.checked_mul(size_of::<T>()).and_then(|size| size.checked_add(at));
        assert!(end.is_some_and(|end| end <= self.length), "it lies within the memory");
        assert!(align_of::<T>() <= STRICTEST && at.is_multiple_of(align_of::<T>()), "it is aligned");
        // SAFETY: it was just checked that this lies within the mapping.
        unsafe { self.head.cast::<u8>().add(HEAD + at) }.cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this length, and nothing that was handed out outlives `self`.
        // Unmapping what is mapped cannot fail.
        let _unmapped = unsafe { rustix::mm::munmap(self.head.as_ptr().cast(), HEAD + self.length) };
    }
}

/// How many bytes there are behind the head, if the kernel keeps it so.
fn length_of(memory: impl AsFd) -> io::Result<usize> {
    let seals = rustix::fs::fcntl_get_seals(&memory)?;
    if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
        return Err(wrong("the size of the shared memory is not sealed"));
    }
    let stat = rustix::fs::fstat(&memory)?;
    let size = usize::try_from(stat.st_size).ok().filter(|size| isize::try_from(*size).is_ok());
    let length = size.and_then(|size| size.checked_sub(HEAD));
    if !has_all(&stat) {
        return Err(wrong("the space of the shared memory is not reserved"));
    }
    length.ok_or_else(|| wrong("the shared memory has a wrong size"))
}

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustix::fs::{MemfdFlags, SealFlags};

    use super::{Content, HEAD, Mapping};

    const CONTENT: Content = Content { kind: 7, element: 4 };

    // fault 86, C129
    #[test]
    fn its_size_is_sealed_and_its_space_is_reserved() {
        let mapping = Mapping::create(CONTENT, 10_000).expect("there is memory");
        let memory = mapping.memory();
        assert_eq!(rustix::fs::ftruncate(memory, 0), Err(rustix::io::Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(memory, 1 << 20), Err(rustix::io::Errno::PERM));
        let stat = rustix::fs::fstat(memory).expect("it is memory");
        assert!(stat.st_blocks * 512 >= 10_000 && stat.st_size == 10_064);
    }

    // fault 86, fault 90
    #[test]
    fn what_is_of_something_else_without_seals_or_without_substance_is_refused() {
        let mapping = Mapping::create(CONTENT, 100).expect("there is memory");
        let attach = |content| Mapping::attach(content, Arc::clone(mapping.memory()));
        assert!(attach(CONTENT).is_ok_and(|again| again.len() == 100));
        assert!(attach(Content { kind: 8, ..CONTENT }).is_err());
        assert!(attach(Content { element: 8, ..CONTENT }).is_err());
        let hollow = |size: usize, seals| {
            let memory =
                rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).expect("there is memory");
            rustix::fs::ftruncate(&memory, size as u64).expect("it has no seals yet");
            rustix::fs::fcntl_add_seals(&memory, seals).expect("it takes seals");
            Mapping::attach(CONTENT, Arc::new(memory)).map(drop).expect_err("it is refused").to_string()
        };
        assert!(hollow(HEAD, SealFlags::empty()).contains("not sealed"));
        assert!(hollow(HEAD, SealFlags::SHRINK).contains("not sealed"));
        assert!(hollow(1 << 30, SealFlags::SHRINK | SealFlags::GROW).contains("not reserved"));
        assert!(hollow(0, SealFlags::SHRINK | SealFlags::GROW).contains("wrong size"));
        let pipe = std::io::pipe().expect("there are descriptors left").0;
        assert!(Mapping::attach(CONTENT, Arc::new(pipe.into())).is_err());
    }

    // C129, fault 70
    #[test]
    fn what_no_memory_can_hold_is_an_error_at_creation() {
        for length in [1 << 46, usize::MAX / 2, usize::MAX] {
            assert!(Mapping::create(CONTENT, length).is_err(), "{length}");
        }
    }
}
