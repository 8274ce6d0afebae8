//! The worker puts itself into its pool's sandbox, part after part, and keeps what came of each.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::os::{self, Limit};
use crate::wire::{Resource, Sandbox, SandboxPart};

/// What holds in this process.
static HELD: OnceLock<Held> = OnceLock::new();

/// What holds of a [`Sandbox`], as [`sandbox`](fn@sandbox) tells it.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, Sandbox, SandboxPart, worker};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let sandbox = Sandbox::best_effort().no_files().no_exec();
/// let pool = ProcessPool::builder().workers(1).sandbox(sandbox).build()?;
/// let held = pool.apply(worker::sandbox, ()).await?.expect("the pool has a sandbox");
/// for (part, hold) in held.parts() {
///     println!("{part}: {hold:?}");
/// }
/// assert!(held.of(SandboxPart::NoNewPrivs).is_none(), "it was not asked for");
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    parts: Vec<(SandboxPart, Hold)>,
}

/// How far a part of a sandbox holds.
///
/// # Examples
///
/// ```
/// use multiprocess::worker::Hold;
///
/// let hold = Hold::Partly("/data cannot be allowed".to_owned());
/// assert_ne!(hold, Hold::Whole);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Hold {
    /// As it was asked for.
    Whole,
    /// With this difference: something is still possible, or a place that was to be allowed is not.
    Partly(String),
    /// Not at all or not surely, for this reason.
    Not(String),
}

/// Why a sandbox that is required does not hold.
#[derive(Debug)]
pub(super) struct Breach {
    pub(super) part: SandboxPart,
    pub(super) cause: String,
}

/// What holds of the pool's [`Sandbox`] in this worker. Nothing outside of tasks, and in a pool without one, even if that was made by a task
/// that is in a sandbox, and so is in the same.
///
/// It is a task itself: `pool.apply(worker::sandbox, ())` tells it to the pool's side. Python has no counterpart.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, Sandbox, SandboxPart, worker, worker::Hold};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let sandbox = Sandbox::best_effort().no_new_privs();
/// let pool = ProcessPool::builder().workers(1).sandbox(sandbox).build()?;
/// let held = pool.apply(worker::sandbox, ()).await?.expect("the pool has a sandbox");
/// assert_eq!(held.of(SandboxPart::NoNewPrivs), Some(&Hold::Whole));
/// assert!(worker::sandbox().is_none(), "this is no worker");
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[must_use]
pub fn sandbox() -> Option<Held> {
    HELD.get().cloned()
}

impl Held {
    /// All parts that were asked for.
    ///
    /// # Examples
    ///
    /// See [`Held`].
    pub fn parts(&self) -> impl Iterator<Item = (SandboxPart, &Hold)> {
        self.parts.iter().map(|(part, hold)| (*part, hold))
    }

    /// How far one part holds; nothing if it was not asked for.
    ///
    /// # Examples
    ///
    /// See [`sandbox`](fn@sandbox).
    #[must_use]
    pub fn of(&self, part: SandboxPart) -> Option<&Hold> {
        self.parts().find(|(other, _)| *other == part).map(|(_, hold)| hold)
    }

    /// True if every part holds as it was asked for.
    ///
    /// # Examples
    ///
    /// See [`Sandbox`].
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.parts().all(|(_, hold)| *hold == Hold::Whole)
    }
}

/// Puts this process into the sandbox.
///
/// # Errors
///
/// A part does not hold as a whole, and is required to.
pub(super) fn confine(sandbox: &Sandbox) -> Result<(), Breach> {
    let mut parts = Vec::new();
    for part in sandbox.parts() {
        let hold = match apply(sandbox, part) {
            Ok(None) => Hold::Whole,
            Ok(Some(cause)) | Err(cause) if sandbox.required => return Err(Breach { part, cause }),
            Ok(Some(cause)) => Hold::Partly(cause),
            Err(cause) => Hold::Not(cause),
        };
        parts.push((part, hold));
    }
    HELD.set(Held { parts }).expect("a worker is confined once");
    Ok(())
}

/// Brings one part about. Gives what is different from what was asked for, if something is.
fn apply(sandbox: &Sandbox, part: SandboxPart) -> Result<Option<String>, String> {
    let whole = match part {
        SandboxPart::NoNewPrivs => os::forbid_new_privileges(),
        SandboxPart::NotDumpable => os::forbid_dumps(),
        SandboxPart::FileSystem => {
            let files = sandbox.files.as_ref().expect("the part was asked for");
            return os::restrict_files(&files.read_only, &files.read_write);
        }
        SandboxPart::Limit(resource) => {
            os::limit(limit_of(resource), sandbox.limit_of(resource).expect("the part was asked for"))
        }
        SandboxPart::SystemCalls => return os::refuse_calls(&sandbox.refused).map(|()| None),
    };
    whole.map(|()| None).map_err(|error| error.to_string())
}

fn limit_of(resource: Resource) -> Limit {
    match resource {
        Resource::AddressSpace => Limit::As,
        Resource::CpuSeconds => Limit::Cpu,
        Resource::OpenFiles => Limit::Nofile,
        Resource::FileSize => Limit::Fsize,
        Resource::CoreSize => Limit::Core,
        Resource::Processes => Limit::Nproc,
    }
}
