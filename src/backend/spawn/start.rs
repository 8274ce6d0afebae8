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
use tokio::net::unix::pipe::Receiver;
use tokio_util::codec::FramedRead;

use super::link::SpawnLink;
use crate::backend::{Home, Profile, StartRequest};
use crate::error::{Death, Error, Exit, Result};
use crate::os::{self, Board, Image, Launch};
use crate::wire::{Codec, Configure, Frame, Initializer, Order, PROTOCOL, Report, codec, split};
use crate::worker::{ENV, Setup, Token};

/// A process that has not said hello by then runs something else than our entry.
const HELLO_WITHIN: Duration = Duration::from_secs(30);

/// What the pool keeps of a worker that it starts, and what goes to the worker.
struct Ends {
    control: OwnedFd,
    orders: OwnedFd,
    reports: OwnedFd,
    board: Board,
}

type Reports = FramedRead<Receiver, Codec>;

pub(super) async fn start(request: StartRequest, home: Arc<Home>) -> Result<Arc<SpawnLink>> {
    if request.profile.setup.as_ref().is_some_and(|setup| !setup.function.is_native()) {
        return Err(Error::ForeignTask { task: "initializer".into() });
    }
    let (ends, launch) =
        prepare(&request.profile, request.index).map_err(|cause| Error::start("make its pipes", cause))?;
    let started = tokio::task::spawn_blocking(move || launch.start()).await.map_err(io::Error::other);
    let child = started.flatten().map_err(|cause| Error::start("start its process", cause))?;
    let pid = child.pid();
    let killer = child.killer();
    let receiver = Receiver::from_owned_fd(ends.reports).map_err(|cause| Error::start("watch it", cause))?;
    let mut reports = FramedRead::new(receiver, codec(request.profile.configure.max_frame));
    let mut ended = Box::pin(child.ended());
    tokio::time::timeout(HELLO_WITHIN, hello(&mut reports, &mut ended, pid))
        .await
        .map_err(|_| Error::start("greet it", io::ErrorKind::TimedOut.into()))??;
    let link = SpawnLink::new(pid, killer, ends.control, ends.orders, ends.board, &request, home);
    link.configure(&configure(&request));
    match next(&mut reports, &mut ended, pid).await? {
        Report::Ready => {}
        Report::InitializerFailed(cause) => return Err(Error::Initializer { cause }),
        #[cfg(feature = "sandbox")]
        Report::SandboxFailed { part, cause } => return Err(Error::Sandbox { part, cause }),
        Report::Hello { .. } | Report::Reply(_) => return Err(unexpected("a report out of turn")),
    }
    let pipe = reports.into_inner().into_nonblocking_fd();
    let begun = pipe.and_then(|pipe| link.begin(pipe, ended));
    begun.map_err(|cause| Error::start("hand over its pipe", cause))?;
    Ok(link)
}

fn prepare(profile: &Profile, index: usize) -> io::Result<(Ends, Launch)> {
    let token = Token(os::random()?);
    let (control, their_control) = os::control_pair()?;
    let (their_orders, orders) = os::pipe()?;
    let (reports, their_reports) = os::pipe()?;
    os::set_nonblocking(&orders)?;
    os::set_nonblocking(&reports)?;
    let (board, memory) = Board::create()?;
    let setup = postcard::to_stdvec(&Setup { token }).map_err(io::Error::other)?;
    // The socket keeps the message until the worker is there to take it.
    os::send(&control, &setup, &[their_orders.as_fd(), their_reports.as_fd(), memory.as_fd()])?;
    let mut env = profile.env.clone();
    env.push((ENV.into(), token.to_string().into()));
    let title = title(&profile.configure.name, index);
    let launch = Launch { title, env, current_dir: profile.current_dir.clone(), control: their_control };
    Ok((Ends { control, orders, reports, board }, launch))
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

/// The next report of a worker that is still starting.
async fn next(
    reports: &mut Reports,
    ended: &mut (impl Future<Output = Exit> + Unpin),
    pid: u32,
) -> Result<Report> {
    let frame = tokio::select! {
        biased;
        frame = reports.next() => frame,
        // What it said last may still be in the pipe.
        exit = &mut *ended => match futures::FutureExt::now_or_never(reports.next()).flatten() {
            Some(frame) => Some(frame),
            None => return Err(Error::WorkerDied(Death::new(pid, exit, None))),
        },
    };
    match frame {
        Some(Ok(frame)) => Ok(split(&BytesMut::freeze(frame)).map_err(|why| unexpected(&why))?.0),
        Some(Err(error)) => Err(unexpected(&error.to_string())),
        // The end of the pipe comes a moment before the end of the process, which says more.
        None => Err(Error::WorkerDied(Death::new(pid, ended.await, None))),
    }
}

async fn hello(
    reports: &mut Reports,
    ended: &mut (impl Future<Output = Exit> + Unpin),
    pid: u32,
) -> Result<()> {
    let ours = Image::of_this_process().identity();
    match next(reports, ended, pid).await? {
        Report::Hello { protocol: PROTOCOL, image } if image == ours => Ok(()),
        Report::Hello { protocol: PROTOCOL, .. } => Err(unexpected("it runs another build")),
        Report::Hello { protocol, .. } => Err(unexpected(&format!("it speaks version {protocol}"))),
        _ => Err(unexpected("its first report was no hello")),
    }
}

fn unexpected(why: &str) -> Error {
    Error::Incompatible { why: why.into() }
}

impl SpawnLink {
    fn configure(self: &Arc<Self>, (configure, arguments): &(Configure, Bytes)) {
        self.post(Frame::new(&Order::Configure(configure.clone()), arguments.clone()));
    }
}
