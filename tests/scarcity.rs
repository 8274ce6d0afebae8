//! What the kernel has too little of, or does not give: descriptors, processes, memory, room in pipes, whole calls.
//!
//! Starts of processes are refused by a `posix_spawnp` of this program's own, which the linker prefers to that of the C
//! library; what the crate asks of the kernel directly is refused by strace.

mod support;

use std::collections::BTreeSet;
use std::io::pipe;
use std::process::Command;
use std::sync::atomic::Ordering;

use multiprocess::{Error, ProcessPool, Result};
use support::alone::{again_by, alone, assert_passed, is_alone};
use support::census::{Census, descendants, until};
use support::foreign::{descriptor_limits, limit_descriptors, pipe_size};
use support::start_method::left_out;
use support::traced::{can_trace, traced};

const EPERM: i32 = 1;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;

#[expect(unsafe_code, reason = "a function of the C library is replaced")]
mod refusing {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

    /// How many starts are refused from now on, with which error, and how many were.
    pub(super) static REFUSED: AtomicU32 = AtomicU32::new(0);
    pub(super) static ERROR: AtomicI32 = AtomicI32::new(0);
    pub(super) static COUNT: AtomicU32 = AtomicU32::new(0);

    const NAME: &CStr = c"posix_spawnp";
    /// `RTLD_NEXT`: asks for the function that would have been called without the one here.
    const NEXT: *mut c_void = std::ptr::without_provenance_mut(usize::MAX);

    type Words = *const *mut c_char;
    type Spawn =
        unsafe extern "C" fn(*mut c_int, *const c_char, *const c_void, *const c_void, Words, Words) -> c_int;

    unsafe extern "C" {
        unsafe fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    }

    // SAFETY: it has the type of the C library's, and does what that does or fails.
    #[unsafe(no_mangle)]
    extern "C" fn posix_spawnp(
        pid: *mut c_int,
        file: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        arguments: Words,
        environment: Words,
    ) -> c_int {
        let refused = REFUSED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if refused.is_ok() {
            COUNT.fetch_add(1, Ordering::Relaxed);
            return ERROR.load(Ordering::Relaxed);
        }
        // SAFETY: the name is a C string.
        let next = unsafe { dlsym(NEXT, NAME.as_ptr()) };
        assert!(!next.is_null(), "the C library has it");
        // SAFETY: it has this type.
        let next = unsafe { std::mem::transmute::<*mut c_void, Spawn>(next) };
        // SAFETY: the caller's arguments are passed on as they are.
        unsafe { next(pid, file, actions, attributes, arguments, environment) }
    }
}

/// From now on refuses so many starts of processes.
fn refuse_starts(count: u32, error: i32) {
    refusing::ERROR.store(error, Ordering::Relaxed);
    refusing::COUNT.store(0, Ordering::Relaxed);
    refusing::REFUSED.store(count, Ordering::Relaxed);
}

fn refused_starts() -> u32 {
    refusing::COUNT.load(Ordering::Relaxed)
}

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::new(workers).expect("the pool starts")
}

/// At which step something went wrong, and the number that the system has for it.
fn step_and_number(error: &Error) -> (&'static str, Option<i32>) {
    match error {
        Error::Start { step, cause, .. } => (step, cause.raw_os_error()),
        other => panic!("it is no failed start: {other:?}"),
    }
}

// fault 63
#[test]
fn a_start_that_is_refused_once_for_lack_of_memory_is_tried_again() {
    alone(|| {
        refuse_starts(1, ENOMEM);
        let pool = pool(1);
        assert_eq!(pool.blocking_apply(|| 1, ()).expect("the worker starts after all"), 1);
        assert_eq!(refused_starts(), 1);
        pool.blocking_shutdown().expect("it ends");
    });
}

// fault 62
#[test]
fn workers_that_run_go_on_while_no_other_can_be_started() {
    if left_out("what is refused is a start through posix_spawn") {
        return;
    }
    alone(|| {
        let pool = pool(1);
        pool.blocking_ready().expect("it starts");
        let worker = pool.worker_pids();
        // More refusals than a pool without any worker would stand.
        refuse_starts(8, EAGAIN);
        pool.resize(2).expect("it is open");
        until("some starts are refused", || refused_starts() > 2);
        assert_eq!(pool.blocking_apply(std::process::id, ()).expect("one worker is there"), worker[0]);
        pool.blocking_ready().expect("the other starts when it can");
        assert_eq!((refused_starts(), pool.worker_pids().len()), (8, 2));
        assert!(pool.worker_pids().contains(&worker[0]));
        pool.blocking_shutdown().expect("it ends");
    });
}

// faults 14, 62
#[test]
fn a_pool_that_can_start_no_worker_gives_up_and_says_why() {
    if left_out("what is refused is a start through posix_spawn") {
        return;
    }
    alone(|| {
        for (error, text) in [(EAGAIN, "Resource temporarily unavailable"), (EPERM, "not permitted")] {
            refuse_starts(u32::MAX, error);
            let pool = pool(1);
            let broken = pool.blocking_apply(|| 1, ()).expect_err("nobody is there to run it");
            assert!(broken.to_string().contains(text), "{broken}");
            let Error::Broken { causes } = broken else { panic!("{broken:?}") };
            assert_eq!((causes.len(), refused_starts()), (6, 6));
            for cause in &causes {
                assert_eq!(step_and_number(cause), ("start its process", Some(error)));
            }
            pool.blocking_join().expect("nothing is left of it");
        }
    });
}

/// The limit below which just so many descriptors are free.
fn limit_with_free(free: usize) -> u64 {
    let entries = std::fs::read_dir("/proc/self/fd").expect("it is our own");
    let numbers: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    // The directory itself had a number too, which is free again.
    let is_open = |number: &u64| std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok();
    let open: BTreeSet<u64> = numbers.into_iter().filter(is_open).collect();
    (0..).filter(|number| !open.contains(number)).nth(free).expect("numbers do not end")
}

// fault 61
#[test]
fn a_pool_that_runs_out_of_descriptors_says_so_and_workers_that_run_go_on() {
    alone(|| {
        let before = Census::after_the_first_pool();
        let (soft, _) = descriptor_limits();
        let mut failed = 0;
        for free in 0..=8 {
            let pool = pool(1);
            let worker = pool.blocking_apply(std::process::id, ()).expect("no task fails");
            limit_descriptors(limit_with_free(free));
            let other = ProcessPool::new(2).and_then(|other| other.blocking_apply(|| 1, ()));
            match &other {
                Ok(one) => assert_eq!(*one, 1),
                Err(Error::Broken { causes }) => {
                    failed += 1;
                    assert!(causes.iter().any(is_lack_of_descriptors), "{causes:?}");
                }
                Err(error) => assert!(is_lack_of_descriptors(error), "{error:?}"),
            }
            pool.resize(2).expect("it is open");
            for _ in 0..10 {
                pool.blocking_apply(|| 1, ()).expect("the worker goes on");
            }
            assert!(pool.worker_pids().contains(&worker), "with {free} descriptors");
            limit_descriptors(soft);
            pool.blocking_ready().expect("the other worker starts when it can");
            pool.blocking_shutdown().expect("it ends");
            drop(pool);
            before.settles();
        }
        assert!(failed > 0, "descriptors were scarce");
    });
}

fn is_lack_of_descriptors(error: &Error) -> bool {
    const EMFILE: i32 = 24;
    matches!(error, Error::Start { cause, .. } if cause.raw_os_error() == Some(EMFILE))
}

/// Not a test, but what those below start under strace: a pool that works, or says why it does not.
#[test]
fn uses_a_pool() {
    if is_alone("uses_a_pool") {
        // What is to be refused from the second thread on is refused to the crate.
        std::thread::spawn(|| ()).join().expect("it does nothing");
        println!("it came to: {:?}", use_a_pool());
        until("no process is left", || descendants().is_empty());
    }
}

fn use_a_pool() -> Result<u32> {
    let pool = ProcessPool::new(2)?;
    pool.blocking_ready()?;
    let sum = pool.blocking_apply(|a: u32, b: u32| a + b, (20, 22));
    pool.blocking_shutdown()?;
    sum
}

/// What comes of it when the kernel answers calls with an error; nothing where that cannot be done.
fn refused_by_the_kernel(calls: &str, error: &str) -> Option<String> {
    let trace = format!("trace={calls}");
    let inject = format!("inject={calls}:error={error}");
    if !can_trace() {
        return None;
    }
    let traced = traced(Command::new("strace"), &["-e", &trace, "-e", &inject], "uses_a_pool");
    assert_passed(&format!("with {calls} refused: uses_a_pool"), &traced.output);
    assert!(traced.calls.contains("(INJECTED)"), "{calls} was called");
    Some(String::from_utf8_lossy(&traced.output.stdout).into_owned())
}

fn names_step_and_error(calls: &str, step: &str) {
    for (error, number) in [("EPERM", 1), ("ENOSYS", 38), ("ENOSPC", 28)] {
        let Some(told) = refused_by_the_kernel(calls, error) else { return };
        let (step, number) = (format!("step: \"{step}\""), format!("code: {number},"));
        assert!(told.contains(&step) && told.contains(&number), "{calls} {error}: {told}");
    }
}

// fault 71
#[test]
fn a_kernel_that_gives_no_pidfd_is_named_as_the_cause() {
    names_step_and_error("pidfd_open", "watch its process");
}

// fault 71
#[test]
fn a_kernel_that_gives_no_shared_memory_is_named_as_the_cause() {
    names_step_and_error("memfd_create", "make its board");
}

// fault 70
#[test]
fn shared_memory_that_is_full_is_an_error_of_the_start() {
    names_step_and_error("fallocate", "make its board");
}

// fault 71
#[test]
fn a_kernel_without_the_newest_way_to_make_processes_is_good_enough() {
    if let Some(told) = refused_by_the_kernel("clone3", "ENOSYS") {
        assert!(told.contains("it came to: Ok(42)"), "{told}");
    }
}

// fault 71
#[test]
fn a_kernel_that_forbids_the_newest_way_to_make_processes_is_named_as_the_cause() {
    if let Some(told) = refused_by_the_kernel("clone3", "EPERM:when=2+") {
        assert!(
            told.contains("step: \"start the background thread\"") && told.contains("code: 1,"),
            "{told}"
        );
    }
}

// fault 71
#[test]
fn a_kernel_that_signals_no_groups_by_pidfd_is_good_enough() {
    if let Some(told) = refused_by_the_kernel("pidfd_send_signal", "EINVAL") {
        assert!(told.contains("it came to: Ok(42)"), "{told}");
    }
}

// fault 63
#[test]
fn workers_start_without_a_copy_of_the_hosts_memory() {
    if left_out("it copies itself, which is not the host") {
        return;
    }
    if !can_trace() {
        return;
    }
    let options = ["-e", "trace=clone,clone3,fork,vfork"];
    let traced = traced(Command::new("strace"), &options, "uses_a_pool");
    assert_passed("uses_a_pool", &traced.output);
    let of_processes = |call: &&str| !call.contains("CLONE_THREAD") && call.contains('(');
    let starts: Vec<_> = traced.calls.lines().filter(of_processes).collect();
    assert!(starts.len() >= 2, "{}", traced.calls);
    for start in starts {
        assert!(start.contains("CLONE_VM|CLONE_VFORK"), "{start}");
    }
}

/// Not a test, but what the one below starts with fewer rights: more pipes than a user may have at their full size.
#[test]
fn sends_much_through_small_pipes() {
    if !is_alone("sends_much_through_small_pipes") {
        return;
    }
    limit_descriptors(descriptor_limits().1.min(8_192));
    let all: Vec<_> = (0..1_200).map_while(|_| pipe().ok()).collect();
    let size = all.last().map_or(usize::MAX, |(read, _)| pipe_size(read));
    if size > 8_192 {
        return support::skipped(format_args!("{} pipes have {size} bytes each", all.len()));
    }
    let pool = support::piped::<multiprocess::Processes>(2);
    let loads =
        pool.blocking_map(|load: Vec<u8>| load, vec![vec![7_u8; 4 << 20]; 4]).expect("it only takes longer");
    assert!(loads.iter().all(|load| load.len() == 4 << 20));
    pool.blocking_shutdown().expect("it ends");
}

// fault 66
#[test]
fn large_loads_go_through_pipes_that_the_kernel_keeps_small() {
    // Root may have as many as it likes, unless it gives up the right to.
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-sys_resource,-sys_admin");
    let Ok(output) = again_by(command, "sends_much_through_small_pipes").output() else {
        return support::skipped("there is no `setpriv` here");
    };
    assert_passed("sends_much_through_small_pipes", &output);
}
