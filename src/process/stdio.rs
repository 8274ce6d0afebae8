//! The standard streams of a process.

use std::fmt;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crate::backend::Streams;
use crate::error::{Error, Result};
use crate::os;

/// What a standard stream of a [`Process`](crate::Process) is; `std::process::Stdio` is the same, and cannot be looked into.
///
/// # Examples
///
/// ```
/// use std::io::Read;
/// use multiprocess::{Process, Stdio};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let process = Process::builder().stdout(Stdio::piped()).spawn(|| println!("hello"), ())?;
/// let mut said = String::new();
/// process.take_stdout().expect("it is a pipe").read_to_string(&mut said).expect("it is text");
/// assert_eq!(said, "hello\n");
/// process.join().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Null,
    Piped,
    Descriptor(OwnedFd),
}

/// How all streams of a process are to be.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

/// Our ends of those that are pipes, until somebody takes them.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: End<PipeWriter>,
    pub(super) stdout: End<PipeReader>,
    pub(super) stderr: End<PipeReader>,
}

/// Our end of a pipe, if there is one.
pub(super) struct End<T>(Mutex<Option<T>>);

impl Stdio {
    /// The stream of this process itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, Stdio};
    ///
    /// let process = Process::builder().stderr(Stdio::inherit()).spawn(|| eprintln!("on our stderr"), ())?;
    /// process.blocking_join()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// `/dev/null`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Process, Stdio};
    ///
    /// let process = Process::builder().stdout(Stdio::null()).spawn(|| println!("nobody reads this"), ())?;
    /// process.blocking_join()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// A pipe, whose other end the handle gives away: [`take_stdin`](crate::Process::take_stdin) and so on.
    ///
    /// # Examples
    ///
    /// See [`Stdio`].
    #[must_use]
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }
}

impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Self {
        Self(Kind::Descriptor(descriptor))
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        OwnedFd::from(file).into()
    }
}

impl From<PipeReader> for Stdio {
    fn from(pipe: PipeReader) -> Self {
        OwnedFd::from(pipe).into()
    }
}

impl From<PipeWriter> for Stdio {
    fn from(pipe: PipeWriter) -> Self {
        OwnedFd::from(pipe).into()
    }
}

impl Default for Wanted {
    fn default() -> Self {
        Self { stdin: Stdio::null(), stdout: Stdio::inherit(), stderr: Stdio::inherit() }
    }
}

impl Wanted {
    /// The streams as the process gets them, and our ends of the pipes among them.
    pub(super) fn open(self) -> Result<(Streams, Pipes)> {
        let failed = |cause| Error::start("open its standard streams", cause);
        let (stdin, our_stdin) = self.stdin.open_for_reading().map_err(failed)?;
        let (stdout, our_stdout) = self.stdout.open_for_writing().map_err(failed)?;
        let (stderr, our_stderr) = self.stderr.open_for_writing().map_err(failed)?;
        let pipes = Pipes {
            stdin: End::new(our_stdin.map(PipeWriter::from)),
            stdout: End::new(our_stdout.map(PipeReader::from)),
            stderr: End::new(our_stderr.map(PipeReader::from)),
        };
        Ok((Streams { stdin, stdout, stderr }, pipes))
    }
}

/// The end of the process, if it is not what a process gets anyway, and ours.
type Ends = (Option<OwnedFd>, Option<OwnedFd>);

impl Stdio {
    fn open_for_reading(self) -> io::Result<Ends> {
        Ok(match self.0 {
            Kind::Inherit => (Some(io::stdin().as_fd().try_clone_to_owned()?), None),
            Kind::Null => (None, None),
            Kind::Piped => {
                let (theirs, ours) = os::pipe()?;
                (Some(theirs), Some(ours))
            }
            Kind::Descriptor(descriptor) => (Some(os::lift(descriptor)?), None),
        })
    }

    fn open_for_writing(self) -> io::Result<Ends> {
        Ok(match self.0 {
            Kind::Inherit => (None, None),
            Kind::Null => (Some(os::lift(File::options().write(true).open("/dev/null")?.into())?), None),
            Kind::Piped => {
                let (ours, theirs) = os::pipe()?;
                (Some(theirs), Some(ours))
            }
            Kind::Descriptor(descriptor) => (Some(os::lift(descriptor)?), None),
        })
    }
}

impl<T> End<T> {
    fn new(end: Option<T>) -> Self {
        Self(Mutex::new(end))
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> fmt::Debug for End<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("End(..)")
    }
}
