//! A handshake over a socket, within its time.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use super::handshake::{Handshake, Step, refused};
use super::remote::Remote;
use crate::channel::end::End;
use crate::error::{Error, Result};
use crate::os;
use crate::wire::Fd;

/// Time for a handshake, unless another one is set.
pub(in crate::channel) const HANDSHAKE: Duration = Duration::from_secs(5);

/// Shakes hands over a socket, after saying this first. It runs in the crate's runtime for this.
pub(super) async fn greet(
    socket: OwnedFd,
    handshake: Handshake,
    first: Vec<u8>,
    limit: Duration,
) -> Result<End> {
    let shaken = tokio::time::timeout(limit, shake(socket, handshake, first)).await;
    shaken.unwrap_or_else(|_| Err(refused("the other side has not finished the handshake in time")))
}

async fn shake(socket: OwnedFd, mut handshake: Handshake, first: Vec<u8>) -> Result<End> {
    let socket = os::watch_stream(socket).map_err(failed)?;
    write(&socket, &first).await?;
    let mut room = [0; 64];
    let ciphers = loop {
        let wanted = &mut room[..handshake.wanted()];
        read(&socket, wanted).await?;
        match handshake.take(wanted)? {
            Step::On(next, answer) => {
                write(&socket, &answer).await?;
                handshake = next;
            }
            Step::Done(ciphers, last) => {
                write(&socket, &last).await?;
                break ciphers;
            }
        }
    };
    let socket = Fd::new(socket.into_inner());
    Ok(End::sealed(socket.clone(), Remote::new(socket, ciphers)))
}

async fn read(socket: &AsyncFd<OwnedFd>, mut room: &mut [u8]) -> Result<()> {
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

async fn write(socket: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> Result<()> {
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

fn left() -> Error {
    refused("the other side has ended the handshake; most likely it has another key")
}

fn failed(cause: io::Error) -> Error {
    if os::is_gone(&cause) { left() } else { Error::connection("shake hands", cause) }
}
