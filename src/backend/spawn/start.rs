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
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt as _, StreamExt as _};
use tokio::io::AsyncRead;
use tokio::net::unix::pipe::Receiver;
use tokio_util::codec::{FramedParts, FramedRead};

use super::link::{Ends, SpawnLink};
use crate::backend::{Home, Profile, StartRequest, Streams};
use crate::error::{Death, Error, Exit, Result};
use crate::os::{self, Board, Child, Image, Killer, Launch, OomKills, Stderr};
use crate::wire::{Codec, Configure, Frame, Initializer, Order, PROTOCOL, Report, Role, codec, split};
use crate::worker::{ENV, Setup, Token, Worker};

/// A process that has not said hello by then runs something else than our entry.
const HELLO_WITHIN: Duration = Duration::from_secs(30);

/// A process that was started as a worker and has said nothing yet.
#[derive(Debug)]
pub(crate) struct Born {
    child: Child,
    ends: Ends,
    reports: OwnedFd,
}

/// The end of a process, for whoever asks, however often.
type Ended = Shared<BoxFuture<'static, Exit>>;
/// A process that is listened to.
pub(super) type Listened = Newborn<Receiver, Ended>;

/// A process that nobody listens to yet.
#[derive(Debug)]
pub(super) struct Silent {
    child: Child,
    reports: OwnedFd,
    stderr: Option<Arc<Stderr>>,
    max_frame: usize,
}

/// A worker that does not take calls yet: what it says, and its end.
pub(super) struct Newborn<R, E> {
    pid: u32,
    reports: FramedRead<R, Codec>,
    pub(super) ended: E,
    stderr: Option<Arc<Stderr>>,
}

impl Born {
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The right to kill it.
    pub(crate) fn killer(&self) -> Killer {
        self.child.killer()
    }

    /// Starts the process. Blocks for about a millisecond.
    pub(crate) fn spawn(profile: &Profile, title: OsString, streams: Streams) -> Result<Self> {
        let (ends, reports, launch) = prepare(profile, title, streams)?;
        Ok(Self { child: launch.start()?, ends, reports })
    }

    /// Waits until the process takes calls. Runs on the background runtime.
    pub(super) async fn settle(self, request: &StartRequest, home: Arc<Home>) -> Result<Arc<SpawnLink>> {
        let (link, silent) = self.link(request, home);
        let mut newborn = silent.listen()?;
        newborn.hello_in_time().await?;
        link.configure(request);
        newborn.ready().await?;
        newborn.begin(&link)?;
        Ok(link)
    }

    /// The way to send it something, and what hears it.
    pub(super) fn link(self, request: &StartRequest, home: Arc<Home>) -> (Arc<SpawnLink>, Silent) {
        let Self { child, ends, reports } = self;
        let (stderr, max_frame) = (ends.stderr.clone(), request.profile.configure.max_frame);
        let link = SpawnLink::new(child.pid(), child.killer(), ends, request, home);
        (link, Silent { child, reports, stderr, max_frame })
    }
}

impl Silent {
    /// Listens to it. Runs on the background runtime.
    pub(super) fn listen(self) -> Result<Listened> {
        let Self { child, reports, stderr, max_frame } = self;
        let receiver = Receiver::from_owned_fd(reports).map_err(|cause| Error::start("watch it", cause))?;
        let reports = FramedRead::new(receiver, codec(max_frame));
        Ok(Newborn { pid: child.pid(), reports, ended: child.ended().boxed().shared(), stderr })
    }
}

impl Listened {
    /// From now on its link hears it.
    pub(super) fn begin(self, link: &Arc<SpawnLink>) -> Result<()> {
        let FramedParts { io, read_buf, .. } = self.reports.into_parts();
        let begun = io.into_nonblocking_fd().and_then(|pipe| link.begin(pipe, read_buf, self.ended));
        begun.map_err(|cause| Error::start("hand over its pipe", cause))
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
    let setup = Setup { token, outlives: !profile.configure.identity.daemon };
    let pipes = pipes(setup, &memory, streams.stdin.as_ref());
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

fn pipes(setup: Setup, memory: &OwnedFd, stdin: Option<&OwnedFd>) -> io::Result<Pipes> {
    let (control, their_control) = os::control_pair()?;
    let (orders_read, orders) = os::pipe()?;
    let (reports, their_reports) = os::pipe()?;
    os::set_nonblocking(&orders)?;
    os::set_nonblocking(&reports)?;
    let setup = postcard::to_stdvec(&setup).map_err(io::Error::other)?;
    // The socket keeps the message until the worker is there to take it.
    let mut theirs = vec![orders_read.as_fd(), their_reports.as_fd(), memory.as_fd()];
    theirs.extend(stdin.map(OwnedFd::as_fd));
    os::send(&control, &setup, &theirs)?;
    Ok(Pipes { control, their_control, orders, orders_read, reports })
}

fn title(name: &str, index: usize) -> OsString {
    printable(&Worker::name(name, index))
}

/// A name with a NUL cannot be an argument of a process.
pub(super) fn printable(title: &str) -> OsString {
    title.replace('\0', " ").into()
}

fn configure(request: &StartRequest) -> (Configure, Bytes) {
    let mut configure = Configure { index: request.index, ..request.profile.configure.clone() };
    if configure.role == Role::PoolWorker {
        let worker = Worker::name(&configure.name, request.index);
        configure.identity.name = worker;
        configure.identity.path.push_str(&format!("w{}", request.index));
    }
    // One core is left to whoever makes the calls; a worker beyond the others would take it by polling.
    if request.index + 1 >= os::cores() {
        configure.busy_poll_ns = 0;
    }
    let Some(setup) = &request.profile.setup else { return (configure, Bytes::new()) };
    let (offset, fingerprint) = setup.function.reference();
    configure.initializer = Some(Initializer { offset, fingerprint });
    (configure, setup.arguments.clone())
}

impl<R: AsyncRead + Unpin, E: Future<Output = Exit> + Unpin + Clone> Newborn<R, E> {
    /// Its next report.
    async fn next(&mut self) -> Result<Report> {
        let frame = tokio::select! {
            biased;
            frame = self.reports.next() => frame,
            // What it said last may still be in the pipe.
            exit = self.ended.clone() => match self.reports.next().now_or_never().flatten() {
                Some(frame) => Some(frame),
                None => return Err(self.died(exit)),
            },
        };
        match frame {
            Some(Ok(frame)) => Ok(split(&BytesMut::freeze(frame)).map_err(|why| unexpected(&why))?.0),
            Some(Err(error)) => Err(unexpected(&error.to_string())),
            None => {
                // The end of the pipe comes a moment before the end of the process, which says more.
                let exit = self.ended.clone().await;
                Err(self.died(exit))
            }
        }
    }

    fn died(&self, exit: Exit) -> Error {
        let stderr_tail = self.stderr.as_ref().map(|stderr| stderr.tail()).unwrap_or_default();
        Error::WorkerDied(Death { stderr_tail, ..Death::new(self.pid, exit) })
    }

    pub(super) async fn hello_in_time(&mut self) -> Result<()> {
        let said = tokio::time::timeout(HELLO_WITHIN, self.hello()).await;
        said.map_err(|_| Error::start("greet it", io::ErrorKind::TimedOut.into()))?
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

    pub(super) async fn ready(&mut self) -> Result<()> {
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
    pub(super) fn configure(self: &Arc<Self>, request: &StartRequest) {
        let (configure, arguments) = configure(request);
        self.post(Frame::new(&Order::Configure(configure), arguments));
    }
}
