//! What a process says of itself: no new privileges, no dumps, limits of resources.

use std::io;

use rustix::process::{DumpableBehavior, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

pub(crate) use rustix::process::Resource as Limit;

use super::threads::{Restriction, restrict_all};

/// No thread of this process, and no program that it starts, gets rights that it does not have now.
pub(crate) fn forbid_new_privileges() -> io::Result<()> {
    restrict_all(Restriction::NoNewPrivileges)
}

/// This process leaves no core dump, and no other of its user can look into it.
pub(crate) fn forbid_dumps() -> io::Result<()> {
    limit(Limit::Core, 0)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Sets a limit for this process and those that it starts; never raises one.
pub(crate) fn limit(of: Limit, most: u64) -> io::Result<()> {
    let now = getrlimit(of).maximum.unwrap_or(u64::MAX);
    // With a second between the two, SIGXCPU comes first, which says what has happened; SIGKILL would not.
    let hard = if of == Limit::Cpu { most.saturating_add(1) } else { most };
    let (soft, hard) = (most.min(now), hard.min(now));
    Ok(setrlimit(of, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}
