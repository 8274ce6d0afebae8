//! The task that reads what one worker sends, on the runtime of the pool or in the background.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;

use super::inbox::InboxState;
use super::link::SpawnLink;
use crate::backend::Link as _;
use crate::os::{self, Rooted};

/// Watches a pipe on a runtime.
pub(super) fn register(runtime: &Handle, pipe: OwnedFd) -> io::Result<Receiver> {
    let _inside = runtime.enter();
    // Tokio panics where a runtime was built without I/O.
    let registered = std::panic::catch_unwind(|| Receiver::from_owned_fd(pipe));
    registered.unwrap_or_else(|_| Err(io::Error::other("the runtime was built without `enable_io`")))
}

/// Reads a link on one runtime. If the runtime ends before the worker does, the background goes on.
pub(super) struct Reader {
    link: Arc<SpawnLink>,
    /// Its own registration, if it is not the link's first reader.
    again: Option<Rooted<Receiver>>,
}

impl Reader {
    pub(super) fn of(link: &Arc<SpawnLink>) -> Self {
        Self { link: Arc::clone(link), again: None }
    }

    /// One more beside others, on another runtime.
    pub(super) fn again(link: Arc<SpawnLink>, receiver: Receiver) -> Self {
        Self { link, again: Some(Rooted::new(receiver)) }
    }

    pub(super) async fn run(self) {
        let first = self.link.reports.get();
        let again = self.again.as_deref();
        let receiver = again.or(first).expect("a link is read once it has begun");
        loop {
            tokio::select! {
                biased;
                ready = receiver.readable() => if ready.is_err() { return },
                () = self.link.gone.cancelled() => return,
            }
            match receiver.try_io(|| self.link.pump()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if os::forked() {
            return;
        }
        let reading = self.link.inbox().state == InboxState::Open;
        if let (true, Ok(background)) = (reading, self.link.home.leave()) {
            Arc::clone(&self.link).attend(background);
        }
    }
}
