//! The same as a process, on a thread of this one.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::twin::{Place, Twin};
use crate::error::{Error, Exit, Limit, Result};
use crate::os::{self, Rooted, background};
use crate::process::{Fate, Join};
use crate::task::{self, Arguments, Label, Payload, Task, TaskFn};
use crate::wait::{block_on, within};
use crate::wire::{
    DEFAULT_MAX, Failure, Fd, Input, Luggage, Output, Parcel, Parts, Records, failed_record, put_record,
};

/// The stack of a thread: that of a program's main thread, which a process would have.
const STACK: usize = 8 << 20;

/// One function on a thread, with the face of a [`Process`](crate::Process). Python: `multiprocessing.dummy.Process`.
///
/// Arguments and value are encoded here too. A thread cannot be ended from outside, so that there is neither `terminate` nor `kill`; and a
/// function that exits or crashes takes the whole program along.
///
/// Dropping the handle detaches the thread, which ends with the program. In a child of this process that comes by `fork`, whatever
/// would wait is [`Error::Forked`].
///
/// # Examples
///
/// ```
/// use multiprocess::dummy::Process;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::spawn(|name: String| format!("hello {name}"), ("you".to_owned(),))?;
/// assert_eq!(process.join().await?, "hello you");
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub struct Process<R: Payload> {
    twin: Rooted<Arc<Twin>>,
    value: PhantomData<fn() -> R>,
}

/// Builds a [`Process`].
///
/// # Examples
///
/// ```
/// let process = multiprocess::dummy::Process::builder().name("adder").spawn(|a: u32, b: u32| a + b, (2, 3))?;
/// assert_eq!(process.blocking_join()?, 5);
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct ProcessBuilder {
    name: Option<String>,
    daemon: Option<bool>,
}

/// What a thread has to do.
struct Job {
    twin: Arc<Twin>,
    task: Task,
    /// The one record of its arguments.
    parcel: Parcel,
    begun: SyncSender<()>,
}

impl ProcessBuilder {
    /// What it is called, and its thread. Default: `Process-1` and so on, as for [processes](crate::ProcessBuilder::name).
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether it is told to be a daemon. Every thread ends with the program, so that nothing else depends on it. Default: as the
    /// thread that starts it.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::dummy::{Process, current_process};
    ///
    /// let process = Process::builder().daemon(true).spawn(|| current_process().daemon(), ())?;
    /// assert!(process.daemon() && process.blocking_join()?);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Starts a thread that calls `f(args)`. It runs when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] and [`Error::TooLarge`]: the arguments do not travel. [`Error::Start`]: no thread can be had. [`Error::Forked`]: this
    /// process was forked from one that has started processes or pools.
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder`].
    pub fn spawn<F, Args, M>(self, f: F, args: Args) -> Result<Process<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        os::not_forked()?;
        os::notice_forks().map_err(|cause| Error::start("notice forks", cause))?;
        let place = Place::next();
        let (task, number) = (Task::of(f), place.number);
        let label = Label { name: task.namer(), id: number, max: DEFAULT_MAX, timeout: None };
        let parcel = label.encode(&args, None)?;
        let name = self.name.unwrap_or_else(|| format!("Process-{}", place.path));
        let daemon = self.daemon.unwrap_or(place.daemon);
        let twin = Twin::new(place, daemon, Fate::new(name, label));
        start(Arc::clone(&twin), task, parcel)?;
        Ok(Process { twin: Rooted::new(twin), value: PhantomData })
    }
}

/// Starts the thread, and waits until it runs.
fn start(twin: Arc<Twin>, task: Task, parcel: Parcel) -> Result<()> {
    task::capture_panics();
    // Its clock is there for whoever waits.
    background().map_err(|cause| Error::start("start the background thread", cause))?;
    let (begun, begins) = sync_channel(1);
    let thread = thread::Builder::new().name(twin.fate.name().replace('\0', " ")).stack_size(STACK);
    let job = Job { twin, task, parcel, begun };
    thread.spawn(move || job.run()).map_err(|cause| Error::start("start its thread", cause))?;
    let _it_runs = begins.recv();
    Ok(())
}

impl Job {
    fn run(self) {
        let Self { twin, task, parcel, begun } = self;
        twin.begin();
        let _it_waits = begun.send(());
        task::print_panics();
        let mut out = Output::new(None, DEFAULT_MAX);
        let called = call(task, parcel, &mut out);
        if let Err(failure) = &called {
            failed_record(out.bytes_mut(), failure);
        }
        let code = i32::from(called.is_err());
        twin.fate.came(Parcel::new(out.into_bytes(), Luggage::of(0, called.unwrap_or_default())));
        twin.end(Exit::Code(code));
    }
}

const NONE: &Parts = &Parts::new();

/// Appends the result; its handles.
fn call(task: Task, parcel: Parcel, out: &mut Output) -> Result<Vec<Fd>, Failure> {
    let Parcel { records, mut luggage, .. } = parcel;
    let arguments = Records::new(&records).next().expect("they were put in one record");
    let mut handles = Vec::new();
    luggage.take(0, &mut handles);
    let input = Input::new(arguments.bytes, NONE);
    put_record(out, |out| task.call(input, &mut handles, out))?;
    if out.len() > DEFAULT_MAX {
        let size = out.len();
        out.undo(0);
        return Err(Failure::TooLarge { size });
    }
    Ok(handles)
}

impl Process<()> {
    /// Starts with all options at their defaults.
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder`].
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder { name: None, daemon: None }
    }
}

impl<R: Payload> Process<R> {
    /// Starts a thread that calls `f(args)`.
    ///
    /// # Errors
    ///
    /// As for [`ProcessBuilder::spawn`].
    ///
    /// # Examples
    ///
    /// See [`Process`].
    pub fn spawn<F, Args, M>(f: F, args: Args) -> Result<Self>
    where
        F: TaskFn<Args, M, Value = R>,
        Args: Arguments,
    {
        Process::builder().spawn(f, args)
    }

    /// Waits until the function is done, and gives its value, which can be taken once.
    ///
    /// # Errors
    ///
    /// The future fails with [`Error::Panicked`], with [`Error::Encode`], [`Error::Decode`] or [`Error::TooLarge`] if arguments or value do not travel, and with
    /// [`Error::Taken`] if the value was taken before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only a join that has completed takes the value.
    ///
    /// # Examples
    ///
    /// See [`Process`].
    pub fn join(&self) -> Join<R> {
        Join::new(&self.twin.fate)
    }

    /// As [`join`](Self::join), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder`].
    pub fn blocking_join(&self) -> Result<R> {
        block_on(self.join())
    }

    /// As [`join`](Self::join), at most for so long; the function goes on then, and can be joined again.
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
    /// use std::time::Duration;
    /// use multiprocess::dummy::Process;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let process = Process::spawn(|| 7, ())?;
    /// assert_eq!(process.join_timeout(Duration::from_secs(60)).await?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn join_timeout(&self, limit: Duration) -> Result<R> {
        let joined = within(limit, self.join()).await;
        let timed_out = |task| Error::TimedOut { task, limit: Limit::Wait, after: limit };
        joined.unwrap_or_else(|| Err(timed_out(self.twin.fate.task())))
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
    /// let process = multiprocess::dummy::Process::spawn(|| 7, ())?;
    /// assert_eq!(process.blocking_join_timeout(std::time::Duration::from_secs(60))?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_join_timeout(&self, limit: Duration) -> Result<R> {
        block_on(self.join_timeout(limit))
    }

    /// What it is called.
    ///
    /// # Examples
    ///
    /// ```
    /// let process = multiprocess::dummy::Process::builder().name("fetcher").spawn(|| (), ())?;
    /// assert_eq!(process.name(), "fetcher");
    /// # process.blocking_join()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.twin.fate.name()
    }

    /// What it was started as; see [`ProcessBuilder::daemon`].
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder::daemon`].
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.twin.daemon
    }

    /// The kernel's number of its thread. Python: `ident`, which is a number of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::dummy::{Process, current_process};
    ///
    /// let process = Process::spawn(|| current_process().ident(), ())?;
    /// assert_eq!(process.blocking_join()?, process.ident());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn ident(&self) -> u32 {
        self.twin.ident()
    }

    /// True while its function is not done.
    ///
    /// # Examples
    ///
    /// ```
    /// let process = multiprocess::dummy::Process::spawn(|| (), ())?;
    /// process.blocking_join()?;
    /// assert!(!process.is_alive());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.twin.is_alive()
    }

    /// Nothing while it runs, 0 when it has returned, 1 when it has panicked. Python's is 0 however it has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// let process = multiprocess::dummy::Process::spawn(|| -> u8 { panic!("no more paper") }, ())?;
    /// assert!(process.blocking_join().is_err());
    /// assert_eq!(process.exit_code(), Some(1));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.twin.exit_code()
    }
}

impl<R: Payload> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name()).finish_non_exhaustive()
    }
}
