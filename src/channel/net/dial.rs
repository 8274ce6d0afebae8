//! Connecting to a listener that has a key or a certificate.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;

use super::credentials::Credentials;
use super::greet::{Opening, greet};
use super::handshake::refused;
use crate::channel::address::Address;
use crate::channel::client::{AGAIN, not_connected};
use crate::channel::end::End;
use crate::error::Result;
use crate::os::{self, Carries};
use crate::wait::until;

/// Ends with whoever waits for it.
struct Dialling(JoinHandle<Result<End>>);

/// Connects and shakes hands, in the crate's runtime for this, so that it goes under any executor.
pub(in crate::channel) async fn dial(
    address: Address,
    credentials: &Credentials,
    limit: Duration,
) -> Result<End> {
    crate::channel::wait::clock()?;
    let opening = credentials.client(&address)?;
    let runtime = os::net_runtime().map_err(not_connected)?;
    let mut dialling = Dialling(runtime.spawn(reach_and_greet(address, opening, limit)));
    let dialled = (&mut dialling.0).await;
    dialled.unwrap_or_else(|lost| Err(not_connected(io::Error::other(lost))))
}

async fn reach_and_greet(address: Address, opening: Opening, limit: Duration) -> Result<End> {
    let socket = match &address {
        Address::Unix(path) => reach_path(path).await?,
        Address::Tcp { host, port } => reach_port(host, *port).await.map_err(not_connected)?,
    };
    greet(socket, opening, limit).await
}

async fn reach_path(path: &Path) -> Result<OwnedFd> {
    loop {
        match os::connect_to(path, Carries::Bytes, false) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => until(Some(Instant::now() + AGAIN)).await,
            Err(error) if os::is_of_another_kind(&error) => {
                return Err(refused("the listener has neither key nor certificate"));
            }
            connected => return connected.map_err(not_connected),
        }
    }
}

async fn reach_port(host: &str, port: u16) -> io::Result<OwnedFd> {
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    let stream = TcpStream::connect(&addresses[..]).await?.into_std()?;
    os::configure(&stream)?;
    os::lift(stream.into())
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.abort();
    }
}
