//! The one error type: every variant names the step that failed, and where there is one, the task and the worker.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of everything in this crate that can fail.
///
/// # Examples
///
/// ```
/// fn start() -> multiprocess::Result<multiprocess::ProcessPool> {
///     multiprocess::ProcessPool::new(2)
/// }
///
/// assert!(start().is_ok());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call, or the pool itself, failed.
///
/// A task that returns a `Result` of its own is no failure: that `Result` is the task's value and comes back as it is.
///
/// # Examples
///
/// ```
/// use multiprocess::{Error, ProcessPool};
///
/// fn reciprocal(n: u32) -> u32 {
///     1_000 / n
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::new(1)?;
/// match pool.apply(reciprocal, (0,)).await {
///     Err(Error::Panicked(panic)) => assert!(panic.message.contains("divide by zero")),
///     other => panic!("unexpected: {other:?}"),
/// }
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The task panicked in its worker, which lives on.
    #[error("task {} panicked at {}: {}", .0.task, .0.location, .0.message)]
    Panicked(Panic),
    /// The worker that ran the task ended: it was killed, crashed or exited.
    #[error("{0}")]
    WorkerDied(Death),
    /// The time the caller gave was over.
    #[error("task {task} {limit} within {after:?}")]
    TimedOut {
        /// The task that did not make it.
        task: String,
        /// What did not happen in time.
        limit: Limit,
        /// How much time there was.
        after: Duration,
    },
    /// The call was cancelled, by its caller or because the pool was terminated or dropped.
    #[error("task {task} was cancelled")]
    Cancelled {
        /// The task that was cancelled.
        task: String,
    },
    /// The result was taken from its handle before.
    #[error("the result of task {task} was taken before")]
    Taken {
        /// The task whose result it was.
        task: String,
    },
    /// The pool takes no more tasks: it was closed, terminated or dropped.
    #[error("the pool or the queue is closed and takes no more")]
    Closed,
    /// The pool is still open: `close` or `terminate` it before `join`.
    #[error("the pool is still open; close or terminate it before joining it")]
    NotClosed,
    /// The process has not ended: join it, or end it, before it is closed.
    #[error("process {name} still runs, with the number {pid}; join or terminate it before closing it")]
    StillRunning {
        /// What the process is called.
        name: String,
        /// Its process number.
        pid: u32,
    },
    /// The handle of the process was closed, and gives nothing more.
    #[error("the handle of process {name} was closed")]
    ProcessClosed {
        /// What the process is called.
        name: String,
    },
    /// This process is a child, by `fork`, of one that has made a pool or started a [`Process`](crate::Process): they belong to the process that made them.
    ///
    /// The child has none of its threads. What was made before the fork goes on in the parent, whatever the child does with it; to have a pool in
    /// the child, make it there, and none before the fork.
    #[error("the pool belongs to the process that made it, and this process was forked from that one")]
    Forked,
    /// The queue of the pool is full.
    #[error("the queue of the pool is full")]
    QueueFull,
    /// A value could not be encoded: an argument by the caller, a result by the worker.
    #[error("cannot encode {what} of task {task}: {cause}")]
    Encode {
        /// What was to be encoded: `the arguments` or `the result`.
        what: &'static str,
        /// The task it belongs to.
        task: String,
        /// What the value's `Serialize` said, or the panic it raised.
        cause: String,
    },
    /// Bytes could not be decoded: arguments by the worker, a result by the caller.
    #[error("cannot decode {what} of task {task}: {cause}")]
    Decode {
        /// What was to be decoded: `the arguments` or `the result`.
        what: &'static str,
        /// The task it belongs to.
        task: String,
        /// What was wrong with the bytes.
        cause: String,
    },
    /// Arguments or a result take more bytes than one frame may have.
    #[error("{what} of task {task} take {size} bytes, more than the {max} of a frame")]
    TooLarge {
        /// What was too large: `the arguments` or `the result`.
        what: &'static str,
        /// The task it belongs to.
        task: String,
        /// Its encoded size in bytes.
        size: usize,
        /// The largest size allowed, set with `max_frame`.
        max: usize,
    },
    /// The iterator that a map reads its input from panicked.
    #[error("the input of task {} panicked: {}", .0.task, .0.message)]
    Input(Panic),
    /// A callback panicked; the value it was called with is lost.
    #[error("a callback of task {} panicked: {}", .0.task, .0.message)]
    Callback(Panic),
    /// The initializer failed in a worker.
    #[error("the initializer failed: {cause}")]
    Initializer {
        /// What it returned or how it panicked.
        cause: String,
    },
    /// A part of the sandbox does not hold in a worker, and is required to.
    #[error("the sandbox does not hold: {part}: {cause}")]
    Sandbox {
        /// The part, as the sandbox names it: `the file system`, `system calls` and so on.
        part: String,
        /// What the kernel has not, or why it refuses.
        cause: String,
    },
    /// Workers ended one after the other before they had done anything, and the pool gave up.
    #[error("the pool is broken: {} workers in a row failed to start, the last: {}", .causes.len(), last(.causes))]
    Broken {
        /// Why each of them failed, the last one last.
        causes: Vec<Error>,
    },
    /// A worker could not be started.
    #[error("cannot start a worker: failed to {step}")]
    Start {
        /// What was being done.
        step: &'static str,
        /// The error of the operating system.
        #[source]
        cause: Arc<io::Error>,
    },
    /// This process cannot be forked: it has other threads, and whatever lock one of them holds would be held for ever in the child.
    #[error("a process with more than one thread cannot be forked; there are also {}", .threads.join(", "))]
    NotAlone {
        /// Their names and numbers.
        threads: Vec<String>,
    },
    /// What a pool was to load before its workers start could not be loaded.
    #[error("the preload failed: {cause}")]
    Preload {
        /// What it returned or how it panicked.
        cause: String,
    },
    /// The worker runs another build of the program, or speaks another version of the protocol.
    #[error("the worker does not fit this program: {why}")]
    Incompatible {
        /// What differs.
        why: String,
    },
    /// The function is not part of the program's own image, so that no worker has it.
    #[error("task {task} is not part of the program itself, but of a library loaded at run time")]
    ForeignTask {
        /// The name of the function.
        task: String,
    },
    /// Nobody is left at the other end of a connection: all copies of that end are closed, wherever they were. Python: `EOFError`, `BrokenPipeError`.
    ///
    /// Whatever was sent before can still be received, and comes first.
    #[error("the other end of the connection is closed")]
    Disconnected,
    /// There is no room for one more message or item, now or in the time given. Python: `queue.Full`.
    #[error("there is no room for one more")]
    Full,
    /// A message is longer than the buffer that it was to be put in. Python: `BufferTooShort`.
    #[error("a message of {} bytes does not fit a buffer of {room}", .message.len())]
    BufferTooShort {
        /// The whole message, which is taken and not lost.
        message: Vec<u8>,
        /// The bytes that the buffer has.
        room: usize,
    },
    /// A message or an item takes more bytes than a connection or a queue may have.
    #[error("a message of {size} bytes is more than the {max} that the connection or queue takes")]
    MessageTooLarge {
        /// Its size in bytes, as its sender says.
        size: u64,
        /// The largest size allowed, set with [`Connection::max_frame`](crate::Connection::max_frame) or [`Queue::max_frame`](crate::Queue::max_frame).
        max: u64,
    },
    /// A value that was to be sent over a connection or put into a queue could not be encoded.
    #[error("cannot encode a message: {cause}")]
    EncodeMessage {
        /// What the value's `Serialize` said.
        cause: String,
    },
    /// What came over a connection or out of a queue is no such value. It is taken; what comes behind it is not harmed.
    #[error("cannot decode a message: {cause}")]
    DecodeMessage {
        /// What was wrong with the bytes, or what has not come with them.
        cause: String,
    },
    /// The operating system refused something that a connection or a queue needs.
    #[error("cannot {step}")]
    Connection {
        /// What was being done.
        step: &'static str,
        /// The error of the operating system.
        #[source]
        cause: Arc<io::Error>,
    },
    /// The other side has not shown that it knows the key of a connection or has a certificate that is trusted, or what it sent was no handshake. Python: `AuthenticationError`.
    #[cfg(feature = "net")]
    #[error("authentication failed: {why}")]
    Authentication {
        /// What it did instead.
        why: &'static str,
    },
    /// This is no key.
    #[cfg(feature = "net")]
    #[error("not a key: {why}")]
    AuthKey {
        /// What is wrong with it; never the key itself.
        why: String,
    },
    /// These are no certificates, or no private key that belongs to them.
    #[cfg(feature = "tls")]
    #[error("not a certificate with its key: {why}")]
    Certificate {
        /// What is wrong; never the key itself.
        why: String,
    },
    /// Memory that processes share could not be had, or what came over is no such thing.
    #[error("cannot make {what} that processes share")]
    Shared {
        /// What was to be made: `a lock` and so on.
        what: &'static str,
        /// The error of the operating system.
        #[source]
        cause: Arc<io::Error>,
    },
    /// Shared memory with a name could not be made, opened or unlinked: the cause is of the kind `AlreadyExists`, `NotFound`, `InvalidInput` and so on. Python:
    /// `FileExistsError`, `FileNotFoundError`.
    #[error("cannot {step} shared memory with the name {name:?}")]
    Named {
        /// What was being done.
        step: &'static str,
        /// The name.
        name: String,
        /// What stands against it.
        #[source]
        cause: Arc<io::Error>,
    },
    /// An item of a list has no room for such a value. Python: `ValueError`.
    #[error("a value of {size} bytes does not fit into an item of {room}")]
    ItemTooLarge {
        /// The bytes of the value.
        size: usize,
        /// The bytes that the item was made with, rounded up.
        room: usize,
    },
    /// What stands in a shared list is no value: a process has written there past this crate.
    #[error("item {index} of the shared list is garbled")]
    Garbled {
        /// Which item.
        index: usize,
    },
    /// A value that was to be shared could not be encoded.
    #[error("cannot encode a value to share it: {cause}")]
    EncodeShared {
        /// What the value's `Serialize` said.
        cause: String,
    },
    /// What was shared is no such value.
    #[error("cannot decode a shared value: {cause}")]
    DecodeShared {
        /// What was wrong with the bytes.
        cause: String,
    },
    /// What was asked for does not lie within what there is. Python: `IndexError`.
    #[error("{start}..{end} does not lie within the {length} that there are")]
    OutOfRange {
        /// The first element, or byte, that was asked for.
        start: usize,
        /// The one behind the last.
        end: usize,
        /// How many there are.
        length: usize,
    },
    /// A slice is not as long as what it is to be copied to or from.
    #[error("{given} elements were given where just {needed} are needed")]
    WrongLength {
        /// How many were given.
        given: usize,
        /// How many there must be.
        needed: usize,
    },
    /// A guard of another lock was given.
    #[error("the guard is of another lock than the one that this is guarded by")]
    OtherLock,
    /// There is another guard of it already, so that there would be two references to the same.
    #[error("it is held by another guard already")]
    Held,
    /// The process that held it has ended without giving it back, so that what it guards may be half done: an [`OwnerDied`](crate::OwnerDied) that was
    /// passed on.
    #[error("the process that held it has ended without giving it back")]
    OwnerDied,
    /// What was to be released is not acquired.
    #[error("it cannot be released, since it is not acquired")]
    NotAcquired,
    /// What was to be released belongs to another process, thread or task.
    #[error("it cannot be released, since it belongs to another process, thread or task")]
    NotOwner,
    /// A bounded semaphore has all its permits already.
    #[error("the semaphore was released more often than it was acquired; it has {bound} permits")]
    TooManyReleases {
        /// How many it can have.
        bound: u32,
    },
    /// [`task_done`](crate::JoinableQueue::task_done) was called more often than items were put. Python: `ValueError`.
    #[error("more items are done than were put")]
    TooManyDone,
    /// The barrier was broken: by `abort`, by a time that was over, by the end of a process that waited, or by `reset` while others waited.
    #[error("the barrier is broken")]
    BrokenBarrier,
    /// A [`Manager`](crate::Manager) does not do what it is asked: there is no such object, type or method, or the caller may not call it so.
    #[error("the manager refuses {task}: {why}")]
    Refused {
        /// What was to be called.
        task: String,
        /// What is in the way.
        why: crate::Refusal,
    },
    /// The function that was to make an object of a [`Manager`](crate::Manager) has returned an error.
    #[error("{task} has made no object: {cause}")]
    NotCreated {
        /// The function.
        task: String,
        /// What it returned.
        cause: String,
    },
    /// An option has a value that it cannot have.
    #[error("option {option}: {why}")]
    Option {
        /// The builder's method.
        option: &'static str,
        /// What is wrong with the value.
        why: String,
    },
}

fn last(causes: &[Error]) -> String {
    let Some(last) = causes.last() else { return "unknown".into() };
    match std::error::Error::source(last) {
        Some(source) => format!("{last}: {source}"),
        None => last.to_string(),
    }
}

impl Error {
    pub(crate) fn option(option: &'static str, why: impl Into<String>) -> Self {
        Self::Option { option, why: why.into() }
    }

    /// The cause of a worker's end that is no end: it was killed and does not go.
    pub(crate) fn still_there() -> Self {
        Self::start("end it", io::ErrorKind::TimedOut.into())
    }

    pub(crate) fn shared(what: &'static str, cause: io::Error) -> Self {
        Self::Shared { what, cause: Arc::new(cause) }
    }

    pub(crate) fn named(step: &'static str, name: &str, cause: impl Into<io::Error>) -> Self {
        Self::Named { step, name: name.to_owned(), cause: Arc::new(cause.into()) }
    }

    pub(crate) fn connection(step: &'static str, cause: io::Error) -> Self {
        Self::Connection { step, cause: Arc::new(cause) }
    }

    pub(crate) fn start(step: &'static str, cause: io::Error) -> Self {
        Self::Start { step, cause: Arc::new(cause) }
    }
}

/// What a task did not do in time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use multiprocess::{Error, Limit, ProcessPool};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::new(1)?;
/// match pool.apply(|| -> u8 { loop { std::hint::spin_loop() } }, ()).timeout(Duration::from_millis(20)).await {
///     Err(Error::TimedOut { limit: Limit::Run, .. }) => {}  // say 504 Gateway Timeout
///     Err(Error::TimedOut { limit: Limit::Queue, .. }) => {} // say 503 Service Unavailable
///     other => panic!("unexpected: {other:?}"),
/// }
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// It gave no result while it was waited for, and goes on: `TaskHandle::get`.
    Wait,
    /// It did not end, and was made to: the option `timeout`.
    Run,
    /// It did not start, and never will: the option `queue_timeout`.
    Queue,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "gave no result",
            Self::Run => "did not end",
            Self::Queue => "did not start",
        })
    }
}

/// A panic, as the process or thread that raised it saw it.
///
/// # Examples
///
/// ```
/// use multiprocess::{Error, ProcessPool};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(1)?;
/// match pool.apply(|| -> u8 { panic!("no more paper") }, ()).await {
///     Err(Error::Panicked(panic)) => assert_eq!(panic.message, "no more paper"),
///     other => panic!("unexpected: {other:?}"),
/// }
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Panic {
    /// The panic message, or a placeholder where its payload is no text.
    pub message: String,
    /// File, line and column where it was raised.
    pub location: String,
    /// The stack at that moment; empty where none was taken.
    pub backtrace: String,
    /// The task that panicked.
    pub task: String,
}

impl Panic {
    pub(crate) fn new(task: &str, message: String) -> Self {
        let nowhere = "an unknown place".into();
        Self { message, location: nowhere, backtrace: String::new(), task: task.into() }
    }
}

/// The end of a worker, as the task that it ran sees it.
///
/// # Examples
///
/// ```
/// use multiprocess::{Error, Exit, ProcessPool};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(1)?;
/// match pool.apply(|| -> u8 { std::process::exit(3) }, ()).await {
///     Err(Error::WorkerDied(death)) => assert_eq!(death.exit, Exit::Code(3)),
///     other => panic!("unexpected: {other:?}"),
/// }
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Death {
    /// The process that ended.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
    /// The task that had started and did not finish, if there was one.
    pub task: Option<String>,
    /// How many workers that task has cost so far: 1 unless it was retried.
    pub attempts: u32,
    /// What the worker had done, if the pool has ended it for that: it sent what no worker may send, or gave no sign of life.
    pub fault: Option<String>,
    /// The kernel has most likely killed it since memory ran out: the cgroup counts one more such kill.
    pub oom_likely: bool,
    /// The last 8 KiB that the worker and its children wrote to stderr, of whichever task; empty where that is not captured.
    pub stderr_tail: String,
}

impl Death {
    pub(crate) fn new(pid: u32, exit: Exit) -> Self {
        let stderr_tail = String::new();
        Self { pid, exit, task: None, attempts: 0, fault: None, oom_likely: false, stderr_tail }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} ended with {}", self.pid, self.exit)?;
        match &self.task {
            Some(task) => write!(f, " while it ran task {task}")?,
            None => f.write_str(" before it ran a task")?,
        }
        if self.attempts > 1 {
            write!(f, ", the last of {} workers that the task has cost", self.attempts)?;
        }
        if let Some(fault) = &self.fault {
            write!(f, ": the pool has ended it, since {fault}")?;
        }
        if self.oom_likely { f.write_str(": memory has most likely run out") } else { Ok(()) }
    }
}

/// How a process ended.
///
/// # Examples
///
/// ```
/// use multiprocess::Exit;
///
/// assert_eq!(Exit::Signal(11).to_string(), "signal 11 (SIGSEGV)");
/// assert_eq!(Exit::Code(1).to_string(), "exit code 1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Exit {
    /// It returned or exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Another part of the program has collected the exit status.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("an unknown exit status"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [(i32, &str); 15] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
        (31, "SIGSYS"),
    ];
    NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name)
}
