//! Waiting for several connections, and whatever else has a descriptor.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::watch::watch_here;
use crate::error::{Error, Result};
use crate::os::{self, Wanted, background};
use crate::wait::within;
use crate::wire::Fd;

/// Waits until at least one of these is ready, and gives the places of all that are, in their order; none if the time is over before. A time of zero looks once; `None`
/// waits for ever. Python: `multiprocessing.connection.wait`.
///
/// A [`Connection`](crate::Connection) is ready when there is a message, or nobody is left to send one. The [`sentinel`](crate::Process::sentinel) of a process is ready when that has ended. A
/// socket or a pipe is ready when it can be read. What is waited for may be of different kinds: a slice of `&dyn AsFd`.
///
/// # Errors
///
/// [`Error::Connection`] if the operating system refuses.
///
/// # Cancel safety
///
/// Cancel safe: nothing is taken.
///
/// # Examples
///
/// ```
/// use std::os::fd::AsFd;
/// use multiprocess::{Process, one_way, wait};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (silent, _its_sender) = one_way::<u32>()?;
/// let (receiver, sender) = one_way::<u32>()?;
/// let process = Process::spawn(|sender: multiprocess::Sender<u32>| sender.blocking_send(&7).is_ok(), (sender,))?;
///
/// assert_eq!(wait(&[&silent, &receiver], None).await?, [1]);
/// assert_eq!(receiver.recv().await?, 7);
///
/// let sentinel = process.sentinel();
/// let any: [&dyn AsFd; 2] = [&sentinel, &silent];
/// assert_eq!(wait(&any, None).await?, [0]);
/// # assert!(process.join().await?);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub fn wait<'a, T: AsFd>(
    any: &'a [T],
    limit: Option<Duration>,
) -> impl Future<Output = Result<Vec<usize>>> + Send + use<'a, T> {
    // What the future holds can be sent to another thread, whatever `T` is.
    let any: Vec<BorrowedFd<'a>> = any.iter().map(AsFd::as_fd).collect();
    wait_for(any, limit)
}

/// As [`wait`](wait()), for code outside async: blocks this thread.
///
/// # Errors
///
/// As for [`wait`](wait()).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use multiprocess::{blocking_wait, one_way};
///
/// let (receiver, sender) = one_way::<u32>()?;
/// assert!(blocking_wait(&[&receiver], Some(Duration::from_millis(5)))?.is_empty());
/// sender.blocking_send(&7)?;
/// assert_eq!(blocking_wait(&[&receiver], None)?, [0]);
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub fn blocking_wait<T: AsFd>(any: &[T], limit: Option<Duration>) -> Result<Vec<usize>> {
    let any: Vec<_> = any.iter().map(AsFd::as_fd).collect();
    ready(&any, limit.and_then(|limit| Instant::now().checked_add(limit)))
}

async fn wait_for(any: Vec<BorrowedFd<'_>>, limit: Option<Duration>) -> Result<Vec<usize>> {
    let now = ready_now(&any)?;
    if !now.is_empty() || limit.is_some_and(|limit| limit.is_zero()) {
        return Ok(now);
    }
    clock()?;
    // A time that no clock can count has no end.
    let first = within(limit.unwrap_or(Duration::MAX), first_of(&any)).await;
    first.unwrap_or_else(|| Ok(Vec::new()))
}

async fn first_of(any: &[BorrowedFd<'_>]) -> Result<Vec<usize>> {
    let gathered = Fd::new(os::any_of(any).map_err(failed)?);
    let mut watched = watch_here(&gathered, Wanted::Input)?;
    loop {
        let Ok(mut guard) = watched.readable().await else {
            // Its runtime has ended. The kernel takes no second registration beside the first.
            drop(watched);
            watched = watch_here(&gathered, Wanted::Input)?;
            continue;
        };
        let now = ready_now(any)?;
        if !now.is_empty() {
            return Ok(now);
        }
        guard.clear_ready();
    }
}

fn ready_now(any: &[BorrowedFd<'_>]) -> Result<Vec<usize>> {
    ready(any, Some(Instant::now()))
}

fn ready(any: &[BorrowedFd<'_>], end: Option<Instant>) -> Result<Vec<usize>> {
    let ready = os::ready(any, Wanted::Input, end).map_err(failed)?;
    Ok((0..any.len()).filter(|place| ready[*place]).collect())
}

/// Sees to it that there is a clock to wait with, which a forked child has not.
pub(super) fn clock() -> Result<()> {
    os::not_forked()?;
    background().map(drop).map_err(failed)
}

fn failed(cause: std::io::Error) -> Error {
    Error::connection("wait for it", cause)
}
