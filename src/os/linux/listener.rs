//! Sockets with an address in the file system, for processes that have no ancestor to give them a pair.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};
use rustix::process::{PidfdFlags, pidfd_open};

/// Connections that may wait to be accepted; the kernel may allow fewer.
pub(super) const WAITING: i32 = 4096;

/// What goes over a socket with an address in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Whole messages, with descriptors.
    Datagrams,
    /// Bytes.
    Bytes,
}

/// A socket that listens at a path, where nothing may be yet.
pub(crate) fn listen_at(path: &Path, carries: Carries) -> io::Result<OwnedFd> {
    let socket = new_socket(carries, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, WAITING)?;
    Ok(socket)
}

/// Takes the next connection; `WouldBlock` if there is none.
pub(crate) fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    loop {
        match accept_with(&listener, SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            accepted => return super::pipe::lift(accepted?),
        }
    }
}

/// A socket that is connected to the one that listens at a path, which need not have accepted it. `WouldBlock` if too many wait there already, unless this
/// thread may wait too.
pub(crate) fn connect_to(path: &Path, carries: Carries, may_wait: bool) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let waits = if may_wait { SocketFlags::empty() } else { SocketFlags::NONBLOCK };
    let socket = new_socket(carries, SocketFlags::CLOEXEC | waits)?;
    retry_on_intr(|| connect(&socket, &address))?;
    Ok(socket)
}

/// A socket that listens under a name of this kernel's, which no file has and which is gone with the socket. `AlreadyExists` if somebody listens there.
pub(crate) fn listen_as(name: &[u8]) -> io::Result<OwnedFd> {
    let socket = new_socket(Carries::Datagrams, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    match bind(&socket, &SocketAddrUnix::new_abstract_name(name)?) {
        Err(Errno::ADDRINUSE) => return Err(io::ErrorKind::AlreadyExists.into()),
        bound => bound?,
    }
    listen(&socket, WAITING)?;
    Ok(socket)
}

/// A socket that is connected to the one that listens under a name; `NotFound` if none does, and `WouldBlock` if too many wait there.
pub(crate) fn connect_as(name: &[u8]) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let socket = new_socket(Carries::Datagrams, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    match retry_on_intr(|| connect(&socket, &address)) {
        Err(Errno::CONNREFUSED) => Err(io::ErrorKind::NotFound.into()),
        connected => Ok(connected.map(|()| socket)?),
    }
}

/// True if the process that has connected, or that listens, has ended: a copy of it may have the socket.
pub(crate) fn has_peer_ended(socket: impl AsFd) -> bool {
    socket_peercred(socket).is_ok_and(|peer| match pidfd_open(peer.pid, PidfdFlags::empty()) {
        Ok(pidfd) => super::child::has_ended(pidfd),
        Err(error) => error == Errno::SRCH,
    })
}

/// True if the process at the other end belongs to our user. It is the one that has connected, or that listens.
pub(crate) fn is_of_our_user(socket: impl AsFd) -> bool {
    socket_peercred(socket).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// The number of our user.
pub(crate) fn our_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn new_socket(carries: Carries, flags: SocketFlags) -> io::Result<OwnedFd> {
    let kind = match carries {
        Carries::Datagrams => SocketType::SEQPACKET,
        Carries::Bytes => SocketType::STREAM,
    };
    super::pipe::lift(socket_with(AddressFamily::UNIX, kind, flags, None)?)
}
