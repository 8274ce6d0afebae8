//! A child process from its start to its reaping: nothing that goes wrong between the two leaves one behind.
//!
//! 1. `std::process::Command` with no `pre_exec`, `uid` or `gid`, which keeps it on `posix_spawn`: a big parent
//!    starts children as fast as a small one.
//! 2. Death is told by the pidfd, never by the end of a pipe that a grandchild may hold.
//! 3. While the child is not reaped, its number and that of its group belong to it: the group is killed first.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, getppid, kill_process, kill_process_group,
    pidfd_open, pidfd_send_signal, waitid, waitpid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::error::{Error, Exit, Result};

/// The image of this very process, even if its file was replaced or deleted.
const OURSELVES: &str = "/proc/self/exe";

/// The signal that nobody survives.
pub(crate) const SIGKILL: i32 = libc::SIGKILL;
/// The signal that asks to end.
pub(crate) const SIGTERM: i32 = libc::SIGTERM;
/// The signal of Ctrl-C.
pub(crate) const SIGINT: i32 = libc::SIGINT;
/// Sends a signal to the group that a process leads or has led, since Linux 6.9.
const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

/// A thread that only waits needs next to nothing.
const WAITING_STACK: usize = 64 * 1024;

/// What to start: another process of this program.
#[derive(Debug)]
pub(crate) struct Launch {
    /// What `ps` shows.
    pub(crate) title: OsString,
    /// Variables set besides those that are inherited.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Where it runs, if not where we do.
    pub(crate) current_dir: Option<PathBuf>,
    /// What becomes its descriptor 0 until it has entered.
    pub(crate) control: OwnedFd,
    /// What becomes its descriptor 1, if not ours.
    pub(crate) stdout: Option<OwnedFd>,
    /// What becomes its descriptor 2, if not ours.
    pub(crate) stderr: Option<OwnedFd>,
}

/// A started child that was not reaped yet. Dropping it kills and reaps it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Arc<OwnedFd>,
    reaped: bool,
}

/// The right to kill a child, however long it lives: it never hits another process of the same number.
#[derive(Debug, Clone)]
pub(crate) struct Killer {
    pidfd: Arc<OwnedFd>,
}

/// Kills a child when nobody waits for it any more; one that has ended is not there to be hit.
struct KillOnDrop(Killer);

/// A child that we cannot watch yet: dropping it kills and reaps it by number.
struct Unwatched(Pid);

impl Launch {
    /// Starts the child, in a process group of its own. Blocks for about a millisecond.
    pub(crate) fn start(self) -> Result<Child> {
        let mut command = Command::new(OURSELVES);
        command.arg0(&self.title).envs(self.env).stdin(Stdio::from(self.control)).process_group(0);
        if let Some(stdout) = self.stdout {
            command.stdout(Stdio::from(stdout));
        }
        if let Some(stderr) = self.stderr {
            command.stderr(Stdio::from(stderr));
        }
        if let Some(directory) = self.current_dir {
            command.current_dir(directory);
        }
        let started = command.spawn().map_err(|cause| Error::start("start its process", cause))?;
        let number = i32::try_from(started.id()).expect("a process number is an i32");
        let unwatched = Unwatched(Pid::from_raw(number).expect("a process number is not 0"));
        let pidfd = pidfd_open(unwatched.0, PidfdFlags::empty());
        let pidfd = pidfd.map_err(|cause| Error::start("watch its process", cause.into()))?;
        let pid = unwatched.0;
        std::mem::forget(unwatched);
        Ok(Child { pid, pidfd: Arc::new(pidfd), reaped: false })
    }
}

impl Drop for Unwatched {
    fn drop(&mut self) {
        let _gone = kill_process(self.0, Signal::KILL);
        let _reaped = retry_on_intr(|| waitpid(Some(self.0), WaitOptions::empty()));
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Signals the group that a process leads or has led, and nothing else: not even where somebody has reaped it already does the
/// descriptor stand for another group of the same number.
fn signal_group(pidfd: &OwnedFd, signal: libc::c_int) -> io::Result<()> {
    let no_details = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and no details are given.
    let sent = unsafe {
        let (pidfd, whole_group) = (pidfd.as_raw_fd(), PIDFD_SIGNAL_PROCESS_GROUP);
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, no_details, whole_group)
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Killer {
    /// Kills the child at once; does nothing if it is gone. What is left of its group goes when it is reaped.
    pub(crate) fn kill(&self) {
        let _gone = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Sends a signal to the child alone. One that has ended is past all signals, which is no error.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// True once the child has ended, whether or not it was reaped.
    pub(crate) fn has_ended(&self) -> bool {
        has_ended(self)
    }

    /// Sends SIGTERM to the child's group, by a kernel that cannot name a group so to the child alone.
    pub(crate) fn interrupt(&self) {
        if signal_group(&self.pidfd, libc::SIGTERM).is_err() {
            let _gone = pidfd_send_signal(&self.pidfd, Signal::TERM);
        }
    }
}

impl AsFd for Killer {
    /// Readable once the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// By what a child sees its parent end: readable once it has.
///
/// # Errors
///
/// Those of the operating system; a parent that has ended already is none.
pub(crate) fn watch_parent(parent: u32) -> io::Result<OwnedFd> {
    let parent = i32::try_from(parent).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let watched = pidfd_open(parent, PidfdFlags::empty());
    // Whoever had its number then is our parent, if our parent still has it.
    if getppid() == Some(parent) { Ok(watched?) } else { ended_already() }
}

/// True once the process behind a pidfd has ended.
pub(crate) fn has_ended(pidfd: impl AsFd) -> bool {
    let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
    retry_on_intr(|| poll(&mut polled, Some(&Timespec::default()))).is_ok_and(|ready| ready > 0)
}

/// What can be read at once, and never gives anything: stands for a process that has ended.
fn ended_already() -> io::Result<OwnedFd> {
    Ok(super::pipe::pipe()?.0)
}

impl Child {
    /// The child's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The right to kill it.
    pub(crate) fn killer(&self) -> Killer {
        Killer { pidfd: Arc::clone(&self.pidfd) }
    }

    /// Waits for the child's end, kills what is left of its group, reaps it, and tells how it ended.
    ///
    /// Cancel safe in that a child that is no longer waited for is killed and reaped.
    pub(crate) async fn ended(mut self) -> Exit {
        let pidfd = Arc::clone(&self.pidfd);
        // SAFETY: the descriptor is open, always the same, and stays open as long as the registration, which
        // holds a share of it.
        let registered = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        if let Ok(watched) = registered
            && watched.readable().await.is_ok()
        {
            return self.reap();
        }
        // There is no room in epoll.
        self.ended_on_a_thread().await
    }

    /// The same with a thread that waits for this child alone.
    async fn ended_on_a_thread(mut self) -> Exit {
        let _killed_if_given_up = KillOnDrop(self.killer());
        let (tell, told) = oneshot::channel();
        let waiting = thread::Builder::new().name("multiprocess-wait".into()).stack_size(WAITING_STACK);
        // Where no thread can be had, the child is dropped with what it was to run, which kills and reaps it.
        let _started = waiting.spawn(move || {
            self.wait_blocking();
            let _nobody_waits = tell.send(self.reap());
        });
        told.await.unwrap_or(Exit::Unknown)
    }

    fn wait_blocking(&self) {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _readable = retry_on_intr(|| poll(&mut polled, None));
    }

    fn reap(&mut self) -> Exit {
        self.reaped = true;
        let who = || WaitId::PidFd(self.pidfd.as_fd());
        let seen = retry_on_intr(|| waitid(who(), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
        let killed = signal_group(&self.pidfd, libc::SIGKILL);
        let Ok(Some(status)) = seen else {
            // Somebody else has reaped it, so that its number may belong to another process by now.
            return Exit::Unknown;
        };
        if killed.is_err() {
            // An older kernel.
            let _no_one_left = kill_process_group(self.pid, Signal::KILL);
        }
        let _status = retry_on_intr(|| waitid(who(), WaitIdOptions::EXITED));
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.killer().kill();
            self.wait_blocking();
            self.reap();
        }
    }
}
