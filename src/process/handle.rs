//! The handle of a process.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::ProcessBuilder;
use super::join::Join;
use super::life::Life;
use super::stdio::Pipes;
use crate::error::{Error, Limit, Result};
use crate::os::{self, Rooted};
use crate::task::{Arguments, Payload, TaskFn};
use crate::wait::{block_on, within};

/// One function in a process of its own, as `std::thread::JoinHandle` has it for a thread. Python: `multiprocessing.Process`.
///
/// What can be such a function, and what becomes of its arguments and its value, is as for the tasks of a pool; see [`TaskFn`].
///
/// # How it ends
///
/// | the function | `exit_code` | `join` |
/// | --- | --- | --- |
/// | returns | 0 | its value, also a `Result` of its own |
/// | panics | 1, and the message is on its stderr | [`Error::Panicked`] |
/// | returns what cannot be encoded | 1 | [`Error::Encode`] |
/// | calls `std::process::exit(n)` | n | [`Error::WorkerDied`] |
/// | is ended by a signal | minus its number | [`Error::WorkerDied`] |
///
/// It ends by `std::process::exit`: what the program has registered for its end runs, what it has printed is written, and its
/// other threads end with it.
///
/// # Dropping it
///
/// Dropping the handle detaches the process, as with a thread of `std`: it runs on, and is reaped by the crate when it ends. It outlives this
/// process too, as a `std::process::Child` does, unless it is a [daemon](ProcessBuilder::daemon), which ends with it whatever becomes of
/// this process. Python waits for all but daemons at the end of the program; here whoever wants that joins them.
///
/// It leads a process group of its own, so that a Ctrl-C in a terminal reaches this process alone. What is left in its group when it has ended is killed.
///
/// # Forks
///
/// In a child of this process that comes by `fork`, whatever would wait is [`Error::Forked`].
///
/// # Examples
///
/// ```
/// use multiprocess::Process;
///
/// fn greet(name: String) -> String {
///     format!("hello {name}")
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::spawn(greet, ("you".to_owned(),))?;
/// assert_eq!(process.join().await?, "hello you");
/// assert_eq!(process.exit_code(), Some(0));
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub struct Process<R: Payload> {
    pub(super) life: Rooted<Arc<Life>>,
    pub(super) pipes: Pipes,
    value: PhantomData<fn() -> R>,
}

impl Process<()> {
    /// Starts with all options at their defaults.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::builder().name("adder").daemon(true).spawn(|a: u32, b: u32| a + b, (2, 3))?;
    /// assert_eq!(process.blocking_join()?, 5);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::new()
    }
}

impl<R: Payload> Process<R> {
    pub(super) fn new(life: Arc<Life>, pipes: Pipes) -> Self {
        Self { life: Rooted::new(life), pipes, value: PhantomData }
    }

    /// Starts a process that calls `f(args)`. It has been started when this returns, which takes about a millisecond. Python: `Process(target, args).start()`.
    ///
    /// # Errors
    ///
    /// As for [`ProcessBuilder::spawn`].
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::spawn(u64::pow, (2, 10))?;
    /// assert_eq!(process.blocking_join()?, 1_024);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn spawn<F, Args, M>(f: F, args: Args) -> Result<Self>
    where
        F: TaskFn<Args, M, Value = R>,
        Args: Arguments,
    {
        Process::builder().spawn(f, args)
    }

    /// Forks this process, and runs the closure in the copy, which has everything that this process has: the closure may capture and borrow what it
    /// likes, and nothing of it is encoded but its value. Python: the start method `fork`.
    ///
    /// # Errors
    ///
    /// As for [`ProcessBuilder::fork`]: [`Error::NotAlone`] above all, if this process has a second thread.
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// use multiprocess::Process;
    ///
    /// fn main() -> multiprocess::Result<()> {
    ///     let words = vec!["a", "copy", "of", "this"];
    ///     let process = Process::fork(|| words.len())?;
    ///     assert_eq!(process.blocking_join()?, 4);
    ///     Ok(())
    /// }
    /// ```
    pub fn fork<F: FnOnce() -> R>(f: F) -> Result<Self> {
        Process::builder().fork(f)
    }

    /// Waits until the process has ended, and gives the value of its function. Python: `join`, which gives nothing.
    ///
    /// The value can be taken once. A pipe to its stdin that nobody has taken is closed first, as `std::process::Child::wait` does.
    ///
    /// # Errors
    ///
    /// The future fails with [`Error::Panicked`] or [`Error::WorkerDied`], with [`Error::Encode`], [`Error::Decode`] or [`Error::TooLarge`] if
    /// arguments or value do not travel, with [`Error::Start`], [`Error::Sandbox`] or [`Error::Incompatible`] if it did not even come to its function, with
    /// [`Error::Taken`] if the value was taken before, and with [`Error::ProcessClosed`] after [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only a join that has completed takes the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Process};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let process = Process::spawn(|| -> u8 { panic!("no more paper") }, ())?;
    /// match process.join().await {
    ///     Err(Error::Panicked(panic)) => assert_eq!(panic.message, "no more paper"),
    ///     other => panic!("unexpected: {other:?}"),
    /// }
    /// assert_eq!(process.exit_code(), Some(1));
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn join(&self) -> Join<R> {
        drop(self.pipes.stdin.take());
        self.wait()
    }

    fn wait(&self) -> Join<R> {
        if !os::forked() {
            self.life.attend();
        }
        Join::new(&self.life.fate)
    }

    /// As [`join`](Self::join), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    ///
    /// # Examples
    ///
    /// See [`spawn`](Self::spawn).
    pub fn blocking_join(&self) -> Result<R> {
        os::not_forked()?;
        drop(self.pipes.stdin.take());
        self.life.wait_here(None);
        block_on(Join::new(&self.life.fate))
    }

    /// As [`join`](Self::join), at most for so long; the process goes on then, and can be joined again. It closes no pipe. Python: `join(timeout)`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with [`Limit::Wait`], and as for [`join`](Self::join).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only a join that has completed takes the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use multiprocess::{Error, Process};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let process = Process::spawn(|| -> () { loop { std::thread::park() } }, ())?;
    /// let error = process.join_timeout(Duration::ZERO).await.unwrap_err();
    /// assert!(matches!(error, Error::TimedOut { .. }));
    /// process.kill()?;
    /// assert!(process.join().await.is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn join_timeout(&self, limit: Duration) -> Result<R> {
        let joined = within(limit, self.wait()).await;
        joined.unwrap_or_else(|| Err(self.timed_out(limit)))
    }

    /// As [`join_timeout`](Self::join_timeout), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`join_timeout`](Self::join_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use multiprocess::Process;
    ///
    /// let process = Process::spawn(|| 7, ())?;
    /// assert_eq!(process.blocking_join_timeout(Duration::from_secs(60))?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_join_timeout(&self, limit: Duration) -> Result<R> {
        os::not_forked()?;
        let until = Instant::now().checked_add(limit);
        if !self.life.wait_here(until) {
            return Err(self.timed_out(limit));
        }
        let rest = until.map_or(limit, |until| until.saturating_duration_since(Instant::now()));
        let joined = block_on(within(rest, Join::new(&self.life.fate)));
        joined.unwrap_or_else(|| Err(self.timed_out(limit)))
    }

    fn timed_out(&self, limit: Duration) -> Error {
        Error::TimedOut { task: self.life.fate.task(), limit: Limit::Wait, after: limit }
    }
}

impl<R: Payload> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
