//! Waiting for the end of a process.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;

use super::fate::Fate;
use crate::error::Result;
use crate::os::{self, Rooted};
use crate::task::Payload;

/// The value of a process's function, once the process has ended: made by [`Process::join`](crate::Process::join).
///
/// It borrows nothing, and can be awaited under any executor.
///
/// # Cancel safety
///
/// Dropping it changes nothing for the process, and the value can be joined again. Only a join that has completed takes it.
///
/// # Panics
///
/// Polling it again after it was ready panics, as with any future.
///
/// # Examples
///
/// ```
/// use multiprocess::{Join, Process};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::spawn(|n: u64| n * n, (12,))?;
/// let join: Join<u64> = process.join();
/// assert_eq!(join.await?, 144);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Join<R: Payload> {
    fate: Rooted<Arc<Fate>>,
    ended: Rooted<BoxFuture<'static, ()>>,
    value: PhantomData<fn() -> R>,
}

impl<R: Payload> Join<R> {
    pub(crate) fn new(fate: &Arc<Fate>) -> Self {
        let waits = Arc::clone(fate);
        let ended = Box::pin(async move { waits.ended().await });
        Self { fate: Rooted::new(Arc::clone(fate)), ended: Rooted::new(ended), value: PhantomData }
    }
}

impl<R: Payload> Future for Join<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        os::not_forked()?;
        ready!(self.ended.as_mut().poll(cx));
        Poll::Ready(self.fate.take())
    }
}

impl<R: Payload> fmt::Debug for Join<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("process", &self.fate.name()).finish_non_exhaustive()
    }
}
