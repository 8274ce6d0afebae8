//! A flag that many wait for.
//!
//! ```text
//! bit 0      it is set                  bits 62, 63  somebody waits for it
//! bits 1..   how often it was set
//! ```
//!
//! Whoever waits notes the number first: it is set free by a set that follows, also if the flag is cleared before it looks again.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::waiting::{self, Look, WAITED_FOR, end_of, endless};
use crate::error::{Error, Result};
use crate::os::{Shared, Word};

const KIND: u32 = 3;
const WORDS: usize = 1;

const SET: u64 = 1;
const ONE_TIME: u64 = 2;

/// A flag between processes that many can wait for. Python: `multiprocessing.Event`.
///
/// All clones are the same event. Waiting for one that is set takes no system call, nor does setting one that nobody waits for.
///
/// Nobody holds an event, so that it cannot be left half done: whoever is killed in the middle of a call has set it or has not. If the only process that would
/// have set it has ended, a wait without a limit is endless; have it wait for that process too, or give it a limit.
///
/// # Examples
///
/// ```standalone_crate
/// use multiprocess::{Event, Process};
///
/// fn main() -> multiprocess::Result<()> {
///     let event = Event::new()?;
///     let process = Process::fork(|| event.blocking_wait())?;
///     event.set();
///     process.blocking_join()
/// }
/// ```
#[derive(Clone)]
pub struct Event(Arc<Shared>);

impl Event {
    /// A new event, which is not set.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let event = multiprocess::Event::new()?;
    /// assert!(!event.is_set());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new() -> Result<Self> {
        let shared = Shared::create(KIND, WORDS).map_err(|cause| Error::shared("an event", cause))?;
        Ok(Self(Arc::new(shared)))
    }

    /// The descriptors by which another process has it.
    pub(crate) fn into_fds(self) -> [Arc<OwnedFd>; 2] {
        self.0.descriptors()
    }

    /// The event behind descriptors that another process has sent.
    pub(crate) fn from_fds(descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared::attach(KIND, WORDS, descriptors)?)))
    }

    fn word(&self) -> &Word {
        self.0.word(0)
    }

    /// Sets it, and frees all that wait for it. Python: `set`.
    ///
    /// # Examples
    ///
    /// ```
    /// let event = multiprocess::Event::new()?;
    /// event.set();
    /// event.blocking_wait();
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn set(&self) {
        let mut now = self.word().load(Ordering::Acquire);
        while now & SET == 0 {
            // The number of times ends below the bits of those that wait.
            let next = (((now & !WAITED_FOR) + ONE_TIME) & !WAITED_FOR) | SET;
            match self.word().compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return waiting::ring(&self.0, now, u32::MAX),
                Err(other) => now = other,
            }
        }
    }

    /// Clears it: whoever comes now waits. Those that a set has freed go on. Python: `clear`.
    ///
    /// # Examples
    ///
    /// ```
    /// let event = multiprocess::Event::new()?;
    /// event.set();
    /// event.clear();
    /// assert!(!event.is_set());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn clear(&self) {
        self.word().fetch_and(!SET, Ordering::AcqRel);
    }

    /// True while it is set. Python: `is_set`.
    ///
    /// # Examples
    ///
    /// See [`clear`](Self::clear).
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.word().load(Ordering::Acquire) & SET != 0
    }

    /// Waits until it is set. Python: `wait()`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let event = multiprocess::Event::new()?;
    /// let sets = event.clone();
    /// let waits = tokio::spawn(async move { event.wait().await });
    /// sets.set();
    /// waits.await.expect("it does not panic");
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait(&self) {
        let before = self.times();
        endless(waiting::wait(&self.0, None, |look| self.look(before, look)).await);
    }

    /// Waits until it is set, at most for so long; false when the time is over. Python: `wait(timeout)`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let event = multiprocess::Event::new()?;
    /// assert!(!event.wait_timeout(Duration::from_millis(5)).await);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_timeout(&self, limit: Duration) -> bool {
        let before = self.times();
        waiting::wait(&self.0, end_of(limit), |look| self.look(before, look)).await.is_some()
    }

    /// Blocks this thread until it is set. Python: `wait()`.
    ///
    /// # Examples
    ///
    /// See [`set`](Self::set).
    pub fn blocking_wait(&self) {
        let before = self.times();
        endless(waiting::block(&self.0, None, |look| self.look(before, look)));
    }

    /// Blocks this thread until it is set, at most for so long; false when the time is over. Python: `wait(timeout)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let event = multiprocess::Event::new()?;
    /// assert!(!event.blocking_wait_timeout(Duration::from_millis(5)));
    /// event.set();
    /// assert!(event.blocking_wait_timeout(Duration::ZERO));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn blocking_wait_timeout(&self, limit: Duration) -> bool {
        let before = self.times();
        waiting::block(&self.0, end_of(limit), |look| self.look(before, look)).is_some()
    }

    /// How often it was set.
    fn times(&self) -> u64 {
        self.word().load(Ordering::Acquire) & !WAITED_FOR & !SET
    }

    fn look(&self, before: u64, look: Look) -> Option<()> {
        let mut now = self.word().load(Ordering::Acquire);
        loop {
            if now & SET != 0 || now & !WAITED_FOR != before {
                return Some(());
            }
            let next = now | look.announce;
            if next == now {
                return None;
            }
            match self.word().compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return None,
                Err(other) => now = other,
            }
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}
