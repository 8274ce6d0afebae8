//! The task that writes what a full pipe, or a full socket, did not take.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Sender;

use super::link::SpawnLink;
use super::outbox::Flushed;
use crate::os::{self, Rooted, background};

pub(super) struct Writer {
    link: Arc<SpawnLink>,
    finished: bool,
}

/// Both ways to the worker, watched for room.
struct Ways {
    pipe: Sender,
    socket: AsyncFd<Arc<OwnedFd>>,
}

impl Writer {
    pub(super) fn new(link: &Arc<SpawnLink>) -> Self {
        Self { link: Arc::clone(link), finished: false }
    }

    pub(super) async fn run(mut self) {
        let Ok(ways) = Ways::to(&self.link).map(Rooted::new) else { return self.give_up() };
        let mut full = Flushed::PipeIsFull;
        while full != Flushed::All {
            tokio::select! {
                biased;
                flushed = ways.flush(&self.link, full) => match flushed {
                    Ok(flushed) => full = flushed,
                    Err(_) => return,
                },
                // Nobody makes room any more, and the end of the pipe is not told either.
                () = self.link.gone.cancelled() => break,
            }
        }
        self.finished = true;
    }

    /// A worker that cannot be written to is of no use.
    fn give_up(&mut self) {
        self.finished = true;
        self.link.outbox().close();
        self.link.distrust("its pipe cannot be watched".into());
    }
}

impl Ways {
    fn to(link: &SpawnLink) -> io::Result<Self> {
        let pipe = Sender::from_owned_fd(link.orders.as_fd().try_clone_to_owned()?)?;
        let socket = link.handles.as_fd().try_clone_to_owned()?;
        Ok(Self { pipe, socket: os::watch_room(Arc::new(socket))? })
    }

    /// Writes once there is room where there was none, as far as there is. Fails if the runtime ends.
    async fn flush(&self, link: &SpawnLink, full: Flushed) -> io::Result<Flushed> {
        loop {
            let flushed = if full == Flushed::SocketIsFull {
                let mut ready = self.socket.writable().await?;
                ready
                    .try_io(|_| link.flush_rest(full))
                    .unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
            } else {
                self.pipe.writable().await?;
                self.pipe.try_io(|| link.flush_rest(full))
            };
            match flushed {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                flushed => return flushed,
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if os::forked() {
            return;
        }
        if let (false, Ok(background)) = (self.finished, background()) {
            background.spawn(Writer::new(&self.link).run());
        }
    }
}
