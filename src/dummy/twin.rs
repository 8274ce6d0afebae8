//! A thread that stands for a process: what it tells of itself, and which others there are.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Error, Exit};
use crate::os::{self, Rooted};
use crate::process::Fate;
use crate::worker::ourselves;

/// Those that have not ended, by their numbers.
static LIVING: Mutex<BTreeMap<u64, Arc<Twin>>> = Mutex::new(BTreeMap::new());

thread_local! {
    static OURS: RefCell<Option<Arc<Twin>>> = const { RefCell::new(None) };
}

/// A thread that stands for a process, as all know it.
pub(super) struct Twin {
    /// It has this number among all of this process.
    number: u64,
    /// The number of the one that has started it; 0 is none.
    parent: u64,
    /// The numbers of its ancestors and its own, as of processes: what those that it starts are named after.
    path: String,
    /// How many it has started.
    started: AtomicU64,
    pub(super) daemon: bool,
    pub(super) fate: Arc<Fate>,
    /// The kernel's number of its thread, known once that runs.
    thread: OnceLock<u32>,
}

/// The number of the next one, and its path.
pub(super) struct Place {
    pub(super) number: u64,
    parent: u64,
    pub(super) path: String,
    /// Whether the one that starts it is a daemon.
    pub(super) daemon: bool,
}

fn living() -> MutexGuard<'static, BTreeMap<u64, Arc<Twin>>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ours() -> Option<Arc<Twin>> {
    OURS.try_with(|ours| ours.borrow().clone()).ok().flatten()
}

impl Place {
    /// The place of one that this thread starts.
    pub(super) fn next() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let ours = ours();
        let started = ours.as_ref().map_or(&STARTED, |ours| &ours.started);
        let nth = started.fetch_add(1, Ordering::Relaxed) + 1;
        let path = match &ours {
            Some(ours) => format!("{}:{nth}", ours.path),
            None => ourselves().path_of(&nth.to_string()),
        };
        let daemon = ours.as_ref().map_or_else(|| ourselves().identity.daemon, |ours| ours.daemon);
        Self { number, parent: ours.map_or(0, |ours| ours.number), path, daemon }
    }
}

impl Twin {
    pub(super) fn new(place: Place, daemon: bool, fate: Fate) -> Arc<Self> {
        let Place { number, parent, path, .. } = place;
        let (started, thread, fate) = (AtomicU64::new(0), OnceLock::new(), Arc::new(fate));
        Arc::new(Self { number, parent, path, started, daemon, fate, thread })
    }

    /// From now on this thread is it.
    pub(super) fn begin(self: &Arc<Self>) {
        let _runs_once = self.thread.set(os::thread_id());
        OURS.set(Some(Arc::clone(self)));
        living().insert(self.number, Arc::clone(self));
    }

    /// Its function is done. Whoever waits for that finds it among the living no more.
    pub(super) fn end(&self, exit: Exit) {
        let forgotten = living().remove(&self.number);
        drop(forgotten);
        let nothing = || Error::start("hear of its thread", io::ErrorKind::UnexpectedEof.into());
        self.fate.end(exit, nothing);
    }

    pub(super) fn ident(&self) -> u32 {
        self.thread.get().copied().unwrap_or_default()
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        if os::forked() {
            return None;
        }
        match self.fate.exit()? {
            Exit::Code(code) => Some(code),
            Exit::Signal(_) | Exit::Unknown => None,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        !os::forked() && self.fate.exit().is_none()
    }
}

/// The thread that asks, as [`current_process`] tells of it.
///
/// # Examples
///
/// ```
/// let process = multiprocess::dummy::current_process();
/// assert!(process.is_alive() && process.exit_code().is_none() && !process.daemon());
/// ```
#[derive(Clone)]
pub struct CurrentProcess {
    twin: Option<Arc<Twin>>,
    name: String,
}

/// The [`dummy::Process`](super::Process) that this thread is; in any other thread, the process itself. Python: `multiprocessing.dummy.current_process`.
///
/// # Examples
///
/// ```
/// use multiprocess::dummy::{Process, current_process};
///
/// let process = Process::builder().name("fetcher").spawn(|| current_process().name().to_owned(), ())?;
/// assert_eq!(process.blocking_join()?, "fetcher");
/// assert_eq!(current_process().name(), "MainProcess");
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[must_use]
pub fn current_process() -> CurrentProcess {
    let twin = ours();
    let name =
        twin.as_ref().map_or_else(|| ourselves().identity.name.clone(), |twin| twin.fate.name().into());
    CurrentProcess { twin, name }
}

impl CurrentProcess {
    /// What it is called.
    ///
    /// # Examples
    ///
    /// See [`current_process`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number of the thread that asks.
    ///
    /// # Examples
    ///
    /// See [`Process::ident`](super::Process::ident).
    #[must_use]
    pub fn ident(&self) -> u32 {
        os::thread_id()
    }

    /// What it was started as; see [`ProcessBuilder::daemon`](super::ProcessBuilder::daemon).
    ///
    /// # Examples
    ///
    /// See [`CurrentProcess`].
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.twin.as_ref().map_or_else(|| ourselves().identity.daemon, |twin| twin.daemon)
    }

    /// True: it asks itself.
    ///
    /// # Examples
    ///
    /// See [`CurrentProcess`].
    #[must_use]
    pub fn is_alive(&self) -> bool {
        true
    }

    /// Nothing: it has not ended.
    ///
    /// # Examples
    ///
    /// See [`CurrentProcess`].
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        None
    }
}

impl fmt::Debug for CurrentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentProcess").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// A [`dummy::Process`](super::Process) that has not ended, as [`active_children`] tells of it.
///
/// # Examples
///
/// See [`active_children`].
pub struct ActiveChild {
    twin: Rooted<Arc<Twin>>,
}

/// Those that this thread has started and that have not ended, in the order they were started. Python: `multiprocessing.dummy.active_children`.
///
/// # Examples
///
/// ```
/// use multiprocess::dummy::{Process, active_children};
///
/// let process = Process::builder().name("busy").spawn(|| (), ())?;
/// for child in active_children() {
///     println!("{} is thread {}", child.name(), child.ident());
/// }
/// process.blocking_join()?;
/// assert!(active_children().is_empty());
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[must_use]
pub fn active_children() -> Vec<ActiveChild> {
    if os::forked() {
        return Vec::new();
    }
    let parent = ours().map_or(0, |ours| ours.number);
    let living = living();
    let children = living.values().filter(|twin| twin.parent == parent);
    children.map(|twin| ActiveChild { twin: Rooted::new(Arc::clone(twin)) }).collect()
}

/// All of it is told as by [`dummy::Process`](super::Process).
impl ActiveChild {
    /// What it is called.
    ///
    /// # Examples
    ///
    /// See [`active_children`].
    #[must_use]
    pub fn name(&self) -> &str {
        self.twin.fate.name()
    }

    /// The kernel's number of its thread.
    ///
    /// # Examples
    ///
    /// See [`active_children`].
    #[must_use]
    pub fn ident(&self) -> u32 {
        self.twin.ident()
    }

    /// What it was started as.
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder::daemon`](super::ProcessBuilder::daemon).
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.twin.daemon
    }

    /// True while it has not ended.
    ///
    /// # Examples
    ///
    /// See [`Process::is_alive`](super::Process::is_alive).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.twin.is_alive()
    }

    /// How it has ended.
    ///
    /// # Examples
    ///
    /// See [`Process::exit_code`](super::Process::exit_code).
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.twin.exit_code()
    }
}

impl fmt::Debug for ActiveChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveChild").field("name", &self.name()).finish_non_exhaustive()
    }
}
