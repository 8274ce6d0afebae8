//! The monotonic clock, comparable between processes of one machine.

use rustix::time::{ClockId, clock_gettime};

use super::stat::stat_fields;

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// How long a process has worked so far, in ticks of the kernel; nothing if it is gone.
pub(crate) fn time_worked(pid: u32) -> Option<u64> {
    let [user, system] = stat_fields(pid, 14)?;
    Some(user + system)
}
