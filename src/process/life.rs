//! A child process as its parent knows it: shared by its handle, the list of children, and whoever is told what becomes of it.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;

use super::children;
use super::fate::Fate;
use crate::backend::{End, Events, Link, WorkerId};
use crate::error::{Death, Error, Exit, Result};
use crate::os::{self, Killer, SIGKILL, Start};
use crate::wait::block_on;
use crate::wire::{CallHead, Reply};

/// The only call that a process gets.
pub(super) const CALL: CallHead = CallHead { call: 1, slot: 0, elements: 1 };

pub(super) struct Life {
    /// It has this number among all that this process has started.
    pub(super) number: u64,
    pub(super) pid: u32,
    pub(super) daemon: bool,
    pub(super) fate: Arc<Fate>,
    killer: Killer,
    /// Where its board is.
    link: OnceLock<Weak<dyn Link>>,
}

impl Life {
    pub(super) fn new(number: u64, pid: u32, daemon: bool, fate: Fate, killer: Killer) -> Self {
        Self { number, pid, daemon, fate: Arc::new(fate), killer, link: OnceLock::new() }
    }

    pub(super) fn has_link(&self, link: Weak<dyn Link>) {
        assert!(self.link.set(link).is_ok(), "it gets its call once");
    }

    pub(super) fn is_alive(&self) -> bool {
        !os::has_ended(&self.killer)
    }

    /// How it has ended, in Python's numbers.
    pub(super) fn exit_code(&self) -> Option<i32> {
        if os::forked() || self.is_alive() {
            return None;
        }
        // It is being reaped, or was.
        block_on(self.fate.ended());
        match self.fate.exit()? {
            Exit::Code(code) => Some(code),
            Exit::Signal(signal) => Some(-signal),
            Exit::Unknown => None,
        }
    }

    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        os::not_forked()?;
        self.fate.not_closed()?;
        if let (SIGKILL, Some(link)) = (signal, self.link()) {
            // It takes note that it was nobody else.
            link.kill();
        }
        self.killer.signal(signal).map_err(|cause| Error::start("send it a signal", cause))
    }

    /// Lets go of what has come of it.
    pub(super) fn close(&self) -> Result<()> {
        self.fate.not_closed()?;
        if self.is_alive() {
            return Err(Error::StillRunning { name: self.fate.name().to_owned(), pid: self.pid });
        }
        // It is being reaped, or was.
        block_on(self.fate.ended());
        self.fate.close();
        Ok(())
    }

    /// Readable once it has ended.
    pub(super) fn sentinel(&self) -> BorrowedFd<'_> {
        self.killer.as_fd()
    }

    fn link(&self) -> Option<Arc<dyn Link>> {
        self.link.get().and_then(Weak::upgrade)
    }

    fn death(&self, end: End) -> Death {
        let started =
            self.link().is_some_and(|link| link.progress(CALL.slot, CALL.call) != Start::NotStarted);
        let End { exit, fault, oom_likely, stderr_tail } = end;
        let (task, attempts) = (started.then(|| self.fate.task()), u32::from(started));
        Death { task, attempts, fault, oom_likely, stderr_tail, ..Death::new(self.pid, exit) }
    }
}

impl Events for Life {
    fn reply(&self, _worker: WorkerId, reply: Reply, records: Bytes) -> Result<(), String> {
        if (reply.call, reply.elements) == (CALL.call, CALL.elements) && self.fate.came(records) {
            return Ok(());
        }
        Err("it answered what it was not asked".into())
    }

    fn gone(&self, _worker: WorkerId, end: End) {
        children::forget(self.number);
        self.fate.end(end.exit, || Error::WorkerDied(self.death(end)));
    }
}
