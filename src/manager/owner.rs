//! Where a server runs: in a child of its own, or on threads of this process.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::blob::Raw;
use super::exposed::{Registry, Travelling};
use super::guests::Guests;
use super::server::{Ready, Welcome, make_room};
use crate::channel::{Address, Credentials, Listener, Receiver, Sender, blocking_wait, one_way, wait};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::task::{State, capture_panics, resolve_initializer};
use crate::wait::block_on;
use crate::wire::Initializer;

/// What a server is to be, as its process gets it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) types: Travelling,
    pub(super) most_sessions: usize,
    pub(super) address: Option<Address>,
    /// How long it waits for a sign of life of a client over a network.
    pub(super) patience: Duration,
    /// On its way to the process that listens with them, over a pipe that nobody else has.
    pub(super) credentials: Option<Credentials>,
    /// What runs before it serves, with its arguments.
    pub(super) setup: Option<(Initializer, Raw)>,
}

/// Why a server does not begin, as it comes from its process.
#[derive(Debug, Serialize, Deserialize)]
enum Unready {
    Initializer(String),
    Other(String),
}

/// What a server says when it has started: how to call it, and where it listens.
pub(super) type Begun = (Welcome, Option<Address>);

/// Whoever runs the server.
pub(super) enum Owner {
    Process(Process<()>),
    Thread(Mutex<Option<oneshot::Receiver<()>>>),
}

/// A server that was started and has not answered.
pub(super) struct Starting {
    process: Process<()>,
    report: Receiver<Result<Begun, Unready>>,
}

impl Plan {
    /// Starts the server in a child.
    pub(super) fn start(self, name: Option<String>) -> Result<Starting> {
        let (report, sender) = one_way()?;
        let name = name.unwrap_or_else(|| "Manager".to_owned());
        let process = Process::builder().name(name).daemon(true).spawn(serve_in_child, (sender, self))?;
        Ok(Starting { process, report })
    }

    fn ready(self) -> Result<Ready> {
        let state = self.setup.map(prepared).transpose()?;
        let wrong = |why| Error::Incompatible { why };
        let registry = Registry::arrived(self.types).map_err(wrong)?;
        let listener = self.address.map(|address| listen(address, self.credentials)).transpose()?;
        Ready::new(registry, state, self.most_sessions, listener, Guests::new(self.patience))
    }

    /// Serves on threads of this process.
    pub(super) fn serve_here(self) -> Result<(Begun, Owner)> {
        let mut ready = self.ready()?;
        let welcome = ready.welcome();
        let (ended, end) = oneshot::channel();
        let serve = move || {
            capture_panics();
            // Whoever has its door sees it as the end of the server.
            let _failed = ready.serve();
            let _nobody_waits = ended.send(());
        };
        thread::Builder::new()
            .name("multiprocess-manager".into())
            .spawn(serve)
            .map_err(|cause| Error::start("start the manager's thread", cause))?;
        Ok((welcome, Owner::Thread(Mutex::new(Some(end)))))
    }
}

/// Runs the initializer.
fn prepared((function, Raw(arguments)): (Initializer, Raw)) -> Result<State> {
    capture_panics();
    let found = resolve_initializer(&function);
    let prepared = found.and_then(|function| function.call(&arguments));
    prepared.map_err(|cause| Error::Initializer { cause })
}

/// A listener, and whether it takes whoever has shown who they are, and not processes of this user.
fn listen(address: Address, credentials: Option<Credentials>) -> Result<(Listener, bool)> {
    let is_keyed = credentials.is_some();
    Ok((Listener::builder().shown(credentials).bind(address)?, is_keyed))
}

/// The child's function.
fn serve_in_child(report: Sender<Result<Begun, Unready>>, plan: Plan) {
    // Without it there is room for fewer.
    let _as_before = make_room();
    let mut ready = match plan.ready() {
        Ok(ready) => ready,
        Err(error) => {
            let _nobody_waits = report.blocking_send(&Err(error.into()));
            return;
        }
    };
    let told = report.blocking_send(&Ok(ready.welcome()));
    drop(report);
    if told.is_ok() {
        ready.serve().expect("a server that has just started can serve");
    }
}

impl Starting {
    pub(super) async fn finish(self) -> Result<(Begun, Owner)> {
        wait(&[&self.report as &dyn std::os::fd::AsFd, &self.process.sentinel()], None).await?;
        match self.report.try_recv() {
            Ok(Some(said)) => self.begun(said),
            // Its end says more.
            _ => Err(self.process.join().await.err().unwrap_or_else(nothing_said)),
        }
    }

    pub(super) fn blocking_finish(self) -> Result<(Begun, Owner)> {
        blocking_wait(&[&self.report as &dyn std::os::fd::AsFd, &self.process.sentinel()], None)?;
        match self.report.try_recv() {
            Ok(Some(said)) => self.begun(said),
            _ => Err(self.process.blocking_join().err().unwrap_or_else(nothing_said)),
        }
    }

    fn begun(self, said: Result<Begun, Unready>) -> Result<(Begun, Owner)> {
        match said {
            Ok(welcome) => Ok((welcome, Owner::Process(self.process))),
            Err(Unready::Initializer(cause)) => Err(Error::Initializer { cause }),
            Err(Unready::Other(why)) => Err(Error::start("start the manager", io::Error::other(why))),
        }
    }
}

impl From<Error> for Unready {
    fn from(error: Error) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        match error {
            Error::Initializer { cause } => Self::Initializer(cause),
            other => Self::Other(format!("{other}{}", cause.unwrap_or_default())),
        }
    }
}

fn nothing_said() -> Error {
    Error::start("start the manager", io::ErrorKind::UnexpectedEof.into())
}

impl Owner {
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Process(process) => process.pid(),
            Self::Thread(_) => std::process::id(),
        }
    }

    /// Waits until the server has ended.
    pub(super) async fn ended(&self) -> Result<()> {
        match self {
            Self::Process(process) => process.join().await,
            Self::Thread(end) => {
                let end = end.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(end) = end {
                    // An error is its end too.
                    let _ended = end.await;
                }
                Ok(())
            }
        }
    }

    pub(super) fn blocking_ended(&self) -> Result<()> {
        match self {
            Self::Process(process) => process.blocking_join(),
            Self::Thread(_) => block_on(self.ended()),
        }
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("pid", &self.pid()).finish_non_exhaustive()
    }
}
