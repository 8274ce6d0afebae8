//! How child processes come about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the child processes of a pool or of a `Process` come about. Python: the names of `multiprocessing.set_start_method`.
///
/// # Examples
///
/// ```
/// use multiprocess::StartMethod;
///
/// assert_eq!(StartMethod::default(), StartMethod::Spawn);
/// assert_eq!(StartMethod::Forkserver.to_string(), "forkserver");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StartMethod {
    /// The program is started anew, and enters before `main`. It inherits nothing but the environment and the standard streams.
    #[default]
    Spawn,
    /// A process of the program that was started so, has one thread and does nothing else forks itself. A child is there sooner, takes
    /// less memory of its own, and shares what the process has loaded before (`preload`).
    Forkserver,
    /// This process forks itself, as long as it has only one thread. The child has a copy of everything.
    Fork,
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spawn => "spawn",
            Self::Forkserver => "forkserver",
            Self::Fork => "fork",
        })
    }
}
