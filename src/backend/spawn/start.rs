//! The start of one child process, from its pipes to its `Ready`.
//!
//! ```text
//! pool                                            worker
//! pipes, board, control socket
//! token + descriptors ──control──┐
//! posix_spawn /proc/self/exe ────┼──────────────► enters before main, checks, takes the descriptors
//!                                └──────────────►
//!                      ◄──reports── Hello         which protocol, which build
//! Configure ──orders──────────────────────────►   initializer, sandbox
//!                      ◄──reports── Ready
//! ```
//!
//! Whatever goes wrong on the way drops the `Child`, which kills and reaps it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::io::AsyncRead;
use tokio::net::unix::pipe::Receiver;
use tokio_util::codec::FramedRead;

use super::link::{Ends, SpawnLink};
use crate::backend::{Home, Profile, StartRequest, Streams};
use crate::error::{Death, Error, Exit, Result};
use crate::os::{self, Board, Child, Image, Launch, OomKills, Stderr};
use crate::wire::{Codec, Configure, Frame, Initializer, Order, PROTOCOL, Report, codec, split};
use crate::worker::{ENV, Setup, Token};

/// A process that has not said hello by then runs something else than our entry.
const HELLO_WITHIN: Duration = Duration::from_secs(30);

/// A process that was started as a worker and has said nothing yet.
#[derive(Debug)]
pub(crate) struct Born {
    child: Child,
    ends: Ends,
    reports: OwnedFd,
}

/// A worker that does not take calls yet: what it says, and its end.
struct Newborn<R, E> {
    pid: u32,
    reports: FramedRead<R, Codec>,
    ended: E,
    stderr: Option<Arc<Stderr>>,
}

impl Born {
    /// Starts the process. Blocks for about a millisecond.
    pub(crate) fn spawn(profile: &Profile, title: OsString, streams: Streams) -> Result<Self> {
        let (ends, reports, launch) = prepare(profile, title, streams)?;
        Ok(Self { child: launch.start()?, ends, reports })
    }

    /// Waits until the process takes calls. Runs on the background runtime.
    pub(super) async fn settle(self, request: &StartRequest, home: Arc<Home>) -> Result<Arc<SpawnLink>> {
        let Self { child, ends, reports } = self;
        let (pid, killer) = (child.pid(), child.killer());
        let receiver = Receiver::from_owned_fd(reports).map_err(|cause| Error::start("watch it", cause))?;
        let reports = FramedRead::new(receiver, codec(request.profile.configure.max_frame));
        let stderr = ends.stderr.clone();
        let mut newborn = Newborn { pid, reports, ended: Box::pin(child.ended()), stderr };
        tokio::time::timeout(HELLO_WITHIN, newborn.hello())
            .await
            .map_err(|_| Error::start("greet it", io::ErrorKind::TimedOut.into()))??;
        let link = SpawnLink::new(pid, killer, ends, request, home);
        link.configure(&configure(request));
        newborn.ready().await?;
        let Newborn { reports, ended, .. } = newborn;
        let pipe = reports.into_inner().into_nonblocking_fd();
        let begun = pipe.and_then(|pipe| link.begin(pipe, ended));
        begun.map_err(|cause| Error::start("hand over its pipe", cause))?;
        Ok(link)
    }
}

pub(super) async fn start(request: StartRequest, home: Arc<Home>) -> Result<Arc<SpawnLink>> {
    if request.profile.setup.as_ref().is_some_and(|setup| !setup.function.is_native()) {
        return Err(Error::ForeignTask { task: "initializer".into() });
    }
    let (profile, index) = (Arc::clone(&request.profile), request.index);
    let bear = move || Born::spawn(&profile, title(&profile.configure.name, index), Streams::default());
    let started = tokio::task::spawn_blocking(bear).await;
    let born = started.map_err(|cause| Error::start("start its process", io::Error::other(cause)))??;
    born.settle(&request, home).await
}

fn prepare(profile: &Profile, title: OsString, streams: Streams) -> Result<(Ends, OwnedFd, Launch)> {
    // From now on a death may be laid to a kill.
    OomKills::of_this_process();
    let token = Token(os::random().map_err(|cause| Error::start("make its token", cause))?);
    let (board, memory) = Board::create().map_err(|cause| Error::start("make its board", cause))?;
    let pipes = pipes(token, &memory, streams.stdin.as_ref());
    let pipes = pipes.map_err(|cause| Error::start("make its pipes", cause))?;
    let Pipes { control, their_control, orders, orders_read, reports } = pipes;
    let (captured, their_stderr) = match streams.stderr {
        Some(stderr) => (None, Some(stderr)),
        None => stderr(profile).map_err(|cause| Error::start("follow its stderr", cause))?.unzip(),
    };
    let mut env = profile.env.clone();
    env.push((ENV.into(), token.to_string().into()));
    let (current_dir, stdout) = (profile.current_dir.clone(), streams.stdout);
    let launch = Launch { title, env, current_dir, control: their_control, stdout, stderr: their_stderr };
    Ok((Ends { control, orders, orders_read, board, stderr: captured }, reports, launch))
}

/// Both ends of a pipe for its stderr, where that is captured.
fn stderr(profile: &Profile) -> io::Result<Option<(Arc<Stderr>, OwnedFd)>> {
    if !profile.capture_stderr {
        return Ok(None);
    }
    let (ours, theirs) = os::pipe()?;
    Ok(Some((Stderr::follow(ours)?, theirs)))
}

/// What connects a worker, with its own ends on their way to it already.
struct Pipes {
    control: OwnedFd,
    their_control: OwnedFd,
    orders: OwnedFd,
    orders_read: OwnedFd,
    reports: OwnedFd,
}

fn pipes(token: Token, memory: &OwnedFd, stdin: Option<&OwnedFd>) -> io::Result<Pipes> {
    let (control, their_control) = os::control_pair()?;
    let (orders_read, orders) = os::pipe()?;
    let (reports, their_reports) = os::pipe()?;
    os::set_nonblocking(&orders)?;
    os::set_nonblocking(&reports)?;
    let setup = postcard::to_stdvec(&Setup { token }).map_err(io::Error::other)?;
    // The socket keeps the message until the worker is there to take it.
    let mut theirs = vec![orders_read.as_fd(), their_reports.as_fd(), memory.as_fd()];
    theirs.extend(stdin.map(OwnedFd::as_fd));
    os::send(&control, &setup, &theirs)?;
    Ok(Pipes { control, their_control, orders, orders_read, reports })
}

fn title(name: &str, index: usize) -> OsString {
    // A name with a NUL cannot be an argument of a process.
    format!("{}: worker {index}", name.replace('\0', " ")).into()
}

fn configure(request: &StartRequest) -> (Configure, Bytes) {
    let mut configure = Configure { index: request.index, ..request.profile.configure.clone() };
    // One core is left to whoever makes the calls; a worker beyond the others would take it by polling.
    let cores = available_parallelism().map_or(1, Into::into);
    if request.index + 1 >= cores {
        configure.busy_poll_ns = 0;
    }
    let Some(setup) = &request.profile.setup else { return (configure, Bytes::new()) };
    let (offset, fingerprint) = setup.function.reference();
    configure.initializer = Some(Initializer { offset, fingerprint });
    (configure, setup.arguments.clone())
}

impl<R: AsyncRead + Unpin, E: Future<Output = Exit> + Unpin> Newborn<R, E> {
    /// Its next report.
    async fn next(&mut self) -> Result<Report> {
        let frame = tokio::select! {
            biased;
            frame = self.reports.next() => frame,
            // What it said last may still be in the pipe.
            exit = &mut self.ended => match futures::FutureExt::now_or_never(self.reports.next()).flatten() {
                Some(frame) => Some(frame),
                None => return Err(self.died(exit)),
            },
        };
        match frame {
            Some(Ok(frame)) => Ok(split(&BytesMut::freeze(frame)).map_err(|why| unexpected(&why))?.0),
            Some(Err(error)) => Err(unexpected(&error.to_string())),
            None => {
                // The end of the pipe comes a moment before the end of the process, which says more.
                let exit = (&mut self.ended).await;
                Err(self.died(exit))
            }
        }
    }

    fn died(&self, exit: Exit) -> Error {
        let stderr_tail = self.stderr.as_ref().map(|stderr| stderr.tail()).unwrap_or_default();
        Error::WorkerDied(Death { stderr_tail, ..Death::new(self.pid, exit) })
    }

    async fn hello(&mut self) -> Result<()> {
        let ours = Image::of_this_process().identity();
        match self.next().await? {
            Report::Hello { protocol: PROTOCOL, image } if image == ours => Ok(()),
            Report::Hello { protocol: PROTOCOL, .. } => Err(unexpected("it runs another build")),
            Report::Hello { protocol, .. } => Err(unexpected(&format!("it speaks version {protocol}"))),
            _ => Err(unexpected("its first report was no hello")),
        }
    }

    async fn ready(&mut self) -> Result<()> {
        match self.next().await? {
            Report::Ready => Ok(()),
            Report::InitializerFailed(cause) => Err(Error::Initializer { cause }),
            #[cfg(feature = "sandbox")]
            Report::SandboxFailed { part, cause } => Err(Error::Sandbox { part, cause }),
            Report::Hello { .. } | Report::Reply(_) => Err(unexpected("a report out of turn")),
        }
    }
}

/// What a start makes of a worker that reports these bytes and is gone.
#[cfg(fuzzing)]
pub(crate) async fn greet(reported: &[u8]) -> Result<()> {
    let reports = FramedRead::new(reported, codec(crate::wire::DEFAULT_MAX));
    let mut newborn = Newborn { pid: 0, reports, ended: std::future::ready(Exit::Unknown), stderr: None };
    newborn.hello().await?;
    newborn.ready().await
}

fn unexpected(why: &str) -> Error {
    Error::Incompatible { why: why.into() }
}

impl SpawnLink {
    fn configure(self: &Arc<Self>, (configure, arguments): &(Configure, Bytes)) {
        self.post(Frame::new(&Order::Configure(configure.clone()), arguments.clone()));
    }
}
