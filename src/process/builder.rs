//! How a process is to be.

use std::any::type_name;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::children;
use super::fate::Fate;
use super::handle::Process;
use super::life::{CALL, Life};
use super::stdio::Wanted;
use crate::backend::{Call, Events, Forked, Profile, StartRequest, WorkerId, bear};
use crate::error::{Error, Result};
use crate::os;
use crate::task::{Arguments, Label, Payload, Task, TaskFn, call_once};
use crate::wire::{
    Configure, DEFAULT_MAX, Duty, Failure, Fd, Identity, Input, LARGEST_MAX, Output, Parcel, Parts, Records,
    StartMethod,
};
use crate::worker::{
    SMALLEST_STACK, depth, may_start_processes, not_too_deep, ourselves, program_name, start_method,
};

/// Processes that this one has started, or wanted to.
static STARTED: AtomicU64 = AtomicU64::new(0);

fn next_number() -> u64 {
    STARTED.fetch_add(1, Ordering::Relaxed) + 1
}

/// Builds a [`Process`]: every option has a default, and [`spawn`](Self::spawn) checks them all.
///
/// # Examples
///
/// ```
/// use multiprocess::Process;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::builder()
///     .name("resizer")
///     .env("RAYON_NUM_THREADS", "1")
///     .nice(10)
///     .spawn(|width: u32, height: u32| width * height, (640, 480))?;
/// assert_eq!(process.join().await?, 307_200);
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct ProcessBuilder {
    pub(super) name: Option<String>,
    pub(super) daemon: Option<bool>,
    pub(super) start_method: Option<StartMethod>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) current_dir: Option<PathBuf>,
    pub(super) streams: Wanted,
    pub(super) nice: i32,
    pub(super) stack_size: Option<usize>,
    pub(super) max_frame: usize,
    #[cfg(feature = "sandbox")]
    pub(super) sandbox: Option<crate::wire::Sandbox>,
}

impl ProcessBuilder {
    pub(super) fn new() -> Self {
        Self {
            name: None,
            daemon: None,
            start_method: None,
            env: Vec::new(),
            current_dir: None,
            streams: Wanted::default(),
            nice: 0,
            stack_size: None,
            max_frame: DEFAULT_MAX,
            #[cfg(feature = "sandbox")]
            sandbox: None,
        }
    }

    /// Starts the process, which calls `f(args)` and ends. It has been started when this returns, which takes about a millisecond.
    ///
    /// What goes wrong later, before it comes to its function, is told by [`Process::join`]. With [`StartMethod::Forkserver`] and [`StartMethod::Fork`] that
    /// includes a [`current_dir`](Self::current_dir) that is not there.
    ///
    /// # Errors
    ///
    /// - [`Error::Option`] names an option that cannot be, or says that processes are nested 10 deep already.
    /// - [`Error::Encode`], [`Error::TooLarge`]: the arguments do not travel. [`Error::ForeignTask`]: the function is not part of the program.
    /// - [`Error::Start`]: the operating system refuses the process, or what it needs. Or the program is setuid or has capabilities of its own, or this is called before the
    ///   crate's entry has run, in a constructor.
    /// - [`Error::NotAlone`]: this process is to be forked itself, and has a second thread.
    /// - [`Error::Forked`]: this process was forked from one that has started processes or pools.
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder`].
    pub fn spawn<F, Args, M>(self, f: F, args: Args) -> Result<Process<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        self.check(self.start_method.unwrap_or_else(start_method))?;
        let number = next_number();
        let task = Task::of(f);
        let label = Label { name: task.namer(), id: number, max: self.max_frame, timeout: None };
        let parcel = label.encode(&args, None)?;
        // A copy of this process would have them too, and never let go of their handles.
        drop(args);
        if !task.is_native() {
            return Err(Error::ForeignTask { task: label.task() });
        }
        let (life, pipes) = self.start(number, label, Call { head: CALL, task, parcel, watched: false })?;
        Ok(Process::new(life, pipes))
    }

    fn check(&self, method: StartMethod) -> Result<()> {
        os::not_forked()?;
        if method == StartMethod::Fork && self.stack_size.is_some() {
            return Err(Error::option(
                "stack_size",
                "a forked process has the stack of the thread that forks",
            ));
        }
        if self.max_frame == 0 || self.max_frame > LARGEST_MAX {
            return Err(Error::option("max_frame", format!("a frame has 1 to {LARGEST_MAX} bytes")));
        }
        if self.stack_size.is_some_and(|bytes| bytes < SMALLEST_STACK) {
            return Err(Error::option("stack_size", format!("a stack has at least {SMALLEST_STACK} bytes")));
        }
        #[cfg(feature = "sandbox")]
        self.sandbox.as_ref().map_or(Ok(()), crate::wire::Sandbox::check)?;
        if method != StartMethod::Fork {
            may_start_processes()?;
        }
        not_too_deep("spawn", "processes")?;
        os::notice_forks().map_err(|cause| Error::start("notice forks", cause))
    }

    /// Forks this process, and runs the closure in the copy; see [`Process::fork`].
    ///
    /// The copy has the memory and the descriptors of this process, and shares no change with it. It has no other thread, which is why there must be none
    /// here: whatever lock one of them held would be held for ever. It ends without running what the program has registered for its end, which
    /// is this process's affair. As long as nothing but such processes is used, and they are waited for with [`blocking_join`](Process::blocking_join)
    /// or one after the other, this crate starts no thread that lasts, and more can be forked. A process that was dropped is reaped when the next one is started.
    ///
    /// # Errors
    ///
    /// [`Error::NotAlone`] names the other threads. [`Error::Option`] if another start method was chosen, or a stack, which is this thread's. Otherwise as for [`spawn`](Self::spawn).
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// use multiprocess::Process;
    ///
    /// fn main() -> multiprocess::Result<()> {
    ///     let mut table = vec![1_u64; 1_000];
    ///     let process = Process::builder().name("summer").fork(|| table.iter().sum::<u64>())?;
    ///     table.clear();
    ///     assert_eq!(process.blocking_join()?, 1_000, "it has a copy");
    ///     Ok(())
    /// }
    /// ```
    pub fn fork<F, R>(self, f: F) -> Result<Process<R>>
    where
        F: FnOnce() -> R,
        R: Payload,
    {
        if self.start_method.is_some_and(|method| method != StartMethod::Fork) {
            return Err(Error::option("start_method", "only a forked process has what a closure captures"));
        }
        self.check(StartMethod::Fork)?;
        let number = next_number();
        let label = Label { name: type_name::<F>, id: number, max: self.max_frame, timeout: None };
        let (life, pipes) = self.fork_off(number, label, |handles, out| call_once(f, handles, out))?;
        Ok(Process::new(life, pipes))
    }

    fn start(self, number: u64, label: Label, call: Call) -> Result<(Arc<Life>, super::stdio::Pipes)> {
        let method = self.start_method.unwrap_or_else(start_method);
        if method == StartMethod::Fork {
            let Call { task, parcel: Parcel { records, mut luggage, .. }, .. } = call;
            let arguments = move || Records::new(&records).next().map(|record| record.bytes.to_vec());
            let job = move |handles: &mut Vec<Fd>, out: &mut Output| {
                luggage.take(0, handles);
                let record = arguments().expect("it is one record");
                task.call(Input::new(&record, &Parts::new()), handles, out)
            };
            return self.fork_off(number, label, job);
        }
        let identity = self.identity(number);
        let (name, daemon) = (identity.name.clone(), identity.daemon);
        let (profile, streams) = self.profile(identity);
        let profile = Arc::new(profile);
        let (streams, pipes) = streams.open()?;
        let title = format!("{}: {name}", program_name());
        children::reap();
        let born = bear(&profile, &title, streams, method == StartMethod::Forkserver)?;
        let life = Arc::new(Life::new(number, born.pid(), daemon, Fate::new(name, label), born.killer()));
        let events: Arc<dyn Events> = Arc::<Life>::clone(&life);
        let request = StartRequest { worker: WorkerId(number), index: 0, profile, events };
        let entrusted = born.entrust(&request, call)?;
        life.has_link(entrusted.link());
        children::remember(&life);
        let fate = Arc::clone(&life.fate);
        entrusted.follow(move |error| {
            // A death is told again, by whoever knows more of it.
            if !matches!(error, Error::WorkerDied(_)) {
                fate.failed(error);
            }
        });
        Ok((life, pipes))
    }

    fn fork_off(
        self,
        number: u64,
        label: Label,
        job: impl FnOnce(&mut Vec<Fd>, &mut Output) -> Result<(), Failure>,
    ) -> Result<(Arc<Life>, super::stdio::Pipes)> {
        let identity = self.identity(number);
        let (name, daemon) = (identity.name.clone(), identity.daemon);
        let (profile, streams) = self.profile(identity);
        let (streams, pipes) = streams.open()?;
        children::reap();
        let forked = Forked::start(&profile, streams, |handles, out| {
            // The copy has started nothing yet.
            children::disown();
            STARTED.store(0, Ordering::Relaxed);
            job(handles, out)
        })?;
        let life = Arc::new(Life::of(forked, number, daemon, Fate::new(name, label)));
        children::remember(&life);
        Ok((life, pipes))
    }

    fn identity(&self, number: u64) -> Identity {
        let ourselves = ourselves();
        let number = number.to_string();
        let name = self.name.clone().unwrap_or_else(|| format!("Process-{}", ourselves.path_of(&number)));
        ourselves.child(name, self.daemon.unwrap_or(ourselves.identity.daemon), &number)
    }

    fn profile(self, identity: Identity) -> (Profile, Wanted) {
        let configure = Configure {
            duty: Duty::Process,
            name: identity.name.clone(),
            identity,
            index: 0,
            depth: depth() + 1,
            max_frame: self.max_frame,
            stack_size: self.stack_size,
            nice: self.nice,
            busy_poll_ns: 0,
            max_memory: None,
            preload: None,
            initializer: None,
            #[cfg(feature = "sandbox")]
            sandbox: self.sandbox,
        };
        let Self { env, current_dir, streams, .. } = self;
        let start_timeout = Duration::MAX;
        (
            Profile {
                configure,
                setup: None,
                preload: None,
                env,
                current_dir,
                capture_stderr: false,
                start_timeout,
                // It may outlive us, and takes all that it needs from its pipe.
                stores: None,
            },
            streams,
        )
    }
}

impl fmt::Debug for ProcessBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBuilder")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .field("start_method", &self.start_method)
            .field("env", &self.env)
            .field("current_dir", &self.current_dir)
            .field("nice", &self.nice)
            .finish_non_exhaustive()
    }
}
