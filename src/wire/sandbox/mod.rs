//! The sandbox: what the workers of a pool may no longer do, as the builder takes it and as it travels to them.

mod part;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::os::{Refused, is_needed_call};

pub use part::{Resource, SandboxPart};

/// What the workers of a pool may no longer do once their initializer has run, for
/// [`Builder::sandbox`](crate::Builder::sandbox). Needs the feature `sandbox`.
///
/// It starts empty, and each method takes something away. The kernel enforces it, for all threads of the worker and for every process that
/// a task starts, and nothing gives back what was taken away; exceptions stand at the methods. What was opened before,
/// by the initializer, stays open and can be used. Replacements of workers that have died are under it, too.
///
/// Threads that the initializer has started are sent SIGRTMAX once or twice, whose handler puts them into it.
///
/// The calls of the pool itself go on to work whatever is taken away. A pool that a task makes needs what starting a process needs.
///
/// It limits the harm that a task can do; tasks of one worker are not protected from each other, since they share its memory.
///
/// Python has no counterpart.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, Resource, Sandbox, worker};
///
/// fn read(path: String) -> Result<String, String> {
///     std::fs::read_to_string(path).map_err(|error| error.kind().to_string())
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let sandbox = Sandbox::best_effort()
///     .read_only("/proc/self")
///     .no_network()
///     .no_exec()
///     .limit(Resource::OpenFiles, 64);
/// let pool = ProcessPool::builder().workers(1).sandbox(sandbox).build()?;
/// let held = pool.apply(worker::sandbox, ()).await?.expect("the pool has a sandbox");
/// if held.is_whole() {
///     assert!(pool.apply(read, ("/etc/passwd".to_owned(),)).await?.is_err());
/// }
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a sandbox does nothing until it is given to a pool"]
pub struct Sandbox {
    pub(crate) required: bool,
    no_new_privs: bool,
    not_dumpable: bool,
    /// Nothing is the whole file system.
    pub(crate) files: Option<Files>,
    limits: Vec<(Resource, u64)>,
    pub(crate) refused: Vec<Refused>,
}

/// What is left of the file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Files {
    // Not `PathBuf`, which serde takes only if it is UTF-8.
    pub(crate) read_only: Vec<OsString>,
    pub(crate) read_write: Vec<OsString>,
}

impl Sandbox {
    fn new(required: bool) -> Self {
        let (no_new_privs, not_dumpable) = (false, false);
        Self { required, no_new_privs, not_dumpable, files: None, limits: Vec::new(), refused: Vec::new() }
    }

    /// An empty sandbox of which each part holds as far as the kernel has it; [`worker::sandbox`](crate::worker::sandbox) tells how far.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{ProcessPool, Sandbox};
    ///
    /// let sandbox = Sandbox::best_effort().no_network();
    /// let pool = ProcessPool::builder().workers(1).sandbox(sandbox).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn best_effort() -> Self {
        Self::new(false)
    }

    /// An empty sandbox of which each part must hold as a whole: otherwise the start of the worker fails, and after a few attempts
    /// the pool, with [`Error::Sandbox`](crate::Error::Sandbox).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, ProcessPool, Sandbox};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let sandbox = Sandbox::required().read_only("/no/such/place");
    /// let pool = ProcessPool::builder().workers(1).sandbox(sandbox).build()?;
    /// assert!(matches!(pool.apply(|| 1, ()).await, Err(Error::Sandbox { .. })));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn required() -> Self {
        Self::new(true)
    }

    /// Programs that a task starts get no rights that the worker does not have: set-user-id bits and file capabilities
    /// have no effect (`PR_SET_NO_NEW_PRIVS`).
    ///
    /// The parts of the file system and of the system calls bring this with them.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().no_new_privs();
    /// ```
    pub fn no_new_privs(mut self) -> Self {
        self.no_new_privs = true;
        self
    }

    /// What the worker has in its memory stays there: it leaves no core dump, and no other process of its user can read its
    /// memory or trace it (`PR_SET_DUMPABLE`, `RLIMIT_CORE`). Those of root still can.
    ///
    /// This protects the worker from others: its own tasks can make it dumpable again, and programs that they start are.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().not_dumpable();
    /// ```
    pub fn not_dumpable(mut self) -> Self {
        self.not_dumpable = true;
        self
    }

    /// Takes the file system away but for what [`read_only`](Self::read_only) and [`read_write`](Self::read_write) name
    /// (Landlock, from Linux 6.2 on as a whole). What is taken away cannot be opened, listed, executed, created, removed, renamed, linked or
    /// truncated, and this fails with `PermissionDenied`.
    ///
    /// What is not restricted: asking for metadata, changing owners, permissions and times, connecting to a socket that stands there, and files that
    /// were opened before.
    ///
    /// Backtraces of panics need the program's own file, and have no names without it.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().no_files();
    /// ```
    pub fn no_files(mut self) -> Self {
        self.files.get_or_insert_default();
        self
    }

    /// A file, or a directory with all that is below it, may be read, listed and executed; what no such call names is taken away as by
    /// [`no_files`](Self::no_files).
    ///
    /// A relative path counts from where the worker runs. A place that is not there when the worker starts cannot be allowed.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().read_only("/usr").read_only("/etc");
    /// ```
    pub fn read_only(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.get_or_insert_default().read_only.push(path.into().into());
        self
    }

    /// As [`read_only`](Self::read_only), and files may be written, created, moved and removed there.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().read_only("/usr").read_write("/var/cache/thumbnails");
    /// ```
    pub fn read_write(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.get_or_insert_default().read_write.push(path.into().into());
        self
    }

    /// Sets a resource limit of the worker. Of two for the same resource the smaller one holds; one that the worker has already is never
    /// raised. For the units see [`Resource`].
    ///
    /// Root, or whoever else has `CAP_SYS_RESOURCE`, can raise it again.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Resource, Sandbox};
    ///
    /// let sandbox =
    ///     Sandbox::required().limit(Resource::AddressSpace, 4 << 30).limit(Resource::CpuSeconds, 3_600);
    /// ```
    pub fn limit(mut self, resource: Resource, most: u64) -> Self {
        self.limits.push((resource, most));
        self
    }

    /// No new sockets but those within the machine (`AF_UNIX`), and no `io_uring`, which has its own way to make them (seccomp). To
    /// make one fails with `PermissionDenied`.
    ///
    /// Without [`no_ptrace`](Self::no_ptrace), a task may take a socket from another process of the same user.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().no_network().no_ptrace();
    /// ```
    pub fn no_network(self) -> Self {
        self.refuse(Refused::Network)
    }

    /// No other program can be started, by `execve` and its kin (seccomp), so that a task cannot make a process pool of its own either.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().no_exec();
    /// ```
    pub fn no_exec(self) -> Self {
        self.refuse(Refused::Exec)
    }

    /// No other process can be traced, nor its memory or descriptors reached, by system calls that do this (seccomp). Where that matters,
    /// take `/proc` away too, which has files that do it.
    ///
    /// # Examples
    ///
    /// ```
    /// let sandbox = multiprocess::Sandbox::required().no_ptrace().read_only("/usr");
    /// ```
    pub fn no_ptrace(self) -> Self {
        self.refuse(Refused::Ptrace)
    }

    /// These system calls fail with `PermissionDenied` (`EPERM`). They go by their numbers on the machine at hand, as
    /// `libc::SYS_bpf`. Those that the worker itself cannot do without are an error of `build`.
    ///
    /// # Examples
    ///
    /// ```
    /// const SYS_MOUNT: i64 = if cfg!(target_arch = "x86_64") { 165 } else { 40 };
    ///
    /// let sandbox = multiprocess::Sandbox::required().deny_syscalls([SYS_MOUNT]);
    /// ```
    pub fn deny_syscalls(self, numbers: impl IntoIterator<Item = i64>) -> Self {
        numbers.into_iter().fold(self, |sandbox, number| sandbox.refuse(Refused::Call(number)))
    }

    fn refuse(mut self, refused: Refused) -> Self {
        self.refused.push(refused);
        self
    }

    /// The parts that were asked for, in the order in which they are to be brought about: none may stand in the way of one behind it.
    pub(crate) fn parts(&self) -> Vec<SandboxPart> {
        let mut parts = Vec::new();
        parts.extend(self.no_new_privs.then_some(SandboxPart::NoNewPrivs));
        parts.extend(self.not_dumpable.then_some(SandboxPart::NotDumpable));
        parts.extend(self.files.is_some().then_some(SandboxPart::FileSystem));
        for (resource, _) in &self.limits {
            let part = SandboxPart::Limit(*resource);
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts.extend((!self.refused.is_empty()).then_some(SandboxPart::SystemCalls));
        parts
    }

    /// The smallest limit of a resource that was asked for.
    pub(crate) fn limit_of(&self, resource: Resource) -> Option<u64> {
        self.limits.iter().filter(|(limited, _)| *limited == resource).map(|(_, most)| *most).min()
    }

    /// # Errors
    ///
    /// [`Error::Option`] for what no worker can be under.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::option("sandbox", why));
        let files = self.files.iter().flat_map(|files| files.read_only.iter().chain(&files.read_write));
        for path in files {
            if path.is_empty() || path.as_bytes().contains(&0) {
                return refuse(format!("{} is no path", path.display()));
            }
        }
        for resource in [Resource::AddressSpace, Resource::CpuSeconds] {
            if self.limit_of(resource) == Some(0) {
                return refuse(format!("a worker cannot do without {resource}"));
            }
        }
        for refused in &self.refused {
            match *refused {
                Refused::Call(number) if i32::try_from(number).map_or(true, i32::is_negative) => {
                    return refuse(format!("there is no system call {number}"));
                }
                Refused::Call(number) if is_needed_call(number) => {
                    return refuse(format!("a worker cannot do without system call {number}"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
