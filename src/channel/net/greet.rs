//! A handshake over a socket, within its time.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use super::cipher::Ciphers;
use super::handshake::{Handshake, Step, refused};
use super::remote::Remote;
use crate::channel::end::End;
use crate::error::{Error, Result};
use crate::os;
use crate::wire::Fd;

/// Time for a handshake, unless another one is set.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// How a side begins.
pub(super) enum Opening {
    /// By a key; this is said first.
    Key(Handshake, Vec<u8>),
    #[cfg(feature = "tls")]
    Certificate(super::tls::Handshake),
}

/// Shakes hands over a socket. It runs in the crate's runtime for this.
pub(super) async fn greet(socket: OwnedFd, opening: Opening, limit: Duration) -> Result<End> {
    let shaken = tokio::time::timeout(limit, shake(socket, opening)).await;
    shaken.unwrap_or_else(|_| Err(refused("the other side has not finished the handshake in time")))
}

async fn shake(socket: OwnedFd, opening: Opening) -> Result<End> {
    let socket = os::watch_stream(socket).map_err(failed)?;
    let ciphers = match opening {
        Opening::Key(handshake, first) => shake_by_key(&socket, handshake, &first).await?,
        #[cfg(feature = "tls")]
        Opening::Certificate(handshake) => handshake.shake(&socket).await?,
    };
    let socket = Fd::new(socket.into_inner());
    Ok(End::sealed(socket.clone(), Remote::new(socket, ciphers)))
}

async fn shake_by_key(socket: &AsyncFd<OwnedFd>, mut handshake: Handshake, first: &[u8]) -> Result<Ciphers> {
    write(socket, first).await?;
    let mut room = [0; 64];
    loop {
        let wanted = &mut room[..handshake.wanted()];
        read(socket, wanted).await?;
        match handshake.take(wanted)? {
            Step::On(next, answer) => {
                write(socket, &answer).await?;
                handshake = next;
            }
            Step::Done(ciphers, last) => {
                write(socket, &last).await?;
                return Ok(ciphers);
            }
        }
    }
}

pub(super) async fn read(socket: &AsyncFd<OwnedFd>, mut room: &mut [u8]) -> Result<()> {
    while !room.is_empty() {
        let mut guard = socket.readable().await.map_err(failed)?;
        match os::take_some(socket, room) {
            Ok(0) => return Err(left()),
            Ok(read) => room = &mut room[read..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

pub(super) async fn write(socket: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let mut guard = socket.writable().await.map_err(failed)?;
        match os::send_some(socket, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

pub(super) fn left() -> Error {
    refused("the other side has ended the handshake; most likely it does not know this one")
}

fn failed(cause: io::Error) -> Error {
    if os::is_gone(&cause) { left() } else { Error::connection("shake hands", cause) }
}
