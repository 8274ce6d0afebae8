//! System calls that fail from now on (seccomp).

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};
use serde::{Deserialize, Serialize};

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refused {
    /// Sockets but those within the machine.
    Network,
    /// Starting other programs.
    Exec,
    /// Reaching into other processes.
    Ptrace,
    /// The call of this number.
    Call(i64),
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

const EXEC: [c_long; 2] = [libc::SYS_execve, libc::SYS_execveat];
const PTRACE: [c_long; 4] =
    [libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_pidfd_getfd];

/// What the worker itself, its allocator and the standard library call all the time.
const NEEDED: [c_long; 23] = [
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_write,
    POLL,
];
#[cfg(target_arch = "x86_64")]
const POLL: c_long = libc::SYS_poll;
#[cfg(not(target_arch = "x86_64"))]
const POLL: c_long = libc::SYS_ppoll;

/// The numbers of these calls in the second table that x86-64 kernels may have, where they differ from the first.
#[cfg(target_arch = "x86_64")]
const IN_SECOND_TABLE: [(c_long, c_long); 5] = [
    (libc::SYS_execve, 520),
    (libc::SYS_ptrace, 521),
    (libc::SYS_process_vm_readv, 539),
    (libc::SYS_process_vm_writev, 540),
    (libc::SYS_execveat, 545),
];
#[cfg(target_arch = "x86_64")]
const SECOND_TABLE: c_long = 0x4000_0000;

/// True for a call without which a worker cannot work.
pub(crate) fn is_needed_call(number: i64) -> bool {
    NEEDED.contains(&number)
}

/// From now on these calls fail with `EPERM`, in all threads of this process and all processes that they start.
///
/// # Errors
///
/// Why none of them does.
pub(crate) fn refuse_calls(refused: &[Refused]) -> Result<(), String> {
    let filter = filter(refused).map_err(|error| error.to_string())?;
    apply_filter_all_threads(&filter).map_err(|error| match error {
        seccompiler::Error::ThreadSync(thread) => format!("thread {thread} has a filter of its own"),
        error => error.to_string(),
    })
}

fn filter(refused: &[Refused]) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    for refused in refused {
        match refused {
            Refused::Network => {
                // A call that is refused altogether has no rules, and stays so.
                rules.entry(libc::SYS_socket).or_insert(vec![other_than_unix()?]);
                rules.insert(libc::SYS_io_uring_setup, Vec::new());
            }
            Refused::Exec => rules.extend(EXEC.map(|call| (call, Vec::new()))),
            Refused::Ptrace => rules.extend(PTRACE.map(|call| (call, Vec::new()))),
            Refused::Call(call) => drop(rules.insert(*call, Vec::new())),
        }
    }
    #[cfg(target_arch = "x86_64")]
    add_second_table(&mut rules);
    let machine: TargetArch = std::env::consts::ARCH.try_into()?;
    let refusal = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, machine)?.try_into()
}

/// A socket of any family but `AF_UNIX`.
fn other_than_unix() -> Result<SeccompRule, BackendError> {
    let unix = u64::from(libc::AF_UNIX.unsigned_abs());
    let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, unix)?;
    SeccompRule::new(vec![family])
}

/// A call must not be had by another number.
#[cfg(target_arch = "x86_64")]
fn add_second_table(rules: &mut Rules) {
    let number =
        |call| IN_SECOND_TABLE.iter().find(|(first, _)| *first == call).map_or(call, |(_, other)| *other);
    let second: Vec<_> =
        rules.iter().map(|(call, rules)| (number(*call) | SECOND_TABLE, rules.clone())).collect();
    rules.extend(second);
}
