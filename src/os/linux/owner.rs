//! Who holds something in shared memory: a process in 58 bits, so that one exchange both takes a thing and says whose it is.
//!
//! ```text
//! bits 0..22   its number                                    bits 58..64   free for whoever keeps the word
//! bits 22..46  when it was started, in the clock's ticks     bits 46..58   the namespace of that number
//! ```
//!
//! A number alone would not do: it belongs to another process some time after the first has ended, and to yet another one in another
//! namespace. What cannot be told is 0.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};

use super::stat::stat_fields;

const PID_BITS: u32 = 22;
const START_BITS: u32 = 24;
const NAMESPACE_BITS: u32 = 12;

/// This process, once that was asked for. A forked child is another one.
static OURSELVES: AtomicU64 = AtomicU64::new(0);

/// A process that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// The bits that name it.
    pub(crate) const MASK: u64 = (1 << (PID_BITS + START_BITS + NAMESPACE_BITS)) - 1;

    /// This process.
    #[inline]
    pub(crate) fn ourselves() -> Self {
        match OURSELVES.load(Ordering::Relaxed) {
            0 => Self::look_up(),
            known => Self(known),
        }
    }

    #[cold]
    fn look_up() -> Self {
        let pid = u64::from(std::process::id());
        let start = start_of("self").unwrap_or(0);
        let owner = pid | start << PID_BITS | namespace().unwrap_or(0) << (PID_BITS + START_BITS);
        OURSELVES.store(owner, Ordering::Relaxed);
        Self(owner)
    }

    /// A forked child must look again who it is.
    pub(super) fn forget_ourselves() {
        OURSELVES.store(0, Ordering::Relaxed);
    }

    /// A process that was there, for tests.
    #[cfg(all(test, not(models)))]
    pub(crate) fn gone() -> Self {
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let pid = u64::from(child.id());
        child.wait().expect("it is our child");
        Self(pid)
    }

    /// The owner that a word names, if it names one.
    #[inline]
    pub(crate) fn of(word: u64) -> Option<Self> {
        Some(Self(word & Self::MASK)).filter(|owner| owner.0 != 0)
    }

    /// Its bits.
    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// True once that process has ended, reaped or not. Where nothing can be found out it lives.
    pub(crate) fn is_gone(self) -> bool {
        let ourselves = Self::ourselves();
        if self == ourselves || !self.may_share_numbers_with(ourselves) {
            return false;
        }
        let number = self.0 & ((1 << PID_BITS) - 1);
        let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else { return true };
        // The descriptor comes first: what is read afterwards is told of that process or of a later one.
        let ended = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => super::child::has_ended(pidfd),
            Err(Errno::SRCH) => true,
            // There is no room for a descriptor, or a sandbox refuses it.
            Err(_) => test_kill_process(pid) == Err(Errno::SRCH),
        };
        ended || self.number_is_anothers(number)
    }

    /// False if the numbers of the two are of different namespaces, so that neither finds anything out about the other.
    fn may_share_numbers_with(self, other: Self) -> bool {
        let (its, others) = (self.0 >> (PID_BITS + START_BITS), other.0 >> (PID_BITS + START_BITS));
        its == others || its == 0 || others == 0
    }

    fn number_is_anothers(self, number: u64) -> bool {
        let started = self.0 >> PID_BITS & ((1 << START_BITS) - 1);
        started != 0 && start_of(&number.to_string()).is_some_and(|start| start != started)
    }
}

/// When a process was started, in as many ticks as there is room for; never 0.
fn start_of(process: &str) -> Option<u64> {
    let [ticks] = stat_fields(process, 22)?;
    Some((ticks & ((1 << START_BITS) - 1)).max(1))
}

/// As much as there is room for of what tells this process's namespace of numbers from others.
fn namespace() -> Option<u64> {
    let inode = rustix::fs::stat("/proc/self/ns/pid").ok()?.st_ino;
    Some(inode & ((1 << NAMESPACE_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Owner, PID_BITS};

    fn owner(pid: u32, start: u64) -> Owner {
        Owner::of(u64::from(pid) | start << PID_BITS).expect("it is a process")
    }

    #[test]
    fn we_are_not_gone() {
        assert!(!Owner::ourselves().is_gone());
        assert_eq!(Owner::of(Owner::ourselves().bits() | 1 << 60), Some(Owner::ourselves()));
    }

    // fault 87
    #[test]
    fn a_process_is_gone_from_its_end_on_also_before_it_is_reaped() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("it starts");
        let start = super::start_of(&child.id().to_string()).expect("the kernel tells it");
        let its = owner(child.id(), start);
        assert!(!its.is_gone());
        assert!(!owner(child.id(), 0).is_gone(), "where its start is not known its number decides");
        drop(child.stdin.take());
        while !its.is_gone() {
            std::thread::yield_now();
        }
        child.wait().expect("it is our child");
        assert!(its.is_gone());
    }

    #[test]
    fn of_a_process_in_another_namespace_nothing_is_known() {
        let parent = std::os::unix::process::parent_id();
        let start = super::start_of(&parent.to_string()).expect("the kernel tells it");
        let namespace = super::namespace().expect("the kernel tells it");
        let at = |namespace: u64| {
            Owner(owner(parent, start + 1).bits() | namespace << (PID_BITS + super::START_BITS))
        };
        assert!(at(namespace).is_gone() && at(0).is_gone());
        assert!(!at(namespace ^ 1).is_gone());
    }

    #[test]
    fn a_number_that_belongs_to_a_later_process_by_now_is_that_of_nobody() {
        let parent = std::os::unix::process::parent_id();
        let start = super::start_of(&parent.to_string()).expect("the kernel tells it");
        assert!(!owner(parent, start).is_gone());
        assert!(owner(parent, start + 1).is_gone());
    }
}
