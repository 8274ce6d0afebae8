//! Locks and the like in memory that processes share, with waiters in futures and on threads.

mod actor;
mod barrier;
mod condition;
mod condition_guard;
mod died;
mod event;
mod holder;
mod latch;
mod lock;
#[cfg(all(test, models))]
mod models;
mod permits;
mod rlock;
mod rounds;
mod semaphore;
mod sleepers;
mod travel;
mod waiting;

pub use barrier::Barrier;
pub use condition::Condition;
pub use condition_guard::ConditionGuard;
pub use died::{Acquired, OwnerDied};
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use rlock::{RLock, RLockGuard};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};

pub(crate) use actor::current as actor;
pub(crate) use latch::alone;
pub(crate) use waiting::{Look, block, end_of, endless, ring, wait};
