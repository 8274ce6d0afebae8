//! A worker's first steps, before `main`: is this a worker at all, and a clean process out of what was inherited.

#[cfg(feature = "auto-entry")]
use std::ffi::c_char;
use std::ffi::{OsStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::sockopt::{socket_domain, socket_peercred, socket_type};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Signal, kill_process_group};

/// Exit code of a worker whose parent is gone.
pub(crate) const LIFELINE_LOST: i32 = 111;

/// A function that the loader calls before `main`, with the program's arguments and environment.
#[cfg(feature = "auto-entry")]
pub(crate) type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// Puts a function among those that the loader calls before `main`, as the static `$name`.
#[cfg(feature = "auto-entry")]
macro_rules! before_main {
    ($name:ident = $function:path) => {
        #[expect(unsafe_code, reason = "the section is what makes the loader call the function")]
        #[used]
        // SAFETY: `.init_array` holds pointers to functions of exactly this type.
        #[unsafe(link_section = ".init_array")]
        static $name: extern "C" fn(
            std::ffi::c_int,
            *const *const std::ffi::c_char,
            *const *const std::ffi::c_char,
        ) = $function;
    };
}
#[cfg(feature = "auto-entry")]
pub(crate) use before_main;

#[cfg(feature = "auto-entry")]
unsafe extern "C" {
    static __init_array_start: [Constructor; 0];
    static __init_array_end: [Constructor; 0];
}

/// Calls the constructors that stand behind `own` in the program's array.
///
/// A worker never returns from its own, and a task may use what those set up: C++ statics, `inventory`, `ctor`.
#[cfg(feature = "auto-entry")]
pub(crate) fn run_later_constructors(
    own: Constructor,
    argc: c_int,
    argv: *const *const c_char,
    envp: *const *const c_char,
) {
    // As numbers that the compiler knows nothing of: a pointer made from a symbol may not leave what is declared
    // there, which is nothing.
    let first = std::hint::black_box((&raw const __init_array_start).addr());
    let end = std::hint::black_box((&raw const __init_array_end).addr());
    let mut behind_own = false;
    for address in (first..end).step_by(size_of::<Constructor>()) {
        let place = std::ptr::with_exposed_provenance::<usize>(address);
        // SAFETY: the linker defines both symbols as the ends of the array of constructors of this program, and
        // `address` is that of one of its words.
        let word = unsafe { place.read() };
        // The loader passes over 0 and -1 too.
        if behind_own && word != 0 && word != usize::MAX {
            // SAFETY: every other word of the array is a constructor, which the loader would call the same way.
            let constructor = unsafe { std::mem::transmute::<usize, Constructor>(word) };
            constructor(argc, argv, envp);
        }
        behind_own |= word == own as usize;
    }
}

/// Descriptor 0 is a control socket that a process of our user has made, and we were given no extra rights.
pub(crate) fn stdin_is_control() -> bool {
    let stdin = rustix::stdio::stdin();
    !has_extra_rights()
        && socket_domain(stdin).is_ok_and(|domain| domain == AddressFamily::UNIX)
        && socket_type(stdin).is_ok_and(|kind| kind == SocketType::SEQPACKET)
        && socket_peercred(stdin).is_ok_and(|peer| peer.uid == rustix::process::getuid())
}

/// The program was given more rights than whoever started it has: it is setuid, or has capabilities of its own.
pub(crate) fn has_extra_rights() -> bool {
    // SAFETY: reads one word of the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The process that has made the socket at descriptor 0 is our parent, and has not ended.
pub(crate) fn stdin_is_our_parent() -> bool {
    is_our_parent(rustix::stdio::stdin())
}

/// The same of any control socket.
pub(super) fn is_our_parent(control: impl AsFd) -> bool {
    socket_peercred(control).is_ok_and(|peer| rustix::process::getppid() == Some(peer.pid))
}

/// Moves the control socket away from descriptor 0, puts `/dev/null` there, and closes whatever else was
/// inherited above 2.
pub(crate) fn accept_control() -> io::Result<OwnedFd> {
    let control = fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    close_stdin()?;
    let kept = u32::try_from(control.as_raw_fd()).expect("an open descriptor is not negative");
    close_range(3, kept - 1);
    close_range(kept + 1, u32::MAX);
    Ok(control)
}

/// Makes this our stdin.
pub(crate) fn become_stdin(stdin: impl AsFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(stdin)?)
}

/// Makes this our stdout.
pub(crate) fn become_stdout(stdout: impl AsFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdout(stdout)?)
}

/// Makes this our stderr.
pub(crate) fn become_stderr(stderr: impl AsFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(stderr)?)
}

/// Makes `/dev/null` our stdin.
pub(crate) fn close_stdin() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    become_stdin(super::pipe::lift(null)?)
}

/// Closes the descriptors from `first` to `last`; a kernel without the call leaves them open.
fn close_range(first: u32, last: u32) {
    if first <= last {
        // SAFETY: this runs before any code that owns one of these descriptors: they were inherited, not opened.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Unblocks all signals and sets those that were inherited as ignored to their default. Only SIGPIPE is ignored, as in
/// every Rust program, and SIGTTOU: a worker is in the background of its terminal, and may print all the same.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        reset_if_ignored(signal);
    }
    for signal in [libc::SIGPIPE, libc::SIGTTOU] {
        // SAFETY: sets a disposition, which no other thread can observe yet: this runs before `main`.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: an all-zero `sigset_t` is a valid one, and `sigemptyset` makes it the empty set.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` is a valid set to write to.
    unsafe { libc::sigemptyset(&raw mut none) };
    // SAFETY: `none` is initialised, and a null pointer for the old mask is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

fn is_ignored(signal: c_int) -> bool {
    // SAFETY: an all-zero `sigaction` is a valid value of the C struct.
    let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks for the disposition only; an invalid number is answered with an error.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut current) };
    asked == 0 && current.sa_sigaction == libc::SIG_IGN
}

/// A child of this process ignores signals by which it may be told to end, until it has reset them: this process does.
pub(crate) fn ignores_signals() -> bool {
    [libc::SIGINT, libc::SIGTERM].into_iter().any(is_ignored)
}

fn reset_if_ignored(signal: c_int) {
    if is_ignored(signal) {
        // SAFETY: sets a disposition, which no other thread can observe yet: this runs before `main`.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Ends the process at once, with no destructor and no exit handler.
pub(crate) fn leave_at_once(code: i32) -> ! {
    // SAFETY: `_exit` is safe to call at any time, from any thread.
    unsafe { libc::_exit(code) }
}

/// Ends the process at once, and with it whatever was started in its process group.
///
/// A group that has our number is ours, even if we have left it.
pub(crate) fn leave_with_group(code: i32) -> ! {
    let _no_one_else = kill_process_group(rustix::process::getpid(), Signal::KILL);
    leave_at_once(code)
}

/// Adds to the niceness of this process.
pub(crate) fn nice(by: i32) -> io::Result<()> {
    rustix::process::nice(by)?;
    Ok(())
}

/// Sets a variable of the environment, in a process that has only this thread.
pub(crate) fn set_variable(key: &OsStr, value: &OsStr) {
    // SAFETY: nobody else reads the environment, as there is nobody else: this runs in a process that was just forked.
    unsafe { std::env::set_var(key, value) };
}

/// The kernel's number of this thread.
pub(crate) fn thread_id() -> u32 {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).expect("thread numbers are positive")
}
