//! Names under which unrelated programs of one user find shared memory.
//!
//! The process that has made the memory listens under the name, and sends its descriptor to each that connects and belongs to the same user. The name is one of the
//! kernel's, beside which there is no file: it is gone with the socket, whichever way its owner ends, and there is nothing to clean up.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver as Told, Sender as Tell, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use crate::channel::{Connection, Nothing};
use crate::error::{Error, Result};
use crate::os::{self, Rooted, background};
use crate::wait::{until, within};
use crate::wire::Fd;

/// Bytes that a name may have; the kernel has room for a few more.
const LONGEST: usize = 64;
/// An owner that does not answer within this time is stopped.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long one waits where too many wait already; the kernel tells nobody when there is room.
const AGAIN: Duration = Duration::from_millis(2);
/// A name is free again at once, as soon as the crate's thread gets to it.
const FREE_WITHIN: Duration = Duration::from_secs(1);

/// A name that is ours. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Name {
    text: String,
    /// What serves it. A copy of this process has none.
    service: Mutex<Option<Rooted<Service>>>,
}

#[derive(Debug)]
struct Service {
    task: AbortHandle,
    ended: Told<()>,
}

impl Name {
    /// From now on whoever asks for this name gets a copy of this descriptor.
    pub(super) fn publish(text: &str, memory: Arc<OwnedFd>) -> Result<Self> {
        let failed = |cause: std::io::Error| Error::named("make", text, cause);
        let address = address(text).map_err(|kind| failed(kind.into()))?;
        os::not_forked()?;
        let runtime = background().map_err(failed)?;
        let listener = os::listen_as(&address).map_err(failed)?;
        let (tell, ended) = channel();
        let _inside = runtime.enter();
        let watched = os::watch(Arc::new(listener)).map_err(failed)?;
        let task =
            runtime.spawn(serve(Served { watched, memory: memory.into(), _ended: tell })).abort_handle();
        let service = Mutex::new(Some(Rooted::new(Service { task, ended })));
        Ok(Self { text: text.to_owned(), service })
    }

    /// A name that nobody has.
    pub(super) fn publish_anyhow(memory: &Arc<OwnedFd>) -> Result<Self> {
        let made_up = || {
            let random = os::random().map_err(|cause| Error::named("make", "", cause))?;
            Ok(format!("multiprocess-{:032x}", u128::from_ne_bytes(random)))
        };
        Self::publish_one_of(made_up, memory)
    }

    /// The first of these names that nobody has.
    fn publish_one_of(mut next: impl FnMut() -> Result<String>, memory: &Arc<OwnedFd>) -> Result<Self> {
        loop {
            match Self::publish(&next()?, Arc::clone(memory)) {
                Err(Error::Named { cause, .. }) if cause.kind() == ErrorKind::AlreadyExists => {}
                published => return published,
            }
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Gives it up; an error if that has been done.
    pub(super) fn unlink(&self) -> Result<()> {
        let missing = || Error::named("unlink", &self.text, ErrorKind::NotFound);
        os::not_forked()?;
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).take();
        service.ok_or_else(missing)?.end();
        Ok(())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // Not in a copy of this process: the lock may be held there for ever.
        if !os::forked() {
            let _given_up_before = self.unlink();
        }
    }
}

impl Service {
    /// When this returns the name is free.
    fn end(&self) {
        self.task.abort();
        let _ended = self.ended.recv_timeout(FREE_WITHIN);
    }
}

/// The fields are dropped in this order, so that the end is told when the name is free.
struct Served {
    watched: AsyncFd<Arc<OwnedFd>>,
    memory: Fd,
    _ended: Tell<()>,
}

async fn serve(served: Served) {
    // Its runtime does not end before it.
    while let Ok(mut guard) = served.watched.readable().await {
        match os::accept(served.watched.get_ref()) {
            Ok(socket) if os::is_of_our_user(&socket) => {
                let connection: Connection<Fd, Nothing> = Connection::with_defaults(socket);
                // There is room in a new socket. Whoever has left already needs nothing.
                let _sent = connection.try_send(&served.memory);
            }
            // Closed at once: a stranger gets no answer.
            Ok(_) => {}
            // If it has no descriptor left, it goes on with the next that connects.
            Err(_) => guard.clear_ready(),
        }
    }
}

/// The descriptor behind a name.
pub(super) async fn find(text: &str) -> Result<Arc<OwnedFd>> {
    let failed = |cause| Error::named("open", text, cause);
    background().map_err(failed)?;
    let end = Instant::now() + ANSWERED_WITHIN;
    loop {
        match connect(text) {
            Err(Error::Named { cause, .. })
                if cause.kind() == ErrorKind::WouldBlock && Instant::now() < end =>
            {
                until(Some(Instant::now() + AGAIN)).await;
            }
            connected => {
                let connection = connected?;
                let came = within(ANSWERED_WITHIN, connection.recv()).await;
                return came
                    .unwrap_or_else(|| Err(silent(text)))
                    .map(Arc::from)
                    .map_err(|error| gone(text, error));
            }
        }
    }
}

/// As [`find`], blocking this thread.
pub(super) fn blocking_find(text: &str) -> Result<Arc<OwnedFd>> {
    let end = Instant::now() + ANSWERED_WITHIN;
    loop {
        match connect(text) {
            Err(Error::Named { cause, .. })
                if cause.kind() == ErrorKind::WouldBlock && Instant::now() < end =>
            {
                std::thread::yield_now();
            }
            connected => {
                let connection = connected?;
                let is_there = connection.blocking_poll(ANSWERED_WITHIN)?;
                let came = if is_there { connection.blocking_recv() } else { Err(silent(text)) };
                return came.map(Arc::from).map_err(|error| gone(text, error));
            }
        }
    }
}

fn connect(text: &str) -> Result<Connection<Nothing, Fd>> {
    let failed = |kind: ErrorKind| Error::named("open", text, kind);
    let address = address(text).map_err(failed)?;
    let socket = os::connect_as(&address).map_err(|cause| Error::named("open", text, cause))?;
    if !os::is_of_our_user(&socket) {
        return Err(failed(ErrorKind::PermissionDenied));
    }
    // A copy of its owner may have the socket, but nobody answers there.
    if os::has_peer_ended(&socket) {
        return Err(failed(ErrorKind::NotFound));
    }
    Ok(Connection::with_defaults(socket))
}

fn silent(text: &str) -> Error {
    Error::named("open", text, ErrorKind::TimedOut)
}

/// An owner that has ended meanwhile has no name any more.
fn gone(text: &str, error: Error) -> Error {
    match error {
        Error::Disconnected => Error::named("open", text, ErrorKind::NotFound),
        other => other,
    }
}

/// The name as the kernel has it, beside those of other users.
fn address(text: &str) -> Result<Vec<u8>, ErrorKind> {
    if text.is_empty() || text.len() > LONGEST || text.contains('\0') {
        return Err(ErrorKind::InvalidInput);
    }
    Ok(format!("multiprocess/{}/{text}", os::our_user()).into_bytes())
}

#[cfg(all(test, not(models)))]
mod tests {
    use super::*;

    // C115
    #[test]
    fn a_made_up_name_that_is_taken_is_made_up_anew() {
        let memory = Arc::new(os::sealed(&[1]).expect("there is memory"));
        let taken = Name::publish_anyhow(&memory).expect("nobody has it");
        let free = format!("{}-again", taken.text());
        let mut names = vec![free.clone(), taken.text().to_owned(), taken.text().to_owned()];
        let next = || Ok(names.pop().expect("it comes to one that is free"));
        let name = Name::publish_one_of(next, &memory).expect("the third is free");
        assert_eq!((name.text(), names.len()), (&*free, 0));
    }

    /// Whatever has listened there, also if nobody answers.
    #[test]
    fn a_name_whose_owner_does_not_answer_is_an_error_in_time() {
        let text = format!("silent-{}", std::process::id());
        let _listener = os::listen_as(&address(&text).expect("it is a name")).expect("nobody has it");
        let error = blocking_find(&text).expect_err("nobody answers");
        assert!(
            matches!(&error, Error::Named { cause, .. } if cause.kind() == ErrorKind::TimedOut),
            "{error}"
        );
    }
}
