//! A child process from its start to its reaping: nothing that goes wrong between the two leaves one behind.
//!
//! 1. Death is told by the pidfd, never by the end of a pipe that a grandchild may hold.
//! 2. While the child is not reaped, its number and that of its group belong to it: the group is killed first.
//! 3. A child of the forkserver is reaped by that. How it ended is told a moment after its pidfd says that it has, or never.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_send_signal, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::error::Exit;

/// The signal that nobody survives.
pub(crate) const SIGKILL: i32 = libc::SIGKILL;
/// The signal that asks to end.
pub(crate) const SIGTERM: i32 = libc::SIGTERM;
/// The signal of Ctrl-C.
pub(crate) const SIGINT: i32 = libc::SIGINT;
/// Sends a signal to the group that a process leads or has led, since Linux 6.9.
const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

/// A forkserver that has not told by then how its child has ended never will: it is stopped.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// A thread that only waits needs next to nothing.
const WAITING_STACK: usize = 64 * 1024;

/// A started child that was not reaped yet. Dropping it kills and reaps it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Arc<OwnedFd>,
    /// How it ends, told by the forkserver whose child it is. Nothing if it is ours.
    told: Option<oneshot::Receiver<Exit>>,
    reaped: bool,
}

/// The right to kill a child, however long it lives: it never hits another process of the same number.
#[derive(Debug, Clone)]
pub(crate) struct Killer {
    pidfd: Arc<OwnedFd>,
}

/// Kills a child when nobody waits for it any more; one that has ended is not there to be hit.
struct KillOnDrop(Killer);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A thread that waits for the end of one child.
pub(crate) fn waiting_thread() -> thread::Builder {
    thread::Builder::new().name("multiprocess-wait".into()).stack_size(WAITING_STACK)
}

/// Watches on the current runtime whether a descriptor can be read.
pub(crate) fn watch(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    watch_for(descriptor, Interest::READABLE)
}

/// As `watch`, for room to write.
pub(crate) fn watch_room(descriptor: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    watch_for(descriptor, Interest::WRITABLE)
}

fn watch_for(descriptor: Arc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the descriptor is open, always the same, and stays open as long as the registration, which holds a share of it.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    Ok(registered?)
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

/// True once the process behind a pidfd has ended.
pub(crate) fn has_ended(pidfd: impl AsFd) -> bool {
    let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
    retry_on_intr(|| poll(&mut polled, Some(&Timespec::default()))).is_ok_and(|ready| ready > 0)
}

impl Child {
    pub(super) fn ours(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd: Arc::new(pidfd), told: None, reaped: false }
    }

    /// A child of the forkserver, which tells how it ends.
    pub(crate) fn of_forkserver(pid: u32, pidfd: OwnedFd, told: oneshot::Receiver<Exit>) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        Some(Self { pid, pidfd: Arc::new(pidfd), told: Some(told), reaped: false })
    }

    /// Lets go of a child that a copy of this process goes on to watch.
    pub(crate) fn leave_to_parent(mut self) {
        self.reaped = true;
    }

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
        let watched = match watch(Arc::clone(&self.pidfd)) {
            Ok(watched) => watched.readable().await.is_ok(),
            // There is no room in epoll.
            Err(_) => false,
        };
        if !watched {
            match self.watched_by_a_thread().await {
                Some(child) => self = child,
                None => return Exit::Unknown,
            }
        }
        match self.told.take() {
            Some(told) => self.hear(told).await,
            None => self.reap(),
        }
    }

    /// Gives it back once it has ended, by a thread that waits for this child alone.
    async fn watched_by_a_thread(self) -> Option<Self> {
        let _killed_if_given_up = KillOnDrop(self.killer());
        let (tell, told) = oneshot::channel();
        let waiting = waiting_thread();
        // Where no thread can be had, the child is dropped with what it was to run, which kills and reaps it.
        let _started = waiting.spawn(move || {
            self.wait_blocking();
            let _nobody_waits = tell.send(self);
        });
        told.await.ok()
    }

    /// How it ended, as the forkserver tells it.
    async fn hear(mut self, told: oneshot::Receiver<Exit>) -> Exit {
        self.reaped = true;
        let told = tokio::time::timeout(TOLD_WITHIN, told).await;
        // The forkserver has done so, if it lives.
        let _no_one_left = signal_group(&self.pidfd, libc::SIGKILL);
        told.ok().and_then(Result::ok).unwrap_or(Exit::Unknown)
    }

    fn wait_blocking(&self) {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _readable = retry_on_intr(|| poll(&mut polled, None));
    }

    /// Kills its group and reaps it, which has ended.
    pub(crate) fn reap(&mut self) -> Exit {
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

impl AsFd for Child {
    /// Its pidfd, which can be read once it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        match (self.reaped, &self.told) {
            (true, _) => {}
            (false, Some(_)) => self.killer().kill(),
            (false, None) => {
                self.killer().kill();
                self.wait_blocking();
                self.reap();
            }
        }
    }
}
