//! Pipes: what frames go over. The parent's ends do not block, the worker's do.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{fcntl_dupfd_cloexec, ioctl_fionbio, retry_on_intr};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Room asked for in a pipe; the kernel may grant less, which costs speed and nothing else.
const CAPACITY: usize = 256 * 1024;
/// Room made in the read buffer before each read.
const READ_ROOM: usize = 16 * 1024;

/// A pipe: its read end and its write end, both closed on exec.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    // Best effort: the soft limit of pipe pages a user may refuse it.
    let _granted = fcntl_setpipe_size(&write, CAPACITY);
    Ok((lift(read)?, lift(write)?))
}

/// Moves a descriptor off 0, 1 and 2, which a host may have closed and a child would overwrite.
pub(crate) fn lift(fd: OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd as _;
    if fd.as_raw_fd() > 2 { Ok(fd) } else { Ok(fcntl_dupfd_cloexec(&fd, 3)?) }
}

/// Makes reads and writes return at once instead of waiting.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    Ok(ioctl_fionbio(fd, true)?)
}

/// Reads once, appending to `buffer`; 0 is the end of the stream.
pub(crate) fn read_into(fd: impl AsFd, buffer: &mut BytesMut) -> io::Result<usize> {
    if buffer.capacity() - buffer.len() < READ_ROOM / 4 {
        buffer.reserve(READ_ROOM);
    }
    let read = loop {
        match rustix::io::read(&fd, buffer.spare_capacity_mut()) {
            Ok((filled, _)) => break filled.len(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    // SAFETY: the kernel has just filled `read` bytes of the spare capacity behind the buffer's length.
    unsafe { buffer.set_len(buffer.len() + read) };
    Ok(read)
}

/// Bytes in a pipe that were not read yet; either end will do.
pub(crate) fn unread(fd: impl AsFd) -> u64 {
    rustix::io::ioctl_fionread(fd).unwrap_or(0)
}

/// Waits until reading returns something, at most for `limit_ns` nanoseconds; false when the time is over.
pub(crate) fn wait_readable(fd: impl AsFd, limit_ns: Option<i64>) -> io::Result<bool> {
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    let limit = limit_ns.map(|ns| Timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 });
    Ok(retry_on_intr(|| rustix::event::poll(&mut polled, limit.as_ref()))? > 0)
}

/// Writes once what fits.
pub(crate) fn write_some(fd: impl AsFd, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::writev(&fd, parts))?)
}

/// Writes everything, blocking.
pub(crate) fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(&fd, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
