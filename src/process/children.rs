//! The processes that this one has started and that live.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::life::Life;
use crate::error::Result;
use crate::os::{self, Rooted, SIGINT, SIGKILL, SIGTERM};

/// By their numbers, so that they are told in the order they were started.
static CHILDREN: Mutex<BTreeMap<u64, Arc<Life>>> = Mutex::new(BTreeMap::new());

fn lock() -> MutexGuard<'static, BTreeMap<u64, Arc<Life>>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// It has been started.
pub(super) fn remember(life: &Arc<Life>) {
    lock().insert(life.number, Arc::clone(life));
}

/// It has ended.
/// Reaps those that were forked, have ended and were not waited for.
pub(super) fn reap() {
    let children: Vec<_> = lock().values().map(Arc::clone).collect();
    for child in children.iter().filter(|child| !child.is_alive()) {
        child.wait_here(None);
    }
}

/// In a copy of the process that has started them: they are the parent's, and must not be touched.
pub(super) fn disown() {
    std::mem::forget(std::mem::take(&mut *lock()));
}

pub(super) fn forget(number: u64) {
    let forgotten = lock().remove(&number);
    drop(forgotten);
}

/// A process that lives, as [`active_children`] tells of it.
///
/// # Examples
///
/// ```
/// use multiprocess::{Process, active_children};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::spawn(|| -> () { loop { std::thread::park() } }, ())?;
/// for child in active_children() {
///     println!("{} has the number {}", child.name(), child.pid());
///     child.terminate()?;
/// }
/// assert!(process.join().await.is_err());
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
pub struct ActiveChild {
    life: Rooted<Arc<Life>>,
}

/// The [`Process`](crate::Process)es that this process has started and that have not ended, whether or not anybody holds their handles, in the
/// order they were started. Empty in a child of this process that comes by `fork`. Python: `multiprocessing.active_children`.
///
/// Workers of pools are not among them: [`Pool::worker_pids`](crate::Pool::worker_pids) tells those.
///
/// # Examples
///
/// ```
/// use multiprocess::{Process, active_children};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::builder().name("busy").spawn(|| -> () { loop { std::thread::park() } }, ())?;
/// assert!(active_children().iter().any(|child| child.name() == "busy"));
/// process.kill()?;
/// assert!(process.join().await.is_err());
/// assert!(!active_children().iter().any(|child| child.name() == "busy"));
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn active_children() -> Vec<ActiveChild> {
    if os::forked() {
        return Vec::new();
    }
    reap();
    let children: Vec<_> = lock().values().map(Arc::clone).collect();
    let living = children.into_iter().filter(|life| life.is_alive());
    living.map(|life| ActiveChild { life: Rooted::new(life) }).collect()
}

/// All of it is told as by [`Process`](crate::Process).
impl ActiveChild {
    /// Its process number.
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.life.pid
    }

    /// What it is called.
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    #[must_use]
    pub fn name(&self) -> &str {
        self.life.fate.name()
    }

    /// True if it ends with this process.
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.life.daemon
    }

    /// True while it has not ended.
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.life.is_alive()
    }

    /// How it has ended; see [`Process::exit_code`](crate::Process::exit_code).
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.life.exit_code()
    }

    /// A descriptor that is readable once it has ended.
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    #[must_use]
    pub fn sentinel(&self) -> BorrowedFd<'_> {
        self.life.sentinel()
    }

    /// Sends it SIGTERM.
    ///
    /// # Errors
    ///
    /// As for [`Process::terminate`](crate::Process::terminate).
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    pub fn terminate(&self) -> Result<()> {
        self.life.signal(SIGTERM)
    }

    /// Sends it SIGKILL.
    ///
    /// # Errors
    ///
    /// As for [`Process::kill`](crate::Process::kill).
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    pub fn kill(&self) -> Result<()> {
        self.life.signal(SIGKILL)
    }

    /// Sends it SIGINT.
    ///
    /// # Errors
    ///
    /// As for [`Process::interrupt`](crate::Process::interrupt).
    ///
    /// # Examples
    ///
    /// See [`ActiveChild`].
    pub fn interrupt(&self) -> Result<()> {
        self.life.signal(SIGINT)
    }
}

impl fmt::Debug for ActiveChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveChild")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
