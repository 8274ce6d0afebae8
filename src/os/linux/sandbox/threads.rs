//! Restrictions that the kernel puts only on the thread that asks for them, put on all threads of the process.
//!
//! There are some already: the lifeline, perhaps a main thread that waits, and those that an initializer has started. One
//! that was left out would be a way out for all. So each of them is sent a signal, whose handler asks for the restriction.

use std::collections::HashSet;
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A thread that does not take a signal for so long has blocked it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The ruleset of the threads that are signalled, if not only new privileges are forbidden.
static RULESET: AtomicI32 = AtomicI32::new(NO_RULESET);
const NO_RULESET: i32 = -1;
/// The thread that is waited for.
static AWAITED: AtomicI32 = AtomicI32::new(0);
/// What came of it there: an error number, or one of these.
static OUTCOME: AtomicI32 = AtomicI32::new(PENDING);
const PENDING: i32 = -1;
const DONE: i32 = 0;

/// What a thread is to ask for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Restriction<'a> {
    NoNewPrivileges,
    /// A ruleset of Landlock, which needs the other one.
    Files(BorrowedFd<'a>),
}

/// Puts a restriction on all threads of this process, and so on those that they will start.
///
/// # Errors
///
/// A thread could not be reached, or the kernel has refused. This thread was restricted even so, unless it is this one that was refused.
pub(super) fn restrict_all(restriction: Restriction<'_>) -> io::Result<()> {
    let ruleset = match restriction {
        Restriction::NoNewPrivileges => NO_RULESET,
        Restriction::Files(ruleset) => ruleset.as_raw_fd(),
    };
    RULESET.store(ruleset, Ordering::SeqCst);
    // This one comes last, since it may not be able to list the threads afterwards.
    let others = restrict_others();
    RULESET.store(NO_RULESET, Ordering::SeqCst);
    result_of(restrict_this_thread(ruleset))?;
    others
}

fn restrict_others() -> io::Result<()> {
    let mut known = HashSet::from([rustix::thread::gettid().as_raw_nonzero().get()]);
    let before = handle(&restricting())?;
    // A thread that is not restricted yet may start others meanwhile.
    loop {
        let mut new = threads()?;
        new.retain(|thread| known.insert(*thread));
        if new.is_empty() {
            break;
        }
        // After an error the handler stays: a thread that has blocked the signal may take it later, and would end the process.
        new.into_iter().try_for_each(reach)?;
    }
    handle(&before)?;
    Ok(())
}

fn threads() -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        numbers.extend(entry?.file_name().to_str().and_then(|number| number.parse::<i32>().ok()));
    }
    Ok(numbers)
}

/// Has one thread restrict itself, and waits until it has. One that ends meanwhile needs no restriction.
fn reach(thread: i32) -> io::Result<()> {
    AWAITED.store(thread, Ordering::SeqCst);
    OUTCOME.store(PENDING, Ordering::SeqCst);
    let began = Instant::now();
    let mut there = tell(thread, libc::SIGRTMAX());
    while there {
        match OUTCOME.load(Ordering::SeqCst) {
            PENDING if began.elapsed() > PATIENCE => {
                return Err(io::Error::other(format!("thread {thread} takes no signals")));
            }
            PENDING => thread::yield_now(),
            outcome => return result_of(outcome),
        }
        there = tell(thread, 0);
    }
    Ok(())
}

/// Sends a signal to a thread of this process, or none if it is 0; false if the thread is gone.
fn tell(thread: i32, signal: c_int) -> bool {
    let process = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the call takes numbers only; the signal is one that this module handles.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) == 0 }
}

/// What is to be done when our signal comes.
fn restricting() -> libc::sigaction {
    // SAFETY: an all-zero `sigaction` is a valid value of the C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = restrict_when_signalled as *const () as libc::sighandler_t;
    // Whatever a thread waits for, it goes on to wait, where the kernel can arrange it.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    action
}

/// Sets what is to be done when our signal comes, and tells what was before.
fn handle(action: &libc::sigaction) -> io::Result<libc::sigaction> {
    let mut before = *action;
    // SAFETY: both are valid, and the action is ours or one that was set before.
    let set = unsafe { libc::sigaction(libc::SIGRTMAX(), &raw const *action, &raw mut before) };
    if set == 0 { Ok(before) } else { Err(io::Error::last_os_error()) }
}

/// The handler. It does nothing but system calls and atomic stores.
extern "C" fn restrict_when_signalled(_signal: c_int) {
    // SAFETY: it can be called at any time, and tells a place that is this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the place is valid for as long as the thread lives.
    let interrupted = unsafe { errno.read() };
    let outcome = restrict_this_thread(RULESET.load(Ordering::SeqCst));
    if AWAITED.load(Ordering::SeqCst) == rustix::thread::gettid().as_raw_nonzero().get() {
        OUTCOME.store(outcome, Ordering::SeqCst);
    }
    // SAFETY: as above.
    unsafe { errno.write(interrupted) };
}

/// `DONE`, or an error number.
fn restrict_this_thread(ruleset: i32) -> i32 {
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        return error.raw_os_error();
    }
    if ruleset == NO_RULESET {
        return DONE;
    }
    // SAFETY: the call takes numbers only.
    if unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) } == 0 {
        return DONE;
    }
    io::Error::last_os_error().raw_os_error().expect("it was made from an error number")
}

fn result_of(outcome: i32) -> io::Result<()> {
    if outcome == DONE { Ok(()) } else { Err(io::Error::from_raw_os_error(outcome)) }
}
