//! How a pool is to be.

use std::ffi::OsString;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::front::Pool;
use super::kind::{Kind, Processes};
use crate::backend::{Backend, Home, Origin, Profile, Spawn, Stores, Threads};
use crate::dispatch::{Engine, EngineConfig, Limits, Rules, Terms};
use crate::error::{Error, Result};
use crate::os;
use crate::task::{Arguments, Fallible, InitFn, Plain, Setup};
use crate::wire::{Configure, DEFAULT_MAX, Duty, LARGEST_MAX, OnError, StartMethod};
use crate::worker::{
    SMALLEST_STACK, depth, may_start_processes, not_too_deep, ourselves, program_name, start_method,
};

const DEFAULT_BUSY_POLL: Duration = Duration::from_micros(50);
const DEFAULT_START_TIMEOUT: Duration = Duration::from_mins(1);

/// Builds a pool: every option has a default, and [`build`](Self::build) checks them all.
///
/// # Examples
///
/// ```
/// use multiprocess::ProcessPool;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::builder()
///     .workers(2)
///     .name("thumbnails")
///     .env("RAYON_NUM_THREADS", "1")
///     .queue_limit(1_000)
///     .build()?;
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<K: Kind> {
    workers: Option<usize>,
    name: Option<String>,
    setup: Option<Result<Setup>>,
    pub(super) preload: Option<Result<Setup>>,
    pub(super) on_error: OnError,
    pub(super) start_method: Option<StartMethod>,
    queue_limit: Option<usize>,
    queue_bytes: Option<usize>,
    max_frame: usize,
    stack_size: Option<usize>,
    busy_poll: Duration,
    nice: i32,
    env: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
    pub(super) terms: Terms,
    pub(super) rules: Rules,
    pub(super) start_timeout: Duration,
    pub(super) max_memory: Option<u64>,
    pub(super) shared_payloads: Option<bool>,
    capture_stderr: bool,
    #[cfg(feature = "sandbox")]
    sandbox: Option<crate::wire::Sandbox>,
    kind: PhantomData<K>,
}

impl<K: Kind> Builder<K> {
    pub(super) fn new() -> Self {
        Self {
            workers: None,
            name: None,
            setup: None,
            preload: None,
            on_error: OnError::default(),
            start_method: None,
            queue_limit: None,
            queue_bytes: None,
            max_frame: DEFAULT_MAX,
            stack_size: None,
            busy_poll: DEFAULT_BUSY_POLL,
            nice: 0,
            env: Vec::new(),
            current_dir: None,
            terms: Terms::default(),
            rules: Rules::default(),
            start_timeout: DEFAULT_START_TIMEOUT,
            max_memory: None,
            shared_payloads: None,
            capture_stderr: true,
            #[cfg(feature = "sandbox")]
            sandbox: None,
            kind: PhantomData,
        }
    }

    /// How many workers the pool has. Default: as many as this process may use cores, by affinity and cgroup
    /// quota. 0 is an error. Python: `processes`, `max_workers`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(multiprocess::ProcessPool::builder().workers(0).build().is_err());
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// What its workers are called in `ps` and by [`worker::current`](crate::worker::current). Default: the name of the program.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).name("render").build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs a function in each worker before its first task, also in those that replace others. Tasks find what it
    /// returned with [`worker::state`](crate::worker::state).
    ///
    /// A panic fails the start of the worker, and after a few attempts the pool, with [`Error::Initializer`]. For a function that
    /// returns a `Result` there is [`try_initializer`](Self::try_initializer); here it is an error of `build`, since
    /// nobody would ever look at it. Python: `initializer`, `initargs`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{ProcessPool, worker};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = ProcessPool::builder().workers(1).initializer(|base: u64| base * 100, (3,)).build()?;
    /// let state = pool.apply(|| worker::state::<u64>().map(|state| *state), ()).await?;
    /// assert_eq!(state, Some(300));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn initializer<F, Args>(mut self, f: F, args: Args) -> Self
    where
        F: InitFn<Args, Plain>,
        Args: Arguments,
    {
        self.setup = Some(if is_result::<F::State>() {
            Err(Error::option("initializer", "it returns a `Result`: use `try_initializer`"))
        } else {
            setup("initializer", f, &args)
        });
        self
    }

    /// As [`initializer`](Self::initializer), for a function that returns a `Result`: its `Err` fails the start of the
    /// worker, and tasks find the value of its `Ok`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, ProcessPool};
    ///
    /// fn connect(url: String) -> Result<(), String> {
    ///     Err(format!("no route to {url}"))
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = ProcessPool::builder().workers(1).try_initializer(connect, ("db:1".to_owned(),)).build()?;
    /// let error = pool.apply(|| 1, ()).await.unwrap_err();
    /// assert_eq!(error.to_string(), "the initializer failed: no route to db:1");
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn try_initializer<F, Args>(mut self, f: F, args: Args) -> Self
    where
        F: InitFn<Args, Fallible>,
        Args: Arguments,
    {
        self.setup = Some(setup("initializer", f, &args));
        self
    }

    /// How many single calls may wait for a worker. Default: no limit. Must not be 0.
    ///
    /// When they are that many, `apply` waits until one of them is sent, `try_apply` fails with
    /// [`Error::QueueFull`], and `apply_async` waits in a task of its own. Maps do not count: they read their input only as they need it.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).queue_limit(16).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn queue_limit(mut self, calls: usize) -> Self {
        self.queue_limit = Some(calls);
        self
    }

    /// How many bytes the encoded arguments of waiting single calls may take together, counted in units of 1 KiB.
    /// Default: no limit. Must not be 0. Otherwise as [`queue_limit`](Self::queue_limit); a call that is larger than the limit waits for an empty queue.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).queue_bytes(64 << 20).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// The most bytes that the encoded arguments or the encoded result of one task may have. Default: 1 GiB. At most 4 GiB less 1 MiB, and not 0.
    ///
    /// More is [`Error::TooLarge`], of that task alone.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, ProcessPool};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = ProcessPool::builder().workers(1).max_frame(1_000).build()?;
    /// let result = pool.apply(|n: usize| "x".repeat(n), (2_000,)).await;
    /// assert!(matches!(result, Err(Error::TooLarge { max: 1_000, .. })));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// The stack of the thread that runs tasks, in bytes. Default: that of a main thread, as a rule 8 MiB. At least 16 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).stack_size(64 << 20).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts the workers and returns the pool at once; [`Pool::ready`] waits until all of them take calls.
    ///
    /// Inside a tokio runtime, the pool reads its results there; outside one, on a thread of its own. Either way it can be used from any
    /// runtime or thread afterwards, and outlives the runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] names an option that cannot be; [`Error::Start`] says that the background thread cannot be
    /// made, or that the program is setuid or has capabilities of its own. [`Error::Forked`]: this process was forked from one that has made a pool.
    /// A worker that cannot be started is an error of the calls.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn build(self) -> Result<Pool<K>> {
        os::not_forked()?;
        let workers = self.workers.unwrap_or_else(os::cores);
        self.check(workers)?;
        os::notice_forks().map_err(|cause| Error::start("notice forks", cause))?;
        let limits = Limits::new(self.queue_limit, self.queue_bytes);
        let (rules, terms) = (self.rules_of_kind(), self.terms);
        let method = self.start_method.unwrap_or_else(start_method);
        let profile = Arc::new(self.profile()?);
        // Before the first thread of the crate is started.
        let origin = if K::ARE_THREADS { None } else { Some(Origin::new(method, &profile)?) };
        let home =
            Arc::new(Home::here().map_err(|cause| Error::start("start the background thread", cause))?);
        let backend: Box<dyn Backend> = match origin {
            None => Box::new(Threads::default()),
            Some(origin) => Box::new(Spawn::new(origin, Arc::clone(&home))),
        };
        Ok(Pool::from_engine(Engine::start(EngineConfig {
            workers,
            backend,
            home,
            profile,
            limits,
            rules,
            terms,
        })))
    }

    /// A thread has no life of its own to give a sign of, and one that may be idle for so long need not be there at first.
    fn rules_of_kind(&self) -> Rules {
        let rules = self.rules;
        Rules {
            heartbeat: rules.heartbeat.filter(|_| !K::ARE_THREADS),
            min_workers: rules.min_workers.or(rules.idle_timeout.map(|_| 0)),
            cores: os::cores(),
            ..rules
        }
    }

    fn check(&self, workers: usize) -> Result<()> {
        self.check_limits(workers)?;
        let zeroes = [
            ("workers", self.workers, "a pool has at least one worker"),
            ("queue_limit", self.queue_limit, "at least one call must be able to wait"),
            ("queue_bytes", self.queue_bytes, "at least one byte must be able to wait"),
            ("max_frame", Some(self.max_frame), "a frame has at least one byte"),
        ];
        if let Some((name, _, why)) = zeroes.iter().find(|(_, value, _)| *value == Some(0)) {
            return Err(Error::option(name, *why));
        }
        if self.max_frame > LARGEST_MAX {
            return Err(Error::option("max_frame", format!("a frame has at most {LARGEST_MAX} bytes")));
        }
        if self.stack_size.is_some_and(|bytes| bytes < SMALLEST_STACK) {
            return Err(Error::option("stack_size", format!("a stack has at least {SMALLEST_STACK} bytes")));
        }
        #[cfg(feature = "sandbox")]
        self.sandbox.as_ref().map_or(Ok(()), crate::wire::Sandbox::check)?;
        if !K::ARE_THREADS {
            may_start_processes()?;
        }
        not_too_deep("workers", "pools")?;
        Ok(())
    }

    fn check_limits(&self, workers: usize) -> Result<()> {
        let zeroes = [
            ("timeout", self.terms.timeout == Some(Duration::ZERO), "a task needs some time"),
            ("start_timeout", self.start_timeout.is_zero(), "a worker needs some time to start"),
            ("max_tasks_per_child", self.rules.max_tasks == Some(0), "a worker runs at least one task"),
            ("max_memory_per_child", self.max_memory == Some(0), "a worker needs some memory"),
        ];
        if let Some((name, _, why)) = zeroes.iter().find(|(_, is_zero, _)| *is_zero) {
            return Err(Error::option(name, *why));
        }
        if self.rules.min_workers.is_some_and(|least| least > workers) {
            return Err(Error::option("min_workers", format!("the pool has at most {workers} workers")));
        }
        Ok(())
    }

    /// Workers in a sandbox are kept apart unless somebody says otherwise.
    fn shares_payloads(&self) -> bool {
        #[cfg(feature = "sandbox")]
        let is_free = self.sandbox.is_none();
        #[cfg(not(feature = "sandbox"))]
        let is_free = true;
        self.shared_payloads.unwrap_or(is_free)
    }

    fn profile(self) -> Result<Profile> {
        let stores = (!K::ARE_THREADS && self.shares_payloads()).then(Stores::default);
        let name = self.name.unwrap_or_else(program_name);
        let configure = Configure {
            duty: Duty::PoolWorker,
            identity: ourselves().child(name.clone(), true, ""),
            name,
            index: 0,
            depth: depth() + 1,
            max_frame: self.max_frame,
            stack_size: self.stack_size,
            nice: self.nice,
            busy_poll_ns: u64::try_from(self.busy_poll.as_nanos()).unwrap_or(u64::MAX),
            max_memory: self.max_memory,
            preload: None,
            initializer: None,
            #[cfg(feature = "sandbox")]
            sandbox: self.sandbox,
        };
        let setup = self.setup.transpose()?;
        let preload = self.preload.transpose()?.map(|preload| (preload, self.on_error));
        let Self { env, current_dir, capture_stderr, start_timeout, .. } = self;
        Ok(Profile { configure, setup, preload, env, current_dir, capture_stderr, start_timeout, stores })
    }
}

/// Options that only processes have.
impl Builder<Processes> {
    /// Sets an environment variable in the workers, beside those that they inherit. Can be called several times.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::builder().workers(1).env("LANG", "C").build()?;
    /// let lang = pool.apply(|| std::env::var("LANG").ok(), ()).await?;
    /// assert_eq!(lang.as_deref(), Some("C"));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Where the workers run. Default: where this process does.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::builder().workers(1).current_dir("/").build()?;
    /// assert_eq!(pool.apply(|| std::env::current_dir().ok(), ()).await?, Some("/".into()));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(path.into());
        self
    }

    /// Added to the niceness of the workers: positive numbers give others precedence. Default: 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).nice(10).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn nice(mut self, by: i32) -> Self {
        self.nice = by;
        self
    }

    /// Whether the end of what a worker writes to stderr is kept, for [`Death::stderr_tail`](crate::Death::stderr_tail). Default: true.
    ///
    /// Its stderr is a pipe then, whose bytes are passed on to this program's. Otherwise it has this program's stderr itself, be it a terminal.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).capture_stderr(false).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn capture_stderr(mut self, capture: bool) -> Self {
        self.capture_stderr = capture;
        self
    }

    /// How long a worker polls for its next call before it sleeps, and whoever awaits a call for its result. Default: 50 us.
    /// `Duration::ZERO` switches it off.
    ///
    /// Both poll only while calls come in such quick succession, and only if there is a core to spare. This saves the wake-up of another
    /// core, most of the time that a tiny call takes. An awaiting task keeps its thread meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = multiprocess::ProcessPool::builder().workers(1).busy_poll(Duration::ZERO).build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn busy_poll(mut self, limit: Duration) -> Self {
        self.busy_poll = limit;
        self
    }

    /// What the workers may no longer do once their initializer has run; see [`Sandbox`](crate::Sandbox). Default: nothing is
    /// taken away. Needs the feature `sandbox`.
    ///
    /// What holds of it, a task is told by [`worker::sandbox`](crate::worker::sandbox).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{ProcessPool, Sandbox};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let sandbox = Sandbox::required().no_network();
    /// let pool = ProcessPool::builder().workers(1).sandbox(sandbox).build()?;
    /// assert!(pool.apply(|| std::net::UdpSocket::bind("127.0.0.1:0").is_err(), ()).await?);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "sandbox")]
    pub fn sandbox(mut self, sandbox: crate::wire::Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }
}

pub(crate) fn setup<F, Args, M>(task: &str, f: F, args: &Args) -> Result<Setup>
where
    F: InitFn<Args, M>,
    Args: Arguments,
{
    let what = "the arguments";
    Setup::new(f, args).map_err(|cause| Error::Encode { what, task: task.into(), cause })
}

/// True of a `Result`, which nobody would ever look at.
pub(crate) fn is_result<T>() -> bool {
    std::any::type_name::<T>().starts_with("core::result::Result<")
}

impl<K: Kind> fmt::Debug for Builder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .field("queue_limit", &self.queue_limit)
            .field("queue_bytes", &self.queue_bytes)
            .field("max_frame", &self.max_frame)
            .field("stack_size", &self.stack_size)
            .field("busy_poll", &self.busy_poll)
            .field("nice", &self.nice)
            .field("env", &self.env)
            .field("current_dir", &self.current_dir)
            .finish_non_exhaustive()
    }
}
