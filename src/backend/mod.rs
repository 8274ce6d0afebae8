//! Where workers come from: the one seam between what is decided and where it runs.
//!
//! No function pointer, address or descriptor leaves this floor upwards; a later backend may start its workers on
//! other machines.

mod home;
mod spawn;
mod thread;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, Exit, Result};
use crate::os::Start;
use crate::task::{Setup, Task};
use crate::wire::{CallHead, Configure, OnError, Parcel, Reply, Store};

pub(crate) use home::Home;
#[cfg(fuzzing)]
pub(crate) use spawn::greet;
pub(crate) use spawn::{Ended, Forked, Origin, Spawn, bear};
pub(crate) use thread::Threads;

/// One start of a worker; never used again, not even for its replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

/// How all workers of a pool are to be.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) configure: Configure,
    pub(crate) setup: Option<Setup>,
    /// What is loaded once for all of them, where that can be.
    pub(crate) preload: Option<(Setup, OnError)>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) current_dir: Option<PathBuf>,
    /// The end of what workers write to stderr is kept.
    pub(crate) capture_stderr: bool,
    /// How long a start may take.
    pub(crate) start_timeout: Duration,
    /// Where large arguments and results go; what has none sends all of them over its pipes.
    pub(crate) stores: Option<Stores>,
}

/// The store for the arguments of a pool, made at the first need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stores(OnceLock<Option<Arc<Store>>>);

impl Stores {
    /// The store, unless the system has refused it.
    fn arguments(&self) -> Option<&Arc<Store>> {
        self.0.get_or_init(|| Store::for_arguments().ok()).as_ref()
    }
}

impl Profile {
    /// Where large arguments go, if there is such a place.
    pub(crate) fn arguments(&self) -> Option<&Arc<Store>> {
        self.stores.as_ref().and_then(Stores::arguments)
    }

    /// The functions that run before the first task.
    fn functions(&self) -> impl Iterator<Item = &Setup> {
        self.setup.iter().chain(self.preload.iter().map(|(setup, _)| setup))
    }
}

/// What becomes of the standard streams of a process, where that is not what workers have.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// `/dev/null`, if nothing else.
    pub(crate) stdin: Option<OwnedFd>,
    /// Ours, if nothing else.
    pub(crate) stdout: Option<OwnedFd>,
    /// As the profile says, if nothing else.
    pub(crate) stderr: Option<OwnedFd>,
}

impl Streams {
    fn try_clone(&self) -> io::Result<Self> {
        let clone = |stream: &Option<OwnedFd>| stream.as_ref().map(OwnedFd::try_clone).transpose();
        Ok(Self { stdin: clone(&self.stdin)?, stdout: clone(&self.stdout)?, stderr: clone(&self.stderr)? })
    }
}

/// One worker to start.
pub(crate) struct StartRequest {
    pub(crate) worker: WorkerId,
    pub(crate) index: usize,
    pub(crate) profile: Arc<Profile>,
    pub(crate) events: Arc<dyn Events>,
}

/// A call on its way to a worker.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) head: CallHead,
    pub(crate) task: Task,
    pub(crate) parcel: Parcel,
    /// The board says which of its elements runs since when.
    pub(crate) watched: bool,
}

/// How a worker ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    /// Why the pool itself has ended it, if it did for the worker's own fault.
    pub(crate) fault: Option<String>,
    /// The kernel has most likely killed it for want of memory.
    pub(crate) oom_likely: bool,
    /// What it wrote to stderr last.
    pub(crate) stderr_tail: String,
}

impl End {
    /// An end of which only this is known.
    pub(crate) fn new(exit: Exit) -> Self {
        Self { exit, fault: None, oom_likely: false, stderr_tail: String::new() }
    }
}

/// Whether a worker lives, as far as can be told without waiting for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// It has answered since this was last looked at.
    pub(crate) answered: bool,
    /// Grows as it takes in what it was sent, and as it sends something.
    pub(crate) moved: u64,
    /// What it sent last ends in the middle of a frame.
    pub(crate) mid_frame: bool,
}

/// Starts workers of one kind.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Can its workers run this task?
    fn check(&self, task: Task) -> Result<()>;

    /// Starts a worker and waits until it takes calls. Dropping the future ends what was started.
    async fn start(&self, request: StartRequest) -> Result<Arc<dyn Link>>;

    /// Ends whatever it has started beside workers. The last of those has ended, and there will be no other.
    async fn end(&self) {}
}

/// The pool's end of one worker. No method waits.
pub(crate) trait Link: Send + Sync {
    /// The process, or the thread where the worker is one.
    fn id(&self) -> u32;
    /// Has this runtime read what the worker sends, too.
    fn attend(self: Arc<Self>, runtime: &tokio::runtime::Handle);
    /// Enters a call on the board. Comes before its `send`.
    fn enter(&self, slot: u8, call: u64);
    /// Puts a call in line. Done while the pool holds its lock, and before the `flush`.
    fn send(&self, call: Call);
    /// Sends what is in line, or leaves it there until the worker has less to do: then the pool does this again.
    fn flush(self: Arc<Self>) {}
    /// Delivers what the worker has sent, unless somebody else is at it. Whoever looks again and again finds out soonest, and looks away in the end.
    fn look(&self) {}
    /// Looks a last time.
    fn look_away(&self) {}
    /// Takes a call back unless it has started. If that is so, a `flush` follows.
    fn revoke(&self, slot: u8, call: u64) -> bool;
    /// Asks the task in this slot to end early.
    fn cancel(&self, slot: u8);
    /// The watched element of a call that runs, and for how long it has.
    fn running(&self, slot: u8, call: u64) -> Option<(u32, Duration)>;
    /// The time of a watched element is over; false if it is finished.
    fn expire(&self, slot: u8, element: u32) -> bool;
    /// The worker will be ended for a watched element; false if that is finished.
    fn condemn(&self, slot: u8, element: u32) -> bool;
    /// How far a call had come; settled only once the worker is gone.
    fn progress(&self, slot: u8, call: u64) -> Start;
    /// Results of a call that a dead worker had finished and not sent, behind the first `received`.
    fn unsent(&self, call: u64, received: u32) -> Option<(u32, Vec<u8>)>;
    /// Nothing more will come: the worker ends when it has done what was sent.
    fn stop(self: Arc<Self>);
    /// Asks the worker's process to end.
    fn interrupt(&self);
    /// Ends the worker now, whatever it does.
    fn kill(&self);
    /// Notes why the worker is being killed: what it does no worker may do.
    fn accuse(&self, why: String);
    /// Asks for a sign of life.
    fn ping(&self);
    /// Asked while the pool holds its lock, so that it must not wait for whoever tells the pool something.
    fn vitals(&self) -> Vitals;
}

/// What workers tell. Called from any thread, never while the pool holds its lock.
pub(crate) trait Events: Send + Sync {
    /// Results have come, in this order.
    ///
    /// # Errors
    ///
    /// Why the worker must not be trusted any more.
    fn replies(&self, worker: WorkerId, replies: Vec<(Reply, Parcel)>) -> Result<(), String>;

    /// The worker is gone, and everything it sent has been told. Comes once for each link.
    fn gone(&self, worker: WorkerId, end: End);
}

fn foreign(task: Task) -> Error {
    Error::ForeignTask { task: task.name().into() }
}
