//! The sandbox: what it takes away is refused, what it leaves still works, and it is told what holds.

#![cfg(feature = "sandbox")]

mod calls;
mod dumps;
mod files;
mod limits;
mod processes;
mod reach;
#[path = "../support/mod.rs"]
mod support;
mod told;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use multiprocess::worker::{self, Held};
use multiprocess::{ProcessPool, Resource, Sandbox};
use rustix::process::{Resource as Limit, Rlimit, getrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};
use support::alone::alone_with;

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

/// What Landlock and seccomp answer with.
const NO_ACCESS: Result<(), i32> = Err(libc::EACCES);
const NOT_PERMITTED: Result<(), i32> = Err(libc::EPERM);

fn sandboxed(sandbox: Sandbox) -> ProcessPool {
    ProcessPool::builder().workers(1).sandbox(sandbox).build().expect("the pool starts")
}

async fn held(pool: &ProcessPool) -> Held {
    pool.apply(worker::sandbox, ()).await.expect(RUNS).expect("the pool has a sandbox")
}

/// The error number of what has failed, for the way back to the test.
fn code<T>(outcome: Result<T, impl Into<io::Error>>) -> Result<(), i32> {
    outcome.map(drop).map_err(|error| error.into().raw_os_error().unwrap_or(-1))
}

fn read(path: PathBuf) -> Result<(), i32> {
    code(fs::read(path))
}

fn write(path: PathBuf) -> Result<(), i32> {
    code(fs::write(path, "new"))
}

fn open_socket() -> Result<(), i32> {
    code(UdpSocket::bind("127.0.0.1:0"))
}

/// A directory with one file, which disappears with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = support::scratch(name);
        fs::create_dir(&path).expect("it is not there yet");
        fs::write(path.join("file"), "old").expect("it can be written to");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("file")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// True, and says so, where the kernel has no Landlock that restricts files as a whole.
fn lacks_landlock() -> bool {
    use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let created = ruleset.handle_access(AccessFs::from_all(ABI::V3)).and_then(Ruleset::create);
    if let Err(error) = &created {
        support::skipped(format_args!("the kernel has no Landlock of version 3: {error}"));
    }
    created.is_err()
}

/// From now on these calls fail in this process, and in those that it starts, as if the kernel did not have them.
fn remove_calls(calls: &[i64]) {
    let rules: BTreeMap<_, _> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().expect("the machine is known");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, machine).expect("it is a filter");
    let filter: BpfProgram = filter.try_into().expect("it is small");
    apply_filter_all_threads(&filter).expect("the kernel has filters");
}

/// Runs a body alone in a process of a user without rights; says so if that cannot be.
fn unprivileged<F: FnOnce()>(body: F) {
    use std::os::unix::fs::PermissionsExt as _;
    const NOBODY: u32 = 65_534;
    let is_root = rustix::process::getuid().is_root();
    let program = std::env::current_exe().expect("a test has a file");
    let is_open = |path: &Path| fs::metadata(path).is_ok_and(|place| place.permissions().mode() & 0o001 != 0);
    if is_root && !program.ancestors().all(is_open) {
        let program = program.display();
        return support::skipped(format_args!("run by root, and other users cannot reach {program}"));
    }
    let prepare = |command: &mut Command| {
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    alone_with(prepare, body);
}

/// The line `NoNewPrivs` of all threads of this process.
fn no_new_privs() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").expect("it is our own");
    let statuses =
        threads.map(|thread| fs::read_to_string(thread.expect("it is listed").path().join("status")));
    let line =
        |status: String| status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:\t").map(String::from));
    statuses.map(|status| line(status.expect("it lives")).expect("the kernel tells it")).collect()
}

/// The soft and the hard limit of this process.
fn limits(of: Resource) -> (Option<u64>, Option<u64>) {
    let of = match of {
        Resource::CoreSize => Limit::Core,
        Resource::CpuSeconds => Limit::Cpu,
        Resource::OpenFiles => Limit::Nofile,
        _ => Limit::As,
    };
    let Rlimit { current, maximum } = getrlimit(of);
    (current, maximum)
}
