//! The sandbox: what it takes away is refused, what it leaves still works, and it is told what holds.

#![cfg(feature = "sandbox")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::UdpSocket;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use multiprocess::worker::{self, Held, Hold};
use multiprocess::{Error, Exit, ProcessPool, Resource, Sandbox, SandboxPart};
use rustix::process::{Resource as Limit, Rlimit, getrlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};
use support::alone::{alone, alone_with};
use support::foreign::{self, SIGABRT, block_all_signals};
use support::{end, on_processes};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

/// What Landlock and seccomp answer with.
const NO_ACCESS: Result<(), i32> = Err(libc::EACCES);
const NOT_PERMITTED: Result<(), i32> = Err(libc::EPERM);

const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

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
        let name = format!("multiprocess-sandbox-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
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
        eprintln!("SKIPPED: the kernel has no Landlock of version 3: {error}");
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
        eprintln!("SKIPPED: run by root, and other users cannot reach {}", program.display());
        return;
    }
    let prepare = |command: &mut Command| {
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    alone_with(prepare, body);
}

/// A thread that an initializer has started, and that does what tasks ask of it.
struct Elder(Mutex<Sender<Box<dyn FnOnce() + Send>>>);

impl Elder {
    fn new(prepare: fn()) -> Self {
        let (jobs, taken) = channel::<Box<dyn FnOnce() + Send>>();
        let (begun, begins) = channel();
        std::thread::spawn(move || {
            prepare();
            begun.send(()).expect("the initializer waits");
            for job in taken {
                job();
            }
        });
        begins.recv().expect("the thread tells it");
        Self(Mutex::new(jobs))
    }

    fn does<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let job = Box::new(move || tell.send(job()).expect("the task waits"));
        let elder = worker::state::<Self>().expect("the pool has an initializer");
        elder.0.lock().expect("no task panics while it holds it").send(job).expect("the thread lives");
        told.recv().expect("the thread answers")
    }
}

// Files.

async fn no_file_can_be_opened_where_none_is_allowed() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("none");
    let pool = sandboxed(Sandbox::required().no_files());
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    let list = |path: PathBuf| code(fs::read_dir(path));
    assert_eq!(pool.apply(list, (folder.0.clone(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn where_reading_is_allowed_files_are_read_and_not_written() {
    if lacks_landlock() {
        return;
    }
    let (folder, other) = (Folder::new("read"), Folder::new("read-not"));
    let pool = sandboxed(Sandbox::required().read_only(&folder.0));
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), Ok(()));
    assert_eq!(pool.apply(read, (other.file(),)).await.expect(RUNS), NO_ACCESS);
    assert_eq!(pool.apply(write, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    let truncate = |path: PathBuf| code(rustix::fs::open(path, rustix::fs::OFlags::TRUNC, 0.into()));
    assert_eq!(pool.apply(truncate, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    assert_eq!(fs::read(folder.file()).expect("it is there"), b"old");
    end(pool).await;
}

async fn where_writing_is_allowed_files_are_made_and_removed() {
    if lacks_landlock() {
        return;
    }
    let (folder, other) = (Folder::new("write"), Folder::new("write-not"));
    let pool = sandboxed(Sandbox::required().read_write(&folder.0));
    let make_and_remove = |path: PathBuf| code(fs::write(&path, "new").and_then(|()| fs::remove_file(&path)));
    let in_folder = folder.0.join("other");
    assert_eq!(pool.apply(make_and_remove, (in_folder,)).await.expect(RUNS), Ok(()));
    let elsewhere = other.0.join("other");
    assert_eq!(pool.apply(make_and_remove, (elsewhere,)).await.expect(RUNS), NO_ACCESS);
    let remove = |path: PathBuf| code(fs::remove_file(path));
    assert_eq!(pool.apply(remove, (other.file(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn a_single_file_can_be_allowed() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("single");
    let beside = folder.0.join("beside");
    fs::write(&beside, "old").expect("it can be written to");
    let pool = sandboxed(Sandbox::required().read_write(folder.file()));
    assert_eq!(pool.apply(write, (folder.file(),)).await.expect(RUNS), Ok(()));
    assert_eq!(pool.apply(read, (beside,)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn a_path_need_not_be_text() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("bytes");
    let odd = folder.0.join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::create_dir(&odd).expect("any bytes are a name");
    let pool = sandboxed(Sandbox::required().read_only(odd));
    let reads_odd = |folder: PathBuf| code(fs::read_dir(folder.join(std::ffi::OsStr::from_bytes(b"\xff"))));
    assert_eq!(pool.apply(reads_odd, (folder.0.clone(),)).await.expect(RUNS), Ok(()));
    end(pool).await;
}

async fn what_the_initializer_has_opened_stays_open() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("opened");
    let sandbox = Sandbox::required().no_files();
    let builder = ProcessPool::builder().workers(1).sandbox(sandbox);
    let pool = builder.try_initializer(|path: PathBuf| File::open(path), (folder.file(),)).build();
    let pool = pool.expect("the pool starts");
    let read_open = || {
        let file = worker::state::<File>().expect("the pool has an initializer");
        io::read_to_string(&*file).expect("it is open")
    };
    assert_eq!(pool.apply(read_open, ()).await.expect(RUNS), "old");
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

// System calls.

async fn without_network_sockets_are_only_those_within_the_machine() {
    let pool = sandboxed(Sandbox::required().no_network());
    assert_eq!(pool.apply(open_socket, ()).await.expect(RUNS), NOT_PERMITTED);
    assert_eq!(pool.apply(|| code(UnixDatagram::unbound()), ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

async fn without_exec_no_program_can_be_started() {
    let start = || code(Command::new("/proc/self/exe").arg("--list").output());
    let pool = sandboxed(Sandbox::required().no_exec());
    assert_eq!(pool.apply(start, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
    let pool = sandboxed(Sandbox::required().no_ptrace());
    assert_eq!(pool.apply(start, ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

async fn without_ptrace_no_descriptor_can_be_taken() {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let take = || {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).expect("it is not refused");
        code(pidfd_getfd(own, 0, PidfdGetfdFlags::empty()))
    };
    let pool = sandboxed(Sandbox::required().no_ptrace());
    assert_eq!(pool.apply(take, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
    let pool = sandboxed(Sandbox::required().no_exec());
    assert_eq!(pool.apply(take, ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

async fn a_system_call_can_be_refused_by_its_number() {
    let lock = || {
        let null = File::open("/dev/null").expect("it is not refused");
        code(null.lock_shared())
    };
    let pool = sandboxed(Sandbox::required().deny_syscalls([libc::SYS_flock]));
    assert_eq!(pool.apply(lock, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
    let pool = sandboxed(Sandbox::required().no_exec());
    assert_eq!(pool.apply(lock, ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

/// x86-64 kernels may have a second table of calls, some with other numbers than in the first.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_refused_call_cannot_be_had_by_its_other_number() {
    const SECOND_TABLE: i64 = 0x4000_0000;
    const INTERNET: i64 = 2;
    let pool = sandboxed(Sandbox::required().no_exec().no_network());
    let call = |number: i64, argument: i64| foreign::failing_system_call(number, argument).raw_os_error();
    let calls = [(libc::SYS_socket, INTERNET), (520, 0)];
    for (number, argument) in calls {
        let error = pool.blocking_apply(call, (number | SECOND_TABLE, argument)).expect(RUNS);
        assert_eq!(error, Some(libc::EPERM), "call {number}");
    }
    pool.blocking_shutdown().expect("it ends");
}

// Privileges.

/// The line `NoNewPrivs` of all threads of this process.
fn no_new_privs() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").expect("it is our own");
    let statuses =
        threads.map(|thread| fs::read_to_string(thread.expect("it is listed").path().join("status")));
    let line =
        |status: String| status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:\t").map(String::from));
    statuses.map(|status| line(status.expect("it lives")).expect("the kernel tells it")).collect()
}

async fn no_thread_of_a_worker_gets_new_privileges() {
    // The worker has at least a lifeline and a thread that serves.
    let builder = ProcessPool::builder().workers(1).stack_size(1 << 20);
    let pool = builder.sandbox(Sandbox::required().no_new_privs()).build().expect("the pool starts");
    let threads = pool.apply(no_new_privs, ()).await.expect(RUNS);
    assert!(threads.len() >= 3 && threads.iter().all(|line| line == "1"), "{threads:?}");
    end(pool).await;
}

// Threads and children.

async fn threads_that_the_initializer_has_started_are_in_it_too() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("elder");
    let sandbox = Sandbox::required().no_files().no_network();
    let builder = ProcessPool::builder().workers(1).sandbox(sandbox);
    let pool = builder.initializer(|| Elder::new(|| ()), ()).build().expect("the pool starts");
    let both = |path: PathBuf| Elder::does(move || (read(path), open_socket()));
    let found = pool.apply(both, (folder.file(),)).await.expect(RUNS);
    assert_eq!(found, (NO_ACCESS, NOT_PERMITTED));
    end(pool).await;
}

async fn a_thread_that_cannot_be_reached_is_told() {
    let sandbox = Sandbox::best_effort().no_new_privs();
    let builder = ProcessPool::builder().workers(1).sandbox(sandbox);
    let pool = builder.initializer(|| Elder::new(block_all_signals), ()).build().expect("the pool starts");
    let held = held(&pool).await;
    let Some(Hold::Not(why)) = held.of(SandboxPart::NoNewPrivs) else { panic!("{held:?}") };
    assert!(why.contains("takes no signals"), "{why}");
    end(pool).await;
}

async fn threads_that_a_task_starts_are_in_it_too() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("thread");
    let pool = sandboxed(Sandbox::required().no_files().no_network());
    let elsewhere = |path: PathBuf| {
        let thread = std::thread::spawn(|| (read(path), open_socket()));
        thread.join().expect("it does not panic")
    };
    let found = pool.apply(elsewhere, (folder.file(),)).await.expect(RUNS);
    assert_eq!(found, (NO_ACCESS, NOT_PERMITTED));
    end(pool).await;
}

async fn processes_that_a_task_starts_are_in_it_too() {
    if lacks_landlock() {
        return;
    }
    let (folder, other) = (Folder::new("child"), Folder::new("child-not"));
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"];
    let there = system.iter().filter(|path| Path::new(path).exists());
    let sandbox =
        there.fold(Sandbox::required().read_only(&folder.0), |sandbox, path| sandbox.read_only(*path));
    let pool = sandboxed(sandbox.read_write("/dev/null"));
    let cat = |path: PathBuf| {
        let output = Command::new("cat").arg(path).output().expect("it can be started");
        String::from_utf8(output.stdout).expect("it is text")
    };
    assert_eq!(pool.apply(cat, (folder.file(),)).await.expect(RUNS), "old");
    assert_eq!(pool.apply(cat, (other.file(),)).await.expect(RUNS), "");
    end(pool).await;
}

/// Asks the kernel for a second, generous sandbox.
fn allow_all_again() {
    use landlock::{ABI, Access as _, AccessFs, PathBeneath, PathFd, Ruleset};
    use landlock::{RulesetAttr as _, RulesetCreatedAttr as _};
    let everything = AccessFs::from_all(ABI::V3);
    let ruleset = Ruleset::default().handle_access(everything).and_then(Ruleset::create);
    let root = PathBeneath::new(PathFd::new("/").expect("it is there"), everything);
    let ruleset = ruleset.and_then(|ruleset| ruleset.add_rule(root)).expect("it is a ruleset");
    ruleset.restrict_self().expect("a further one is allowed");
    remove_calls(&[libc::SYS_flock]);
}

async fn a_task_cannot_undo_it() {
    if lacks_landlock() {
        return;
    }
    let folder = Folder::new("undo");
    let pool = sandboxed(Sandbox::required().no_files().no_network());
    pool.apply(allow_all_again, ()).await.expect(RUNS);
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), NO_ACCESS);
    assert_eq!(pool.apply(open_socket, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
}

// Limits.

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

// Dumps.

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
            eprintln!("SKIPPED: here no process leaves a core dump where it runs");
            return;
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

// Modes, and what is told.

/// Fails the test unless the pool breaks for this part of its sandbox.
fn breaks_for(pool: &ProcessPool, part: SandboxPart, cause: &str) {
    let error = pool.blocking_apply(|| (), ()).expect_err("no worker starts");
    let Error::Sandbox { part: told, cause: why } = &error else { panic!("{error}") };
    assert_eq!(*told, part.to_string());
    assert!(why.contains(cause), "{error}");
    assert!(matches!(pool.blocking_ready(), Err(Error::Sandbox { .. })), "the pool is broken");
    pool.blocking_shutdown().expect("it ends");
    assert!(support::census::descendants().is_empty());
}

// fault 71
#[test]
fn a_part_that_is_required_and_that_the_kernel_lacks_breaks_the_pool() {
    alone(|| {
        remove_calls(&[libc::SYS_landlock_create_ruleset]);
        breaks_for(&sandboxed(Sandbox::required().no_files()), SandboxPart::FileSystem, "no Landlock");
        remove_calls(&[libc::SYS_seccomp]);
        breaks_for(&sandboxed(Sandbox::required().no_exec()), SandboxPart::SystemCalls, "seccomp");
    });
}

// fault 71
#[test]
fn with_best_effort_the_worker_goes_on_without_what_the_kernel_lacks_and_tells_it() {
    alone(|| {
        remove_calls(&[libc::SYS_landlock_create_ruleset, libc::SYS_seccomp]);
        let sandbox = Sandbox::best_effort().no_new_privs().no_files().no_exec();
        let pool = sandboxed(sandbox.limit(Resource::OpenFiles, 50));
        let held = pool.blocking_apply(worker::sandbox, ()).expect(RUNS).expect("the pool has a sandbox");
        assert!(matches!(held.of(SandboxPart::FileSystem), Some(Hold::Not(_))), "{held:?}");
        assert!(matches!(held.of(SandboxPart::SystemCalls), Some(Hold::Not(_))), "{held:?}");
        assert_eq!(held.of(SandboxPart::NoNewPrivs), Some(&Hold::Whole));
        assert_eq!(held.of(SandboxPart::Limit(Resource::OpenFiles)), Some(&Hold::Whole));
        assert!(!held.is_whole());
        pool.blocking_shutdown().expect("it ends");
    });
}

#[test]
fn a_place_that_is_required_and_not_there_breaks_the_pool() {
    alone(|| {
        if !lacks_landlock() {
            let pool = sandboxed(Sandbox::required().read_only("/no/such/place"));
            breaks_for(&pool, SandboxPart::FileSystem, "/no/such/place");
        }
    });
}

async fn with_best_effort_a_place_that_is_not_there_is_told_and_the_rest_holds() {
    if lacks_landlock() {
        return;
    }
    let (folder, other) = (Folder::new("partly"), Folder::new("partly-not"));
    let pool = sandboxed(Sandbox::best_effort().read_only("/no/such/place").read_only(&folder.0));
    let held = held(&pool).await;
    let Some(Hold::Partly(why)) = held.of(SandboxPart::FileSystem) else { panic!("{held:?}") };
    assert!(why.contains("/no/such/place"), "{why}");
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), Ok(()));
    assert_eq!(pool.apply(read, (other.file(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn what_holds_names_the_parts_that_were_asked_for() {
    let sandbox = Sandbox::required().no_exec().limit(Resource::CoreSize, 0).no_new_privs().no_ptrace();
    let pool = sandboxed(sandbox);
    let held = held(&pool).await;
    let parts: Vec<_> = held.parts().map(|(part, _)| part).collect();
    let asked = [SandboxPart::NoNewPrivs, SandboxPart::Limit(Resource::CoreSize), SandboxPart::SystemCalls];
    assert_eq!(parts, asked);
    assert!(held.is_whole());
    end(pool).await;
}

async fn without_a_sandbox_nothing_is_taken_away() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    assert!(pool.apply(worker::sandbox, ()).await.expect(RUNS).is_none());
    assert!(worker::sandbox().is_none(), "this is no worker");
    assert!(pool.apply(no_new_privs, ()).await.expect(RUNS).iter().all(|line| line == "0"));
    assert_eq!(pool.apply(open_socket, ()).await.expect(RUNS), Ok(()));
    let ours = limits(Resource::OpenFiles);
    assert_eq!(pool.apply(limits, (Resource::OpenFiles,)).await.expect(RUNS), ours);
    end(pool).await;
}

async fn a_sandbox_that_no_worker_can_be_in_is_refused() {
    let of = Sandbox::required;
    let impossible = [
        of().read_only(""),
        of().read_write("/a\0b"),
        of().limit(Resource::AddressSpace, 0),
        of().limit(Resource::CpuSeconds, 0),
        of().deny_syscalls([-1]),
        of().deny_syscalls([1 << 40]),
        of().deny_syscalls([libc::SYS_read]),
    ];
    for sandbox in impossible {
        let refused = ProcessPool::builder().workers(1).sandbox(sandbox).build();
        assert!(matches!(refused, Err(Error::Option { option: "sandbox", .. })), "{refused:?}");
    }
}

/// Everything at once.
fn strictest() -> Sandbox {
    let sandbox = Sandbox::best_effort().no_new_privs().not_dumpable().no_files();
    let sandbox = sandbox.no_network().no_exec().no_ptrace().deny_syscalls([libc::SYS_flock]);
    sandbox.limit(Resource::OpenFiles, 50).limit(Resource::FileSize, 0)
}

async fn the_crate_works_in_the_strictest_sandbox() {
    let pool = sandboxed(strictest());
    let squares = pool.map(|n: u64| n * n, 0..1_000).await.expect(RUNS);
    assert!(squares.into_iter().eq((0..1_000).map(|n| n * n)));
    assert_eq!(pool.apply(async |n: u32| n + 1, (1,)).await.expect(RUNS), 2);
    let panicked = pool.apply(|| -> () { panic!("no luck") }, ()).await;
    assert!(matches!(panicked, Err(Error::Panicked(_))), "{panicked:?}");
    let large = pool.apply(|bytes: Vec<u8>| bytes.len(), (vec![0; 1 << 20],)).await;
    assert_eq!(large.expect(RUNS), 1 << 20);
    end(pool).await;
}

async fn a_replacement_is_in_the_sandbox_too() {
    let pool = sandboxed(Sandbox::required().no_network());
    let died = pool.apply(|| -> () { std::process::exit(3) }, ()).await;
    assert!(matches!(died, Err(Error::WorkerDied(_))), "{died:?}");
    assert_eq!(pool.apply(open_socket, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
}

on_processes!(
    no_file_can_be_opened_where_none_is_allowed,
    where_reading_is_allowed_files_are_read_and_not_written,
    where_writing_is_allowed_files_are_made_and_removed,
    a_single_file_can_be_allowed,
    a_path_need_not_be_text,
    what_the_initializer_has_opened_stays_open,
    without_network_sockets_are_only_those_within_the_machine,
    without_exec_no_program_can_be_started,
    without_ptrace_no_descriptor_can_be_taken,
    a_system_call_can_be_refused_by_its_number,
    no_thread_of_a_worker_gets_new_privileges,
    threads_that_the_initializer_has_started_are_in_it_too,
    a_thread_that_cannot_be_reached_is_told,
    threads_that_a_task_starts_are_in_it_too,
    processes_that_a_task_starts_are_in_it_too,
    a_task_cannot_undo_it,
    a_task_that_needs_more_memory_than_allowed_dies_alone,
    a_task_that_uses_its_cpu_time_up_dies_alone,
    a_task_that_writes_too_large_a_file_dies_alone,
    a_task_cannot_open_more_files_than_allowed,
    of_two_limits_the_smaller_one_holds,
    a_limit_that_holds_already_is_not_raised,
    with_best_effort_a_place_that_is_not_there_is_told_and_the_rest_holds,
    what_holds_names_the_parts_that_were_asked_for,
    without_a_sandbox_nothing_is_taken_away,
    a_sandbox_that_no_worker_can_be_in_is_refused,
    the_crate_works_in_the_strictest_sandbox,
    a_replacement_is_in_the_sandbox_too,
);
