//! What others see of the memory of a worker that is not dumpable.

use std::fs::{self, File};

use multiprocess::{Error, ProcessPool, Sandbox};
use rustix::process::{Resource as Limit, Rlimit, setrlimit};

use super::{Folder, NO_ACCESS, RUNS, code, sandboxed, unprivileged};
use crate::support::alone::alone;

/// Core files that a task leaves in a directory when it aborts.
fn dumps(folder: &Folder, sandbox: Option<Sandbox>) -> usize {
    let builder = ProcessPool::builder().workers(1).current_dir(&folder.0);
    let builder = match sandbox {
        Some(sandbox) => builder.sandbox(sandbox),
        None => builder,
    };
    let pool = builder.build().expect("the pool starts");
    let died = pool.blocking_apply(|| -> () { std::process::abort() }, ());
    assert!(matches!(died, Err(Error::WorkerDied(_))), "{died:?}");
    pool.blocking_shutdown().expect("it ends");
    fs::read_dir(&folder.0).expect("it is there").count() - 1
}

// fault 105
#[test]
fn a_worker_that_is_not_dumpable_leaves_no_core_dump() {
    alone(|| {
        let unlimited = Rlimit { current: None, maximum: None };
        let dumping = setrlimit(Limit::Core, unlimited).is_ok();
        let (folder, other) = (Folder::new("core"), Folder::new("core-not"));
        if !dumping || dumps(&folder, None) == 0 {
            return crate::support::skipped("here no process leaves a core dump where it runs");
        }
        assert_eq!(dumps(&other, Some(Sandbox::required().not_dumpable())), 0);
    });
}

// fault 105
#[test]
fn the_memory_of_a_worker_that_is_not_dumpable_cannot_be_opened() {
    unprivileged(|| {
        let open = |pool: &ProcessPool| {
            let pid = pool.blocking_apply(std::process::id, ()).expect(RUNS);
            code(File::open(format!("/proc/{pid}/mem")))
        };
        let (plain, pool) =
            (ProcessPool::new(1).expect("the pool starts"), sandboxed(Sandbox::required().not_dumpable()));
        assert_eq!(open(&plain), Ok(()), "of a child it can");
        assert_eq!(open(&pool), NO_ACCESS);
        plain.blocking_shutdown().expect("it ends");
        pool.blocking_shutdown().expect("it ends");
    });
}
