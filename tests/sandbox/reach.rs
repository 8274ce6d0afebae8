//! Who is in a sandbox: all threads of a worker, what tasks start, and replacements; and that the crate itself works there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use multiprocess::worker::Hold;
use multiprocess::{Error, ProcessPool, Resource, Sandbox, SandboxPart, worker};

use super::{
    Folder, NO_ACCESS, NOT_PERMITTED, RUNS, held, lacks_landlock, open_socket, read, remove_calls, sandboxed,
};
use crate::support::foreign::block_all_signals;
use crate::support::{end, on_processes};

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

async fn a_pool_that_a_task_makes_is_in_it_too() {
    let pool = sandboxed(Sandbox::required().no_network());
    let elsewhere = || {
        let nested = ProcessPool::new(1).expect("starting a process is not refused");
        let found = nested.blocking_apply(open_socket, ()).expect(RUNS);
        nested.blocking_shutdown().expect("it ends");
        found
    };
    assert_eq!(pool.apply(elsewhere, ()).await.expect(RUNS), NOT_PERMITTED);
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
    threads_that_the_initializer_has_started_are_in_it_too,
    a_thread_that_cannot_be_reached_is_told,
    threads_that_a_task_starts_are_in_it_too,
    processes_that_a_task_starts_are_in_it_too,
    a_pool_that_a_task_makes_is_in_it_too,
    a_task_cannot_undo_it,
    the_crate_works_in_the_strictest_sandbox,
    a_replacement_is_in_the_sandbox_too,
);
