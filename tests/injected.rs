//! Starts that fail half-way: the kernel refuses to watch a descriptor, at every place where it is asked to.
//!
//! This program has an `epoll_ctl` of its own, which the linker prefers to that of the C library, and which can be
//! told to refuse.

mod support;

use multiprocess::ProcessPool;
use support::alone::{again, alone, assert_passed, is_alone};
use support::census::{descendants, until};
use support::foreign::{SIGKILL, signal};

#[expect(unsafe_code, reason = "a function of the C library is replaced")]
mod refusing {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    /// `ENOSPC`: the user has as many watches as allowed.
    const NO_ROOM: c_int = 28;
    const ADD: c_int = 1;

    /// How many descriptors are still taken; negative is no limit.
    static TAKEN: AtomicI64 = AtomicI64::new(-1);
    /// How many are refused then.
    static REFUSED: AtomicU32 = AtomicU32::new(0);
    /// Refuse those of processes, and only those.
    static NO_PROCESSES: AtomicU32 = AtomicU32::new(0);

    const NAME: &CStr = c"epoll_ctl";
    /// `RTLD_NEXT`: asks for the function that would have been called without the one here.
    const NEXT: *mut c_void = std::ptr::without_provenance_mut(usize::MAX);

    type EpollCtl = unsafe extern "C" fn(c_int, c_int, c_int, *mut c_void) -> c_int;

    unsafe extern "C" {
        unsafe fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
        unsafe fn __errno_location() -> *mut c_int;
    }

    /// From now on takes `taken` descriptors and then refuses `refused` of them.
    pub(crate) fn refuse(taken: i64, refused: u32) {
        REFUSED.store(refused, Ordering::Relaxed);
        TAKEN.store(taken, Ordering::Relaxed);
    }

    /// From now on refuses to watch processes.
    pub(crate) fn refuse_processes() {
        NO_PROCESSES.store(1, Ordering::Relaxed);
    }

    fn is_refused(descriptor: c_int) -> bool {
        if NO_PROCESSES.load(Ordering::Relaxed) == 1 {
            let target = std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
            return target.is_ok_and(|target| target.to_string_lossy().contains("pidfd"));
        }
        if TAKEN.load(Ordering::Relaxed) < 0 || TAKEN.fetch_sub(1, Ordering::Relaxed) > 0 {
            return false;
        }
        TAKEN.store(0, Ordering::Relaxed);
        let refused = REFUSED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        refused.is_ok()
    }

    // SAFETY: it has the type of the C library's, and does what that does or fails.
    #[unsafe(no_mangle)]
    extern "C" fn epoll_ctl(epoll: c_int, operation: c_int, descriptor: c_int, event: *mut c_void) -> c_int {
        if operation == ADD && is_refused(descriptor) {
            // SAFETY: it can be called at any time.
            let errno = unsafe { __errno_location() };
            // SAFETY: it is this thread's own, for as long as the thread lives.
            unsafe { errno.write(NO_ROOM) };
            return -1;
        }
        // SAFETY: the name is a C string.
        let next = unsafe { dlsym(NEXT, NAME.as_ptr()) };
        assert!(!next.is_null(), "the C library has it");
        // SAFETY: it has this type.
        let next = unsafe { std::mem::transmute::<*mut c_void, EpollCtl>(next) };
        // SAFETY: the caller's arguments are passed on as they are.
        unsafe { next(epoll, operation, descriptor, event) }
    }
}

/// The helper's variable: how many are taken, and how many refused.
const ENV: &str = "MULTIPROCESS_TEST_REFUSE";

/// Not a test, but what those below start. A pool that cannot watch something either works all the same or says so,
/// and in neither case leaves a process.
#[test]
fn makes_a_pool_while_watches_are_refused() {
    if !is_alone("makes_a_pool_while_watches_are_refused") {
        return;
    }
    let told = std::env::var(ENV).expect("the tests below say how");
    let (taken, refused) = told.split_once(' ').expect("two numbers");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    refusing::refuse(taken.parse().expect("a number"), refused.parse().expect("a number"));
    runtime.block_on(async {
        match ProcessPool::new(2) {
            Ok(pool) => {
                let result = pool.apply(|a: u32| a + 1, (1,)).await;
                println!("the task: {result:?}");
                assert!(result.is_err() || result.is_ok_and(|sum| sum == 2));
                pool.shutdown().await.expect("nothing is left of it");
            }
            Err(error) => println!("the pool: {error}"),
        }
    });
    until("no process is left", || descendants().is_empty());
}

fn no_process_is_left(taken: u32, refused: u32) -> String {
    let program = std::env::current_exe().expect("a test has a file");
    let helper = "makes_a_pool_while_watches_are_refused";
    let mut command = again(program.as_os_str(), helper);
    let output = command.env(ENV, format!("{taken} {refused}")).output().expect("it can be started");
    assert_passed(&format!("{taken} taken and {refused} refused: {helper}"), &output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// fault 50
#[test]
fn a_watch_that_is_refused_once_leaves_no_process_and_fails_no_task_for_ever() {
    // Further than a start of two workers comes.
    for taken in 0..16 {
        no_process_is_left(taken, 1);
    }
}

// fault 50
#[test]
fn watches_that_are_refused_from_some_point_on_leave_no_process() {
    for taken in 0..16 {
        no_process_is_left(taken, u32::MAX);
    }
}

// fault 50
#[test]
fn refusals_reach_the_crate() {
    let told = no_process_is_left(0, u32::MAX);
    assert!(told.contains("the pool:") || told.contains("the task: Err"), "{told}");
}

// faults 50, 71
#[test]
fn processes_that_cannot_be_watched_are_still_started_replaced_and_ended() {
    alone(|| {
        refusing::refuse_processes();
        // More than there are threads that could stand in.
        let pool = ProcessPool::new(6).expect("the pool starts");
        pool.blocking_ready().expect("it starts");
        assert_eq!(pool.worker_pids().len(), 6);
        let victim = pool.worker_pids()[0];
        signal(victim, SIGKILL);
        until("its death is seen", || !pool.worker_pids().contains(&victim));
        pool.blocking_ready().expect("it is replaced");
        pool.blocking_shutdown().expect("it ends");
        until("no process is left", || descendants().is_empty());
    });
}
