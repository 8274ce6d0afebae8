//! A child process as its parent knows it: shared by its handle, the list of children, and whoever is told what becomes of it.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use super::children;
use super::fate::Fate;
use crate::backend::{End, Ended, Events, Forked, Link, WorkerId};
use crate::error::{Death, Error, Exit, Result};
use crate::os::{self, Killer, SIGKILL, Start};
use crate::wait::block_on;
use crate::wire::{CallHead, Parcel, Reply};

/// The only call that a process gets.
pub(super) const CALL: CallHead = CallHead { call: 1, slot: 0, elements: 1 };

pub(super) struct Life {
    /// It has this number among all that this process has started.
    pub(super) number: u64,
    pub(super) pid: u32,
    pub(super) daemon: bool,
    pub(super) fate: Arc<Fate>,
    killer: Killer,
    /// We have killed it ourselves, so that nothing else has.
    killed: AtomicBool,
    source: Source,
}

/// By what it is known how far it came, and what becomes of it.
enum Source {
    /// Where its board is. Whoever follows it tells the rest.
    Started(OnceLock<Weak<dyn Link>>),
    /// A copy of this process. Whoever wants to know of its end takes it out and waits for it.
    Forked(Mutex<Option<Box<Forked>>>),
}

impl Life {
    pub(super) fn new(number: u64, pid: u32, daemon: bool, fate: Fate, killer: Killer) -> Self {
        let source = Source::Started(OnceLock::new());
        Self { number, pid, daemon, fate: Arc::new(fate), killer, killed: AtomicBool::new(false), source }
    }

    /// That of a copy of this process.
    pub(super) fn of(forked: Forked, number: u64, daemon: bool, fate: Fate) -> Self {
        let (pid, killer) = (forked.pid(), forked.killer());
        let source = Source::Forked(Mutex::new(Some(Box::new(forked))));
        Self { source, ..Self::new(number, pid, daemon, fate, killer) }
    }

    pub(super) fn has_link(&self, link: Weak<dyn Link>) {
        let Source::Started(known) = &self.source else { unreachable!("a copy has no link") };
        assert!(known.set(link).is_ok(), "it gets its call once");
    }

    /// Sees to it that its end is told, by a thread that waits for that if nobody else does.
    pub(super) fn attend(self: &Arc<Self>) {
        let Source::Forked(forked) = &self.source else { return };
        // Whoever holds it waits for it himself, perhaps not to the end.
        if forked.try_lock().is_ok_and(|forked| forked.is_none()) {
            return;
        }
        let life = Arc::clone(self);
        if os::waiting_thread().spawn(move || life.wait_here(None)).is_err() {
            self.wait_here(None);
        }
    }

    /// If nobody else would tell of its end: waits for that on this thread, and tells. False if the time is over before.
    pub(super) fn wait_here(&self, until: Option<Instant>) -> bool {
        let Source::Forked(forked) = &self.source else { return true };
        let mut place = match (forked.try_lock(), until) {
            (Ok(place), _) => place,
            (Err(_), None) => forked.lock().unwrap_or_else(PoisonError::into_inner),
            // Somebody else waits for it.
            (Err(_), Some(_)) => return true,
        };
        let Some(forked) = place.as_mut() else { return true };
        let Some(Ended { end, result }) = forked.wait(until) else { return false };
        *place = None;
        match result {
            Some(Ok(record)) => drop(self.fate.came(record)),
            Some(Err(error)) => self.fate.failed(error),
            None => {}
        }
        self.gone(WorkerId(self.number), end);
        true
    }

    /// Nobody will want to know what came of it.
    pub(super) fn neglect(&self) {
        if let Source::Forked(forked) = &self.source
            && let Ok(mut forked) = forked.try_lock()
            && let Some(forked) = &mut *forked
        {
            forked.neglect();
        }
    }

    /// Waits until its end was told, which has come.
    fn settle(&self) {
        self.wait_here(None);
        block_on(self.fate.ended());
    }

    pub(super) fn is_alive(&self) -> bool {
        !os::has_ended(&self.killer)
    }

    /// How it has ended, in Python's numbers.
    pub(super) fn exit_code(&self) -> Option<i32> {
        if os::forked() || self.is_alive() {
            return None;
        }
        self.settle();
        match self.fate.exit()? {
            Exit::Code(code) => Some(code),
            Exit::Signal(signal) => Some(-signal),
            Exit::Unknown => None,
        }
    }

    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        os::not_forked()?;
        self.fate.not_closed()?;
        self.killed.fetch_or(signal == SIGKILL, Ordering::Relaxed);
        if let (SIGKILL, Some(link)) = (signal, self.link()) {
            // It takes no note then of a kill for want of memory, which may have been another process's.
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
        self.settle();
        self.fate.close();
        Ok(())
    }

    /// Readable once it has ended.
    pub(super) fn sentinel(&self) -> BorrowedFd<'_> {
        self.killer.as_fd()
    }

    fn link(&self) -> Option<Arc<dyn Link>> {
        match &self.source {
            Source::Started(link) => link.get().and_then(Weak::upgrade),
            Source::Forked(_) => None,
        }
    }

    fn death(&self, end: End) -> Death {
        let started = match (&self.source, self.link()) {
            (Source::Forked(_), _) => true,
            (Source::Started(_), Some(link)) => link.progress(CALL.slot, CALL.call) != Start::NotStarted,
            (Source::Started(_), None) => false,
        };
        let End { exit, fault, oom_likely, stderr_tail } = end;
        let oom_likely = oom_likely && !self.killed.load(Ordering::Relaxed);
        let (task, attempts) = (started.then(|| self.fate.task()), u32::from(started));
        Death { task, attempts, fault, oom_likely, stderr_tail, ..Death::new(self.pid, exit) }
    }
}

impl Events for Life {
    fn replies(&self, _worker: WorkerId, replies: Vec<(Reply, Parcel)>) -> Result<(), String> {
        for (reply, parcel) in replies {
            if (reply.call, reply.elements) != (CALL.call, CALL.elements) || !self.fate.came(parcel) {
                return Err("it answered what it was not asked".into());
            }
        }
        Ok(())
    }

    fn gone(&self, _worker: WorkerId, end: End) {
        children::forget(self.number);
        self.fate.end(end.exit, || Error::WorkerDied(self.death(end)));
    }
}
