//! Sockets that carry bytes, over a network or within the machine, and a counter of what came over them.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay,
    set_tcp_user_timeout,
};
use rustix::net::{RecvFlags, SendFlags, Shutdown, listen, recv, send, shutdown};
use tokio::io::unix::AsyncFd;

use super::listener::WAITING;

/// A machine that is gone is noticed after 30 s: it is asked when nothing came for so long, and then so often, at such intervals.
const SILENCE: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(5);
const TIMES: u32 = 3;

/// A socket that listens on a port, and the address and the port that it has got. A name is looked up, for which this thread waits.
pub(crate) fn listen_on(host: &str, port: u16) -> io::Result<(OwnedFd, SocketAddr)> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let socket = TcpListener::bind(&addresses[..])?;
    let local = socket.local_addr()?;
    socket.set_nonblocking(true)?;
    let socket = super::pipe::lift(socket.into())?;
    // As many may wait as at a path.
    listen(&socket, WAITING)?;
    Ok((socket, local))
}

/// Nobody can connect any more, whoever else has the socket.
pub(crate) fn stop_listening(socket: impl AsFd) {
    let _stopped_before = shutdown(socket, Shutdown::Both);
}

/// A socket of TCP sends at once what it is given, and looks whether the other machine is still there.
pub(crate) fn configure(socket: impl AsFd) -> io::Result<()> {
    set_tcp_nodelay(&socket, true)?;
    set_socket_keepalive(&socket, true)?;
    set_tcp_keepidle(&socket, SILENCE)?;
    set_tcp_keepintvl(&socket, INTERVAL)?;
    Ok(set_tcp_keepcnt(&socket, TIMES)?)
}

/// A socket of TCP ends when what it has sent was not taken for so long, be it that the other machine is gone or that nobody there reads. So it is for
/// sockets on which both sides always read. One of another kind is left as it is.
pub(crate) fn end_when_untaken(socket: impl AsFd, limit: Duration) {
    let limit = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    let _of_another_kind = set_tcp_user_timeout(socket, limit.max(1));
}

/// Sends what there is room for; `WouldBlock` if there is none.
pub(crate) fn send_some(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| send(&socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT))?)
}

/// Takes what has come, up to the length of the buffer; `WouldBlock` if nothing has, 0 at the end.
pub(crate) fn take_some(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (taken, _) = retry_on_intr(|| recv(&socket, &mut *buffer, RecvFlags::DONTWAIT))?;
    Ok(taken)
}

/// Nothing is sent any more; the other side sees the end behind what was.
pub(crate) fn close_writing(socket: impl AsFd) {
    let _gone_already = shutdown(socket, Shutdown::Write);
}

/// True if the error says that a socket at this path carries something else.
pub(crate) fn is_of_another_kind(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error())
}

/// Registers a socket with the current runtime, for both directions, and gives it back when it is done.
pub(crate) fn watch_stream(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the socket is open, always the same, and stays open as long as the registration, which owns it.
    Ok(unsafe { AsyncFd::register(socket)? })
}

/// A number that is raised and lowered by one, and can be read while it is not 0.
#[derive(Debug)]
pub(crate) struct Semaphore(OwnedFd);

impl Semaphore {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE;
        Ok(Self(super::pipe::lift(eventfd(0, flags)?)?))
    }

    /// A copy of the descriptor, which is read while the number is not 0.
    pub(crate) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    pub(crate) fn raise(&self) -> io::Result<()> {
        retry_on_intr(|| rustix::io::write(&self.0, &1_u64.to_ne_bytes()))?;
        Ok(())
    }

    /// False if it is 0.
    pub(crate) fn lower(&self) -> io::Result<bool> {
        let mut word = [0; 8];
        match retry_on_intr(|| rustix::io::read(&self.0, &mut word)) {
            Err(Errno::AGAIN) => Ok(false),
            lowered => Ok(lowered.map(|_| true)?),
        }
    }
}

impl AsFd for Semaphore {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
