//! System calls and privileges that a sandbox takes away.

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use multiprocess::{ProcessPool, Sandbox};

use super::{NOT_PERMITTED, RUNS, code, no_new_privs, open_socket, sandboxed};
use crate::support::foreign::{self};
use crate::support::{end, on_processes};

async fn without_network_sockets_are_only_those_within_the_machine() {
    let pool = sandboxed(Sandbox::required().no_network());
    assert_eq!(pool.apply(open_socket, ()).await.expect(RUNS), NOT_PERMITTED);
    assert_eq!(pool.apply(|| code(UnixDatagram::unbound()), ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

// fault 70
async fn a_worker_that_can_reserve_no_memory_sends_large_results_over_its_pipe() {
    let sandbox = Sandbox::required().deny_syscalls([libc::SYS_fallocate]);
    let pool = ProcessPool::builder().workers(1).sandbox(sandbox).shared_payloads(true).build().expect(RUNS);
    for length in [1, 200_000, 3_000_000] {
        let back = pool.apply(|numbers: Vec<u32>| numbers, (vec![7; length],)).await.expect(RUNS);
        assert!(back == vec![7; length]);
        let rows =
            pool.apply(|count: usize| vec![(1_u8, "row".to_owned()); count], (length,)).await.expect(RUNS);
        assert!(rows == vec![(1, "row".to_owned()); length]);
    }
    end(pool).await;
}

async fn without_exec_no_program_can_be_started() {
    let start = || code(Command::new("/proc/self/exe").arg("--list").output());
    let pool = sandboxed(Sandbox::required().no_exec());
    assert_eq!(pool.apply(start, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
    let pool = sandboxed(Sandbox::required().no_ptrace());
    assert_eq!(pool.apply(start, ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

async fn without_ptrace_no_descriptor_can_be_taken() {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let take = || {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).expect("it is not refused");
        code(pidfd_getfd(own, 0, PidfdGetfdFlags::empty()))
    };
    let pool = sandboxed(Sandbox::required().no_ptrace());
    assert_eq!(pool.apply(take, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
    let pool = sandboxed(Sandbox::required().no_exec());
    assert_eq!(pool.apply(take, ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

async fn a_system_call_can_be_refused_by_its_number() {
    let lock = || {
        let null = File::open("/dev/null").expect("it is not refused");
        code(null.lock_shared())
    };
    let pool = sandboxed(Sandbox::required().deny_syscalls([libc::SYS_flock]));
    assert_eq!(pool.apply(lock, ()).await.expect(RUNS), NOT_PERMITTED);
    end(pool).await;
    let pool = sandboxed(Sandbox::required().no_exec());
    assert_eq!(pool.apply(lock, ()).await.expect(RUNS), Ok(()));
    end(pool).await;
}

/// x86-64 kernels may have a second table of calls, some with other numbers than in the first.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_refused_call_cannot_be_had_by_its_other_number() {
    const SECOND_TABLE: i64 = 0x4000_0000;
    const INTERNET: i64 = 2;
    let pool = sandboxed(Sandbox::required().no_exec().no_network());
    let call = |number: i64, argument: i64| foreign::failing_system_call(number, argument).raw_os_error();
    let calls = [(libc::SYS_socket, INTERNET), (520, 0)];
    for (number, argument) in calls {
        let error = pool.blocking_apply(call, (number | SECOND_TABLE, argument)).expect(RUNS);
        assert_eq!(error, Some(libc::EPERM), "call {number}");
    }
    pool.blocking_shutdown().expect("it ends");
}

async fn no_thread_of_a_worker_gets_new_privileges() {
    // The worker has at least a lifeline and a thread that serves.
    let builder = ProcessPool::builder().workers(1).stack_size(1 << 20);
    let pool = builder.sandbox(Sandbox::required().no_new_privs()).build().expect("the pool starts");
    let threads = pool.apply(no_new_privs, ()).await.expect(RUNS);
    assert!(threads.len() >= 3 && threads.iter().all(|line| line == "1"), "{threads:?}");
    end(pool).await;
}

on_processes!(
    a_worker_that_can_reserve_no_memory_sends_large_results_over_its_pipe,
    without_network_sockets_are_only_those_within_the_machine,
    without_exec_no_program_can_be_started,
    without_ptrace_no_descriptor_can_be_taken,
    a_system_call_can_be_refused_by_its_number,
    no_thread_of_a_worker_gets_new_privileges,
);
