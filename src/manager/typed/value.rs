//! One value in a manager.

use std::marker::PhantomData;

use super::both::{both, typed};
use super::update::{apply, arguments, outcome};
use crate::error::Result;
use crate::manager::blob::Blob;
use crate::manager::proxy::Proxy;
use crate::manager::reference::Reference;
use crate::manager::served::Slot;
use crate::task::{Arguments, Method, Payload};

/// One value that lives in a [`Manager`](crate::Manager). Python: `manager.Value()`, whose `value` is [`get`](Self::get) and [`set`](Self::set).
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let best = manager.value(&("nobody".to_owned(), 0_u32)).await?;
/// best.set(&("you".to_owned(), 7)).await?;
/// let beat = |best: &mut (String, u32), name: String, points: u32| {
///     if points > best.1 { *best = (name, points) }
/// };
/// best.update(beat, ("me".to_owned(), 6)).await?;
/// assert_eq!(best.get().await?, ("you".to_owned(), 7));
/// assert_eq!(best.swap(&("we".to_owned(), 9)).await?, ("you".to_owned(), 7));
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct ValueProxy<T> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> T>,
}

typed!(ValueProxy<T>);

impl<T: Payload> ValueProxy<T> {
    both! {
        /// The value.
        get, blocking_get() -> T { "get" () => Blob::open }

        /// Puts another value in its place.
        set, blocking_set(value: &T) -> () { "set" (Blob::of(value)?,) => Ok }

        /// Puts another value in its place, and gives the one that was there.
        swap, blocking_swap(value: &T) -> T { "swap" (Blob::of(value)?,) => Blob::open }
    }

    /// Changes the value in one step: calls a method on it, where it is; as for [`DictProxy::update`](crate::DictProxy::update).
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call): another program than the manager's cannot do it.
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn update<F, Args, M>(&self, method: F, args: Args) -> impl Future<Output = Result<F::Value>> + Send
    where
        F: Method<T, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = arguments(&args);
        async move { there(outcome(self.slot().call(change::<T, F, Args, M>(method), (asked?,)).await?)) }
    }

    /// As [`update`](Self::update), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn blocking_update<F, Args, M>(&self, method: F, args: Args) -> Result<F::Value>
    where
        F: Method<T, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = arguments(&args)?;
        there(outcome(self.slot().blocking_call(change::<T, F, Args, M>(method), (asked,))?))
    }

    fn slot(&self) -> Proxy<Slot> {
        Proxy::new(self.reference.clone())
    }
}

fn change<T, F, Args, M>(
    method: F,
) -> impl Fn(&mut Slot, Blob) -> Result<Option<Blob>, String> + Copy + Send + 'static
where
    T: Payload,
    F: Method<T, Args, M>,
    Args: Arguments,
    M: 'static,
{
    move |slot, args| apply::<T, F, Args, M>(&mut slot.0, args, method).map(Some)
}

fn there<R>(found: Result<Option<R>>) -> Result<R> {
    found.map(|found| found.expect("there is always a value"))
}
