//! The forkserver: a process of the program with one thread that loads something once and then does nothing but fork.
//!
//! ```text
//! program                          forkserver                       worker
//! ForkRequest + its socket ──────► fork ──────────────────────────► takes its pipes from its socket, serves
//!                          ◄────── Forked + pidfd
//!                          ◄────── Ended (it reaps its children)
//! ```
//!
//! It has no lock that anybody else could hold, no runtime, and no socket that anybody else could connect to. It ends with the program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use super::answers::write;
use super::enter::{begin, give_up};
use super::identity::become_known_as;
use super::preload;
use super::serve::{Orders, Pipes, configuration};
use super::shape::Shape;
use crate::error::Error;
use crate::os::{self, Child, Maker, Title};
use crate::wire::{ForkNotice, ForkRequest, Report};

/// The most that a request may take.
pub(crate) const REQUEST_ROOM: usize = 64 * 1024;

/// What the loop works with.
struct Forkserver {
    control: OwnedFd,
    maker: Maker,
    title: Option<Title>,
    children: Vec<(u64, Child)>,
}

/// A request with what came along with it.
struct Ordered {
    request: ForkRequest,
    control: OwnedFd,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// Loads what is to be loaded, then forks until the program ends.
pub(super) fn serve(pipes: Pipes) -> ! {
    let Pipes { control, maker, orders, reports } = pipes;
    let (configure, _) = configuration(&mut Orders::new(orders), &reports, &maker);
    // What is loaded may ask who it is loaded by.
    become_known_as(configure.identity.clone(), None);
    let loaded = configure.preload.as_ref().map_or(Ok(()), preload::load).and_then(|()| stands_alone());
    let report = loaded.map_or_else(Report::PreloadFailed, |()| Report::Ready);
    let reported = write(&reports, &report, Vec::new());
    if reported.is_err() || matches!(report, Report::PreloadFailed(_)) {
        std::process::exit(1);
    }
    drop(reports);
    let mut forkserver = Forkserver { control, maker, title: Title::of_this_process(), children: Vec::new() };
    let mut buffer = vec![0; REQUEST_ROOM];
    loop {
        match forkserver.step(&mut buffer) {
            Ok(None) => {}
            Ok(Some(ordered)) => forkserver.become_worker(ordered),
            // The program is gone; workers find that out for themselves.
            Err(error) if is_the_end(&error) => os::leave_at_once(0),
            Err(error) => give_up("go on as a forkserver", &error),
        }
    }
}

fn is_the_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

/// A lock that another thread holds at the fork would be held for ever in the child.
fn stands_alone() -> Result<(), String> {
    match os::other_threads() {
        Ok(threads) if threads.is_empty() => Ok(()),
        Ok(threads) => {
            Err(format!("it has left threads behind, so that nothing can be forked: {}", threads.join(", ")))
        }
        Err(error) => Err(format!("cannot count its threads: {error}")),
    }
}

impl Forkserver {
    /// Waits for a request, for the end of a child or for that of the program, and deals with it. In a process that was forked for
    /// a request, the request.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<Option<Ordered>> {
        let mut watched: Vec<BorrowedFd<'_>> = vec![self.control.as_fd()];
        watched.extend(self.maker.pidfd().map(|pidfd| pidfd.as_fd()));
        let before_children = watched.len();
        watched.extend(self.children.iter().map(|(_, child)| child.as_fd()));
        let ready = os::wait_for_any(&watched, None)?;
        for (index, _) in ready[before_children..].iter().enumerate().rev().filter(|(_, ready)| **ready) {
            let (id, mut child) = self.children.swap_remove(index);
            self.tell(&ForkNotice::Ended { id, exit: child.reap().into() }, None)?;
        }
        if before_children > 1 && ready[1] {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if ready[0] { self.obey(buffer) } else { Ok(None) }
    }

    fn obey(&mut self, buffer: &mut [u8]) -> io::Result<Option<Ordered>> {
        let (length, descriptors) = os::receive(&self.control, buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let ordered = Ordered::read(&buffer[..length], descriptors)?;
        let id = ordered.request.id;
        match os::fork() {
            Ok(None) => return Ok(Some(ordered)),
            Ok(Some(child)) => {
                let notice = ForkNotice::Forked { id, pid: child.pid() };
                self.tell(&notice, Some(child.as_fd()))?;
                self.children.push((id, child));
            }
            Err(error) => self.tell(&refused(id, error), None)?,
        }
        Ok(None)
    }

    /// In a process that was just forked: nothing of the forkserver stays but what it has loaded.
    fn become_worker(self, ordered: Ordered) -> ! {
        let Self { control, maker, title, children } = self;
        drop(control);
        for (_, child) in children {
            child.leave_to_parent();
        }
        if let Some(title) = title {
            title.set(OsStr::from_bytes(&ordered.request.title));
        }
        begin(ordered.take_effect(), Some(maker))
    }

    fn tell(&self, notice: &ForkNotice, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let message = postcard::to_stdvec(notice).map_err(io::Error::other)?;
        os::send_waiting(&self.control, &message, descriptor.as_slice())
    }
}

impl Ordered {
    fn read(message: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let request: ForkRequest = postcard::from_bytes(message).map_err(io::Error::other)?;
        let mut descriptors = descriptors.into_iter();
        let mut next = |wanted: bool| match (wanted, wanted.then(|| descriptors.next()).flatten()) {
            (true, None) => Err(io::Error::other("a descriptor is missing")),
            (_, descriptor) => Ok(descriptor),
        };
        let control = next(true)?.expect("it was wanted, and is no error");
        let (stdout, stderr) = (next(request.stdout)?, next(request.stderr)?);
        Ok(Self { request, control, stdout, stderr })
    }

    /// Makes this process what was asked for; its control socket.
    fn take_effect(self) -> OwnedFd {
        let Self { request, control, stdout, stderr } = self;
        let text = OsString::from_vec;
        let env: Vec<_> = request.env.into_iter().map(|(key, value)| (text(key), text(value))).collect();
        let current_dir = request.current_dir.map(text);
        Shape { stdout, stderr, env: &env, current_dir: current_dir.as_deref().map(Path::new) }.take();
        control
    }
}

fn refused(id: u64, error: Error) -> ForkNotice {
    match error {
        Error::NotAlone { threads } => ForkNotice::NotAlone { id, threads },
        Error::Start { cause, .. } => ForkNotice::Failed { id, errno: cause.raw_os_error().unwrap_or(0) },
        _ => ForkNotice::Failed { id, errno: 0 },
    }
}
