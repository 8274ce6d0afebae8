//! Memory that nobody can write to any more, mapped: references to it are as good as to memory of one's own.
//!
//! ```text
//! 0    content    what the bytes are
//! 8    number     by chance, so that no other memory has the same
//! 64   the bytes
//! ```

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::SealFlags;
use rustix::mm::{MapFlags, ProtFlags};

use super::mapping::{Content, STRICTEST};
use super::random::random;
use super::sealed::{has_all, sealed_parts};

const HEAD: usize = STRICTEST;

/// What tells one such memory from all others that are there: where the kernel keeps it, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    file: (u64, u64),
    number: [u8; 16],
}

/// One mapping of such memory.
#[derive(Debug)]
pub(crate) struct SealedMap {
    start: NonNull<u8>,
    size: usize,
    memory: Arc<OwnedFd>,
    identity: Identity,
}

// SAFETY: nobody can write to the memory, and the mapping belongs to this value until it is dropped.
unsafe impl Send for SealedMap {}
// SAFETY: as above.
unsafe impl Sync for SealedMap {}

impl SealedMap {
    /// New memory with these bytes in it.
    pub(crate) fn new(content: Content, bytes: &[u8]) -> io::Result<Self> {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&content.kind.to_ne_bytes());
        head[4..8].copy_from_slice(&content.element.to_ne_bytes());
        head[8..24].copy_from_slice(&random()?);
        let memory = super::pipe::lift(sealed_parts([&head, bytes])?)?;
        Self::attach(content, Arc::new(memory))
    }

    /// The memory behind a descriptor, which must be sealed and be such content.
    pub(crate) fn attach(content: Content, memory: Arc<OwnedFd>) -> io::Result<Self> {
        let (size, file) = checked(&memory)?;
        let (anywhere, access) = (std::ptr::null_mut(), ProtFlags::READ);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { rustix::mm::mmap(anywhere, size, access, MapFlags::PRIVATE, &memory, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut map = Self { start, size, memory, identity: Identity { file, number: [0; 16] } };
        let head: [u8; HEAD] = *map.all().first_chunk().expect("it is as long");
        map.identity.number.copy_from_slice(&head[8..24]);
        let is_same = head[..4] == content.kind.to_ne_bytes() && head[4..8] == content.element.to_ne_bytes();
        if is_same { Ok(map) } else { Err(wrong("the shared memory is of something else")) }
    }

    fn all(&self) -> &[u8] {
        // SAFETY: so many bytes are mapped for as long as `self` lives. The seals keep everybody from writing to them and from cutting them off, and holes there are none.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }

    /// The bytes, aligned to 64.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.all()[HEAD..]
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The descriptor by which another process attaches.
    pub(crate) fn memory(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.memory)
    }
}

impl Drop for SealedMap {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `attach` with this size, and no reference to it outlives `self`.
        // Unmapping what is mapped cannot fail.
        let _unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// The size of the memory and its place in the kernel, if it stays as it is.
fn checked(memory: impl AsFd) -> io::Result<(usize, (u64, u64))> {
    let seals = rustix::fs::fcntl_get_seals(&memory)?;
    if !seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW) {
        return Err(wrong("the shared memory is not sealed"));
    }
    let stat = rustix::fs::fstat(&memory)?;
    let size = usize::try_from(stat.st_size).ok().filter(|size| isize::try_from(*size).is_ok());
    match size.filter(|size| *size >= HEAD && has_all(&stat)) {
        Some(size) => Ok((size, (stat.st_dev, stat.st_ino))),
        None => Err(wrong("the shared memory has a wrong size")),
    }
}

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Content, SealedMap};
    use crate::os::sealed;

    const CONTENT: Content = Content { kind: 7, element: 1 };

    // fault 86
    #[test]
    fn what_was_put_there_stays_and_is_the_same_wherever_it_is_mapped() {
        let map = SealedMap::new(CONTENT, &[1, 2, 3]).expect("there is memory");
        let again = SealedMap::attach(CONTENT, map.memory()).expect("it is the same");
        assert_eq!((again.bytes(), again.identity()), (&[1, 2, 3][..], map.identity()));
        assert!(rustix::io::pwrite(map.memory(), &[9], 64).is_err());
        assert!(rustix::fs::ftruncate(map.memory(), 64).is_err());
        let other = SealedMap::new(CONTENT, &[1, 2, 3]).expect("there is memory");
        assert_ne!(map.identity(), other.identity());
    }

    // fault 86, fault 90
    #[test]
    fn what_is_not_sealed_too_short_or_of_something_else_is_refused() {
        let map = SealedMap::new(CONTENT, &[]).expect("there is memory");
        assert!(SealedMap::attach(Content { kind: 8, ..CONTENT }, map.memory()).is_err());
        assert!(SealedMap::attach(Content { element: 2, ..CONTENT }, map.memory()).is_err());
        let short = sealed(&[0; 63]).expect("there is memory");
        assert!(SealedMap::attach(CONTENT, Arc::new(short)).is_err());
        let open =
            rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::ALLOW_SEALING).expect("there is memory");
        rustix::io::pwrite(&open, &[0; 100], 0).expect("it has no seals");
        assert!(SealedMap::attach(CONTENT, Arc::new(open)).is_err());
    }
}
