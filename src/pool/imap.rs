//! A map as a stream of its results.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::outcome::Results;
use super::wishes::{Wishes, wishes};
use crate::error::Result;
use crate::os;
use crate::task::Payload;
use crate::wait::block_on;

/// A map as a stream: each element's result as it comes.
///
/// It starts when it is first polled, and reads its input only while it is polled and only as far ahead as the workers need, so that
/// an endless input is fine. An element that fails is an error of its own; the others come all the same. Made by
/// [`Pool::imap`](super::Pool::imap), [`imap_unordered`](super::Pool::imap_unordered) and [`imap_stream`](super::Pool::imap_stream).
///
/// Once the pool is closed it reads no more input: what is under way still comes, and then [`Error::Closed`](crate::Error::Closed)
/// unless the input was at its end.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use multiprocess::Imap;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(1)?;
/// let mut quotients: Imap<u32> = pool.imap(|n: u32| 12 / n, [4, 0, 6]);
/// assert_eq!(quotients.next().await.unwrap()?, 3);
/// assert!(quotients.next().await.unwrap().is_err(), "the others come all the same");
/// assert_eq!(quotients.next().await.unwrap()?, 2);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
///
/// # Cancel safety
///
/// `next` can be given up and taken up again; nothing is lost. Dropping the stream cancels what has not started.
#[must_use = "streams do nothing unless polled"]
pub struct Imap<R: Payload> {
    flow: Flow,
    current: Option<Results>,
    finished: bool,
    value: PhantomData<fn() -> R>,
}

impl<R: Payload> Imap<R> {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, current: None, finished: false, value: PhantomData }
    }

    /// Sends this many elements to a worker at once. By default as many as take about a millisecond. Must not be
    /// 0. Python: `chunksize`.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::StreamExt;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let mut tens = pool.imap(|x: u64| x * 10, 0..).chunksize(1);
    /// assert_eq!(tens.next().await.unwrap()?, 0);
    /// # drop(tens); pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn chunksize(mut self, elements: usize) -> Self {
        self.flow.set_chunksize(elements);
        self
    }

    /// Reads the input at most this many elements ahead of what was handed out. By default as far as the workers
    /// need it. Must not be 0. Python 3.14: `buffersize`.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::TryStreamExt;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let all: Vec<u64> = pool.imap(|x: u64| x + 1, 0..10).buffer(3).try_collect().await?;
    /// assert_eq!(all.len(), 10);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn buffer(mut self, elements: usize) -> Self {
        self.flow.set_buffer(elements);
        self
    }

    fn change(mut self, _option: &'static str, change: impl FnOnce(&mut Wishes)) -> Self {
        self.flow.wish(change);
        self
    }

    fn next_result(&mut self) -> Option<Result<R>> {
        loop {
            if let Some(result) = self.current.as_mut().and_then(|results| results.next(self.flow.label())) {
                self.flow.handed_out(1);
                return Some(result);
            }
            self.current = self.flow.take_next();
            self.current.as_ref()?;
        }
    }
}

wishes!(Imap);

impl<R: Payload> Unpin for Imap<R> {}

impl<R: Payload> Stream for Imap<R> {
    type Item = Result<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.finished {
            return Poll::Ready(None);
        }
        if let Err(error) = os::not_forked() {
            self.finished = true;
            return Poll::Ready(Some(Err(error)));
        }
        self.flow.advance(cx);
        if let Some(result) = self.next_result() {
            return Poll::Ready(Some(result));
        }
        if self.flow.is_finished() {
            self.finished = true;
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

impl<R: Payload> fmt::Debug for Imap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap").field("finished", &self.finished).finish_non_exhaustive()
    }
}

/// A map as an iterator that blocks for each result. For code outside async.
///
/// Made by [`Pool::blocking_imap`](super::Pool::blocking_imap) and
/// [`blocking_imap_unordered`](super::Pool::blocking_imap_unordered).
///
/// # Examples
///
/// ```
/// use multiprocess::BlockingImap;
///
/// let pool = multiprocess::ProcessPool::new(1)?;
/// let squares: BlockingImap<u64> = pool.blocking_imap(|n: u64| n * n, 0..3);
/// assert_eq!(squares.collect::<Result<Vec<_>, _>>()?, [0, 1, 4]);
/// # pool.blocking_shutdown()
/// # ; Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "iterators do nothing unless consumed"]
pub struct BlockingImap<R: Payload>(Imap<R>);

impl<R: Payload> BlockingImap<R> {
    pub(super) fn new(imap: Imap<R>) -> Self {
        Self(imap)
    }

    /// As [`Imap::chunksize`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// assert_eq!(pool.blocking_imap(|x: u8| x, 0..9).chunksize(3).count(), 9);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn chunksize(self, elements: usize) -> Self {
        Self(self.0.chunksize(elements))
    }

    /// As [`Imap::buffer`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// assert_eq!(pool.blocking_imap(|x: u8| x, 0..9).buffer(3).count(), 9);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn buffer(self, elements: usize) -> Self {
        Self(self.0.buffer(elements))
    }
}

impl<R: Payload> BlockingImap<R> {
    fn change(self, option: &'static str, change: impl FnOnce(&mut Wishes)) -> Self {
        Self(self.0.change(option, change))
    }
}

wishes!(BlockingImap);

impl<R: Payload> Iterator for BlockingImap<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.flow.engine().visit(true);
        block_on(self.0.next())
    }
}
