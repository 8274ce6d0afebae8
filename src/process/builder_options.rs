//! Options of a process.

use std::ffi::OsString;
use std::path::PathBuf;

use super::builder::ProcessBuilder;
use super::stdio::Stdio;
use crate::wire::StartMethod;

/// Options, each with its default.
impl ProcessBuilder {
    /// What it is called, in `ps` behind the name of the program. Default: `Process-1`, `Process-2` and so on; those that `Process-1` starts are `Process-1:1` and so on. Python: `name`.
    ///
    /// # Examples
    ///
    /// See [`Process::name`](crate::Process::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether it ends with this process, whatever ends that. Default: as this process, which in a worker of a pool is true, and in the
    /// program itself false. Python: `daemon`.
    ///
    /// Otherwise it goes on, and what it returns is lost. It may have been started with so many arguments that they are still on their way then:
    /// more than the 256 KiB of a pipe. Then it ends without having called its function.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, current_process};
    ///
    /// let process = Process::builder().daemon(true).spawn(|| current_process().daemon(), ())?;
    /// assert!(process.daemon() && process.blocking_join()?);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// How it comes about. Default: [`start_method`](crate::start_method). Python: `multiprocessing.get_context`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, StartMethod};
    ///
    /// let process = Process::builder().start_method(StartMethod::Spawn).spawn(|| 7, ())?;
    /// assert_eq!(process.blocking_join()?, 7);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.start_method = Some(method);
        self
    }

    /// Sets an environment variable in it, beside those that it inherits. Can be called several times.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::builder().env("LANG", "C").spawn(|| std::env::var("LANG").ok(), ())?;
    /// assert_eq!(process.blocking_join()?.as_deref(), Some("C"));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Where it runs. Default: where this process does.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::builder().current_dir("/").spawn(|| std::env::current_dir().ok(), ())?;
    /// assert_eq!(process.blocking_join()?, Some("/".into()));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(path.into());
        self
    }

    /// Its stdin. Default: [`Stdio::null`], as in Python.
    ///
    /// One that inherits a terminal cannot read from it: it is in the background there, and would be stopped.
    ///
    /// # Examples
    ///
    /// See [`Process::take_stdin`](crate::Process::take_stdin).
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.streams.stdin = stdin.into();
        self
    }

    /// Its stdout. Default: [`Stdio::inherit`].
    ///
    /// # Examples
    ///
    /// See [`Stdio`].
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.streams.stdout = stdout.into();
        self
    }

    /// Its stderr. Default: [`Stdio::inherit`]. Other than that of a pool's worker, it is not kept.
    ///
    /// # Examples
    ///
    /// See [`Process::take_stderr`](crate::Process::take_stderr).
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.streams.stderr = stderr.into();
        self
    }

    /// Added to its niceness: positive numbers give others precedence. Default: 0.
    ///
    /// # Examples
    ///
    /// See [`ProcessBuilder`].
    pub fn nice(mut self, by: i32) -> Self {
        self.nice = by;
        self
    }

    /// The stack of the thread that runs its function, in bytes. Default: that of a main thread, as a rule 8 MiB. At least 16 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::builder().stack_size(64 << 20).spawn(|| [0_u8; 32 << 20].len(), ())?;
    /// assert_eq!(process.blocking_join()?, 32 << 20);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// The most bytes that the encoded arguments or the encoded value may have. Default: 1 GiB. At most 4 GiB less 1 MiB, and not 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Process};
    ///
    /// let process = Process::builder().max_frame(1_000).spawn(|n: usize| "x".repeat(n), (2_000,))?;
    /// assert!(matches!(process.blocking_join(), Err(Error::TooLarge { max: 1_000, .. })));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// What it may not do, from before its function is called; see [`Sandbox`](crate::Sandbox). Default: nothing is
    /// taken away. Needs the feature `sandbox`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, Sandbox};
    ///
    /// let sandbox = Sandbox::required().no_network();
    /// let process = Process::builder().sandbox(sandbox).spawn(|| std::net::UdpSocket::bind("127.0.0.1:0").is_err(), ())?;
    /// assert!(process.blocking_join()?);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[cfg(feature = "sandbox")]
    pub fn sandbox(mut self, sandbox: crate::wire::Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }
}
