#![doc = include_str!("../README.md")]

mod backend;
mod channel;
mod context;
mod dispatch;
pub mod dummy;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod manager;
#[expect(unsafe_code, reason = "this floor is where the operating system is met")]
mod os;
mod pool;
mod process;
mod queue;
mod shared;
mod sync;
mod task;
mod wait;
mod wire;
pub mod worker;

/// For types of your own in shared memory: [`Pod`](bytemuck::Pod), [`Zeroable`](bytemuck::Zeroable), and with the feature `derive` their derives.
///
/// # Examples
///
/// ```
/// use multiprocess::RawValue;
/// use multiprocess::bytemuck::{Pod, Zeroable};
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[bytemuck(crate = "multiprocess::bytemuck")]
/// #[repr(C)]
/// struct Point {
///     x: f32,
///     y: f32,
/// }
///
/// let point = RawValue::new(Point { x: 1.0, y: 2.0 })?;
/// assert_eq!(point.get().y, 2.0);
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub use bytemuck;
#[cfg(feature = "tls")]
pub use channel::Tls;
pub use channel::{
    Address, Client, ClientBuilder, Connection, Listener, ListenerBuilder, Nothing, Receiver, Sender,
    blocking_wait, one_way, pipe, wait,
};
#[cfg(feature = "net")]
pub use channel::{AuthKey, Credentials};
pub use context::Context;
pub use dispatch::Stats;
pub use error::{Death, Error, Exit, Limit, Panic, Result};
#[cfg(feature = "net")]
pub use manager::ManagerClient;
pub use manager::{
    ArrayProxy, BarrierProxy, BoundedSemaphoreProxy, ConditionGuardProxy, ConditionProxy, DictProxy,
    EventProxy, Exposed, GuardProxy, ImapProxy, JoinableQueueProxy, ListProxy, LockProxy, Manager,
    ManagerBuilder, MapTaskProxy, NamespaceProxy, Pages, PoolProxy, Proxy, QueueProxy, RLockProxy, Refusal,
    SemaphoreProxy, SetProxy, TaskProxy, ValueProxy,
};
pub use pool::{
    Apply, BlockingImap, Builder, Imap, Kind, Map, Pool, ProcessPool, Processes, TaskHandle, TaskId,
};
pub use process::{
    ActiveChild, CurrentProcess, Join, ParentProcess, Process, ProcessBuilder, Stdio, active_children,
    cpu_count, current_process, parent_process,
};
pub use queue::{Item, JoinableQueue, Queue, SimpleQueue};
pub use shared::{
    Array, ArrayGuard, Integer, ListItem, RawArray, RawArrayIter, RawValue, ShareableList, Shared,
    SharedMemory, SharedMemoryManager, Value, ValueGuard,
};
pub use sync::{
    Acquired, Barrier, BoundedSemaphore, Condition, ConditionGuard, Event, Lock, LockGuard, OwnerDied,
    Permit, RLock, RLockGuard, Semaphore,
};
#[doc(hidden)]
pub use task::Held;
pub use task::{
    Arguments, Awaited, ByMut, ByRef, CreateFn, Fallible, InitFn, Method, Outcome, Payload, Plain, TaskFn,
};
pub use wire::{Handle, OnError, StartMethod};
#[cfg(feature = "sandbox")]
pub use wire::{Resource, Sandbox, SandboxPart};
pub use worker::{all_start_methods, init, set_start_method, start_method};
