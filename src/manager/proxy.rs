//! The proxy of an object of any type.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::call::Call;
use super::message::What;
use super::reference::{Asked, Reference};
use crate::error::Result;
use crate::task::{Arguments, Method, Payload, types_fingerprint};

/// An object that lives in the process of a [`Manager`](crate::Manager), whoever uses it. Python: a proxy of `multiprocessing.managers`.
///
/// # Calls
///
/// Calls on different objects run in parallel. Those on one object by `&T` share it, and one by `&mut T` has it alone; who waits longer comes first. A method may be an `async fn`, which
/// has the object until it is done. A call that blocks holds up nobody but those who want the same object. A method that calls its own object through a proxy waits for itself.
///
/// A method that panics is [`Error::Panicked`](crate::Error::Panicked) to its caller alone; the object stays as the panic has left it.
///
/// # Proxies travel
///
/// A proxy can be an argument or a result of any task or [`Process`](crate::Process), be put into queues, be sent over connections, and be held by other objects of a manager, alone or anywhere
/// inside of a value that derives `Serialize` and `Deserialize`. All copies stand for the one object. It counts as one of the up to 64 [`Handle`](crate::Handle)s of a value.
///
/// When the last copy is gone the object is dropped. The kernel counts: copies under way too, and those of processes that are killed. Objects that hold proxies of each other in
/// a ring are dropped with their manager.
///
/// # Errors
///
/// When the manager has ended, every call fails with [`Error::Disconnected`](crate::Error::Disconnected) at once, also one that waits for its answer. Nothing ever connects to another
/// manager instead.
///
/// # Examples
///
/// ```
/// use multiprocess::{Manager, ProcessPool, Proxy};
///
/// struct Counter(u64);
///
/// impl Counter {
///     fn new(start: u64) -> Self { Self(start) }
///     fn add(&mut self, by: u64) -> u64 { self.0 += by; self.0 }
///     fn value(&self) -> u64 { self.0 }
/// }
///
/// fn count(counter: Proxy<Counter>, by: u64) {
///     counter.blocking_call(Counter::add, (by,)).expect("the manager lives");
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let counter = manager.create(Counter::new, (100,)).await?;
/// let pool = ProcessPool::new(2)?;
/// let each: Vec<_> = (1..=10).map(|by| (counter.clone(), by)).collect();
/// pool.starmap(count, each).await?;
/// assert_eq!(counter.call(Counter::value, ()).await?, 155);
/// assert_eq!(counter.call(|counter: &mut Counter| std::mem::take(&mut counter.0), ()).await?, 155);
/// # pool.shutdown().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct Proxy<T> {
    reference: Reference,
    object: PhantomData<fn() -> T>,
}

impl<T> Proxy<T> {
    pub(super) fn new(reference: Reference) -> Self {
        Self { reference, object: PhantomData }
    }

    /// A number that no other object of its manager has. Python: `_id`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// let first = manager.create(Vec::<u32>::new, ()).await?;
    /// let second = manager.create(Vec::<u32>::new, ()).await?;
    /// assert_ne!(first.id(), second.id());
    /// assert_eq!(first.id(), first.clone().id());
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn id(&self) -> u64 {
        self.reference.object
    }
}

impl<T: Send + 'static> Proxy<T> {
    /// Calls a method on the object: any function whose first parameter is `&T` or `&mut T`; see [`Method`]. The arguments are a tuple, and are encoded
    /// by this call; the future has them in that form.
    ///
    /// # Errors
    ///
    /// - [`Error::Disconnected`](crate::Error::Disconnected): the manager has ended.
    /// - [`Error::Panicked`](crate::Error::Panicked): the method has panicked.
    /// - [`Error::Encode`](crate::Error::Encode), [`Error::Decode`](crate::Error::Decode), [`Error::TooLarge`](crate::Error::TooLarge): arguments or result do not travel.
    /// - [`Error::Refused`](crate::Error::Refused): this is another program than the manager's, or another build of it, and has to use [`call_named`](Self::call_named).
    /// - [`Error::ForeignTask`](crate::Error::ForeignTask): the method is not part of the program. [`Error::Connection`](crate::Error::Connection): the operating system refuses.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it was polled has called nothing. Dropped later, it leaves a call that may have been done or not; if it waits, for the object or in an `async fn`,
    /// it is given up.
    ///
    /// # Examples
    ///
    /// See [`Proxy`].
    pub fn call<F, Args, M>(&self, method: F, args: Args) -> impl Future<Output = Result<F::Value>> + Send
    where
        F: Method<T, Args, M>,
        Args: Arguments,
    {
        let asked = self.by_place(method, &args);
        drop(args);
        self.finish(asked)
    }

    /// As [`call`](Self::call), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let list = manager.blocking_create(Vec::<u32>::new, ())?;
    /// list.blocking_call(Vec::push, (7,))?;
    /// assert_eq!(list.blocking_call(Vec::len, ())?, 1);
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_call<F, Args, M>(&self, method: F, args: Args) -> Result<F::Value>
    where
        F: Method<T, Args, M>,
        Args: Arguments,
    {
        let asked = self.by_place(method, &args)?;
        drop(args);
        self.reference.blocking_finish(&asked)
    }

    fn by_place<F, Args, M>(&self, method: F, args: &Args) -> Result<Asked>
    where
        F: Method<T, Args, M>,
        Args: Arguments,
    {
        self.reference.placed::<T, Args, M>(type_name::<F>(), method, args)
    }
}

impl<T> Proxy<T> {
    /// Calls a method by the name that it was [registered](crate::ManagerBuilder::register) with, which other programs can do too. The object must have been made by
    /// [`create_named`](crate::Manager::create_named). The types of arguments and result must be those of the method, by their full names: types that two
    /// programs share belong in a crate that both have.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`](crate::Error::Refused) says whether there is no such method, or one of other types; and as for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder::register`](crate::ManagerBuilder::register).
    pub fn call_named<R, Args>(
        &self,
        name: &str,
        args: Args,
    ) -> impl Future<Output = Result<R>> + Send + use<'_, T, R, Args>
    where
        R: Payload,
        Args: Arguments,
    {
        let asked = self.by_name::<R, Args>(name, &args);
        drop(args);
        self.finish(asked)
    }

    /// As [`call_named`](Self::call_named), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`call_named`](Self::call_named).
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder::register`](crate::ManagerBuilder::register).
    pub fn blocking_call_named<R, Args>(&self, name: &str, args: Args) -> Result<R>
    where
        R: Payload,
        Args: Arguments,
    {
        let asked = self.by_name::<R, Args>(name, &args)?;
        drop(args);
        self.reference.blocking_finish(&asked)
    }

    fn by_name<R: Payload, Args: Arguments>(&self, name: &str, args: &Args) -> Result<Asked> {
        let mut call = self.reference.encode(|| Call::named(name, self.id(), args))?;
        let what = What::CallNamed { name: name.to_owned(), types: types_fingerprint::<Args, R>() };
        let request = self.reference.ask(what, &mut call);
        Ok(Asked { call, request })
    }

    fn finish<R: Payload>(
        &self,
        asked: Result<Asked>,
    ) -> impl Future<Output = Result<R>> + Send + use<'_, T, R> {
        let reference = &self.reference;
        async move { reference.finish(asked?).await }
    }
}

/// The same object.
impl<T> Clone for Proxy<T> {
    fn clone(&self) -> Self {
        Self::new(self.reference.clone())
    }
}

/// Two proxies are equal if they stand for the same object.
impl<T> PartialEq for Proxy<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.reference.server(), self.id()) == (other.reference.server(), other.id())
    }
}

impl<T> Eq for Proxy<T> {}

impl<T> fmt::Debug for Proxy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("type", &type_name::<T>()).field("id", &self.id()).finish()
    }
}

impl<T> Serialize for Proxy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.reference.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Proxy<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reference::deserialize(deserializer).map(Self::new)
    }
}
