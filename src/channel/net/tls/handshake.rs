//! The handshake of TLS over a socket, of which not a byte is read beyond its end.
//!
//! ```text
//! client                                          listener
//! | hello |                           ─────────►
//!                                     ◄─────────  | hello, certificate, proof |
//! | certificate, proof |              ─────────►
//!                                     ◄─────────  | welcome (8), sealed |
//! ```
//!
//! A client of TLS is done before the listener has looked at its certificate. So it waits for one word more, which only those hear who are let in.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use tokio::io::unix::AsyncFd;

use super::cipher::{ciphers, take_in, take_opened, take_said, wanted};
use super::material::PROTOCOL;
use super::refusal::{ANOTHER_PROTOCOL, no_handshake};
use crate::channel::net::cipher::Ciphers;
use crate::channel::net::greet::{left, read, write};
use crate::channel::net::handshake::refused;
use crate::error::{Error, Result};

/// What a listener says to whom it has let in.
const WELCOME: &[u8] = b"mptls\0\0\x01";

/// A handshake that has not begun.
pub(in crate::channel::net) struct Handshake(Box<Connection>);

impl Handshake {
    pub(super) fn listener(config: Arc<ServerConfig>) -> Result<Self> {
        ServerConnection::new(config).map(|connection| Self(Box::new(connection.into()))).map_err(not_made)
    }

    pub(super) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self> {
        ClientConnection::new(config, name)
            .map(|connection| Self(Box::new(connection.into())))
            .map_err(not_made)
    }

    /// What both sides seal with, once each knows who the other one is.
    pub(in crate::channel::net) async fn shake(self, socket: &AsyncFd<OwnedFd>) -> Result<Ciphers> {
        let Self(mut connection) = self;
        say(&mut connection, socket).await?;
        while connection.is_handshaking() {
            hear(&mut connection, socket).await?;
            say(&mut connection, socket).await?;
        }
        if connection.alpn_protocol() != Some(PROTOCOL) {
            return Err(refused(ANOTHER_PROTOCOL));
        }
        match &*connection {
            Connection::Server(_) => welcome(*connection, socket).await,
            Connection::Client(_) => wait_for_welcome(*connection, socket).await,
        }
    }
}

async fn welcome(connection: Connection, socket: &AsyncFd<OwnedFd>) -> Result<Ciphers> {
    let mut ciphers = ciphers(connection);
    let mut said = Vec::new();
    ciphers.sealer.seal(WELCOME, &mut said)?;
    write(socket, &said).await?;
    Ok(ciphers)
}

async fn wait_for_welcome(mut connection: Connection, socket: &AsyncFd<OwnedFd>) -> Result<Ciphers> {
    let mut heard = Vec::new();
    while heard.is_empty() {
        hear(&mut connection, socket).await?;
        take_opened(&mut connection, &mut heard).map_err(|_| refused(ANOTHER_PROTOCOL))?;
    }
    if heard == WELCOME { Ok(ciphers(connection)) } else { Err(refused(ANOTHER_PROTOCOL)) }
}

/// Sends what the connection has to say.
async fn say(connection: &mut Connection, socket: &AsyncFd<OwnedFd>) -> Result<()> {
    let mut said = Vec::new();
    take_said(connection, &mut said).map_err(|cause| Error::connection("shake hands", cause))?;
    write(socket, &said).await
}

/// Reads one record; if it is not as it should be, the other side is told.
async fn hear(connection: &mut Connection, socket: &AsyncFd<OwnedFd>) -> Result<()> {
    let mut record = Vec::new();
    loop {
        let come = record.len();
        let wanted = wanted(&record).map_err(|_| refused("what came is no TLS"))?;
        if come == wanted {
            break;
        }
        record.resize(wanted, 0);
        read(socket, &mut record[come..]).await?;
    }
    match take_in(connection, &record) {
        Ok(true) => Ok(()),
        Ok(false) => Err(left()),
        Err(error) => {
            // It may have gone.
            let _untold = say(connection, socket).await;
            Err(no_handshake(&error))
        }
    }
}

/// What only a kernel without random bytes brings about.
fn not_made(_: rustls::Error) -> Error {
    Error::connection("make the keys of a connection", std::io::ErrorKind::Other.into())
}
