//! How child processes come about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How the child processes of a pool or of a `Process` come about. Python: the names of `multiprocessing.set_start_method`.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, StartMethod};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = ProcessPool::builder().workers(2).start_method(StartMethod::Forkserver).build()?;
/// assert_eq!(pool.map(|x: u64| x * x, 0..4).await?, [0, 1, 4, 9]);
/// # pool.shutdown().await
/// # }).unwrap();
/// // Python's names, as from a command line:
/// assert_eq!("spawn".parse::<StartMethod>()?, StartMethod::default());
/// assert_eq!(StartMethod::Fork.to_string(), "fork");
/// # Ok::<(), multiprocess::Error>(())
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

impl FromStr for StartMethod {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Option`] tells the names that there are.
    fn from_str(name: &str) -> Result<Self, Error> {
        let all = [Self::Spawn, Self::Forkserver, Self::Fork];
        let named = all.into_iter().find(|method| method.to_string() == name);
        named.ok_or_else(|| {
            Error::option("start_method", format!("{name:?} is none of spawn, forkserver and fork"))
        })
    }
}
