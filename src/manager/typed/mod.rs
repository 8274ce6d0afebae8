//! The proxies that know what they stand for: dict, list and so on.

mod array;
mod both;
mod dict;
mod dict_update;
mod event;
mod guard;
mod imap;
mod list;
mod lock;
mod namespace;
mod pages;
mod pool;
mod pool_calls;
mod pool_maps;
mod queue;
mod set;
mod task;
mod update;
mod value;

pub use array::ArrayProxy;
pub use dict::DictProxy;
pub use event::{BarrierProxy, ConditionGuardProxy, ConditionProxy, EventProxy};
pub use guard::GuardProxy;
pub use imap::ImapProxy;
pub use list::ListProxy;
pub use lock::{BoundedSemaphoreProxy, LockProxy, RLockProxy, SemaphoreProxy};
pub use namespace::NamespaceProxy;
pub use pages::Pages;
pub use pool::PoolProxy;
pub use queue::{JoinableQueueProxy, QueueProxy};
pub use set::SetProxy;
pub use task::{MapTaskProxy, TaskProxy};
pub use value::ValueProxy;
