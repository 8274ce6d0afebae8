//! What workers write to stderr, and what a death tells of it.

mod support;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use multiprocess::{Error, Exit, ProcessPool};
use support::alone::{again, alone, is_alone, test_of};
use support::census::memory_kib;
use support::foreign::{SIGABRT, SIGKILL, exit_as_c_does, fork, reap};
use support::start_method::left_out;
use support::{death, end, run, skipped};

const TAIL: usize = 8 * 1024;

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::new(workers).expect("the pool starts")
}

// fault 2
#[test]
fn a_death_tells_what_the_worker_wrote_last() {
    run(async {
        let pool = pool(1);
        for n in 0..30 {
            let last_words = |n: u32| -> u8 {
                eprintln!("these are the last words of number {n}");
                std::process::abort()
            };
            let death = death(pool.apply(last_words, (n,)).await);
            assert_eq!(death.stderr_tail, format!("these are the last words of number {n}\n"));
        }
        end(pool).await;
    });
}

// fault 3
#[test]
fn the_panic_that_has_aborted_a_worker_is_told() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }
    fn twice() -> u8 {
        let _panics = Panics;
        panic!("in the task")
    }
    run(async {
        let pool = pool(1);
        let death = death(pool.apply(twice, ()).await);
        assert_eq!(death.exit, Exit::Signal(SIGABRT));
        assert!(death.stderr_tail.contains("aborting"), "{}", death.stderr_tail);
        end(pool).await;
    });
}

// fault 2, 29
#[test]
fn only_the_end_of_much_is_kept() {
    fn much() -> u8 {
        let mut stderr = std::io::stderr();
        for line in 0..20_000 {
            writeln!(stderr, "line {line:05}").expect("it can be written");
        }
        std::process::abort()
    }
    run(async {
        let pool = pool(1);
        let tail = death(pool.apply(much, ()).await).stderr_tail;
        assert_eq!(tail.len(), TAIL);
        assert!(tail.ends_with("line 19998\nline 19999\n"), "{tail}");
        end(pool).await;
    });
}

// fault 12
#[test]
fn a_worker_that_the_loader_complains_of_tells_why() {
    if left_out("the loader has loaded all before") {
        return;
    }
    run(async {
        let pool = ProcessPool::builder().workers(1).env("LD_PRELOAD", "/nowhere/odd.so").build();
        let pool = pool.expect("the pool starts");
        let exit = |code: i32| -> u8 { std::process::exit(code) };
        // The loader complains of the library and goes on without it.
        let ended = death(pool.apply(exit, (4,)).await);
        assert!(ended.stderr_tail.contains("/nowhere/odd.so"), "{}", ended.stderr_tail);
        end(pool).await;
    });
}

// fault 12
#[test]
fn a_worker_that_cannot_start_tells_why() {
    run(async {
        let fails = |text: String| -> u8 {
            eprintln!("{text}");
            std::process::exit(5)
        };
        let pool = ProcessPool::builder().workers(1).initializer(fails, ("no licence".to_owned(),)).build();
        let pool = pool.expect("the pool starts");
        match pool.apply(|| 1, ()).await {
            Err(Error::Broken { causes }) => {
                assert_eq!(causes.len(), 6); // fault 14
                for cause in causes {
                    let ended = death::<u8>(Err(cause));
                    assert_eq!((ended.exit, &*ended.stderr_tail), (Exit::Code(5), "no licence\n"));
                }
            }
            other => panic!("no worker starts, but the task got {other:?}"),
        }
        pool.join().await.expect("nothing is left of it");
    });
}

#[test]
fn a_worker_may_have_the_programs_own_stderr() {
    fn stderr() -> PathBuf {
        std::fs::read_link("/proc/self/fd/2").expect("it is open")
    }
    run(async {
        let captured = pool(1);
        assert_ne!(captured.apply(stderr, ()).await.expect("it lives"), stderr());
        end(captured).await;
        let pool = ProcessPool::builder().workers(1).capture_stderr(false).build().expect("the pool starts");
        assert_eq!(pool.apply(stderr, ()).await.expect("it lives"), stderr());
        assert_eq!(death(pool.apply(|| -> u8 { std::process::abort() }, ()).await).stderr_tail, "");
        end(pool).await;
    });
}

/// Starts this test again as a program of its own with its stderr at `stderr`; nothing in that program.
fn program<F: Fn()>(body: &F, stderr: Stdio) -> Option<std::process::Child> {
    let name = test_of(body);
    if is_alone(&name) {
        body();
        return None;
    }
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program, &name);
    Some(command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the test binary can be started"))
}

#[test]
fn what_workers_write_comes_out_of_the_program_in_their_order() {
    let body = || {
        let pool = pool(2);
        let lines = |worker: u32| {
            for line in 0..200 {
                // In one piece, as `eprintln!` does not: another worker may come between two pieces.
                let line = format!("worker {worker} line {line}\n");
                std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
            }
        };
        pool.blocking_map(lines, 0..2).expect("they can write");
        // The program ends at once, with the pool still there.
        std::process::exit(0);
    };
    let Some(child) = program(&body, Stdio::piped()) else { return };
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).expect("it is text");
    for worker in 0..2 {
        let prefix = format!("worker {worker} line ");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        let lines: Vec<u32> = lines.map(|line| line.parse().expect("lines are whole")).collect();
        assert!(lines.into_iter().eq(0..200), "{text}");
    }
}

// fault 53
#[test]
fn forked_children_that_exit_leave_what_workers_write_alone() {
    let body = || {
        let pool = pool(1);
        let lines = || {
            for line in 0..20_000 {
                eprintln!("line {line}");
            }
        };
        let writing = pool.apply_async(lines, ());
        let mut children = 0;
        while children < 50 || !writing.is_finished() {
            // It runs what C code has registered for the end of a program.
            let child = fork(|| exit_as_c_does(0));
            assert!(reap(child), "nobody else reaps");
            children += 1;
        }
        writing.blocking_get().expect("it can write");
        pool.blocking_shutdown().expect("it ends");
        std::process::exit(0);
    };
    let Some(child) = program(&body, Stdio::piped()) else { return };
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).expect("it is text");
    let lines = text.lines().filter_map(|line| line.strip_prefix("line "));
    let lines: Vec<u32> = lines.map(|line| line.parse().expect("lines are whole")).collect();
    assert!(lines.into_iter().eq(0..20_000), "in their order, and each once");
}

// fault 29
#[test]
fn a_flood_takes_no_memory() {
    alone(|| {
        run(async {
            let pool = pool(1);
            pool.ready().await.expect("the pool starts");
            let before = memory_kib("VmHWM");
            let flood = || {
                let mut stderr = std::io::stderr().lock();
                (0..1_000).for_each(|_| stderr.write_all(&vec![b'x'; 64 * 1024]).expect("it can be written"));
            };
            pool.apply(flood, ()).await.expect("it can write");
            end(pool).await;
            let grown = memory_kib("VmHWM") - before;
            assert!(grown < 8 * 1024, "{grown} KiB");
        });
    });
}

// fault 29
#[test]
fn a_stderr_that_nobody_reads_holds_up_only_those_who_write_to_it() {
    let body = || {
        run(async {
            let pool = pool(2);
            let flood = || std::io::stderr().write_all(&vec![b'x'; 1 << 20]).expect("it can be written");
            let held = pool.apply_async(flood, ());
            for n in 0..100 {
                assert_eq!(pool.apply(|n: u32| n, (n,)).await.expect("the other one works"), n);
            }
            let died = pool.apply(|| -> u8 { std::process::abort() }, ()).await;
            assert_eq!(death(died).exit, Exit::Signal(SIGABRT));
            pool.terminate();
            assert!(held.await.is_err());
            pool.join().await.expect("it ends");
        });
    };
    let Some(mut child) = program(&body, Stdio::piped()) else { return };
    // Its stdout is read, its stderr is not before it has ended.
    let mut told = String::new();
    child.stdout.take().expect("it is a pipe").read_to_string(&mut told).expect("it is text");
    let status = child.wait().expect("it ends");
    assert!(status.success() && told.contains("1 passed"), "{status}: {told}");
}

/// A cgroup with little memory, below that of this process.
struct Cgroup {
    path: PathBuf,
    home: PathBuf,
}

impl Cgroup {
    /// Puts this process there. `Err` says what is in the way.
    fn enter(bytes: u64) -> Result<Self, String> {
        let lines = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let (home, limit) = lines.lines().find_map(place).ok_or("no cgroup of this process limits memory")?;
        let path = home.join(format!("multiprocess-test-{}", std::process::id()));
        let tell = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir(&path).map_err(tell)?;
        let cgroup = Self { path: path.clone(), home };
        std::fs::write(path.join(limit), bytes.to_string()).map_err(tell)?;
        // There is no such file where there is no swap.
        let _no_swap = std::fs::write(path.join("memory.swap.max"), "0");
        join(&path).map_err(tell)?;
        Ok(cgroup)
    }
}

fn join(path: &Path) -> std::io::Result<()> {
    std::fs::write(path.join("cgroup.procs"), std::process::id().to_string())
}

/// From a line of `/proc/self/cgroup`: the directory, and the file that limits memory.
fn place(line: &str) -> Option<(PathBuf, &'static str)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (root, limit) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    let directory = PathBuf::from(format!("{root}{path}"));
    let counts = ["memory.events", "memory.oom_control"].iter().any(|file| directory.join(file).exists());
    counts.then_some((directory, limit))
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        join(&self.home).expect("we came from there");
        let end = std::time::Instant::now() + support::DEADLINE;
        // Dead processes leave it a moment later.
        while std::fs::remove_dir(&self.path).is_err() && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
    }
}

// fault 7
#[test]
fn a_worker_that_the_kernel_kills_for_want_of_memory_says_so() {
    alone(|| {
        let _cgroup = match Cgroup::enter(256 << 20) {
            Ok(cgroup) => cgroup,
            Err(why) => return skipped(format_args!("memory cannot be limited here: {why}")),
        };
        run(async {
            let pool = pool(2);
            let greedy = |mib: usize| std::hint::black_box(vec![1_u8; mib << 20]).len();
            let error = pool.apply(greedy, (900,)).await.expect_err("there is not so much");
            assert!(error.to_string().contains("memory has most likely run out"), "{error}");
            let greedy = death::<usize>(Err(error));
            assert!(greedy.oom_likely && greedy.exit == Exit::Signal(SIGKILL), "{greedy:?}");
            let killed = death(pool.apply(support::foreign::raise, (SIGKILL,)).await);
            assert!(!killed.oom_likely, "that was something else");
            end(pool).await;
        });
    });
}
