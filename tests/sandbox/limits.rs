//! Limits of resources: what lies beyond them fails or ends one worker.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use multiprocess::{Error, Exit, ProcessPool, Resource, Sandbox};
use rustix::process::{Resource as Limit, Rlimit, setrlimit};

use super::{Folder, NOT_PERMITTED, RUNS, code, held, limits, sandboxed, unprivileged};
use crate::support::foreign::SIGABRT;
use crate::support::{end, on_processes};

const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

/// Fails the test unless the call ends its worker so, and the next worker is in the same sandbox.
async fn ends_one_worker(
    pool: &ProcessPool,
    call: impl Future<Output = multiprocess::Result<()>>,
    exit: Exit,
) {
    let before = held(pool).await;
    let died = call.await;
    let Err(Error::WorkerDied(death)) = died else { panic!("{died:?}") };
    assert_eq!(death.exit, exit);
    assert_eq!(held(pool).await, before);
}

async fn a_task_that_needs_more_memory_than_allowed_dies_alone() {
    let allocate = |bytes: usize| drop(std::hint::black_box(vec![1_u8; bytes]));
    let pool = sandboxed(Sandbox::required().limit(Resource::AddressSpace, 1 << 30));
    pool.apply(allocate, (1 << 20,)).await.expect(RUNS);
    ends_one_worker(&pool, pool.apply(allocate, (2 << 30,)), Exit::Signal(SIGABRT)).await;
    ends_one_worker(&pool, pool.apply(allocate, (2 << 30,)), Exit::Signal(SIGABRT)).await;
    end(pool).await;
}

async fn a_task_that_uses_its_cpu_time_up_dies_alone() {
    let spin = || -> () {
        loop {
            std::hint::spin_loop();
        }
    };
    let pool = sandboxed(Sandbox::required().limit(Resource::CpuSeconds, 1));
    ends_one_worker(&pool, pool.apply(spin, ()), Exit::Signal(SIGXCPU)).await;
    end(pool).await;
}

async fn a_task_that_writes_too_large_a_file_dies_alone() {
    let folder = Folder::new("large");
    let write = |path: PathBuf, bytes: usize| fs::write(path, vec![0; bytes]).expect("it can be written to");
    let pool = sandboxed(Sandbox::required().limit(Resource::FileSize, 100));
    pool.apply(write, (folder.file(), 100)).await.expect(RUNS);
    ends_one_worker(&pool, pool.apply(write, (folder.file(), 101)), Exit::Signal(SIGXFSZ)).await;
    end(pool).await;
}

async fn a_task_cannot_open_more_files_than_allowed() {
    let open = |files: usize| {
        let null = || File::open("/dev/null");
        code((0..files).map(|_| null()).collect::<io::Result<Vec<_>>>())
    };
    let pool = sandboxed(Sandbox::required().limit(Resource::OpenFiles, 40));
    assert_eq!(pool.apply(open, (10,)).await.expect(RUNS), Ok(()));
    assert_eq!(pool.apply(open, (40,)).await.expect(RUNS), Err(libc::EMFILE));
    end(pool).await;
}

async fn of_two_limits_the_smaller_one_holds() {
    let twice = Sandbox::required().limit(Resource::OpenFiles, 50).limit(Resource::OpenFiles, 60);
    let pool = sandboxed(twice);
    let found = pool.apply(limits, (Resource::OpenFiles,)).await.expect(RUNS);
    assert_eq!(found, (Some(50), Some(50)));
    end(pool).await;
}

async fn a_limit_that_holds_already_is_not_raised() {
    let lower = || setrlimit(Limit::Nofile, Rlimit { current: Some(50), maximum: Some(50) });
    let builder = ProcessPool::builder().workers(1).try_initializer(lower, ());
    let pool = builder.sandbox(Sandbox::required().limit(Resource::OpenFiles, 60)).build();
    let pool = pool.expect("the pool starts");
    let found = pool.apply(limits, (Resource::OpenFiles,)).await.expect(RUNS);
    assert_eq!(found, (Some(50), Some(50)));
    end(pool).await;
}

#[test]
fn a_task_without_rights_cannot_raise_a_limit_again() {
    unprivileged(|| {
        let pool = sandboxed(Sandbox::required().limit(Resource::OpenFiles, 50));
        let raise = || code(setrlimit(Limit::Nofile, Rlimit { current: Some(60), maximum: Some(60) }));
        assert_eq!(pool.blocking_apply(raise, ()).expect(RUNS), NOT_PERMITTED);
        pool.blocking_shutdown().expect("it ends");
    });
}

#[test]
fn a_task_cannot_start_more_threads_than_allowed() {
    unprivileged(|| {
        let pool = sandboxed(Sandbox::required().limit(Resource::Processes, 0));
        let start = || code(std::thread::Builder::new().spawn(|| ()));
        assert_eq!(pool.blocking_apply(start, ()).expect(RUNS), Err(libc::EAGAIN));
        pool.blocking_shutdown().expect("it ends");
    });
}

on_processes!(
    a_task_that_needs_more_memory_than_allowed_dies_alone,
    a_task_that_uses_its_cpu_time_up_dies_alone,
    a_task_that_writes_too_large_a_file_dies_alone,
    a_task_cannot_open_more_files_than_allowed,
    of_two_limits_the_smaller_one_holds,
    a_limit_that_holds_already_is_not_raised,
);
