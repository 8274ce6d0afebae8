//! Making connections as pairs.

use super::connection::{Connection, Receiver, Sender, not_made};
use crate::error::Result;
use crate::os;

/// The two ends of a new connection: the first sends `A` and receives `B`, the second sends `B` and receives `A`. Python: `multiprocessing.Pipe()`.
///
/// # Errors
///
/// [`Error::Connection`](crate::Error::Connection) if there are no descriptors left.
///
/// # Examples
///
/// ```
/// use multiprocess::pipe;
///
/// let (here, there) = pipe::<String, u32>()?;
/// here.blocking_send(&"how many?".to_owned())?;
/// assert_eq!(there.blocking_recv()?, "how many?");
/// there.blocking_send(&3)?;
/// assert_eq!(here.blocking_recv()?, 3);
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub fn pipe<A, B>() -> Result<(Connection<A, B>, Connection<B, A>)> {
    let (here, there) = os::control_pair().map_err(not_made)?;
    Ok((Connection::with_defaults(here), Connection::with_defaults(there)))
}

/// The two ends of a new connection that goes one way: the first receives what the second sends. Python: `multiprocessing.Pipe(duplex=False)`.
///
/// # Errors
///
/// As for [`pipe`](pipe()).
///
/// # Examples
///
/// Two workers send, each with a copy of its own, and this process receives until both are done:
///
/// ```
/// use futures::TryStreamExt;
/// use multiprocess::{ProcessPool, Sender, one_way};
///
/// fn report(sender: Sender<u32>, number: u32) -> bool {
///     sender.blocking_send(&(number * number)).is_ok()
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (mut receiver, sender) = one_way()?;
/// let pool = ProcessPool::new(2)?;
/// let inputs = vec![(sender.try_clone()?, 2), (sender, 3)];
/// assert_eq!(pool.starmap(report, inputs).await?, [true, true]);
///
/// let mut received = Vec::new();
/// while let Some(number) = receiver.try_next().await? {
///     received.push(number);
/// }
/// received.sort_unstable();
/// assert_eq!(received, [4, 9]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub fn one_way<T>() -> Result<(Receiver<T>, Sender<T>)> {
    let (receiver, sender) = os::control_pair().map_err(not_made)?;
    os::only_receive(&receiver).map_err(not_made)?;
    Ok((Connection::with_defaults(receiver), Connection::with_defaults(sender)))
}
