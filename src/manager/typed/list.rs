//! A list in a manager.

use std::marker::PhantomData;
use std::ops::Range;

use super::both::{both, typed};
use super::pages::Pages;
use super::update::{apply, arguments, outcome};
use crate::error::Result;
use crate::manager::blob::{Blob, Raw};
use crate::manager::proxy::Proxy;
use crate::manager::reference::Reference;
use crate::manager::served::Sequence;
use crate::task::{Arguments, Method, Payload};

/// A list that lives in a [`Manager`](crate::Manager). Python: `manager.list()`.
///
/// The names are those of `Vec`. Each call is one step that no other comes between; what needs several, and depends on what is there, is an [`update`](Self::update).
///
/// | Python | here |
/// | --- | --- |
/// | `l.append(x)` | [`push`](Self::push) |
/// | `l.extend(other)`, `l += other` | [`extend`](Self::extend) |
/// | `l[i]`, `l[i] = x` | [`get`](Self::get), [`set`](Self::set), from the front |
/// | `l[a:b]` | [`slice`](Self::slice) |
/// | `l.insert(i, x)` | [`insert`](Self::insert) |
/// | `l.pop()`, `l.pop(i)`, `del l[i]` | [`pop`](Self::pop), [`remove`](Self::remove) |
/// | `l.index(x)`, `x in l` | [`position`](Self::position) |
/// | `l.reverse()`, `l *= n` | [`reverse`](Self::reverse), [`repeat`](Self::repeat) |
/// | `l[i] += n`, which is two steps in Python | [`update`](Self::update) |
/// | `l[:]`, `l.copy()` | [`to_vec`](Self::to_vec) |
/// | `for x in l` | [`pages`](Self::pages) |
/// | `l.sort()` | `list.set_all(&sorted)`, or a `Vec` as an object: `manager.create(Vec::<u32>::new, ())` |
///
/// An item may hold proxies, also of lists: they are objects of their own, and this list too.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let numbers = manager.list::<u32>().await?;
/// numbers.extend([1, 2, 3, 4]).await?;
/// numbers.push(&5).await?;
/// numbers.insert(0, &0).await?;
/// assert_eq!(numbers.to_vec().await?, [0, 1, 2, 3, 4, 5]);
/// assert_eq!(numbers.slice(2..4).await?, [2, 3]);
/// assert_eq!(numbers.pop().await?, Some(5));
/// assert_eq!(numbers.set(0, &7).await?, Some(0));
/// assert_eq!(numbers.update(1, |number: &mut u32| { *number *= 10; *number }, ()).await?, Some(10));
/// assert_eq!(numbers.position(&3).await?, Some(3));
/// assert_eq!(numbers.get(100).await?, None);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct ListProxy<T> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> T>,
}

typed!(ListProxy<T>);

fn item<T: Payload>(answer: Option<Blob>) -> Result<Option<T>> {
    answer.map(Blob::open).transpose()
}

fn items<T: Payload>(all: Vec<Blob>) -> Result<Vec<T>> {
    all.into_iter().map(Blob::open).collect()
}

fn encoded<T: Payload>(items: impl IntoIterator<Item = T>) -> Result<Vec<Blob>> {
    items.into_iter().map(|item| Blob::of(&item)).collect()
}

impl<T: Payload> ListProxy<T> {
    both! {
        /// Adds an item at the end.
        push, blocking_push(item: &T) -> () { "push" (Blob::of(item)?,) => Ok }

        /// Adds all of these at the end, in one step.
        extend, blocking_extend(items: impl IntoIterator<Item = T>) -> () { "extend" (encoded(items)?,) => Ok }

        /// Puts these in place of all items, in one step.
        set_all, blocking_set_all(items: impl IntoIterator<Item = T>) -> () { "set_all" (encoded(items)?,) => Ok }

        /// The item at a place; nothing if there are fewer.
        get, blocking_get(place: u64) -> Option<T> { "get" (place,) => item }

        /// Puts an item at a place, and gives the one that was there; nothing, and nothing done, if there are fewer.
        set, blocking_set(place: u64, item: &T) -> Option<T> { "set" (place, Blob::of(item)?) => self::item }

        /// Puts an item before the one at a place, and at the end if there are fewer.
        insert, blocking_insert(place: u64, item: &T) -> () { "insert" (place, Blob::of(item)?) => Ok }

        /// Takes the item at a place out; nothing if there are fewer.
        remove, blocking_remove(place: u64) -> Option<T> { "remove" (place,) => item }

        /// Takes the last item out.
        pop, blocking_pop() -> Option<T> { "pop" () => item }

        /// The items of a range at one moment; fewer if there are fewer.
        slice, blocking_slice(range: Range<u64>) -> Vec<T> { "slice" (range.start, range.end) => items }

        /// All items at one moment. They are one answer, which has up to 64 handles and proxies.
        to_vec, blocking_to_vec() -> Vec<T> { "slice" (0_u64, u64::MAX) => items }

        /// The place of the first item that is encoded to the same bytes as this one.
        position, blocking_position(item: &T) -> Option<u64> { "position" (Blob::of(item)?,) => Ok }

        /// Turns the order around.
        reverse, blocking_reverse() -> () { "reverse" () => Ok }

        /// Has all items so many times, one after the other; none for 0. An error if they would be more than memory holds.
        repeat, blocking_repeat(times: u32) -> () {
            "repeat" (times,) => |done: bool| if done { Ok(()) } else { Err(crate::Error::Full) }
        }

        /// Leaves the first items, up to so many.
        truncate, blocking_truncate(len: u64) -> () { "truncate" (len,) => Ok }

        /// How many items there are.
        len, blocking_len() -> u64 { "len" () => Ok }

        /// True if there is no item.
        is_empty, blocking_is_empty() -> bool { "len" () => |len: u64| Ok(len == 0) }

        /// Takes all items out.
        clear, blocking_clear() -> () { "truncate" (0_u64,) => Ok }
    }

    /// One item after the other, fetched in pages.
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let list = manager.blocking_list::<u32>()?;
    /// list.blocking_extend(0..3_000)?;
    /// let mut items = list.pages();
    /// let numbers: Vec<u32> = std::iter::from_fn(|| items.blocking_next().transpose()).collect::<Result<_, _>>()?;
    /// assert!(numbers.into_iter().eq(0..3_000));
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn pages(&self) -> Pages<'_, T> {
        Pages::new(&self.reference, |_: Raw, item| item.open())
    }

    /// Changes the item at a place in one step: calls a method on it, where it is, and gives what that returns; nothing if there are fewer. As for
    /// [`DictProxy::update`](crate::DictProxy::update).
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
    pub fn update<F, Args, M>(
        &self,
        place: u64,
        method: F,
        args: Args,
    ) -> impl Future<Output = Result<Option<F::Value>>> + Send
    where
        F: Method<T, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = arguments(&args);
        async move { outcome(self.sequence().call(change::<T, F, Args, M>(method), (place, asked?)).await?) }
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
    pub fn blocking_update<F, Args, M>(&self, place: u64, method: F, args: Args) -> Result<Option<F::Value>>
    where
        F: Method<T, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = arguments(&args)?;
        outcome(self.sequence().blocking_call(change::<T, F, Args, M>(method), (place, asked))?)
    }

    fn sequence(&self) -> Proxy<Sequence> {
        Proxy::new(self.reference.clone())
    }
}

fn change<T, F, Args, M>(
    method: F,
) -> impl Fn(&mut Sequence, u64, Blob) -> Result<Option<Blob>, String> + Copy + Send + 'static
where
    T: Payload,
    F: Method<T, Args, M>,
    Args: Arguments,
    M: 'static,
{
    move |sequence, place, args| {
        let Some(item) = sequence.item_mut(place) else { return Ok(None) };
        apply::<T, F, Args, M>(item, args, method).map(Some)
    }
}
