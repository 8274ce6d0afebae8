//! What the program around the pool does to it: standard streams, inherited descriptors, its environment, its own
//! file, threads and runtimes.

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use multiprocess::dummy::ThreadPool;
use multiprocess::{Error, ProcessPool, Processes};
use support::alone::{again, alone, assert_passed, is_alone};
use support::census::{Census, descendants};
use support::evil;
use support::foreign::{
    SIGCONT, SIGKILL, SIGPIPE, SIGSTOP, by_default, close_whosever, inheritable_copy, sequenced_packet_pair,
    signal,
};
use support::gate::{Gate, stand};
use support::{piped, run};

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::new(workers).expect("the pool starts")
}

/// What a descriptor of this process is.
fn target_of(descriptor: &str) -> PathBuf {
    fs::read_link(Path::new("/proc/self/fd").join(descriptor)).expect("it is open")
}

// fault 23
#[test]
fn a_task_may_print_as_much_as_it_likes() {
    fn print(lines: usize) -> usize {
        let line = "x".repeat(1_023);
        for _ in 0..lines {
            println!("{line}");
            eprintln!("{line}");
        }
        lines
    }
    alone(|| {
        run(async {
            let pool = pool(1);
            // 10 MiB each, to pipes that the parent of this process reads.
            assert_eq!(pool.apply(print, (10 * 1_024,)).await.expect("printing hurts nobody"), 10 * 1_024);
            assert_eq!(pool.apply(|| 1, ()).await.expect("the worker goes on"), 1);
            assert_eq!(pool.stats().deaths, 0);
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 23
#[test]
fn a_task_that_writes_to_its_descriptors_directly_disturbs_nothing() {
    fn write(bytes: usize) -> bool {
        let load = vec![b'x'; bytes];
        ["/proc/self/fd/1", "/proc/self/fd/2"].into_iter().all(|path| {
            let stream = fs::OpenOptions::new().append(true).open(path);
            stream.and_then(|mut stream| stream.write_all(&load)).is_ok()
        })
    }
    alone(|| {
        run(async {
            let pool = pool(2);
            let written = pool.map(write, [10 << 20, 3]).await.expect("writing hurts nobody");
            assert_eq!(written, [true, true]);
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 23
#[test]
fn the_standard_input_of_a_worker_is_empty() {
    fn read() -> (String, usize) {
        let mut input = Vec::new();
        let read = std::io::stdin().read_to_end(&mut input).expect("it can be read");
        (target_of("0").to_string_lossy().into_owned(), read)
    }
    run(async {
        let pool = pool(1);
        assert_eq!(pool.apply(read, ()).await.expect("no task fails"), ("/dev/null".to_owned(), 0));
        pool.shutdown().await.expect("it ends");
    });
}

// C164
// fault 58
#[test]
fn a_pool_in_a_global_is_no_hindrance_to_the_end_of_the_program() {
    static POOL: OnceLock<ProcessPool> = OnceLock::new();
    // What is checked stands in `alone`: the program ends, with exit code 0.
    alone(|| {
        run(async {
            let pool = POOL.get_or_init(|| pool(2));
            assert_eq!(pool.apply(|| 1, ()).await.expect("no task fails"), 1);
            // This one never returns.
            drop(pool.apply_async(
                || -> () {
                    loop {
                        std::thread::park();
                    }
                },
                (),
            ));
        });
    });
}

// C165
// fault 23
#[test]
fn a_pool_works_in_a_program_whose_standard_streams_are_closed() {
    alone(|| {
        // Output stays open: the outcome is told there.
        close_whosever(0);
        close_whosever(2);
        run(async {
            let pool = pool(2);
            assert_eq!(pool.apply(|| 1, ()).await.expect("no task fails"), 1);
            let stdin = pool.apply(|| target_of("0").to_string_lossy().into_owned(), ()).await;
            assert_eq!(stdin.expect("no task fails"), "/dev/null");
            pool.shutdown().await.expect("it ends");
        });
    });
}

/// What the descriptors of this process are, those of standard input and output and of the listing itself aside.
fn open_files() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is there");
    let numbers: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let above = numbers.iter().filter(|number| number.parse::<u32>().is_ok_and(|number| number > 2));
    above
        .filter_map(|number| fs::read_link(format!("/proc/self/fd/{number}")).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

// fault 65
#[test]
fn a_worker_inherits_no_descriptor_of_its_host() {
    run(async {
        let path = support::scratch("inherited");
        let file = File::create(&path).expect("a file can be made");
        let _inherited: Vec<OwnedFd> = (0..50).map(|_| inheritable_copy(&file)).collect();
        let pool = pool(1);
        let files = pool.apply(open_files, ()).await.expect("no task fails");
        fs::remove_file(&path).expect("it was made");
        // What a worker has of its own: two pipes, a control socket and one for handles, its parent's pidfd, and
        // the memory of its board, of arguments and of its results.
        assert!(files.len() <= 8, "{files:?}");
        assert!(files.iter().all(|file| !file.contains("inherited")), "{files:?}");
        pool.shutdown().await.expect("it ends");
    });
}

// fault 55
#[test]
fn a_task_does_not_see_the_variable_that_made_it_a_worker() {
    run(async {
        let pool = pool(1);
        let seen = pool.apply(|| std::env::var("MULTIPROCESS_WORKER").ok(), ()).await;
        assert_eq!(seen.expect("no task fails"), None);
        pool.shutdown().await.expect("it ends");
    });
}

/// Not a test, but what those below start: the program's `main` runs, and so does a pool in it.
#[test]
fn is_an_ordinary_program() {
    if is_alone("is_an_ordinary_program") {
        run(async {
            let pool = pool(2);
            assert_eq!(pool.map(|x: u8| x + 1, 0..3).await.expect("no task fails"), [1, 2, 3]);
            pool.shutdown().await.expect("it ends");
        });
    }
}

fn starts_as_ever(value: &str, stdin: impl Into<Stdio>) {
    let program = std::env::current_exe().expect("a test has a file");
    let name = "is_an_ordinary_program";
    let mut command = again(program.as_os_str(), name);
    let output = command.env("MULTIPROCESS_WORKER", value).stdin(stdin).output();
    assert_passed(name, &output.expect("it can be started"));
}

const TOKEN: &str = "00112233445566778899aabbccddeeff";

// fault 55
#[test]
fn the_variable_alone_makes_no_worker() {
    for value in ["", "1", TOKEN] {
        starts_as_ever(value, Stdio::null());
    }
}

// fault 55
#[test]
fn the_variable_and_a_file_make_no_worker() {
    let program = std::env::current_exe().expect("a test has a file");
    starts_as_ever(TOKEN, File::open(program).expect("it can be read"));
}

// fault 55
#[test]
fn the_variable_and_a_pipe_make_no_worker() {
    starts_as_ever(TOKEN, Stdio::piped());
}

// fault 55
#[test]
fn the_variable_and_a_foreign_stream_socket_make_no_worker() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair can be made");
    ours.write_all(b"hello").expect("it has room");
    starts_as_ever(TOKEN, OwnedFd::from(theirs));
}

// fault 55
#[test]
fn the_variable_and_a_foreign_socket_of_the_right_kind_make_no_worker() {
    // Nothing was said on it, or something that is no token, or the wrong token.
    for said in [&b""[..], b"hello", &[0; 16], &[0xff; 300]] {
        let (ours, theirs) = sequenced_packet_pair();
        if !said.is_empty() {
            // A stream's `write` is that of any socket.
            UnixStream::from(ours.try_clone().expect("there are descriptors left"))
                .write_all(said)
                .expect("it has room");
        }
        starts_as_ever(TOKEN, theirs);
        drop(ours);
    }
}

// fault 55
#[test]
fn a_socket_of_the_right_kind_without_the_variable_makes_no_worker() {
    let (_ours, theirs) = sequenced_packet_pair();
    let program = std::env::current_exe().expect("a test has a file");
    let output = again(program.as_os_str(), "is_an_ordinary_program").stdin(theirs).output();
    assert_passed("is_an_ordinary_program", &output.expect("it can be started"));
}

/// A copy of this program in a directory of its own.
struct Copy {
    directory: PathBuf,
    program: PathBuf,
}

impl Copy {
    fn new(name: &str) -> Self {
        let directory = support::scratch(name);
        fs::create_dir_all(&directory).expect("a directory can be made");
        let program = directory.join("program");
        fs::copy(std::env::current_exe().expect("a test has a file"), &program).expect("there is room");
        Self { directory, program }
    }

    /// Runs one of the helpers below with it.
    fn passes(&self, helper: &str) {
        let mut tries = 0;
        let output = loop {
            match again(self.program.as_os_str(), helper).output() {
                // Another test has forked while the copy was still open for writing here, and has not come to its exec.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && tries < 10_000 => {
                    tries += 1;
                    std::thread::yield_now();
                }
                output => break output.expect("the copy can be started"),
            }
        };
        assert_passed(helper, &output);
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.directory);
    }
}

/// Spoils the program's own file while its pool runs, and sees whether the pool can still start workers.
fn goes_on_when(name: &str, spoil: impl FnOnce(&Path)) {
    if !is_alone(name) {
        return;
    }
    let program = std::env::current_exe().expect("a test has a file");
    assert!(program.ends_with("program"), "{} is not a copy", program.display());
    run(async {
        let pool = pool(2);
        pool.ready().await.expect("the pool starts");
        spoil(&program);
        for pid in pool.worker_pids() {
            signal(pid, SIGKILL);
            while pool.worker_pids().contains(&pid) {
                tokio::task::yield_now().await;
            }
        }
        pool.ready().await.expect("the workers are replaced");
        assert_eq!(pool.map(|x: u8| x + 1, 0..3).await.expect("no task fails"), [1, 2, 3]);
        let other = ProcessPool::new(1).expect("another pool starts too");
        assert_eq!(other.apply(|| 5, ()).await.expect("no task fails"), 5);
        other.shutdown().await.expect("it ends");
        pool.shutdown().await.expect("it ends");
    });
}

/// Not a test, but what one below starts.
#[test]
fn goes_on_when_deleted() {
    goes_on_when("goes_on_when_deleted", |program| fs::remove_file(program).expect("it is there"));
}

/// Not a test, but what one below starts.
#[test]
fn goes_on_when_replaced() {
    goes_on_when("goes_on_when_replaced", |program| {
        let other = program.with_extension("new");
        fs::write(&other, "#!/bin/sh\nexit 9\n").expect("there is room");
        fs::rename(&other, program).expect("it is in the same directory");
    });
}

/// Not a test, but what one below starts.
#[test]
fn goes_on_when_its_directory_is_gone() {
    goes_on_when("goes_on_when_its_directory_is_gone", |program| {
        let directory = program.parent().expect("a file is in a directory");
        fs::remove_dir_all(directory).expect("it is there");
    });
}

// fault 56
#[test]
fn workers_are_replaced_after_the_program_was_deleted() {
    Copy::new("deleted").passes("goes_on_when_deleted");
}

// fault 56
#[test]
fn workers_are_replaced_by_the_same_build_after_the_program_was_replaced() {
    Copy::new("replaced").passes("goes_on_when_replaced");
}

// fault 56
#[test]
fn workers_are_replaced_after_the_programs_directory_was_deleted() {
    Copy::new("directory").passes("goes_on_when_its_directory_is_gone");
}

/// Not a test, but what the one below starts as another user: a program with more rights than whoever has started it.
#[test]
fn has_the_rights_of_its_owner() {
    if is_alone("has_the_rights_of_its_owner") {
        let error = ProcessPool::new(2).expect_err("its workers would not know that they are workers");
        let Error::Start { step, .. } = &error else { panic!("{error:?}") };
        assert!(step.contains("setuid"), "{error}");
        assert!(descendants().is_empty(), "nothing was started");
        let threads = ThreadPool::new(1).expect("threads have no such trouble");
        assert_eq!(threads.blocking_apply(|| 1, ()).expect("no task fails"), 1);
        threads.blocking_shutdown().expect("it ends");
    }
}

/// Neither root nor each other: the owner of the copy below, and who starts it.
const OWNER: u32 = 64_998;
const STARTER: u32 = 64_999;

// fault 60
#[test]
fn a_setuid_program_is_refused_a_pool_of_processes() {
    // Were it not refused, each of its workers would run this whole program again. Whatever comes of that is bounded, since neither
    // user may have many processes, and ends with the namespace.
    let mut bounded = Command::new("unshare");
    bounded.args(["--pid", "--fork", "--mount-proc", "--kill-child", "prlimit", "--nproc=30:30", "setpriv"]);
    bounded.args([format!("--reuid={STARTER}"), format!("--regid={STARTER}")]);
    bounded.args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    let who = Command::new("unshare").args(bounded.get_args()).args(["id", "-u"]).output();
    if !who.is_ok_and(|who| who.stdout == format!("{STARTER}\n").as_bytes()) {
        return support::skipped(
            "no right to become another user in a namespace, or no `unshare`, `prlimit`, `setpriv`",
        );
    }
    let copy = Copy::new("setuid");
    chown(&copy.program, Some(OWNER), Some(OWNER)).expect("root may give files away");
    fs::set_permissions(&copy.program, fs::Permissions::from_mode(0o4_755)).expect("root may change it");
    let helper = again(copy.program.as_os_str(), "has_the_rights_of_its_owner");
    bounded.arg(&copy.program).args(helper.get_args()).stdin(Stdio::null());
    bounded.envs(helper.get_envs().filter_map(|(key, value)| Some((key, value?))));
    assert_passed("has_the_rights_of_its_owner", &bounded.output().expect("it can be started"));
}

// fault 59
#[test]
fn a_worker_that_reads_no_more_does_not_kill_a_host_with_sigpipe_at_its_default() {
    fn go_deaf_and_stand(key: String) -> u8 {
        close_whosever(evil::order_pipe());
        stand(key);
        7
    }
    alone(|| {
        by_default(SIGPIPE);
        run(async {
            let pool = pool(1);
            // Short calls are sent ahead.
            assert_eq!(pool.map(|x: u8| x, 0..100).await.expect("no task fails").len(), 100);
            let mut gate = Gate::new();
            let held = pool.apply_async(go_deaf_and_stand, (gate.key(),));
            gate.arrived().await;
            let ahead: Vec<_> = (0..20_u8).map(|n| pool.apply_async(|n: u8| n, (n,))).collect();
            assert!(pool.stats().running > 1, "something was written to a pipe that nobody reads");
            gate.let_all_go();
            assert_eq!(held.await.expect("it could still answer"), 7);
            for (n, call) in (0..).zip(ahead) {
                assert_eq!(call.await.expect("it runs on another worker"), n);
            }
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 59
#[test]
fn a_worker_that_dies_under_a_large_frame_does_not_kill_a_host_with_sigpipe_at_its_default() {
    alone(|| {
        by_default(SIGPIPE);
        let before = Census::after_the_first_pool();
        run(async {
            let pool = piped::<Processes>(1);
            for _ in 0..10 {
                pool.ready().await.expect("the worker is replaced");
                let worker = pool.worker_pids()[0];
                signal(worker, SIGSTOP);
                let large = pool.apply_async(|load: Vec<u8>| load.len(), (vec![1; 4 << 20],));
                signal(worker, SIGKILL);
                assert_eq!(large.await.expect("it runs on another worker"), 4 << 20);
            }
            pool.shutdown().await.expect("it ends");
        });
        before.settles();
    });
}

// fault 49
#[test]
fn a_pool_works_outside_of_any_runtime() {
    let pool = pool(2);
    let handle = pool.apply_async(|a: u32, b: u32| a * b, (6, 7));
    assert_eq!(handle.blocking_get().expect("no task fails"), 42);
    let all: Vec<_> = pool.blocking_imap(|x: u64| x, 0..20).flatten().collect();
    assert!(all.into_iter().eq(0..20));
    pool.blocking_shutdown().expect("it ends");
}

// faults 51, 52
#[test]
fn a_pool_goes_on_in_another_runtime_when_its_first_has_ended() {
    let started = |count: usize| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_all().build();
        runtime.expect("a runtime can be made")
    };
    let first = started(1);
    let pool = first.block_on(async {
        let pool = piped::<Processes>(2);
        assert_eq!(pool.apply(|| 1, ()).await.expect("no task fails"), 1);
        pool
    });
    first.shutdown_background();
    let second = started(2);
    second.block_on(async {
        let sums = pool.map(|x: u64| x + 1, 0..100).await.expect("no task fails");
        assert!(sums.into_iter().eq(1..=100));
        signal(pool.worker_pids()[0], SIGKILL);
        let load = pool.apply(|load: Vec<u8>| load, (vec![1; 8 << 20],)).await.map(|load| load.len());
        assert!(matches!(load, Ok(8_388_608) | Err(Error::WorkerDied(_))), "{load:?}");
    });
    drop(second);
    assert_eq!(pool.blocking_apply(|| 3, ()).expect("no task fails"), 3);
    pool.blocking_shutdown().expect("it ends");
}

// fault 51
#[test]
fn a_large_frame_is_written_on_when_the_runtime_that_wrote_it_ends() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let (pool, worker, echo) = runtime.block_on(async {
        let pool = piped::<Processes>(1);
        pool.ready().await.expect("the pool starts");
        let worker = pool.worker_pids()[0];
        signal(worker, SIGSTOP);
        let echo = pool.apply_async(|load: Vec<u8>| load.len(), (vec![1; 16 << 20],));
        (pool, worker, echo)
    });
    drop(runtime);
    signal(worker, SIGCONT);
    assert_eq!(echo.blocking_get().expect("the rest of it is written elsewhere"), 16 << 20);
    pool.blocking_shutdown().expect("it ends");
}
