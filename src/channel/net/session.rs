//! A sealed connection of this process, shared by the copies of its end and by the messages that are on their way.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cipher::Ciphers;
use super::incoming::Incoming;
use super::outgoing::{Outgoing, Pushed};
use crate::channel::watch::watch_here;
use crate::error::{Error, Result};
use crate::os::{self, Wanted};
use crate::wire::Fd;

/// 1. It belongs to the process that has made it: a copy by `fork` would number its records as the original does, and two records
///    with one number give away what stands in them.
#[derive(Debug)]
pub(super) struct Session {
    socket: Fd,
    process: u32,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
    /// Somebody in the background writes what is left.
    has_helper: AtomicBool,
}

impl Session {
    pub(super) fn new(socket: Fd, ciphers: Ciphers) -> Self {
        Self {
            socket,
            process: std::process::id(),
            outgoing: Mutex::new(Outgoing::new(ciphers.sealer)),
            incoming: Mutex::new(Incoming::new(ciphers.opener)),
            has_helper: AtomicBool::new(false),
        }
    }

    /// Takes the next message if all of it has come.
    pub(super) fn take(&self, max: u64) -> Result<Option<Vec<u8>>> {
        self.is_ours()?;
        let mut incoming = lock(&self.incoming);
        let taken = incoming.take(self.socket(), max);
        if incoming.is_parted() {
            lock(&self.outgoing).end(Error::Disconnected);
        }
        taken
    }

    /// Nothing more comes, for whatever reason.
    pub(super) fn has_ended(&self) -> bool {
        self.is_ours().is_err() || lock(&self.incoming).has_ended()
    }

    /// Does what can be done with the sender's side.
    pub(super) fn push(
        &self,
        push: impl FnOnce(&mut Outgoing, BorrowedFd<'_>) -> Result<Pushed>,
    ) -> Result<Pushed> {
        self.is_ours()?;
        push(&mut lock(&self.outgoing), self.socket())
    }

    /// Sees to it that a message that was begun is written whole, although nobody waits for that.
    pub(super) fn finish(self: &Arc<Self>, number: u64) {
        if self.is_ours().is_ok() && !lock(&self.outgoing).is_done(number) {
            self.write_rest();
        }
    }

    /// The last copy of this end is gone: the other side is told, behind all that was begun.
    pub(super) fn close(self: &Arc<Self>) {
        if self.is_ours().is_ok() {
            lock(&self.outgoing).part();
            self.write_rest();
        }
    }

    /// Nothing comes and goes any more, for whoever uses it.
    pub(super) fn cut(&self) {
        if self.is_ours().is_ok() {
            os::hang_up(self.socket());
        }
    }

    /// Writes what is left, at once if there is room.
    fn write_rest(self: &Arc<Self>) {
        if self.has_helper.swap(true, Ordering::AcqRel) || self.is_written() {
            return;
        }
        let session = Arc::clone(self);
        match os::not_forked().and_then(|()| os::net_runtime().map_err(unwritten)) {
            Ok(runtime) => drop(runtime.spawn(session.write_when_there_is_room())),
            // What is left is written by whoever sends next; if nobody does, the other side sees a connection that was cut.
            Err(_) => self.has_helper.store(false, Ordering::Release),
        }
    }

    async fn write_when_there_is_room(self: Arc<Self>) {
        // Nobody else waits for it in this runtime, so that it can be registered here as it is.
        let Ok(watched) = watch_here(&self.socket, Wanted::Room) else {
            return self.has_helper.store(false, Ordering::Release);
        };
        while !self.is_written() {
            let Ok(mut guard) = watched.writable().await else { return };
            if os::is_ready(&self.socket, Wanted::Room).is_ok_and(|is| !is) {
                guard.clear_ready();
            }
            drop(guard);
            // A socket that always has room leaves the thread to others in between.
            tokio::task::yield_now().await;
        }
    }

    /// True if nothing is left to write; then nobody is there to help, which is said before somebody else can begin something.
    fn is_written(&self) -> bool {
        let mut outgoing = lock(&self.outgoing);
        let written = !matches!(outgoing.flush(self.socket()), Ok(false));
        if written {
            self.has_helper.store(false, Ordering::Release);
        }
        if written && outgoing.has_parted() {
            os::close_writing(self.socket());
        }
        written
    }

    fn is_ours(&self) -> Result<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        let foreign = "a connection with a key belongs to the process that has made it, and this one was forked from that";
        Err(Error::connection("use it", std::io::Error::other(foreign)))
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn lock<T>(side: &Mutex<T>) -> MutexGuard<'_, T> {
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unwritten(cause: std::io::Error) -> Error {
    Error::connection("send a message", cause)
}
