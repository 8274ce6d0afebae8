//! The proxies that know what they stand for: dict, list and so on.

mod array;
mod both;
mod dict;
mod event;
mod guard;
mod list;
mod lock;
mod namespace;
mod pages;
mod queue;
mod set;
mod update;
mod value;

pub use array::ArrayProxy;
pub use dict::DictProxy;
pub use event::{BarrierProxy, ConditionGuardProxy, ConditionProxy, EventProxy};
pub use guard::GuardProxy;
pub use list::ListProxy;
pub use lock::{BoundedSemaphoreProxy, LockProxy, RLockProxy, SemaphoreProxy};
pub use namespace::NamespaceProxy;
pub use pages::Pages;
pub use queue::{JoinableQueueProxy, QueueProxy};
pub use set::SetProxy;
pub use value::ValueProxy;
