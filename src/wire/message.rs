//! The messages: orders to a worker, reports from it. Only plain, non-recursive data.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::blocks::{Place, Stowed};
use super::identity::{Duty, Identity};

/// Two processes work together only if they speak the same version.
pub(crate) const PROTOCOL: u32 = 3;

/// A worker that has written nothing for so long writes its replies before it goes on.
pub(crate) const HOLD_NS: u64 = 500_000;

/// Anything that stands at the head of a frame.
pub(crate) trait Message: Serialize {}
impl Message for Order {}
impl Message for Report {}

/// From the pool to its worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first order. The initializer's arguments are its payload.
    Configure(Box<Configure>),
    /// Run a task; one record for each element is the payload.
    Run(Run),
    /// Nothing more will come: end.
    Stop,
}

/// How a worker is to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Configure {
    pub(crate) duty: Duty,
    pub(crate) identity: Identity,
    /// The name of its pool.
    pub(crate) name: String,
    /// Which of the pool's workers it is, counted from 0.
    pub(crate) index: usize,
    /// How many pools and processes it is nested in; 1 in a worker of the program itself.
    pub(crate) depth: u32,
    /// The most bytes of a result.
    pub(crate) max_frame: usize,
    /// The stack of the thread that runs tasks, if not the main thread's.
    pub(crate) stack_size: Option<usize>,
    /// What is added to the niceness.
    pub(crate) nice: i32,
    /// How long the worker polls its pipe before it blocks, in nanoseconds.
    pub(crate) busy_poll_ns: u64,
    /// A worker that has this much memory in use after a task takes no more tasks.
    pub(crate) max_memory: Option<u64>,
    /// What is loaded before anything else, unless it is there already.
    pub(crate) preload: Option<Preload>,
    /// What runs first.
    pub(crate) initializer: Option<Initializer>,
    /// What it may no longer do after that.
    #[cfg(feature = "sandbox")]
    pub(crate) sandbox: Option<super::sandbox::Sandbox>,
}

impl Configure {
    /// Nothing is to be done before the first task.
    pub(crate) fn is_plain(&self) -> bool {
        #[cfg(feature = "sandbox")]
        let is_free = self.sandbox.is_none();
        #[cfg(not(feature = "sandbox"))]
        let is_free = true;
        is_free && self.preload.is_none() && self.initializer.is_none()
    }
}

/// The function that runs once in a worker, before its first task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Initializer {
    pub(crate) offset: i64,
    pub(crate) fingerprint: u64,
}

/// The function whose value all workers of a pool share, where they can.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Preload {
    pub(crate) function: Initializer,
    pub(crate) arguments: Vec<u8>,
    pub(crate) on_error: OnError,
}

/// What follows when a pool's preload fails. Python: `on_error` of `set_forkserver_preload`.
///
/// # Examples
///
/// ```
/// use multiprocess::{OnError, ProcessPool, StartMethod, worker};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::builder()
///     .workers(1)
///     .start_method(StartMethod::Forkserver)
///     .try_preload(|path: String| std::fs::read(path), ("/does/not/exist".to_owned(),))
///     .preload_on_error(OnError::Ignore)
///     .build()?;
/// assert!(pool.apply(|| worker::preloaded::<Vec<u8>>().is_none(), ()).await?);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OnError {
    /// The workers do not start, and the pool is broken after a few attempts: [`Error::Preload`](crate::Error::Preload).
    #[default]
    Fail,
    /// The workers work without it. Whatever fails is told on stderr.
    Warn,
    /// The workers work without it.
    Ignore,
}

/// One call, or the elements of one chunk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) head: CallHead,
    pub(crate) task: TaskRef,
    /// The pool keeps an eye on each element: it may run out of time, or have its worker ended.
    pub(crate) watched: bool,
    /// The elements that have handles, and how many: for each of them one message waits at the socket for that.
    pub(crate) handles: Vec<(u32, u8)>,
    /// The arguments that do not stand in the records but in blocks.
    pub(crate) stowed: Vec<Stowed>,
}

/// Which call it is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct CallHead {
    /// Unique for the pool.
    pub(crate) call: u64,
    /// Its place on the worker's board.
    pub(crate) slot: u8,
    /// How many records the payload has.
    pub(crate) elements: u32,
}

/// Which function: in full the first time, by a small number from then on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum TaskRef {
    New { index: u32, offset: i64, fingerprint: u64 },
    Known(u32),
}

impl TaskRef {
    /// The number that it is known by.
    pub(crate) fn index(&self) -> u32 {
        match *self {
            Self::New { index, .. } | Self::Known(index) => index,
        }
    }
}

/// From the worker to its pool.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The first report: it is here, and which build it runs.
    Hello { protocol: u32, image: u64 },
    /// It takes orders.
    Ready,
    /// The initializer failed; the worker ends.
    InitializerFailed(String),
    /// The next results of a call; one record for each element is the payload.
    Reply(Reply),
    /// What was to be loaded could not be; the process ends.
    PreloadFailed(String),
    /// A part of the sandbox does not hold, and must; the worker ends. It stays last, so that no feature changes the others.
    #[cfg(feature = "sandbox")]
    SandboxFailed { part: String, cause: String },
}

/// How much of a call is answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) call: u64,
    pub(crate) slot: u8,
    /// How many records the payload has.
    pub(crate) elements: u32,
    /// Nothing more will come of this call.
    pub(crate) last: bool,
    /// The worker uses more memory than it may and takes no more tasks; what is left of the call is for another one.
    pub(crate) outgrown: bool,
    /// Time since the call started.
    pub(crate) elapsed_ns: u64,
    /// How many handles the last of the results has, of which one message waits at the socket for that. The others have none.
    pub(crate) handles: u8,
    /// The last of the results does not stand in its record but in this block.
    pub(crate) stowed: Option<Place>,
}

/// Why one element failed in its worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    Panicked { message: String, location: String, backtrace: String },
    Encode(String),
    Decode(String),
    TooLarge { size: usize },
    Foreign(String),
    Cancelled,
    TimedOut,
}

/// Takes the message off the front of a frame; the payload is what is left.
pub(crate) fn split<T: DeserializeOwned>(frame: &Bytes) -> Result<(T, Bytes), String> {
    let (message, rest) = postcard::take_from_bytes(frame).map_err(|error| error.to_string())?;
    Ok((message, frame.slice_ref(rest)))
}
