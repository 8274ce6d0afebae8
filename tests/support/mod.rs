//! What the tests share: both kinds of pool, a deadline for everything, gates that hold a task until the test lets
//! it go, tallies that count executions across processes, and a census of what a test leaves behind.

#![allow(
    clippy::needless_pass_by_value,
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test file uses a part of this, and arguments of tasks are owned"
)]

pub mod alone;
#[cfg(feature = "net")]
pub mod authority;
pub mod census;
pub mod evil;
pub mod executor;
pub mod foreign;
pub mod gate;
pub mod odd;
pub mod start_method;
pub mod tally;
pub mod traced;
pub mod twins;
pub mod values;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use multiprocess::{Death, Error, Kind, Pool};

/// A test that takes longer hangs.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Runs a test on a runtime of its own, under the deadline.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let outcome = runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await });
    assert!(outcome.is_ok(), "the test hangs");
}

/// Runs a test outside any runtime, under the deadline.
pub fn run_outside(test: fn()) {
    let (done, is_done) = channel::<()>();
    let thread = std::thread::spawn(move || {
        let _done = done;
        test();
    });
    let waited = is_done.recv_timeout(DEADLINE);
    assert_eq!(waited, Err(RecvTimeoutError::Disconnected), "the test hangs");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A pool of so many workers, with the defaults for everything else.
pub fn pool<K: Kind>(workers: usize) -> Pool<K> {
    Pool::new(workers).expect("the pool starts")
}

/// A pool of so many workers to which all values go over the pipes, however large they are.
pub fn piped<K: Kind>(workers: usize) -> Pool<K> {
    Pool::<K>::builder().workers(workers).shared_payloads(false).build().expect("the pool starts")
}

/// Closes a pool and waits until it has ended, so that a test leaves nothing behind.
pub async fn end<K: Kind>(pool: Pool<K>) {
    pool.shutdown().await.expect("a pool can always be shut down");
}

/// The death that a task failed with.
pub fn death<T: std::fmt::Debug>(result: multiprocess::Result<T>) -> Death {
    match result {
        Err(Error::WorkerDied(death)) => death,
        other => panic!("the worker has died, but the task got {other:?}"),
    }
}

/// A name that nothing has, and nothing that an earlier run left behind, though that had the same process number.
pub fn unique(what: &str) -> String {
    format!("multiprocess-{what}-{:016x}", RandomState::new().build_hasher().finish())
}

/// A path in the directory for temporary files at which there is nothing.
pub fn scratch(what: &str) -> PathBuf {
    std::env::temp_dir().join(unique(what))
}

/// Says that this machine lacks what a test needs. It goes past the capture of the test harness, so that it is seen.
pub fn skipped(why: impl std::fmt::Display) {
    let _nobody_listens = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// Waits for something that tells nobody when it happens.
pub async fn until(mut happened: impl FnMut() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}

/// True while there is a process of this number, be it a zombie.
pub fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Makes each generic `async fn name<K: Kind>()` two tests: on processes and on threads.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        $(
            mod $name {
                #[test]
                fn on_processes() {
                    crate::support::run(super::$name::<multiprocess::Processes>());
                }

                #[test]
                fn on_threads() {
                    crate::support::run(super::$name::<multiprocess::dummy::Threads>());
                }
            }
        )*
    };
}
pub(crate) use on_both;

/// Makes each `async fn name()` a test, for what only processes can do.
macro_rules! on_processes {
    ($($name:ident),* $(,)?) => {
        mod on_processes {
            $(
                #[test]
                fn $name() {
                    crate::support::run(super::$name());
                }
            )*
        }
    };
}
pub(crate) use on_processes;

/// As `on_both!`, for each generic `fn name<K: Kind>()`, which runs outside any runtime.
macro_rules! on_both_outside {
    ($($name:ident),* $(,)?) => {
        $(
            mod $name {
                #[test]
                fn on_processes() {
                    crate::support::run_outside(super::$name::<multiprocess::Processes>);
                }

                #[test]
                fn on_threads() {
                    crate::support::run_outside(super::$name::<multiprocess::dummy::Threads>);
                }
            }
        )*
    };
}
pub(crate) use on_both_outside;
