//! What a handle tells of its process, and what it can do to it.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::BorrowedFd;

use super::handle::Process;
use crate::error::Result;
use crate::os::{self, SIGINT, SIGKILL, SIGTERM};
use crate::task::Payload;

/// What it is, what becomes of it, and its streams.
impl<R: Payload> Process<R> {
    /// Its process number. Once it has ended, another process may have the same. Python: `pid`, `ident`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::spawn(std::process::id, ())?;
    /// assert_eq!(process.blocking_join()?, process.pid());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.life.pid
    }

    /// What it is called: what its builder was told, or `Process-1` and so on. Python: `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::builder().name("fetcher").spawn(|| (), ())?;
    /// assert_eq!(process.name(), "fetcher");
    /// process.blocking_join()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.life.fate.name()
    }

    /// True if it ends with this process; see [`ProcessBuilder::daemon`](crate::ProcessBuilder::daemon).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::spawn(|| (), ())?;
    /// assert!(!process.daemon());
    /// process.blocking_join()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.life.daemon
    }

    /// True while it has not ended. False after [`close`](Self::close). Python: `is_alive`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::spawn(|| -> () { loop { std::thread::park() } }, ())?;
    /// assert!(process.is_alive());
    /// process.kill()?;
    /// assert!(process.blocking_join().is_err());
    /// assert!(!process.is_alive());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.life.is_alive()
    }

    /// How it has ended: its exit code, or minus the number of the signal that has ended it. Nothing while it runs, nor if another part of the
    /// program has collected its status. Python: `exitcode`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::spawn(|| -> () { loop { std::thread::park() } }, ())?;
    /// assert_eq!(process.exit_code(), None);
    /// process.terminate()?;
    /// assert!(process.blocking_join().is_err());
    /// assert_eq!(process.exit_code(), Some(-15));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        self.life.exit_code()
    }

    /// Sends it SIGTERM, which ends it unless it has a handler for that. Its own children are not told. Python: `terminate`.
    ///
    /// It never hits another process of the same number. One that has ended already is no error.
    ///
    /// # Errors
    ///
    /// [`Error::ProcessClosed`](crate::Error::ProcessClosed) after [`close`](Self::close), [`Error::Start`](crate::Error::Start) if the operating system refuses it: the process has become another user's.
    ///
    /// # Examples
    ///
    /// See [`exit_code`](Self::exit_code).
    pub fn terminate(&self) -> Result<()> {
        self.life.signal(SIGTERM)
    }

    /// Sends it SIGKILL, which ends it at once; otherwise as [`terminate`](Self::terminate). Python: `kill`.
    ///
    /// # Errors
    ///
    /// As for [`terminate`](Self::terminate).
    ///
    /// # Examples
    ///
    /// See [`is_alive`](Self::is_alive).
    pub fn kill(&self) -> Result<()> {
        self.life.signal(SIGKILL)
    }

    /// Sends it SIGINT, as Ctrl-C does, which ends it unless it has a handler for that; otherwise as [`terminate`](Self::terminate). Python: `interrupt`.
    ///
    /// # Errors
    ///
    /// As for [`terminate`](Self::terminate).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    ///
    /// let process = Process::spawn(|| -> () { loop { std::thread::park() } }, ())?;
    /// process.interrupt()?;
    /// assert!(process.blocking_join().is_err());
    /// assert_eq!(process.exit_code(), Some(-2));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn interrupt(&self) -> Result<()> {
        self.life.signal(SIGINT)
    }

    /// A descriptor that is readable once the process has ended, for `poll` and the like; it is open as long as the handle. Python: `sentinel`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Process;
    /// use rustix::event::{PollFd, PollFlags, poll};
    ///
    /// let process = Process::spawn(|| 7, ())?;
    /// poll(&mut [PollFd::new(&process.sentinel(), PollFlags::IN)], None).expect("it can be waited for");
    /// assert!(!process.is_alive());
    /// assert_eq!(process.exit_code(), Some(0));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn sentinel(&self) -> BorrowedFd<'_> {
        self.life.sentinel()
    }

    /// Lets go of what was not joined: the value is dropped, and whatever waits or sends a signal is an error from now on. Python: `close`.
    ///
    /// There is no need to: dropping the handle does it too.
    ///
    /// # Errors
    ///
    /// [`Error::StillRunning`](crate::Error::StillRunning) if it has not ended; nothing has changed then. [`Error::ProcessClosed`](crate::Error::ProcessClosed) if it was closed before.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Process};
    ///
    /// let process = Process::spawn(|| -> () { loop { std::thread::park() } }, ())?;
    /// assert!(matches!(process.close(), Err(Error::StillRunning { .. })));
    /// process.kill()?;
    /// assert!(process.blocking_join().is_err());
    /// process.close()?;
    /// assert!(matches!(process.terminate(), Err(Error::ProcessClosed { .. })));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        os::not_forked()?;
        self.life.close()
    }

    /// The pipe to its stdin, if that is [piped](super::Stdio::piped) and was not taken before.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    /// use multiprocess::{Process, Stdio};
    ///
    /// let process = Process::builder()
    ///     .stdin(Stdio::piped())
    ///     .spawn(|| std::io::read_to_string(std::io::stdin()).map(|text| text.len()).ok(), ())?;
    /// process.take_stdin().expect("it is a pipe").write_all(b"seven b").expect("it reads");
    /// assert_eq!(process.blocking_join()?, Some(7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn take_stdin(&self) -> Option<PipeWriter> {
        self.pipes.stdin.take()
    }

    /// The pipe of its stdout, if that is [piped](super::Stdio::piped) and was not taken before. A process waits when the pipe is full, so that it must be read before the process is joined.
    ///
    /// # Examples
    ///
    /// See [`Stdio`](super::Stdio).
    #[must_use]
    pub fn take_stdout(&self) -> Option<PipeReader> {
        self.pipes.stdout.take()
    }

    /// The same of its stderr.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, Stdio};
    ///
    /// let process = Process::builder().stderr(Stdio::piped()).spawn(|| -> u8 { panic!("no more paper") }, ())?;
    /// let stderr = process.take_stderr().expect("it is a pipe");
    /// assert!(std::io::read_to_string(stderr).expect("it is text").contains("no more paper"));
    /// assert!(process.blocking_join().is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn take_stderr(&self) -> Option<PipeReader> {
        self.pipes.stderr.take()
    }
}

impl<R: Payload> Drop for Process<R> {
    fn drop(&mut self) {
        if !os::forked() {
            self.life.neglect();
        }
    }
}
