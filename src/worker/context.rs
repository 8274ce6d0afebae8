//! What a task can ask of the worker it runs in.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::blocks::Blocks;
use crate::os::{Board, Resident, SLOTS};
use crate::task::State;
use crate::wire::Duty;

/// The worker that runs the current task.
///
/// Python's counterpart is `multiprocessing.current_process()` inside a pool.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::builder().workers(1).name("render").build()?;
/// let worker = pool.apply(|| multiprocess::worker::current().map(|worker| worker.to_string()), ()).await?;
/// assert_eq!(worker.as_deref(), Some("render: worker 0"));
/// assert_eq!(multiprocess::worker::current(), None, "this is no worker");
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Worker {
    /// Which of its pool's workers it is, counted from 0; a replacement takes the number of what it replaces.
    pub index: usize,
    /// The process it is, or for a pool of threads the kernel's number of the thread.
    pub id: u32,
    /// The name of its pool.
    pub pool: String,
    /// How many pools and processes it is nested in; 1 if the program itself made its pool.
    pub depth: u32,
}

impl std::fmt::Display for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Self::name(&self.pool, self.index))
    }
}

impl Worker {
    /// What a worker is called.
    pub(crate) fn name(pool: &str, index: usize) -> String {
        format!("{pool}: worker {index}")
    }
}

/// A worker's own view of itself, shared by the threads of its tasks.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) worker: Worker,
    /// Whether that is one of a pool, or a process with one call.
    duty: Duty,
    pub(crate) board: Arc<Board>,
    pub(crate) state: Option<State>,
    /// What was loaded for all workers of the pool.
    preloaded: Option<State>,
    /// Where the process may take only so much memory.
    limit: Option<MemoryLimit>,
    slot: AtomicUsize,
}

/// How much memory the process has in use, and how much it may.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    pub(crate) resident: Resident,
    pub(crate) bytes: u64,
    /// What lies in blocks is the pool's as much as the worker's, and does not count.
    pub(super) blocks: Arc<Blocks>,
}

thread_local! {
    static OF_THREAD: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) };
    /// What the initializer of the manager has returned that this thread serves.
    static OF_MANAGER: RefCell<Option<State>> = const { RefCell::new(None) };
}
/// Threads that a task starts belong to the worker too, where the whole process is one.
static OF_PROCESS: OnceLock<Arc<Context>> = OnceLock::new();

impl Context {
    pub(crate) fn new(
        worker: Worker,
        duty: Duty,
        board: Arc<Board>,
        state: Option<State>,
        preloaded: Option<State>,
        limit: Option<MemoryLimit>,
    ) -> Arc<Self> {
        Arc::new(Self { worker, duty, board, state, preloaded, limit, slot: AtomicUsize::new(SLOTS) })
    }

    /// Makes this the worker of the current thread.
    pub(crate) fn enter_thread(self: &Arc<Self>) {
        OF_THREAD.with(|context| context.replace(Some(Arc::clone(self))));
    }

    /// Makes this the worker of all threads of the process.
    pub(crate) fn enter_process(self: &Arc<Self>) {
        let _first = OF_PROCESS.set(Arc::clone(self));
    }

    /// It may use only so much memory.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// The process uses more memory than it may.
    pub(super) fn is_outgrown(&self) -> bool {
        self.limit.as_ref().is_some_and(MemoryLimit::is_passed)
    }

    /// The call in this slot is the one that runs; `SLOTS` is none.
    pub(crate) fn runs(&self, slot: usize) {
        self.slot.store(slot, Ordering::Relaxed);
    }
}

/// From now on this thread serves a manager, whose initializer has returned this.
pub(crate) fn serves_with(state: Option<State>) {
    OF_MANAGER.set(state);
}

impl MemoryLimit {
    fn is_passed(&self) -> bool {
        let resident = self.resident.bytes();
        resident > self.bytes && resident.saturating_sub(self.blocks.mapped()) > self.bytes
    }
}

fn with<T>(look: impl FnOnce(&Context) -> T) -> Option<T> {
    let of_thread = OF_THREAD.try_with(|context| context.borrow().clone()).ok().flatten();
    of_thread.as_deref().or(OF_PROCESS.get().map(|context| &**context)).map(look)
}

/// What was loaded for all workers of the pool that runs the current task.
pub(super) fn preloaded_here() -> Option<State> {
    with(|context| context.preloaded.clone()).flatten()
}

/// How many pools and processes this code is nested in; 0 in the program itself.
pub(crate) fn depth() -> u32 {
    with(|context| context.worker.depth).unwrap_or(0)
}

/// The worker that runs the current task, or nothing outside of tasks. A [`Process`](crate::Process) is no worker:
/// [`current_process`](crate::current_process) tells of it.
///
/// In a pool of threads it is known on the worker's own thread only.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(2)?;
/// let index = pool.apply(|| multiprocess::worker::current().map(|worker| worker.index), ()).await?;
/// assert!(index.is_some_and(|index| index < 2));
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[must_use]
pub fn current() -> Option<Worker> {
    with(|context| (context.duty == Duty::PoolWorker).then(|| context.worker.clone())).flatten()
}

/// True if the caller of the current task no longer wants its result, or its time is over, so that the task may as well end early.
///
/// A task that never asks runs to its end, or until its worker is ended for it. Costs a few nanoseconds. False outside of tasks.
///
/// # Examples
///
/// ```
/// fn search(limit: u64) -> Option<u64> {
///     (0..limit).take_while(|_| !multiprocess::worker::is_cancelled()).find(|n| n * n == 1_369)
/// }
///
/// assert_eq!(search(100), Some(37), "a task is an ordinary function");
/// ```
#[must_use]
pub fn is_cancelled() -> bool {
    with(|context| {
        let slot = context.slot.load(Ordering::Relaxed);
        slot < SLOTS && context.board.is_unwanted(slot)
    })
    .unwrap_or(false)
}

/// What the pool's initializer returned in this worker, if it returned a `T`. Nothing outside of tasks.
///
/// In a [`Manager`](crate::Manager), what [its initializer](crate::ManagerBuilder::initializer) returned, for functions that make objects and for methods of them.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, worker};
///
/// struct Dictionary(Vec<String>);
///
/// fn load(words: Vec<String>) -> Dictionary {
///     Dictionary(words)
/// }
///
/// fn is_known(word: String) -> bool {
///     worker::state::<Dictionary>().expect("the pool has an initializer").0.contains(&word)
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let words = vec!["apple".to_owned(), "pear".to_owned()];
/// let pool = ProcessPool::builder().workers(2).initializer(load, (words,)).build()?;
/// assert!(pool.apply(is_known, ("pear".to_owned(),)).await?);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[must_use]
pub fn state<T: Send + Sync + 'static>() -> Option<Arc<T>> {
    let of_manager = OF_MANAGER.try_with(|state| state.borrow().clone()).ok().flatten();
    of_manager.or_else(|| with(|context| context.state.clone()).flatten())?.downcast().ok()
}
