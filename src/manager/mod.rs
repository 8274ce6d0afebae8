//! Objects that live in one process and are used from others: the server that holds them, and the proxies by which they are called.
//!
//! ```text
//! client                                          server
//! Proxy ── door: a socket of the object ────────► whoever wants to call sends a line through it
//!   └───── line: a pair of sockets ─────────────► session: a thread that takes a request, calls, answers
//! ```
//!
//! The kernel counts the copies of a door, also those under way. When the last is closed, nobody can call the object any more, and it is dropped.

mod blob;
mod builder;
mod call;
#[cfg(feature = "net")]
mod client;
mod connect;
mod creating;
mod directory;
mod exposed;
mod guests;
mod kept;
mod lines;
mod message;
mod owner;
mod pools;
mod proxy;
mod publish;
#[cfg(feature = "net")]
mod pulse;
mod reference;
#[cfg(feature = "net")]
mod remote;
mod root;
mod served;
mod server;
mod session;
mod shapes;
mod typed;

pub use builder::ManagerBuilder;
#[cfg(feature = "net")]
pub use client::ManagerClient;
pub use exposed::Exposed;
pub use message::Refusal;
pub use proxy::Proxy;
pub use root::Manager;
pub use typed::{
    ArrayProxy, BarrierProxy, BoundedSemaphoreProxy, ConditionGuardProxy, ConditionProxy, DictProxy,
    EventProxy, GuardProxy, ImapProxy, JoinableQueueProxy, ListProxy, LockProxy, MapTaskProxy,
    NamespaceProxy, Pages, PoolProxy, QueueProxy, RLockProxy, SemaphoreProxy, SetProxy, TaskProxy,
    ValueProxy,
};
