//! Descriptors on their way to another process: one message for each value that has some, which says how many.
//!
//! The receiver knows from elsewhere how many messages there are and what each of them says. If the kernel cannot give it all of
//! the descriptors of one, those of the next are still where they should be.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::control::{receive_now, send, send_waiting};

/// Sends the descriptors of one value; `WouldBlock` if there is no room.
pub(crate) fn pass(socket: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    send(socket, &[count(descriptors.len())], descriptors)
}

/// As `pass`, but waits for room.
pub(crate) fn pass_waiting(socket: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_waiting(socket, &[count(descriptors.len())], descriptors)
}

/// Says that the descriptors of one value cannot be sent; `WouldBlock` if there is no room.
pub(crate) fn pass_none(socket: impl AsFd, instead_of: usize) -> io::Result<()> {
    send(socket, &[count(instead_of)], &[])
}

fn count(descriptors: usize) -> u8 {
    u8::try_from(descriptors).expect("a value has at most MOST_HANDLES")
}

/// Takes the descriptors of one value, which were sent before; fewer if this process has no room for more, or they could not be sent.
///
/// # Errors
///
/// `WouldBlock` if there is no message, `InvalidData` if it is about another number.
pub(crate) fn take_passed(socket: impl AsFd, count: u8) -> io::Result<Vec<OwnedFd>> {
    let mut word = [0; 2];
    let (length, descriptors) = receive_now(socket, &mut word)?;
    if (length, word[0]) == (1, count) && descriptors.len() <= usize::from(count) {
        Ok(descriptors)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the descriptors are not those that were announced"))
    }
}

/// True if the error says that no more can be sent for now: the socket is full, or as many descriptors of this user are under way as may be.
pub(crate) fn is_for_now(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::TOOMANYREFS.raw_os_error())
}

/// True if the error is the news that the other side is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}
