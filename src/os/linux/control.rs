//! The control socket: a pair of sequenced-packet sockets that carries descriptors, and whose end is the news
//! that the other side is gone.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recv, recvmsg, sendmsg, shutdown,
    socketpair,
};
use rustix::process::{PidfdFlags, getppid, pidfd_open};

/// Descriptors that one message may carry: those of one value, which has more than any message of the crate's own.
const MOST_DESCRIPTORS: usize = 64;

/// More answers than this are not taken at once from a worker that says more than it was asked.
const MOST_ANSWERS: usize = 64;

/// Both ends of a new control socket, closed on exec.
pub(crate) fn control_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((super::pipe::lift(ours)?, super::pipe::lift(theirs)?))
}

/// Sends one message with its descriptors; never waits, the socket's buffer holds what this crate sends.
pub(crate) fn send(socket: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors in one message"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(message)], &mut ancillary, flags))?;
    if sent == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Looks at the next message on descriptor 0 without taking it; its length, at most that of `buffer`.
pub(crate) fn peek_stdin(buffer: &mut [u8]) -> io::Result<usize> {
    let stdin = rustix::stdio::stdin();
    let (_, length) = retry_on_intr(|| recv(stdin, &mut *buffer, RecvFlags::PEEK | RecvFlags::DONTWAIT))?;
    Ok(length.min(buffer.len()))
}

/// Takes the next message and its descriptors, which close on exec. Nothing but an empty message is the end.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    receive_with(socket, buffer, RecvFlags::CMSG_CLOEXEC)
}

/// As `receive`, without waiting for one.
pub(crate) fn receive_now(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    receive_with(socket, buffer, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
}

fn receive_with(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = retry_on_intr(|| recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags))?;
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    Ok((message.bytes, descriptors))
}

/// The process that has made a control socket and waits at its other end.
///
/// It may be gone before its end of the socket is: a child that it has forked holds that too.
#[derive(Debug)]
pub(crate) struct Maker(Option<OwnedFd>);

impl Maker {
    /// Our parent, which has made this socket. Nothing if it has ended meanwhile.
    pub(crate) fn is_our_parent(socket: impl AsFd) -> Option<Self> {
        let parent = getppid().and_then(|parent| pidfd_open(parent, PidfdFlags::empty()).ok());
        // While it is our parent, its number is its own.
        super::entrance::is_our_parent(socket).then_some(Self(parent))
    }

    /// The process of this number, which has forked us. Nothing if it has ended meanwhile.
    pub(crate) fn has_forked_us(pid: u32) -> Option<Self> {
        let parent = getppid().filter(|parent| u32::try_from(parent.as_raw_nonzero().get()) == Ok(pid))?;
        let pidfd = pidfd_open(parent, PidfdFlags::empty()).ok();
        // While it is our parent, its number is its own.
        (getppid() == Some(parent)).then_some(Self(pidfd))
    }

    /// Blocks until it has ended; for ever where that cannot be told.
    pub(crate) fn wait_for_end(&self) {
        let Some(pidfd) = &self.0 else {
            loop {
                std::thread::park();
            }
        };
        let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
        let _ended = retry_on_intr(|| poll(&mut polled, None));
    }

    /// One that has ended: its descriptor can be read, as that of a process that has.
    pub(crate) fn ended() -> Self {
        Self(super::pipe::pipe().ok().map(|(read, _)| read))
    }

    /// Its pidfd, where that can be had.
    pub(crate) fn pidfd(&self) -> Option<&OwnedFd> {
        self.0.as_ref()
    }
}

/// Blocks until the other side of the socket is gone; anything it says before is said back to it.
pub(crate) fn echo_until_end(socket: impl AsFd, maker: &Maker) {
    let mut heard = [0_u8; 64];
    while is_readable_first(&socket, maker.pidfd()) {
        let received = retry_on_intr(|| recv(&socket, &mut heard, RecvFlags::empty()));
        let Ok((_, length @ 1..)) = received else { return };
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        // Whoever does not listen hears nothing.
        let _said = rustix::net::send(&socket, &heard[..length.min(heard.len())], flags);
    }
}

/// Says something that the other side will say back, if it lives.
pub(crate) fn call_out(socket: impl AsFd) {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    // A socket that is full has been called often enough, and one that is broken is noticed elsewhere.
    let _called = rustix::net::send(socket, &[1], flags);
}

/// True if anything was said back since this was last asked.
pub(crate) fn was_echoed(socket: impl AsFd) -> bool {
    let mut heard = [0_u8; 64];
    let mut answers = (0..MOST_ANSWERS)
        .map_while(|_| recv(&socket, &mut heard, RecvFlags::DONTWAIT).ok().filter(|(_, length)| *length > 0));
    let answered = answers.next().is_some();
    answers.for_each(drop);
    answered
}

/// Sends one message, and waits for room if there is none.
pub(crate) fn send_waiting(
    socket: impl AsFd,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    loop {
        match send(&socket, message, descriptors) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
                retry_on_intr(|| poll(&mut polled, None))?;
            }
            sent => return sent,
        }
    }
}

/// Ends what goes over the socket, for both sides and all copies of it.
pub(crate) fn hang_up(socket: impl AsFd) {
    // A socket whose other side is gone needs no more.
    let _gone = shutdown(socket, Shutdown::Both);
}

/// Waits until at least one of these can be read, or has come to its end, and says of each whether it is so. None is when the time is over.
pub(crate) fn wait_for_any(descriptors: &[BorrowedFd<'_>], limit: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<_> = descriptors.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
    // A limit that the kernel cannot count is none.
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    retry_on_intr(|| poll(&mut polled, limit.as_ref()))?;
    Ok(polled.iter().map(|one| !one.revents().is_empty()).collect())
}

/// Waits until the socket can be read; false if the other process has ended, where that can be told.
fn is_readable_first(socket: impl AsFd, process: Option<&OwnedFd>) -> bool {
    let Some(process) = process else { return true };
    let mut polled = [PollFd::new(&socket, PollFlags::IN), PollFd::new(process, PollFlags::IN)];
    let _ready = retry_on_intr(|| poll(&mut polled, None));
    polled[1].revents().is_empty()
}
