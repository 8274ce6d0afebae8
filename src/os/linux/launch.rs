//! The start of another process of this program through `posix_spawn`.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

use super::child::Child;
use crate::error::{Error, Result};

/// The image of this very process, even if its file was replaced or deleted.
const OURSELVES: &str = "/proc/self/exe";

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

/// A child that we cannot watch yet: dropping it kills and reaps it by number.
pub(super) struct Unwatched(pub(super) Pid);

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
        Unwatched(Pid::from_raw(number).expect("a process number is not 0")).watch()
    }
}

impl Unwatched {
    pub(super) fn watch(self) -> Result<Child> {
        let pidfd = pidfd_open(self.0, PidfdFlags::empty());
        let pidfd = pidfd.map_err(|cause| Error::start("watch its process", cause.into()))?;
        let pid = self.0;
        std::mem::forget(self);
        Ok(Child::ours(pid, pidfd))
    }
}

impl Drop for Unwatched {
    fn drop(&mut self) {
        let _gone = kill_process(self.0, Signal::KILL);
        let _reaped = retry_on_intr(|| waitpid(Some(self.0), WaitOptions::empty()));
    }
}
