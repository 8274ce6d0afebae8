//! A map in a pool of a manager, whose input is read here.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::Stream;

use super::pool_calls::handed_over;
use crate::error::{Error, Panic, Result};
use crate::manager::blob::Blob;
use crate::manager::message::Answer;
use crate::manager::reference::{Asked, Reference};
use crate::manager::served::{Mishap, Portion, Room, Yield};
use crate::task::{Payload, panic_text};

/// The arguments of an element, or why they are none.
type Input = Result<Blob, String>;

/// How many inputs go before it is known how many are wanted: a small map takes one exchange so.
const FIRST: u64 = 16;

/// A map in a pool of a [`Manager`](crate::Manager): each element's result as it comes. Made by [`PoolProxy::imap`](crate::PoolProxy::imap) and [`imap_unordered`](crate::PoolProxy::imap_unordered).
///
/// It starts with the first [`next`](Self::next), and reads its input while somebody asks for results, only so far ahead as the workers need, and never by more than 5,120 items. Items are sent in portions of up to 1,024, and results come in pages; what is sent takes no more than 1 MiB unless a
/// single item does. An element that fails is an error of its own; the others come all the same. Once the pool is closed it reads no more input, and its last result is [`Error::Closed`].
///
/// Dropping it cancels what has not started; so does the end of this process.
///
/// # Examples
///
/// ```
/// use futures::TryStreamExt;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let pool = manager.pool(2).await?;
/// let mut quotients = pool.imap(|n: u32| 12 / n, [4, 0, 6]);
/// assert_eq!(quotients.next().await.expect("there are three")?, 3);
/// assert!(quotients.next().await.expect("there are three").is_err(), "the others come all the same");
/// assert_eq!(quotients.next().await.expect("there are three")?, 2);
/// assert!(quotients.next().await.is_none());
///
/// let squares: Vec<u64> = pool.imap_unordered(|n: u64| n * n, 0..100).into_stream().try_collect().await?;
/// assert_eq!(squares.into_iter().sum::<u64>(), 328_350);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[must_use = "it does nothing until it is asked for results"]
pub struct ImapProxy<R> {
    pool: Reference,
    name: &'static str,
    /// What takes the input and gives the results, once it was made.
    relay: Option<Reference>,
    /// What is asked and was not answered. Whoever gives up the answer asks the same again.
    pending: Option<Asked>,
    input: Option<Box<dyn Iterator<Item = Input> + Send>>,
    /// One that was read and had no room in its portion.
    left: Option<Input>,
    sent: u64,
    wanted: u64,
    results: VecDeque<Result<Blob, Mishap>>,
    received: u64,
    /// What comes after all results.
    last: Option<Error>,
    ended: bool,
    value: PhantomData<fn() -> R>,
}

impl<R: Payload> ImapProxy<R> {
    pub(super) fn new(
        pool: Reference,
        name: &'static str,
        asked: Result<Asked>,
        input: Box<dyn Iterator<Item = Input> + Send>,
    ) -> Self {
        let (pending, last) = match asked {
            Ok(asked) => (Some(asked), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            pool,
            name,
            relay: None,
            ended: pending.is_none(),
            pending,
            input: Some(input),
            left: None,
            sent: 0,
            wanted: FIRST,
            results: VecDeque::new(),
            received: 0,
            last,
            value: PhantomData,
        }
    }

    /// The next result; `None` when there are no more.
    ///
    /// # Errors
    ///
    /// Those of the element, as for [`PoolProxy::apply`](crate::PoolProxy::apply). [`Error::Input`] and those of [`Proxy::call`](crate::Proxy::call) are the last result.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, and nothing is done twice.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub async fn next(&mut self) -> Option<Result<R>> {
        while self.results.is_empty() && !self.ended {
            let answer = match self.question() {
                Ok((reference, asked)) => reference.exchange(&asked.request).await,
                Err(error) => Err(error),
            };
            self.hear(answer);
        }
        self.take()
    }

    /// As [`next`](Self::next), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let pool = manager.blocking_pool(2)?;
    /// let mut squares = pool.imap(|n: u64| n * n, 1..);
    /// assert_eq!(squares.blocking_next().expect("it is endless")?, 1);
    /// assert_eq!(squares.blocking_next().expect("it is endless")?, 4);
    /// # drop(squares);
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_next(&mut self) -> Option<Result<R>> {
        while self.results.is_empty() && !self.ended {
            let answer = match self.question() {
                Ok((reference, asked)) => reference.blocking_exchange(&asked.request),
                Err(error) => Err(error),
            };
            self.hear(answer);
        }
        self.take()
    }

    /// All results as a stream.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn into_stream(self) -> impl Stream<Item = Result<R>> + Send {
        futures::stream::unfold(self, async |mut map| {
            let result = map.next().await?;
            Some((result, map))
        })
    }

    /// What is to be asked next, and of whom.
    fn question(&mut self) -> Result<(&Reference, &Asked)> {
        if self.pending.is_none() {
            let portion = self.portion();
            let exchange = self.asked_of().ours("exchange", &(portion, self.received))?;
            self.pending = Some(exchange);
        }
        Ok((self.asked_of(), self.pending.as_ref().expect("it was just made")))
    }

    /// The pool, to begin the map; and then what it has handed over.
    fn asked_of(&self) -> &Reference {
        self.relay.as_ref().unwrap_or(&self.pool)
    }

    /// Reads as many inputs as are wanted and find room in a message.
    fn portion(&mut self) -> Portion {
        let mut portion = Portion { first: self.sent, ..Portion::default() };
        let mut room = Room::default();
        while (portion.inputs.len() as u64) < self.wanted {
            let Some(input) = self.left.take().or_else(|| self.read()) else { break };
            let fits = match &input {
                Ok(blob) => room.takes(blob.bytes.0.len(), blob.handles.len()),
                Err(cause) => room.takes(cause.len(), 0),
            };
            if !fits {
                self.left = Some(input);
                break;
            }
            portion.inputs.push(input);
        }
        portion.ended = self.input.is_none() && self.left.is_none();
        self.sent += portion.inputs.len() as u64;
        portion
    }

    /// The next input. One that panics is at its end.
    fn read(&mut self) -> Option<Input> {
        let input = self.input.as_mut()?;
        let read = catch_unwind(AssertUnwindSafe(|| input.next()));
        let next = read.unwrap_or_else(|payload| {
            let task = crate::task::task_name(self.name, self.pool.object);
            self.last = Some(Error::Input(Panic::new(&task, panic_text(&*payload))));
            std::mem::forget(payload);
            None
        });
        if next.is_none() {
            self.input = None;
        }
        next
    }

    fn hear(&mut self, answer: Result<Answer>) {
        let heard = answer.and_then(|answer| self.take_in(answer));
        if let Err(error) = heard {
            self.last = Some(error);
            self.ended = true;
        }
        if self.ended {
            (self.relay, self.input, self.left) = (None, None, None);
        }
    }

    fn take_in(&mut self, answer: Answer) -> Result<()> {
        let Some(Asked { call, .. }) = self.pending.take() else { return Ok(()) };
        if self.relay.is_none() {
            self.relay = Some(handed_over(&self.pool, &call, answer)?);
            return Ok(());
        }
        let Yield { results, ended, wanted } = call.value(answer)?;
        self.received += results.len() as u64;
        self.results.extend(results);
        (self.ended, self.wanted) = (ended, wanted);
        Ok(())
    }

    fn take(&mut self) -> Option<Result<R>> {
        match self.results.pop_front() {
            Some(Ok(value)) => Some(value.open()),
            Some(Err(mishap)) => Some(Err(mishap.into())),
            None => self.last.take().map(Err),
        }
    }
}

impl<R> fmt::Debug for ImapProxy<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImapProxy").field("received", &self.received).finish_non_exhaustive()
    }
}
