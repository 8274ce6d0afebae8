//! Reading from the pipe of a worker's stderr, writing to our own, and the last moment to do so.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, retry_on_intr};

/// Reads once what is there; 0 is the end of the stream.
pub(crate) fn read_now(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::read(&fd, &mut *buffer))?)
}

/// Writes everything to our stderr, waiting for it. Where there is none, the bytes are dropped.
pub(crate) fn write_to_stderr(mut bytes: &[u8]) {
    let stderr = rustix::stdio::stderr();
    while !bytes.is_empty() {
        match rustix::io::write(stderr, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _writable = rustix::event::poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None);
            }
            Err(_) => return,
        }
    }
}

/// Has a function run when the program exits.
pub(crate) fn run_at_exit(function: extern "C" fn()) {
    // SAFETY: the function takes nothing, lives for ever and does not unwind.
    unsafe { libc::atexit(function) };
}
