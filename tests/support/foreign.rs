//! The few functions of the C library that the tests need and `std` does not have.

#![expect(unsafe_code, reason = "functions of the C library are declared and called here, and nowhere else")]

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub const SIGHUP: i32 = 1;
pub const SIGINT: i32 = 2;
pub const SIGILL: i32 = 4;
pub const SIGABRT: i32 = 6;
pub const SIGBUS: i32 = 7;
pub const SIGFPE: i32 = 8;
pub const SIGKILL: i32 = 9;
pub const SIGSEGV: i32 = 11;
pub const SIGPIPE: i32 = 13;
pub const SIGTERM: i32 = 15;
pub const SIGCHLD: i32 = 17;
pub const SIGCONT: i32 = 18;
pub const SIGSTOP: i32 = 19;

mod c {
    use std::ffi::{c_char, c_int, c_long};

    /// `struct rlimit` of 64-bit Linux.
    #[repr(C)]
    pub(super) struct Limit {
        pub(super) soft: u64,
        pub(super) hard: u64,
    }

    /// `sigset_t` of 64-bit Linux.
    #[repr(C)]
    pub(super) struct Signals(pub(super) [u64; 16]);

    unsafe extern "C" {
        pub(super) safe fn setsid() -> c_int;
        pub(super) safe fn posix_openpt(flags: c_int) -> c_int;
        pub(super) safe fn grantpt(terminal: c_int) -> c_int;
        pub(super) safe fn unlockpt(terminal: c_int) -> c_int;
        pub(super) unsafe fn ptsname_r(terminal: c_int, name: *mut c_char, room: usize) -> c_int;
        pub(super) unsafe fn fork() -> c_int;
        pub(super) unsafe fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
        pub(super) unsafe fn signal(signal: c_int, handler: usize) -> usize;
        pub(super) unsafe fn pthread_sigmask(how: c_int, new: *const Signals, old: *mut Signals) -> c_int;
        pub(super) unsafe fn getrlimit(resource: c_int, limit: *mut Limit) -> c_int;
        pub(super) unsafe fn setrlimit(resource: c_int, limit: *const Limit) -> c_int;
        pub(super) unsafe fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
        pub(super) safe fn kill(pid: c_int, signal: c_int) -> c_int;
        pub(super) safe fn raise(signal: c_int) -> c_int;
        pub(super) safe fn exit(code: c_int) -> !;
        pub(super) safe fn atexit(function: extern "C" fn()) -> c_int;
        pub(super) safe fn _exit(code: c_int) -> !;
        pub(super) safe fn dup(fd: c_int) -> c_int;
        pub(super) unsafe fn syscall(number: c_long, ...) -> c_long;
        pub(super) unsafe fn socketpair(
            domain: c_int,
            kind: c_int,
            protocol: c_int,
            ends: *mut c_int,
        ) -> c_int;
    }
}

/// Sends a signal to another process.
pub fn signal(pid: u32, signal: c_int) {
    let pid = i32::try_from(pid).expect("process numbers are small");
    assert_eq!(c::kill(pid, signal), 0, "process {pid} is there and ours");
}

/// Kills another process, unless it has ended already.
pub fn kill_if_there(pid: u32) {
    let _gone = c::kill(i32::try_from(pid).expect("process numbers are small"), SIGKILL);
}

/// Sends a signal to all processes of a group.
pub fn signal_group(leader: u32, signal: c_int) {
    let group = i32::try_from(leader).expect("process numbers are small");
    assert_eq!(c::kill(-group, signal), 0, "group {group} is there and ours");
}

/// Sends a signal to this process.
pub fn raise(signal: c_int) {
    assert_eq!(c::raise(signal), 0, "the signal exists");
}

/// C's `exit`, which runs what C code has registered for it.
pub fn exit_as_c_does(code: c_int) -> ! {
    c::exit(code)
}

/// Has a function run when this process exits.
pub fn at_exit(function: extern "C" fn()) {
    assert_eq!(c::atexit(function), 0, "there is room for more");
}

/// Ends this process with nothing run.
pub fn exit_at_once(code: c_int) -> ! {
    c::_exit(code)
}

/// Makes a system call, which is known to fail, with one number and then nothing but zeroes; the error.
pub fn failing_system_call(number: i64, argument: i64) -> std::io::Error {
    // SAFETY: no call does anything to a null pointer but fail, and the caller knows that this one fails.
    let result = unsafe { c::syscall(number, argument, 0_i64, 0_i64, 0_i64, 0_i64, 0_i64) };
    assert_eq!(result, -1, "call {number} fails");
    std::io::Error::last_os_error()
}

/// Reads from an address where nothing is mapped.
pub fn read_unmapped_memory() -> u8 {
    // SAFETY: there is none; the kernel answers with SIGSEGV, which is what the test wants.
    unsafe { std::ptr::without_provenance::<u8>(64).read_volatile() }
}

/// A copy of a descriptor that stays open in the processes that are started from now on.
pub fn inheritable_copy(fd: &impl AsRawFd) -> OwnedFd {
    let copy = c::dup(fd.as_raw_fd());
    assert!(copy >= 0, "there are descriptors left");
    // SAFETY: it was just made, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(copy) }
}

/// Closes a descriptor of this process whoever it belongs to.
pub fn close_whosever(fd: c_int) {
    // SAFETY: its owner will find it closed, which is what the test wants; nobody opens another one meanwhile.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// A pair of sockets of the kind that the crate's own control sockets are.
pub fn sequenced_packet_pair() -> (OwnedFd, OwnedFd) {
    const UNIX: c_int = 1;
    const SEQUENCED_PACKETS: c_int = 5;
    const CLOSE_ON_EXEC: c_int = 0o2_000_000;
    let mut ends = [-1; 2];
    // SAFETY: the array has room for the two ends.
    let made = unsafe { c::socketpair(UNIX, SEQUENCED_PACKETS | CLOSE_ON_EXEC, 0, ends.as_mut_ptr()) };
    assert_eq!(made, 0, "there are descriptors left");
    // SAFETY: both were just made, and nobody else has them.
    ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }).into()
}

/// Forks this process. `child` runs in the child, which then ends at once: with 0, or with 101 if it panics. The number of the
/// child is returned in the parent.
pub fn fork(child: impl FnOnce()) -> u32 {
    // SAFETY: the C library keeps its own locks in order, and what else a child may trip over is what the tests look for.
    let pid = unsafe { c::fork() };
    if pid == 0 {
        let ended = catch_unwind(AssertUnwindSafe(child));
        exit_at_once(if ended.is_ok() { 0 } else { 101 });
    }
    u32::try_from(pid).expect("a process can be forked")
}

/// Forks this process and returns in both: `None` is the child.
pub fn fork_twofold() -> Option<u32> {
    // SAFETY: as above.
    let pid = unsafe { c::fork() };
    let pid = u32::try_from(pid).expect("a process can be forked");
    (pid != 0).then_some(pid)
}

/// Collects the exit code of a child that has ended; `None` while it has not. A signal counts from 128 on, as in a shell.
pub fn exit_code(pid: u32) -> Option<i32> {
    const AT_ONCE: c_int = 1;
    let mut status = 0;
    // SAFETY: the status has a place to be written to.
    let found = unsafe { c::waitpid(i32::try_from(pid).expect("they are small"), &raw mut status, AT_ONCE) };
    assert!(found >= 0, "{pid} is a child of ours that nobody has reaped");
    let code = match status & 0x7f {
        0 => status >> 8 & 0xff,
        fatal => 128 + fatal,
    };
    (found > 0).then_some(code)
}

/// Reaps children of this process, whoever has started them, as long as there are some that have ended.
pub fn reap_all() {
    // SAFETY: no status is asked for. It may be called in a handler of a signal too.
    while unsafe { c::waitpid(-1, std::ptr::null_mut(), 1) } > 0 {}
}

/// Waits for the end of one child and reaps it; false if somebody else has.
pub fn reap(pid: u32) -> bool {
    // SAFETY: no status is asked for.
    unsafe { c::waitpid(i32::try_from(pid).expect("they are small"), std::ptr::null_mut(), 0) > 0 }
}

/// From now on a handler reaps all children of this process that end.
pub fn reap_in_a_handler() {
    extern "C" fn handle(_signal: c_int) {
        reap_all();
    }
    let handler: extern "C" fn(c_int) = handle;
    // SAFETY: all that the handler calls may be called in one.
    unsafe { c::signal(SIGCHLD, handler as usize) };
}

/// From now on a handler runs when this process gets a signal.
pub fn on_signal(signal: c_int, handler: extern "C" fn(c_int)) {
    // SAFETY: the test sees to it that whatever its handler interrupts is nothing that the handler needs.
    unsafe { c::signal(signal, handler as usize) };
}

/// From now on this process ignores a signal.
pub fn ignore(signal: c_int) {
    // SAFETY: 1 is `SIG_IGN`.
    unsafe { c::signal(signal, 1) };
}

/// From now on a signal does to this process what it does by default.
pub fn by_default(signal: c_int) {
    // SAFETY: 0 is `SIG_DFL`.
    unsafe { c::signal(signal, 0) };
}

/// From now on this thread blocks all signals that can be blocked.
pub fn block_all_signals() {
    let all = c::Signals([u64::MAX; 16]);
    // SAFETY: 0 is `SIG_BLOCK`; the set is whole, and the old one is not asked for.
    let error = unsafe { c::pthread_sigmask(0, &raw const all, std::ptr::null_mut()) };
    assert_eq!(error, 0, "signals can be blocked");
}

/// Takes this process out of its group and session.
pub fn leave_session() {
    assert!(c::setsid() > 0, "it leads no group yet");
}

/// How many descriptors this process may have, now and at most.
pub fn descriptor_limits() -> (u64, u64) {
    let mut limit = c::Limit { soft: 0, hard: 0 };
    // SAFETY: the limits have a place to be written to.
    assert_eq!(unsafe { c::getrlimit(7, &raw mut limit) }, 0, "there is such a limit");
    (limit.soft, limit.hard)
}

/// From now on this process may have descriptors of numbers below this one.
pub fn limit_descriptors(soft: u64) {
    let limit = c::Limit { soft, hard: descriptor_limits().1 };
    // SAFETY: the limits are whole.
    assert_eq!(unsafe { c::setrlimit(7, &raw const limit) }, 0, "it may be lowered, and raised again");
}

/// From now on this process, and what it starts, may make no file longer.
pub fn limit_file_size(bytes: u64) {
    let limit = c::Limit { soft: bytes, hard: bytes };
    // SAFETY: the limits are whole.
    assert_eq!(unsafe { c::setrlimit(1, &raw const limit) }, 0, "it may be lowered");
}

/// How many bytes a pipe holds.
pub fn pipe_size(pipe: &impl AsRawFd) -> usize {
    const PIPE_SIZE: c_int = 1_032;
    // SAFETY: it only asks.
    let size = unsafe { c::fcntl(pipe.as_raw_fd(), PIPE_SIZE) };
    usize::try_from(size).expect("it is a pipe")
}

/// A terminal: the side where somebody types, and the side of the programs in it.
pub fn pseudo_terminal() -> Option<(File, File)> {
    const READ_WRITE_NOT_OURS: c_int = 2 | 0o400 | 0o2_000_000;
    let typist = c::posix_openpt(READ_WRITE_NOT_OURS);
    if typist < 0 || c::grantpt(typist) != 0 || c::unlockpt(typist) != 0 {
        return None;
    }
    // SAFETY: it was just made, and nobody else has it.
    let typist = unsafe { File::from_raw_fd(typist) };
    let mut name = [0_u8; 64];
    // SAFETY: the name has that much room.
    let named = unsafe { c::ptsname_r(typist.as_raw_fd(), name.as_mut_ptr().cast(), name.len()) };
    let path = CStr::from_bytes_until_nul(&name).ok().filter(|_| named == 0)?.to_str().ok()?;
    let programs = std::fs::OpenOptions::new().read(true).write(true).open(path).ok()?;
    Some((typist, programs))
}

extern "C" fn before_main() {
    super::start_method::choose();
}

#[used]
// SAFETY: `.init_array` holds pointers to functions that take at most what the loader passes, and this takes nothing.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;
