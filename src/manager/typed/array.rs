//! An array in a manager.

use std::marker::PhantomData;
use std::ops::Range;

use super::both::{both, typed};
use super::pages::Pages;
use super::update::{apply, arguments, outcome};
use crate::error::Result;
use crate::manager::blob::{Blob, Raw};
use crate::manager::proxy::Proxy;
use crate::manager::reference::Reference;
use crate::manager::served::{Fault, Sequence};
use crate::task::{Arguments, Method, Payload};

/// An array that lives in a [`Manager`](crate::Manager): items of one type, as many as it was made of. Python: `manager.Array()`.
///
/// An [`Array`](crate::Array) in memory that processes share is faster by far, and needs no manager. This one takes items of any type, can be found by name, and be used by whoever connects to the manager. What
/// does not lie within it is [`Error::OutOfRange`](crate::Error::OutOfRange), and nothing is changed then.
///
/// | Python | here |
/// | --- | --- |
/// | `a[i]`, `a[i] = x` | [`get`](Self::get), [`set`](Self::set), from the front; [`swap`](Self::swap) gives what was there |
/// | `a[i:j]`, `a[i:j] = items` | [`slice`](Self::slice), [`set_slice`](Self::set_slice), which leaves the length as it is |
/// | `a[i] += n`, which is two steps in Python | [`update`](Self::update) |
/// | `a[:]`, `a.tolist()` | [`to_vec`](Self::to_vec) |
/// | `a.index(x)` | [`position`](Self::position) |
/// | `for x in a` | [`pages`](Self::pages) |
/// | `len(a)` | [`len`](Self::len) |
///
/// # Examples
///
/// ```
/// use multiprocess::{ArrayProxy, Error, Manager, ProcessPool};
///
/// fn count(sums: ArrayProxy<u64>, number: u64) {
///     let add = |sum: &mut u64, by: u64| *sum += by;
///     sums.blocking_update(number % 3, add, (number,)).expect("the manager lives");
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let sums = manager.array([0_u64; 3]).await?;
/// let pool = ProcessPool::new(2)?;
/// pool.starmap(count, (0..10).map(|number| (sums.clone(), number)).collect::<Vec<_>>()).await?;
/// assert_eq!(sums.to_vec().await?, [18, 12, 15]);
///
/// sums.set(0, &1).await?;
/// sums.set_slice(1, [2, 3]).await?;
/// assert_eq!(sums.slice(0..2).await?, [1, 2]);
/// assert_eq!(sums.swap(2, &7).await?, 3);
/// assert_eq!(sums.position(&7).await?, Some(2));
/// assert!(matches!(sums.get(3).await, Err(Error::OutOfRange { start: 3, length: 3, .. })));
/// sums.fill(&0).await?;
/// assert_eq!((sums.get(2).await?, sums.len().await?), (0, 3));
/// # pool.shutdown().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct ArrayProxy<T> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> T>,
}

typed!(ArrayProxy<T>);

fn done(answer: Result<(), Fault>) -> Result<()> {
    Ok(answer?)
}

fn replaced(answer: Result<Blob, Fault>) -> Result<()> {
    done(answer.map(drop))
}

fn item<T: Payload>(answer: Result<Blob, Fault>) -> Result<T> {
    answer?.open()
}

fn items<T: Payload>(answer: Result<Vec<Blob>, Fault>) -> Result<Vec<T>> {
    answer?.into_iter().map(Blob::open).collect()
}

fn encoded<T: Payload>(items: impl IntoIterator<Item = T>) -> Result<Vec<Blob>> {
    items.into_iter().map(|item| Blob::of(&item)).collect()
}

impl<T: Payload> ArrayProxy<T> {
    both! {
        /// The item at a place.
        get, blocking_get(place: u64) -> T { "at" (place,) => item }

        /// Puts an item at a place.
        set, blocking_set(place: u64, item: &T) -> () { "swap" (place, Blob::of(item)?) => replaced }

        /// Puts an item at a place, and gives the one that was there.
        swap, blocking_swap(place: u64, item: &T) -> T { "swap" (place, Blob::of(item)?) => self::item }

        /// The items of a range at one moment. They are one answer, which has up to 64 handles and proxies.
        slice, blocking_slice(range: Range<u64>) -> Vec<T> { "range" (range.start, range.end) => items }

        /// Puts these in place of as many items, from a place on, in one step.
        set_slice, blocking_set_slice(from: u64, items: impl IntoIterator<Item = T>) -> () {
            "set_range" (from, encoded(items)?) => done
        }

        /// Puts an item at every place, in one step.
        fill, blocking_fill(item: &T) -> () { "fill" (Blob::of(item)?,) => Ok }

        /// All items at one moment; as for [`slice`](Self::slice).
        to_vec, blocking_to_vec() -> Vec<T> {
            "all" () => |all: Vec<Blob>| all.into_iter().map(Blob::open).collect()
        }

        /// The place of the first item that is encoded to the same bytes as this one.
        position, blocking_position(item: &T) -> Option<u64> { "position" (Blob::of(item)?,) => Ok }

        /// How many items there are, which stays so.
        len, blocking_len() -> u64 { "len" () => Ok }

        /// True if there is no item.
        is_empty, blocking_is_empty() -> bool { "len" () => |len: u64| Ok(len == 0) }
    }

    /// One item after the other, fetched in pages.
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let array = manager.blocking_array(0..3_000_u32)?;
    /// let mut items = array.pages();
    /// let numbers: Vec<u32> = std::iter::from_fn(|| items.blocking_next().transpose()).collect::<Result<_, _>>()?;
    /// assert!(numbers.into_iter().eq(0..3_000));
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn pages(&self) -> Pages<'_, T> {
        Pages::new(&self.reference, |_: Raw, item| item.open())
    }

    /// Changes the item at a place in one step: calls a method on it, where it is, and gives what that returns. As for [`DictProxy::update`](crate::DictProxy::update).
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange), and as for [`Proxy::call`](crate::Proxy::call): another program than the manager's cannot do it.
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn update<F, Args, M>(
        &self,
        place: u64,
        method: F,
        args: Args,
    ) -> impl Future<Output = Result<F::Value>> + Send
    where
        F: Method<T, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = arguments(&args);
        async move { changed(self.sequence().call(change::<T, F, Args, M>(method), (place, asked?)).await?) }
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
    pub fn blocking_update<F, Args, M>(&self, place: u64, method: F, args: Args) -> Result<F::Value>
    where
        F: Method<T, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = arguments(&args)?;
        changed(self.sequence().blocking_call(change::<T, F, Args, M>(method), (place, asked))?)
    }

    fn sequence(&self) -> Proxy<Sequence> {
        Proxy::new(self.reference.clone())
    }
}

type Changed = Result<Result<Blob, String>, Fault>;

fn change<T, F, Args, M>(method: F) -> impl Fn(&mut Sequence, u64, Blob) -> Changed + Copy + Send + 'static
where
    T: Payload,
    F: Method<T, Args, M>,
    Args: Arguments,
    M: 'static,
{
    move |sequence, place, args| Ok(apply::<T, F, Args, M>(sequence.at_mut(place)?, args, method))
}

fn changed<R: Payload>(changed: Changed) -> Result<R> {
    outcome(changed?.map(Some)).map(|result| result.expect("there is an item"))
}
