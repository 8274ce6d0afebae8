//! Memory that carries one large message: filled once, then sealed, so that it is never again written to or cut.
//!
//! It is read as a file is, and never mapped: whatever its maker has done to it, reading is an error at worst, and no SIGBUS.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, Stat};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use super::space::check_space;

/// What a message stands on from then on.
fn seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

/// How long the kernel may be busy with the pages of memory that is to be sealed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the kernel counts blocks of a file in.
pub(super) const BLOCK: u64 = 512;

/// New memory with these bytes in it.
pub(crate) fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    sealed_parts([bytes, &[]])
}

/// New memory with the bytes of both parts in it.
pub(super) fn sealed_parts(parts: [&[u8]; 2]) -> io::Result<OwnedFd> {
    check_space(parts.iter().map(|part| part.len() as u64).sum())?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("multiprocess message", flags)?;
    let mut place = 0;
    for part in parts {
        write_at(&memory, part, place)?;
        place += part.len() as u64;
    }
    patiently(|| rustix::fs::fcntl_add_seals(&memory, seals()))?;
    Ok(memory)
}

/// Tries to seal something until the kernel is done with it: it refuses as long as it looks at one of the pages for purposes of its own (it moves pages, and
/// counts which are used), and itself waits for some 75 ms only.
fn patiently(mut attempt: impl FnMut() -> rustix::io::Result<()>) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(Errno::BUSY) if Instant::now() < end => std::thread::yield_now(),
            sealed => return Ok(sealed?),
        }
    }
}

fn write_at(memory: &OwnedFd, mut bytes: &[u8], mut place: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match retry_on_intr(|| pwrite(memory, bytes, place))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                place += written as u64;
            }
        }
    }
    Ok(())
}

/// True if this is sealed memory of just so many bytes, and the kernel has them all: a hole of a gigabyte costs its maker nothing, and is not worth a
/// gigabyte of ours.
pub(crate) fn is_sealed(memory: impl AsFd, length: u64) -> io::Result<bool> {
    let are_sealed = rustix::fs::fcntl_get_seals(&memory)?.contains(SealFlags::WRITE | SealFlags::SHRINK);
    let stat = rustix::fs::fstat(memory)?;
    Ok(are_sealed && u64::try_from(stat.st_size) == Ok(length) && has_all(&stat))
}

/// True if the kernel has all bytes of a file, and no hole is among them.
pub(super) fn has_all(stat: &Stat) -> bool {
    let (size, blocks) = (u64::try_from(stat.st_size), u64::try_from(stat.st_blocks));
    size.is_ok_and(|size| blocks.is_ok_and(|blocks| blocks.saturating_mul(BLOCK) >= size))
}

/// Reads the bytes at the front of the memory, as many as there is room for.
pub(crate) fn read_sealed(memory: impl AsFd, room: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < room.len() {
        match retry_on_intr(|| pread(&memory, &mut room[done..], done as u64))? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{is_sealed, patiently, read_sealed, sealed};

    #[test]
    fn a_kernel_that_is_busy_with_the_memory_is_waited_for() {
        let mut answers = [Err(Errno::BUSY), Err(Errno::BUSY), Ok(())].into_iter();
        patiently(|| answers.next().expect("it has succeeded")).expect("the third time");
        assert!(answers.next().is_none());
        let refused = patiently(|| Err(Errno::PERM)).expect_err("it is not busy");
        assert_eq!(refused.raw_os_error(), Some(Errno::PERM.raw_os_error()));
    }

    #[test]
    fn sealed_memory_gives_what_was_put_there() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let memory = sealed(&bytes).expect("there is memory left");
        assert!(is_sealed(&memory, 100_000).expect("it is memory"));
        let mut back = vec![0; 100_000];
        read_sealed(&memory, &mut back).expect("it is all there");
        assert_eq!(back, bytes);
    }

    #[test]
    fn sealed_memory_can_be_neither_written_nor_cut() {
        let memory = sealed(&[1; 10]).expect("there is memory left");
        assert!(rustix::io::pwrite(&memory, &[2], 0).is_err());
        assert!(rustix::fs::ftruncate(&memory, 5).is_err());
        assert!(rustix::fs::ftruncate(&memory, 20).is_err());
    }

    #[test]
    fn memory_of_another_length_without_seals_or_without_substance_is_none() {
        let memory = sealed(&[1; 10]).expect("there is memory left");
        assert!(!is_sealed(&memory, 11).expect("it is memory"));

        let flags = rustix::fs::MemfdFlags::ALLOW_SEALING;
        let hollow = rustix::fs::memfd_create("test", flags).expect("there is memory left");
        rustix::fs::ftruncate(&hollow, 1 << 20).expect("it has no seals yet");
        assert!(!is_sealed(&hollow, 1 << 20).expect("it is memory"));
        rustix::fs::fcntl_add_seals(&hollow, super::seals()).expect("it takes seals");
        assert!(!is_sealed(&hollow, 1 << 20).expect("it is memory"));
    }
}
