//! What stands behind a queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::blob::Blob;
use super::super::exposed::Exposed;
use super::super::kept::if_undelivered;
use super::fault::{Fault, within};

#[derive(Debug)]
pub(crate) struct Mailbox(Arc<State>);

#[derive(Debug)]
struct State {
    content: Mutex<Content>,
    /// Items that may wait; any number without it.
    most: Option<u64>,
    joinable: bool,
    arrived: Notify,
    left: Notify,
    done: Notify,
}

#[derive(Debug, Default)]
struct Content {
    items: VecDeque<Blob>,
    closed: bool,
    /// Items that were put and are not done.
    unfinished: u64,
}

pub(super) fn expose(mailbox: Exposed<Mailbox>) -> Exposed<Mailbox> {
    mailbox
        .create(Mailbox::new)
        .method("put", Mailbox::put)
        .method("get", Mailbox::get)
        .method("len", Mailbox::len)
        .method("is_full", Mailbox::is_full)
        .method("close", Mailbox::close)
        .method("is_closed", Mailbox::is_closed)
        .method("task_done", Mailbox::task_done)
        .method("unfinished", Mailbox::unfinished)
        .method("join", Mailbox::join)
}

impl Mailbox {
    fn new(most: Option<u64>, joinable: bool) -> Self {
        Self(Arc::new(State {
            content: Mutex::default(),
            most,
            joinable,
            arrived: Notify::new(),
            left: Notify::new(),
            done: Notify::new(),
        }))
    }

    async fn put(&self, item: Blob, limit: Option<Duration>) -> Result<(), Fault> {
        let mut item = Some(item);
        within(limit, self.0.when(&self.0.left, |state| state.try_put(&mut item)))
            .await
            .unwrap_or(Err(Fault::Full))
    }

    /// Nothing if there is none in time.
    async fn get(&self, limit: Option<Duration>) -> Result<Option<Blob>, Fault> {
        let got = within(limit, self.0.when(&self.0.arrived, State::try_get)).await;
        let Some(item) = got.transpose()? else { return Ok(None) };
        let (state, again) = (Arc::clone(&self.0), item.clone());
        if_undelivered(move || state.put_back(again));
        Ok(Some(item))
    }

    fn len(&self) -> u64 {
        self.0.content().items.len() as u64
    }

    fn is_full(&self) -> bool {
        self.0.is_full(&self.0.content())
    }

    fn close(&self) {
        self.0.content().closed = true;
        self.0.arrived.notify_waiters();
        self.0.left.notify_waiters();
    }

    fn is_closed(&self) -> bool {
        self.0.content().closed
    }

    fn task_done(&self) -> Result<(), Fault> {
        let mut content = self.0.content();
        content.unfinished = content.unfinished.checked_sub(1).ok_or(Fault::TooManyDone)?;
        if content.unfinished == 0 {
            self.0.done.notify_waiters();
        }
        Ok(())
    }

    fn unfinished(&self) -> u64 {
        self.0.content().unfinished
    }

    async fn join(&self) {
        self.0.when(&self.0.done, |state| (state.content().unfinished == 0).then_some(())).await;
    }
}

impl State {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `attempt` has made something; it is made again after each notice.
    async fn when<T>(&self, notice: &Notify, mut attempt: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            let mut noticed = std::pin::pin!(notice.notified());
            // From here on no notice is missed.
            noticed.as_mut().enable();
            if let Some(made) = attempt(self) {
                return made;
            }
            noticed.await;
        }
    }

    fn is_full(&self, content: &Content) -> bool {
        self.most.is_some_and(|most| content.items.len() as u64 >= most)
    }

    fn try_put(&self, item: &mut Option<Blob>) -> Option<Result<(), Fault>> {
        let mut content = self.content();
        if content.closed {
            return Some(Err(Fault::Closed));
        }
        if self.is_full(&content) {
            return None;
        }
        content.items.push_back(item.take()?);
        content.unfinished += u64::from(self.joinable);
        self.arrived.notify_one();
        Some(Ok(()))
    }

    fn try_get(&self) -> Option<Result<Blob, Fault>> {
        let mut content = self.content();
        match content.items.pop_front() {
            Some(item) => {
                self.left.notify_one();
                Some(Ok(item))
            }
            None => content.closed.then_some(Err(Fault::Closed)),
        }
    }

    /// Its client was gone before it got it.
    fn put_back(&self, item: Blob) {
        self.content().items.push_front(item);
        self.arrived.notify_one();
    }
}
