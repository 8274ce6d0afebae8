//! Stands at the door of a listener that has a key or a certificate: shakes hands with all who come, side by side, and lets in those who have shown who they are.
//!
//! 1. Strangers hold up nobody: at most 64 handshakes are under way, each has its time, and for one more the oldest is given up.
//! 2. Whoever is let in waits in a queue, and is told of before those who failed, of whom the last is remembered and no more.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::credentials::Credentials;
use super::greet::greet;
use super::handshake::refused;
use crate::channel::end::End;
use crate::channel::watch::Own;
use crate::error::{Error, Result};
use crate::os::{self, Semaphore, Wanted, Watched, net_runtime};
use crate::wait::until;

/// Handshakes that are under way at once.
const STRANGERS: usize = 64;
/// Those that are let in and wait to be accepted. When there are so many, the next have to wait in the kernel.
const WAITING: usize = 128;
/// After the kernel has refused something, descriptors most likely.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(in crate::channel) struct Doorman {
    /// Of the process that listens; a copy of that by `fork` has none.
    at_work: Own<AtWork>,
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct AtWork {
    task: AbortHandle,
    socket: Arc<OwnedFd>,
}

/// What those who connect have to show, and how fast.
#[derive(Debug, Clone)]
pub(in crate::channel) struct Terms {
    pub(in crate::channel) credentials: Credentials,
    pub(in crate::channel) limit: Duration,
    /// They come over a network.
    pub(in crate::channel) is_remote: bool,
}

#[derive(Debug)]
struct Queue {
    /// As high as there is something to accept.
    count: Semaphore,
    outcomes: Mutex<Outcomes>,
    has_room: Notify,
}

#[derive(Debug, Default)]
struct Outcomes {
    let_in: VecDeque<End>,
    failed: Option<Error>,
}

/// The handshakes that are under way, the oldest first.
struct Greetings {
    all: JoinSet<Result<End>>,
    order: VecDeque<(Id, AbortHandle)>,
}

impl Doorman {
    /// Begins to greet those who connect to this socket.
    pub(in crate::channel) fn hire(socket: OwnedFd, terms: Terms) -> Result<Self> {
        crate::channel::wait::clock()?;
        let count = Semaphore::new().map_err(not_hired)?;
        let queue = Arc::new(Queue { count, outcomes: Mutex::default(), has_room: Notify::new() });
        let runtime = net_runtime().map_err(not_hired)?;
        let socket = Arc::new(socket);
        let door = {
            let _inside = runtime.enter();
            os::register(Arc::clone(&socket), Wanted::Input).map_err(not_hired)?
        };
        let task = runtime.spawn(stand(door, Arc::clone(&queue), terms)).abort_handle();
        Ok(Self { at_work: Own::new(AtWork { task, socket }), queue })
    }

    /// What can be read when there is somebody to accept, or somebody has failed.
    pub(in crate::channel) fn bell(&self) -> Result<End> {
        self.queue.count.try_clone().map(End::new).map_err(not_hired)
    }

    /// The next one who was let in, or why one was not.
    pub(in crate::channel) fn try_accept(&self) -> Result<Option<End>> {
        if self.at_work.here().is_none() {
            let foreign = "a listener with a key belongs to the process that has made it, and this one was forked from that";
            return Err(not_accepted(io::Error::other(foreign)));
        }
        if !self.queue.count.lower().map_err(not_accepted)? {
            return Ok(None);
        }
        let mut outcomes = self.queue.lock();
        let next = outcomes.let_in.pop_front();
        self.queue.has_room.notify_one();
        match next {
            Some(end) => Ok(Some(end)),
            None => outcomes.failed.take().map_or(Ok(None), Err),
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
        // The task is gone a moment later; nobody can connect from now on.
        os::stop_listening(self.socket.as_fd());
    }
}

async fn stand(door: Watched, queue: Arc<Queue>, terms: Terms) {
    let mut greetings = Greetings { all: JoinSet::new(), order: VecDeque::new() };
    loop {
        tokio::select! {
            came = next(&door), if queue.has_room() => match came {
                Ok(socket) => {
                    greetings.begin(socket, &terms, &queue);
                    // However fast they come, those who are here are heard in between.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    queue.tell(not_accepted(error));
                    until(Some(Instant::now() + PAUSE)).await;
                }
            },
            () = queue.has_room.notified() => {}
            Some(ended) = greetings.next() => match ended {
                Ok(end) => queue.let_in(end),
                Err(why) => queue.tell(why),
            },
        }
    }
}

async fn next(door: &Watched) -> io::Result<OwnedFd> {
    loop {
        let mut guard = door.readable().await?;
        match os::accept(door) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
            accepted => return accepted,
        }
    }
}

impl Greetings {
    fn begin(&mut self, socket: OwnedFd, terms: &Terms, queue: &Queue) {
        if self.order.len() >= STRANGERS
            && let Some((_, oldest)) = self.order.pop_front()
        {
            oldest.abort();
            queue.tell(refused("too many others have connected before it had shown who it is"));
        }
        let greeted = self.all.spawn(meet(socket, terms.clone()));
        self.order.push_back((greeted.id(), greeted));
    }

    /// The next that has come to its end by itself. It never ends while there is none.
    async fn next(&mut self) -> Option<Result<End>> {
        loop {
            let (id, greeted) = match self.all.join_next_with_id().await? {
                Ok((id, greeted)) => (id, Some(greeted)),
                // It was given up.
                Err(given_up) => (given_up.id(), None),
            };
            self.order.retain(|(other, _)| *other != id);
            if greeted.is_some() {
                return greeted;
            }
        }
    }
}

async fn meet(socket: OwnedFd, terms: Terms) -> Result<End> {
    if terms.is_remote {
        os::configure(&socket).map_err(not_accepted)?;
    }
    greet(socket, terms.credentials.listener()?, terms.limit).await
}

impl Queue {
    fn let_in(&self, end: End) {
        self.lock().let_in.push_back(end);
        self.count_one();
    }

    fn tell(&self, why: Error) {
        if self.lock().failed.replace(why).is_none() {
            self.count_one();
        }
    }

    /// Comes after it is there, so that whoever lowers the number finds something.
    fn count_one(&self) {
        self.count.raise().expect("the number is far from its end");
    }

    fn has_room(&self) -> bool {
        self.lock().let_in.len() < WAITING
    }

    fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_hired(cause: io::Error) -> Error {
    Error::connection("listen", cause)
}

fn not_accepted(cause: io::Error) -> Error {
    Error::connection("accept a connection", cause)
}
