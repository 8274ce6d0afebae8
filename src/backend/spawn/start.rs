//! The start of one child process, from its pipes to its `Ready`.
//!
//! ```text
//! pool                                            worker
//! pipes, sockets, board
//! token + descriptors ──control──┐
//! posix_spawn /proc/self/exe ────┼──────────────► enters before main, checks, takes the descriptors
//! Configure ──orders─────────────┤
//!                      ◄──reports┼─ Hello         which protocol, which build
//!                                └──────────────► initializer, sandbox
//!                      ◄──reports── Ready
//! ```
//!
//! Whatever goes wrong on the way drops the `Child`, which kills and reaps it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt as _, StreamExt as _};
use tokio::io::AsyncRead;
use tokio::net::unix::pipe::Receiver;
use tokio_util::codec::{FramedParts, FramedRead};

use super::forkserver::travelling;
use super::link::{Ends, SpawnLink};
use super::origin::Origin;
use crate::backend::{Home, Profile, StartRequest, Streams};
use crate::error::{Death, Error, Exit, Result};
use crate::os::{self, Board, Child, Image, Killer, Launch, OomKills, Stderr};
use crate::wire::{Codec, Configure, Duty, Frame, Order, PROTOCOL, Report, Store, codec, split};
use crate::worker::{ENV, Role, Setup, Token, Worker};

/// A process that has not said hello by then runs something else than our entry.
const HELLO_WITHIN: Duration = Duration::from_secs(30);

/// A process that was started as a worker and has said nothing yet.
#[derive(Debug)]
pub(crate) struct Born {
    pub(super) child: Child,
    pub(super) ends: Ends,
    pub(super) reports: OwnedFd,
    /// It has nothing from a forkserver, and loads itself what is to be loaded.
    pub(super) preloads: bool,
}

/// A process that nobody listens to yet.
#[derive(Debug)]
pub(super) struct Silent {
    child: Child,
    reports: OwnedFd,
    stderr: Option<Arc<Stderr>>,
    profile: Arc<Profile>,
}

/// A process that does not do its work yet: what it says, and its end.
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
    pub(super) fn spawn(profile: &Profile, title: OsString, streams: Streams) -> Result<Self> {
        let Unborn { ends, reports, launch } = Unborn::prepare(profile, title, streams)?;
        Ok(Self { child: launch.start()?, ends, reports, preloads: true })
    }

    /// Waits until the process takes calls. Runs on the background runtime.
    pub(super) async fn settle(self, request: &StartRequest, home: Arc<Home>) -> Result<Arc<SpawnLink>> {
        let preloads = self.preloads;
        let (link, silent) = self.link(request, home);
        let mut newborn = silent.listen()?;
        // It waits in the pipe until the process is there to take it: nobody then waits for an answer to the hello.
        link.configure(request, preloads);
        newborn.hello().await?;
        newborn.ready().await?;
        newborn.begin(&link)?;
        Ok(link)
    }

    /// The way to send it something, and what will hear it.
    pub(super) fn link(self, request: &StartRequest, home: Arc<Home>) -> (Arc<SpawnLink>, Silent) {
        let Self { child, ends, reports, .. } = self;
        let (stderr, profile) = (ends.stderr.clone(), Arc::clone(&request.profile));
        let link = SpawnLink::new(child.pid(), child.killer(), ends, request, home);
        (link, Silent { child, reports, stderr, profile })
    }
}

impl Silent {
    /// Listens to it. Runs on the background runtime.
    pub(super) fn listen(self) -> Result<Listened> {
        let Self { child, reports, stderr, profile } = self;
        Newborn::new(child, reports, stderr, &profile)
    }
}

pub(super) async fn start(request: StartRequest, origin: &Origin, home: Arc<Home>) -> Result<Arc<SpawnLink>> {
    if request.profile.functions().any(|setup| !setup.function.is_native()) {
        return Err(Error::ForeignTask { task: "initializer".into() });
    }
    let title = title(&request.profile.configure.name, request.index);
    let born = origin.bear(&request.profile, title, Streams::default()).await?;
    born.settle(&request, home).await
}

/// Everything that a process needs but itself.
pub(super) struct Unborn {
    pub(super) ends: Ends,
    pub(super) reports: OwnedFd,
    pub(super) launch: Launch,
}

impl Unborn {
    pub(super) fn prepare(profile: &Profile, title: OsString, streams: Streams) -> Result<Self> {
        // From now on a death may be laid to a kill.
        OomKills::of_this_process();
        let (token, outlives) = (token()?, !profile.configure.identity.daemon);
        let (board, memory) = Board::create().map_err(|cause| Error::start("make its board", cause))?;
        let board = Arc::new(board);
        let stores = stores(profile, &board);
        let pair = os::control_pair().map_err(|cause| Error::start("make its sockets", cause))?;
        let (handles, their_handles) = pair;
        let mut more = vec![their_handles.as_fd(), memory.as_fd()];
        if let Some((arguments, results)) = &stores {
            more.extend([arguments.as_fd(), results.memory().as_fd()]);
        }
        more.extend(streams.stdin.as_ref().map(OwnedFd::as_fd));
        let Pipes { control, their_control, orders, orders_read, reports } =
            Pipes::new(Setup { token, role: Role::Worker, outlives, has_stores: stores.is_some() }, &more)?;
        let (captured, their_stderr) = match streams.stderr {
            Some(stderr) => (None, Some(stderr)),
            None => stderr(profile).map_err(|cause| Error::start("follow its stderr", cause))?.unzip(),
        };
        let launch = Launch {
            title,
            env: environment(profile, token),
            current_dir: profile.current_dir.clone(),
            control: their_control,
            stdout: streams.stdout,
            stderr: their_stderr,
        };
        let results = stores.map(|(_, results)| results);
        let ends = Ends { control, orders, orders_read, handles, board, results, stderr: captured };
        Ok(Self { ends, reports, launch })
    }
}

/// What it reads large arguments from, and where it writes its large results. If either cannot be had, all of them go over the pipes.
fn stores(profile: &Profile, board: &Arc<Board>) -> Option<(OwnedFd, Arc<Store>)> {
    let arguments = profile.arguments()?.readable().ok()?;
    Some((arguments, Store::for_results(Arc::clone(board)).ok()?))
}

pub(super) fn token() -> Result<Token> {
    os::random().map(Token).map_err(|cause| Error::start("make its token", cause))
}

pub(super) fn environment(profile: &Profile, token: Token) -> Vec<(OsString, OsString)> {
    let mut env = profile.env.clone();
    env.push((ENV.into(), token.to_string().into()));
    env
}

/// Both ends of a pipe for its stderr, where that is captured.
fn stderr(profile: &Profile) -> io::Result<Option<(Arc<Stderr>, OwnedFd)>> {
    if !profile.capture_stderr {
        return Ok(None);
    }
    let (ours, theirs) = os::pipe()?;
    Ok(Some((Stderr::follow(ours)?, theirs)))
}

/// What connects a process, with its own ends on their way to it already.
pub(super) struct Pipes {
    pub(super) control: OwnedFd,
    pub(super) their_control: OwnedFd,
    pub(super) orders: OwnedFd,
    pub(super) orders_read: OwnedFd,
    pub(super) reports: OwnedFd,
}

impl Pipes {
    pub(super) fn new(setup: Setup, more: &[BorrowedFd<'_>]) -> Result<Self> {
        Self::open(&setup, more).map_err(|cause| Error::start("make its pipes", cause))
    }

    fn open(setup: &Setup, more: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let (control, their_control) = os::control_pair()?;
        let (orders_read, orders) = os::pipe()?;
        let (reports, their_reports) = os::pipe()?;
        os::set_nonblocking(&orders)?;
        os::set_nonblocking(&reports)?;
        let setup = postcard::to_stdvec(setup).map_err(io::Error::other)?;
        let theirs = [&[orders_read.as_fd(), their_reports.as_fd()], more].concat();
        // The socket keeps the message until the process is there to take it.
        os::send(&control, &setup, &theirs)?;
        Ok(Self { control, their_control, orders, orders_read, reports })
    }
}

fn title(name: &str, index: usize) -> OsString {
    printable(&Worker::name(name, index))
}

/// A name with a NUL cannot be an argument of a process.
pub(super) fn printable(title: &str) -> OsString {
    title.replace('\0', " ").into()
}

fn configure(request: &StartRequest, preloads: bool) -> (Configure, Bytes) {
    let mut configure = Configure { index: request.index, ..request.profile.configure.clone() };
    if configure.duty == Duty::PoolWorker {
        let worker = Worker::name(&configure.name, request.index);
        configure.identity.name = worker;
        configure.identity.path = format!("{}w{}", configure.identity.path, request.index);
    }
    // One core is left to whoever makes the calls; a worker beyond the others would take it by polling.
    if request.index + 1 >= os::cores() {
        configure.busy_poll_ns = 0;
    }
    configure.preload = request.profile.preload.as_ref().filter(|_| preloads).map(travelling);
    let Some(setup) = &request.profile.setup else { return (configure, Bytes::new()) };
    configure.initializer = Some(setup.function.reference());
    (configure, setup.arguments.clone())
}

/// The end of a process, for whoever asks, however often.
pub(super) type Ended = Shared<BoxFuture<'static, Exit>>;
/// A process that is listened to.
pub(super) type Listened = Newborn<Receiver, Ended>;

impl Listened {
    pub(super) fn new(
        child: Child,
        reports: OwnedFd,
        stderr: Option<Arc<Stderr>>,
        profile: &Profile,
    ) -> Result<Self> {
        let pid = child.pid();
        let receiver = Receiver::from_owned_fd(reports).map_err(|cause| Error::start("watch it", cause))?;
        let reports = FramedRead::new(receiver, codec(profile.configure.max_frame));
        Ok(Self { pid, reports, ended: child.ended().boxed().shared(), stderr })
    }

    pub(super) fn into_end(self) -> Ended {
        self.ended
    }

    /// From now on its link hears it.
    pub(super) fn begin(self, link: &Arc<SpawnLink>) -> Result<()> {
        let FramedParts { io, read_buf, .. } = self.reports.into_parts();
        let begun = io.into_nonblocking_fd().and_then(|pipe| link.begin(pipe, read_buf, self.ended));
        begun.map_err(|cause| Error::start("hand over its pipe", cause))
    }
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

    /// Waits until it has said who it is.
    pub(super) async fn hello(&mut self) -> Result<()> {
        let said = tokio::time::timeout(HELLO_WITHIN, self.said_hello()).await;
        said.unwrap_or_else(|_| Err(Error::start("greet it", io::ErrorKind::TimedOut.into())))
    }

    async fn said_hello(&mut self) -> Result<()> {
        let ours = Image::of_this_process().identity();
        match self.next().await? {
            Report::Hello { protocol: PROTOCOL, image } if image == ours => Ok(()),
            Report::Hello { protocol: PROTOCOL, .. } => Err(unexpected("it runs another build")),
            Report::Hello { protocol, .. } => Err(unexpected(&format!("it speaks version {protocol}"))),
            _ => Err(unexpected("its first report was no hello")),
        }
    }

    /// Waits until it is as it was told to be.
    pub(super) async fn ready(&mut self) -> Result<()> {
        match self.next().await? {
            Report::Ready => Ok(()),
            Report::PreloadFailed(cause) => Err(Error::Preload { cause }),
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
    pub(super) fn configure(self: &Arc<Self>, request: &StartRequest, preloads: bool) {
        let (configure, arguments) = configure(request, preloads);
        self.post(Frame::new(&Order::Configure(Box::new(configure)), arguments));
    }
}
