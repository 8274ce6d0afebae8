//! Messages of connections: each is one datagram with its descriptors, so that it comes whole or not at all, whoever is killed meanwhile.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, recvmsg, sendmsg, shutdown,
};

/// Descriptors of one datagram: the handles of one value, and the memory that the value stands in.
const MOST_DESCRIPTORS: usize = 64 + 1;

/// A datagram that was taken; its bytes are at the front of the buffer.
#[derive(Debug, Default)]
pub(crate) struct Datagram {
    /// Nothing but 0 is the end: a datagram of a connection is never empty.
    pub(crate) length: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// It was longer than the buffer, and the rest is lost.
    pub(crate) is_cut: bool,
}

/// Sends one datagram made of two parts; `WouldBlock` if there is no room.
pub(crate) fn send_datagram(
    socket: impl AsFd,
    parts: [&[u8]; 2],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors in one message"));
    }
    let parts = parts.map(IoSlice::new);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| sendmsg(&socket, &parts, &mut ancillary, flags))?;
    Ok(())
}

/// Takes the next datagram; `WouldBlock` if there is none.
///
/// The news that the other side has left something unread comes before what it has sent itself, and is passed over.
pub(crate) fn take_datagram(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    loop {
        match take_once(&socket, buffer) {
            Err(Errno::INTR | Errno::CONNRESET) => {}
            taken => return Ok(taken?),
        }
    }
}

fn take_once(socket: impl AsFd, buffer: &mut [u8]) -> rustix::io::Result<Datagram> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    let is_cut = message.flags.contains(ReturnFlags::TRUNC);
    Ok(Datagram { length: message.bytes, descriptors, is_cut })
}

/// Makes a pair one-way: nothing can be sent from this end any more, in whichever process it is.
pub(crate) fn only_receive(socket: impl AsFd) -> io::Result<()> {
    Ok(shutdown(socket, Shutdown::Write)?)
}
