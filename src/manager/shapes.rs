//! How a manager makes what the crate itself has: dict, list and so on.

use super::blob::Blob;
use super::call::Call;
use super::message::What;
use super::reference::{Asked, Reference};
use super::root::Manager;
use super::typed::{
    ArrayProxy, BarrierProxy, BoundedSemaphoreProxy, ConditionProxy, DictProxy, EventProxy,
    JoinableQueueProxy, ListProxy, LockProxy, NamespaceProxy, QueueProxy, RLockProxy, SemaphoreProxy,
    SetProxy, ValueProxy,
};
use crate::error::{Error, Result};
use crate::task::{Arguments, Payload};

/// Methods that make one: as a future, and with `blocking_`.
macro_rules! makes {
    ($(
        $(#[$doc:meta])*
        $name:ident, $blocking:ident<$($param:ident),*>($($arg:ident: $kind:ty),*) -> $proxy:ty {
            $remote:literal $args:expr
        }
    )*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// As for [`Proxy::call`](crate::Proxy::call).
            ///
            /// # Cancel safety
            ///
            /// A future that is dropped leaves no object.
            pub fn $name<$($param: Payload),*>(&self, $($arg: $kind),*) -> impl Future<Output = Result<$proxy>> + Send {
                let asked = self.root.encode(|| self.ours($remote, &$args));
                async move { Ok(<$proxy>::of(self.finish_ours(asked?).await?)) }
            }

            #[doc = concat!("As [`", stringify!($name), "`](Self::", stringify!($name), "), for code outside async: blocks this thread.")]
            ///
            /// # Errors
            ///
            /// As for [`Proxy::call`](crate::Proxy::call).
            ///
            /// # Examples
            ///
            #[doc = concat!("See [`", stringify!($name), "`](Self::", stringify!($name), ").")]
            pub fn $blocking<$($param: Payload),*>(&self, $($arg: $kind),*) -> Result<$proxy> {
                Ok(<$proxy>::of(self.blocking_finish_ours(&self.root.encode(|| self.ours($remote, &$args))?)?))
            }
        )*
    };
}

impl Manager {
    makes! {
        /// An empty map. Python: `dict()`.
        ///
        /// # Examples
        ///
        /// See [`DictProxy`].
        dict, blocking_dict<K, V>() -> DictProxy<K, V> { "dict" () }

        /// An empty list. Python: `list()`.
        ///
        /// # Examples
        ///
        /// See [`ListProxy`].
        list, blocking_list<T>() -> ListProxy<T> { "list" () }

        /// An array of these items, as many as they are for good. Python: `Array(typecode, sequence)`.
        ///
        /// # Examples
        ///
        /// See [`ArrayProxy`].
        array, blocking_array<T>(items: impl IntoIterator<Item = T>) -> ArrayProxy<T> { "array" (encoded(items)?,) }

        /// A value that can be changed. Python: `Value()`.
        ///
        /// # Examples
        ///
        /// See [`ValueProxy`].
        value, blocking_value<T>(value: &T) -> ValueProxy<T> { "value" (Blob::of(value)?,) }

        /// Values of any types by their names, none yet. Python: `Namespace()`.
        ///
        /// # Examples
        ///
        /// See [`NamespaceProxy`].
        namespace, blocking_namespace<>() -> NamespaceProxy { "dict" () }

        /// An empty set. Python: `set()`.
        ///
        /// # Examples
        ///
        /// See [`SetProxy`].
        set, blocking_set<T>() -> SetProxy<T> { "dict" () }

        /// A queue that takes any number of items. Python: `Queue()`.
        ///
        /// # Examples
        ///
        /// See [`QueueProxy`].
        queue, blocking_queue<T>() -> QueueProxy<T> { "queue" (None::<u64>, false) }

        /// A queue in which so many items may wait. Python: `Queue(maxsize)`.
        ///
        /// # Examples
        ///
        /// See [`QueueProxy`].
        bounded_queue, blocking_bounded_queue<T>(items: u64) -> QueueProxy<T> {
            "queue" (Some(at_least_one("bounded_queue", items)?), false)
        }

        /// A queue that knows how many of its items are done. Python: `JoinableQueue()`.
        ///
        /// # Examples
        ///
        /// See [`JoinableQueueProxy`].
        joinable_queue, blocking_joinable_queue<T>() -> JoinableQueueProxy<T> { "queue" (None::<u64>, true) }

        /// A queue that knows how many of its items are done, and in which so many may wait. Python: `JoinableQueue(maxsize)`.
        ///
        /// # Examples
        ///
        /// See [`JoinableQueueProxy`].
        bounded_joinable_queue, blocking_bounded_joinable_queue<T>(items: u64) -> JoinableQueueProxy<T> {
            "queue" (Some(at_least_one("bounded_joinable_queue", items)?), true)
        }

        /// A lock, which is free. Python: `Lock()`.
        ///
        /// # Examples
        ///
        /// See [`LockProxy`].
        lock, blocking_lock<>() -> LockProxy { "turns" (1_u32, Some(1_u32)) }

        /// A lock that its holder may acquire again. Python: `RLock()`.
        ///
        /// # Examples
        ///
        /// See [`RLockProxy`].
        rlock, blocking_rlock<>() -> RLockProxy { "rlock" () }

        /// So many permits. Python: `Semaphore(value)`.
        ///
        /// # Examples
        ///
        /// See [`SemaphoreProxy`].
        semaphore, blocking_semaphore<>(permits: u32) -> SemaphoreProxy { "turns" (permits, None::<u32>) }

        /// So many permits, and never more. Python: `BoundedSemaphore(value)`.
        ///
        /// # Examples
        ///
        /// See [`BoundedSemaphoreProxy`].
        bounded_semaphore, blocking_bounded_semaphore<>(permits: u32) -> BoundedSemaphoreProxy {
            "turns" (permits, Some(permits))
        }

        /// An event, which is not set. Python: `Event()`.
        ///
        /// # Examples
        ///
        /// See [`EventProxy`].
        event, blocking_event<>() -> EventProxy { "event" () }

        /// A barrier for so many. Python: `Barrier(parties)`.
        ///
        /// # Examples
        ///
        /// See [`BarrierProxy`].
        barrier, blocking_barrier<>(parties: u64) -> BarrierProxy {
            "barrier" (at_least_one("barrier", parties)?,)
        }

        /// A condition with a lock of its own. Python: `Condition()`.
        ///
        /// # Examples
        ///
        /// See [`ConditionProxy`].
        condition, blocking_condition<>() -> ConditionProxy { "condition" () }
    }

    fn ours(&self, name: &'static str, args: &impl Arguments) -> Result<Asked> {
        let mut call = self.root.encode(|| Call::of(name, self.root.object, args))?;
        let request = self.root.ask(What::MakeOurs { name: name.to_owned() }, &mut call);
        Ok(Asked { call, request })
    }

    async fn finish_ours(&self, asked: Asked) -> Result<Reference> {
        let Asked { call, request } = asked;
        Ok(self.root.to_made(call.made(self.root.exchange(&request).await?)?))
    }

    fn blocking_finish_ours(&self, asked: &Asked) -> Result<Reference> {
        Ok(self.root.to_made(asked.call.made(self.root.blocking_exchange(&asked.request)?)?))
    }
}

fn encoded<T: Payload>(items: impl IntoIterator<Item = T>) -> Result<Vec<Blob>> {
    items.into_iter().map(|item| Blob::of(&item)).collect()
}

fn at_least_one(option: &'static str, count: u64) -> Result<u64> {
    if count == 0 { Err(Error::option(option, "it is for at least one")) } else { Ok(count) }
}
