//! The few functions of the C library that the tests need and `std` does not have.

#![expect(unsafe_code, reason = "functions of the C library are declared and called here, and nowhere else")]

use std::ffi::c_int;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};

pub const SIGILL: i32 = 4;
pub const SIGABRT: i32 = 6;
pub const SIGBUS: i32 = 7;
pub const SIGFPE: i32 = 8;
pub const SIGKILL: i32 = 9;
pub const SIGSEGV: i32 = 11;
pub const SIGTERM: i32 = 15;
pub const SIGCONT: i32 = 18;
pub const SIGSTOP: i32 = 19;

mod c {
    use std::ffi::{c_int, c_long};

    /// A bit for each signal, and room for those to come.
    pub(super) type SignalSet = [u64; 16];

    unsafe extern "C" {
        pub(super) safe fn kill(pid: c_int, signal: c_int) -> c_int;
        pub(super) safe fn raise(signal: c_int) -> c_int;
        pub(super) safe fn exit(code: c_int) -> !;
        pub(super) safe fn _exit(code: c_int) -> !;
        pub(super) safe fn dup(fd: c_int) -> c_int;
        pub(super) unsafe fn syscall(number: c_long, ...) -> c_long;
        pub(super) unsafe fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet)
        -> c_int;
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

/// Sends a signal to this process.
pub fn raise(signal: c_int) {
    assert_eq!(c::raise(signal), 0, "the signal exists");
}

/// C's `exit`, which runs what C code has registered for it.
pub fn exit_as_c_does(code: c_int) -> ! {
    c::exit(code)
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

/// From now on this thread takes no signals.
pub fn block_all_signals() {
    const BLOCK: c_int = 0;
    let all: c::SignalSet = [u64::MAX; 16];
    // SAFETY: the set is valid, and a null pointer for the old one is allowed.
    let blocked = unsafe { c::pthread_sigmask(BLOCK, &raw const all, std::ptr::null_mut()) };
    assert_eq!(blocked, 0, "the kernel leaves out those that cannot be blocked");
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
