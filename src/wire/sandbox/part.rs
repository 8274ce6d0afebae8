//! The parts of a sandbox, and the resources that it can limit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What [`Sandbox::limit`](super::Sandbox::limit) limits; each counts for a worker as a whole, and anew for its replacement.
///
/// # Examples
///
/// ```
/// assert_eq!(multiprocess::Resource::CpuSeconds.to_string(), "seconds of CPU time");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Resource {
    /// Bytes of address space, used or only reserved (`RLIMIT_AS`). An allocation beyond it fails, which ends a Rust program by SIGABRT. A worker
    /// has more of it than one might think: each thread reserves its stack and perhaps 64 MiB for its allocations.
    AddressSpace,
    /// Seconds of CPU time, of all tasks of a worker and of its start together (`RLIMIT_CPU`). When they are used up, SIGXCPU ends the
    /// worker, and SIGKILL a second later if it has a handler for that.
    CpuSeconds,
    /// The number of descriptors, beginning with those that the worker has: about ten (`RLIMIT_NOFILE`). To open more fails.
    OpenFiles,
    /// Bytes of a file that is written to (`RLIMIT_FSIZE`). A write beyond it ends the worker by SIGXFSZ. This includes a stdout or stderr
    /// that is a file.
    FileSize,
    /// Bytes of a core dump (`RLIMIT_CORE`); 0 is none.
    CoreSize,
    /// Processes and threads of the worker's user, those of other programs included (`RLIMIT_NPROC`). To start more fails. It does not hold for root.
    Processes,
}

/// A part of a [`Sandbox`](super::Sandbox), as [`worker::sandbox`](crate::worker::sandbox) and
/// [`Error::Sandbox`](crate::Error::Sandbox) name it.
///
/// # Examples
///
/// ```
/// use multiprocess::{Resource, SandboxPart};
///
/// assert_eq!(SandboxPart::FileSystem.to_string(), "the file system");
/// assert_eq!(SandboxPart::Limit(Resource::OpenFiles).to_string(), "the limit of open files");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SandboxPart {
    /// [`Sandbox::no_new_privs`](super::Sandbox::no_new_privs).
    NoNewPrivs,
    /// [`Sandbox::not_dumpable`](super::Sandbox::not_dumpable).
    NotDumpable,
    /// [`Sandbox::no_files`](super::Sandbox::no_files), [`Sandbox::read_only`](super::Sandbox::read_only), [`Sandbox::read_write`](super::Sandbox::read_write).
    FileSystem,
    /// [`Sandbox::limit`](super::Sandbox::limit).
    Limit(Resource),
    /// [`Sandbox::no_network`](super::Sandbox::no_network), [`Sandbox::no_exec`](super::Sandbox::no_exec), [`Sandbox::no_ptrace`](super::Sandbox::no_ptrace), [`Sandbox::deny_syscalls`](super::Sandbox::deny_syscalls).
    SystemCalls,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressSpace => "address space",
            Self::CpuSeconds => "seconds of CPU time",
            Self::OpenFiles => "open files",
            Self::FileSize => "the size of files",
            Self::CoreSize => "the size of core dumps",
            Self::Processes => "processes",
        })
    }
}

impl fmt::Display for SandboxPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNewPrivs => f.write_str("no new privileges"),
            Self::NotDumpable => f.write_str("no dumps"),
            Self::FileSystem => f.write_str("the file system"),
            Self::Limit(resource) => write!(f, "the limit of {resource}"),
            Self::SystemCalls => f.write_str("system calls"),
        }
    }
}
