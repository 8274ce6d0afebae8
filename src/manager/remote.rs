//! The client's side over a network: lines with a key or certificates, and leases instead of doors.

use std::sync::Arc;

use super::lines::Lines;
use super::message::{Answer, Line, PROTOCOL, Refusal, Request};
use super::reference::lost;
use crate::channel::{Address, Client, Credentials};
use crate::error::{Error, Result};
use crate::os;
use crate::wait::block_on;

/// How to reach a server over a network.
#[derive(Debug)]
pub(super) struct Route {
    address: Address,
    credentials: Credentials,
    /// By which the server knows that its lines are one client's.
    client: u128,
    /// The first line. It carries no calls, so that no call that is given up closes it; with it the leases end.
    anchor: Line,
}

/// The use of one object, which ends when the last proxy of it that came with this lease is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    lines: Arc<Lines>,
    object: u64,
}

impl Lease {
    pub(super) fn new(lines: &Arc<Lines>, object: u64) -> Arc<Self> {
        Arc::new(Self { lines: Arc::clone(lines), object })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(route) = self.lines.route() {
            // If that does not go, neither does anything else, and the server sees that this client is gone.
            let _gone = route.anchor.try_send(&Request::Forget(self.object));
        }
    }
}

impl Route {
    /// Connects for the first time: how to go on, and which server it is.
    pub(super) async fn open(address: Address, credentials: Credentials) -> Result<(Self, u128)> {
        let client = os::random().map_err(|cause| Error::connection("get random bytes", cause))?;
        let client = u128::from_ne_bytes(client);
        let (anchor, server) = greeted(&address, &credentials, client, true).await?;
        Ok((Self { address, credentials, client, anchor }, server))
    }

    /// One more line, to the very server that knows this client.
    pub(super) async fn line(&self, server: u128) -> Result<Line> {
        match greeted(&self.address, &self.credentials, self.client, false).await {
            Ok((line, greeting)) if greeting == server => Ok(line),
            // Another one listens there now, which has nothing of ours, or nobody does.
            Ok(_) | Err(Error::Authentication { .. } | Error::Refused { why: Refusal::NotAllowed, .. }) => {
                Err(Error::Disconnected)
            }
            Err(error) => Err(lost(error)),
        }
    }

    pub(super) fn blocking_line(&self, server: u128) -> Result<Line> {
        block_on(self.line(server))
    }
}

async fn greeted(
    address: &Address,
    credentials: &Credentials,
    client: u128,
    first: bool,
) -> Result<(Line, u128)> {
    let line: Line = Client::builder().credentials(credentials.clone()).connect(address).await?;
    line.send(&Request::Hello { protocol: PROTOCOL, client, first }).await?;
    match line.recv().await? {
        Answer::Welcome { server } => Ok((line, server)),
        Answer::Refused(why) => Err(Error::Refused { task: "a connection".into(), why }),
        _ => Err(Error::DecodeMessage { cause: "it answers another question".into() }),
    }
}
