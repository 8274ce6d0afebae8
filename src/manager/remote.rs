//! The client's side over a network: lines with a key or certificates, and leases instead of doors.

use std::sync::Arc;
use std::time::Duration;

use super::blob::Blob;
use super::lines::Lines;
use super::message::{Answer, Line, PROTOCOL, Refusal, Request, Visitor};
use super::pulse::{Pulse, limit};
use super::reference::lost;
use crate::channel::{Address, Client, Credentials, HANDSHAKE, one_way};
use crate::error::{Error, Result};
use crate::os;
use crate::wait::block_on;
use crate::wire::Fd;

/// How to reach a server over a network.
#[derive(Debug)]
pub(super) struct Route {
    address: Address,
    credentials: Credentials,
    /// By which the server knows that its lines are one client's.
    client: u128,
    /// The first line. It carries no calls, so that no call that is given up closes it; with it the leases end.
    anchor: Arc<Line>,
    pulse: Pulse,
    /// The descriptor in handles of what is lent: of a door that leads nowhere.
    token: Fd,
}

/// What a server says when a line is let in.
struct Greeting {
    line: Line,
    server: u128,
    patience: Duration,
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

    pub(super) fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    pub(super) fn object(&self) -> u64 {
        self.object
    }

    /// What stands for it in a value that is sent to its server, or has come from there: a descriptor that is of no use.
    pub(super) fn handle(self: &Arc<Self>) -> Result<Fd> {
        let route = self.lines.route().ok_or(Error::Disconnected)?;
        Ok(Fd::standing_for(Arc::clone(self) as _, route.token.share()))
    }

    /// What this handle stands for.
    pub(super) fn of(handle: &Fd) -> Option<Arc<Self>> {
        handle.stands_for()
    }
}

/// What has come over a line, with what is lent with it, and which the server is told that it has come.
pub(super) fn taken(lines: &Arc<Lines>, line: &Line, answer: Answer) -> Result<Answer> {
    match answer {
        Answer::Lent { object } => {
            line.try_send(&Request::Took)?;
            Ok(Answer::Lent { object })
        }
        Answer::Lending { value, lent } => {
            line.try_send(&Request::Took)?;
            let handles = lent.into_iter().map(|object| Lease::new(lines, object).handle());
            Ok(Answer::Value(Blob { bytes: value, handles: handles.collect::<Result<_>>()? }))
        }
        other => Ok(other),
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
    pub(super) async fn open(
        address: Address,
        credentials: Credentials,
        wanted: Duration,
    ) -> Result<(Self, u128)> {
        let client = os::random().map_err(|cause| Error::connection("get random bytes", cause))?;
        let client = u128::from_ne_bytes(client);
        let line = reach(&address, &credentials).await?;
        let Greeting { line, server, patience } = greet(line, client, true).await?;
        let anchor = Arc::new(line);
        let pulse = Pulse::start(Arc::clone(&anchor), limit(wanted, patience))?;
        let (_, token) = one_way::<Visitor>()?;
        Ok((Self { address, credentials, client, anchor, pulse, token: token.into_fd() }, server))
    }

    /// One more line, to the very server that knows this client.
    pub(super) async fn line(&self, server: u128) -> Result<Line> {
        tokio::select! {
            biased;
            () = self.pulse.lost() => Err(Error::Disconnected),
            line = self.new_line(server) => line,
        }
    }

    async fn new_line(&self, server: u128) -> Result<Line> {
        let line = reach(&self.address, &self.credentials).await;
        let greeted = match line {
            Ok(line) => {
                self.pulse.watch(&line);
                greet(line, self.client, false).await
            }
            Err(error) => Err(error),
        };
        match greeted {
            Ok(greeting) if greeting.server == server => Ok(greeting.line),
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

async fn reach(address: &Address, credentials: &Credentials) -> Result<Line> {
    Client::builder().credentials(credentials).connect(address).await
}

/// Says whose line it is.
async fn greet(line: Line, client: u128, first: bool) -> Result<Greeting> {
    let refused = |why| Error::Refused { task: "a connection".into(), why };
    line.send(&Request::Hello { protocol: PROTOCOL, client, first }).await?;
    match line.recv_timeout(HANDSHAKE).await? {
        Some(Answer::Welcome { protocol: PROTOCOL, server, patience }) => {
            Ok(Greeting { line, server, patience })
        }
        Some(Answer::Welcome { .. }) => Err(refused(Refusal::OtherVersion)),
        Some(Answer::Refused(why)) => Err(refused(why)),
        Some(_) => Err(Error::DecodeMessage { cause: "it answers another question".into() }),
        None => Err(Error::connection("connect", std::io::ErrorKind::TimedOut.into())),
    }
}
