//! What a program and its forkserver say to each other over the control socket, one message a datagram.

use serde::{Deserialize, Serialize};

use crate::error::Exit;

/// Asks for one more process. With it come its control socket, then its stdout and its stderr where it has its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ForkRequest {
    /// Unique for the forkserver.
    pub(crate) id: u64,
    /// What `ps` shows.
    pub(crate) title: Vec<u8>,
    /// Variables set besides those of the forkserver.
    pub(crate) env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where it runs, if not where the forkserver does.
    pub(crate) current_dir: Option<Vec<u8>>,
    /// It has a stdout of its own.
    pub(crate) stdout: bool,
    /// It has a stderr of its own.
    pub(crate) stderr: bool,
}

/// What the forkserver tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ForkNotice {
    /// The process is there. With it comes its pidfd.
    Forked { id: u64, pid: u32 },
    /// There is no such process, for this error of the operating system.
    Failed { id: u64, errno: i32 },
    /// There is no such process, since the forkserver has other threads than its own, of these names.
    NotAlone { id: u64, threads: Vec<String> },
    /// The process has ended and was reaped.
    Ended { id: u64, exit: EndedWith },
}

/// [`Exit`], as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EndedWith {
    Code(i32),
    Signal(i32),
    Unknown,
}

impl From<Exit> for EndedWith {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code),
            Exit::Signal(signal) => Self::Signal(signal),
            Exit::Unknown => Self::Unknown,
        }
    }
}

impl From<EndedWith> for Exit {
    fn from(exit: EndedWith) -> Self {
        match exit {
            EndedWith::Code(code) => Self::Code(code),
            EndedWith::Signal(signal) => Self::Signal(signal),
            EndedWith::Unknown => Self::Unknown,
        }
    }
}
