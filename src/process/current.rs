//! What a process knows of itself and of its parent.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::os;
use crate::wire::Parent;
use crate::worker::{Ourselves, ourselves};

/// How many cores this process may use, by its affinity and the quota of its cgroup; at least 1. Python:
/// `multiprocessing.cpu_count`, which counts those that others may use, too.
///
/// # Examples
///
/// ```
/// let pool = multiprocess::ProcessPool::new(multiprocess::cpu_count())?;
/// # pool.blocking_shutdown()
/// # ; Ok::<(), multiprocess::Error>(())
/// ```
#[must_use]
pub fn cpu_count() -> usize {
    os::cores()
}

/// This process: the program itself, a [`Process`](crate::Process), or a worker of a pool. Python:
/// `multiprocessing.current_process`.
///
/// # Examples
///
/// ```
/// use multiprocess::{Process, current_process};
///
/// assert_eq!(current_process().name(), "MainProcess");
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::builder().name("fetcher").spawn(|| current_process().name().to_owned(), ())?;
/// assert_eq!(process.join().await?, "fetcher");
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn current_process() -> CurrentProcess {
    CurrentProcess { ourselves: ourselves() }
}

/// The process that has started this one; nothing in the program itself, of whose parent the crate knows nothing. Python:
/// `multiprocessing.parent_process`.
///
/// # Examples
///
/// ```
/// use multiprocess::{Process, parent_process};
///
/// assert!(parent_process().is_none());
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::spawn(|| parent_process().map(|parent| parent.pid()), ())?;
/// assert_eq!(process.join().await?, Some(std::process::id()));
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn parent_process() -> Option<ParentProcess> {
    let ourselves = ourselves();
    let parent = ourselves.identity.parent.clone()?;
    Some(ParentProcess { parent, ourselves })
}

/// This process, made by [`current_process`].
///
/// # Examples
///
/// ```
/// let process = multiprocess::current_process();
/// assert_eq!(process.pid(), std::process::id());
/// assert!(process.is_alive() && process.exit_code().is_none() && !process.daemon());
/// ```
#[derive(Clone)]
pub struct CurrentProcess {
    ourselves: Arc<Ourselves>,
}

impl CurrentProcess {
    /// What it is called: `MainProcess` in the program itself, what its builder was told in a [`Process`](crate::Process), and the text of
    /// [`worker::current`](crate::worker::current) in a worker of a pool.
    ///
    /// # Examples
    ///
    /// See [`current_process`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.ourselves.identity.name
    }

    /// Its process number. Python: `pid`, `ident`.
    ///
    /// # Examples
    ///
    /// See [`CurrentProcess`].
    #[must_use]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// True if it ends with its parent: in workers of pools, and in processes that were started so.
    ///
    /// # Examples
    ///
    /// See [`CurrentProcess`].
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.ourselves.identity.daemon
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

    /// 32 random bytes that the program and all processes below it know, and nobody else: by them they can tell that they belong
    /// together.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, current_process};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let process = Process::spawn(|| current_process().authkey().to_vec(), ())?;
    /// assert_eq!(process.join().await?, current_process().authkey());
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn authkey(&self) -> &[u8] {
        &self.ourselves.identity.authkey.0
    }
}

impl fmt::Debug for CurrentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, daemon) = (self.name(), self.daemon());
        f.debug_struct("CurrentProcess").field("name", &name).field("daemon", &daemon).finish_non_exhaustive()
    }
}

/// The process that has started this one, made by [`parent_process`].
///
/// # Examples
///
/// ```
/// use multiprocess::{Process, parent_process};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::spawn(|| parent_process().is_some_and(|parent| parent.is_alive()), ())?;
/// assert!(process.join().await?);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ParentProcess {
    parent: Parent,
    ourselves: Arc<Ourselves>,
}

impl ParentProcess {
    /// What it is called.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, parent_process};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let process = Process::spawn(|| parent_process().map(|parent| parent.name().to_owned()), ())?;
    /// assert_eq!(process.join().await?.as_deref(), Some("MainProcess"));
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.parent.name
    }

    /// Its process number. Once it has ended, another process may have the same.
    ///
    /// # Examples
    ///
    /// See [`parent_process`].
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.parent.pid
    }

    /// True while it has not ended, whoever has its number then.
    ///
    /// # Examples
    ///
    /// See [`ParentProcess`].
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match self.ourselves.parent() {
            Some(parent) => !os::has_ended(parent),
            // There was no descriptor for it. Whoever has lost its parent gets another one.
            None => std::os::unix::process::parent_id() == self.parent.pid,
        }
    }

    /// A descriptor that is readable once it has ended, for `poll` and the like.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] if it cannot be watched: this process had no descriptor left when it started.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, parent_process};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let process = Process::spawn(|| parent_process().is_some_and(|parent| parent.sentinel().is_ok()), ())?;
    /// assert!(process.join().await?);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>> {
        let watched = self.ourselves.parent().map(std::os::fd::AsFd::as_fd);
        watched.ok_or_else(|| Error::start("watch the parent", std::io::ErrorKind::NotFound.into()))
    }
}

impl fmt::Debug for ParentProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentProcess")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
