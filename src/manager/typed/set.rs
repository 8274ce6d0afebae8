//! A set in a manager.

use std::collections::HashSet;
use std::hash::Hash;
use std::marker::PhantomData;

use super::both::{both, typed};
use super::pages::Pages;
use crate::error::Result;
use crate::manager::blob::{Blob, Raw};
use crate::manager::reference::Reference;
use crate::task::Payload;

/// A set that lives in a [`Manager`](crate::Manager), in the order in which its items came. Python: `manager.set()`.
///
/// The names are those of `std`'s sets. Items are equal if they are encoded to the same bytes, as the keys of a [`DictProxy`](crate::DictProxy).
///
/// | Python | here |
/// | --- | --- |
/// | `s.add(x)` | [`insert`](Self::insert) |
/// | `s.discard(x)`, `s.remove(x)` | [`remove`](Self::remove), which says whether it was there |
/// | `s.pop()` | [`pop_last`](Self::pop_last) |
/// | `s.update(other)`, `s \|= other` | [`extend`](Self::extend) |
/// | `x in s` | [`contains`](Self::contains) |
/// | `s.copy()`, `set(s)` | [`to_set`](Self::to_set), [`to_vec`](Self::to_vec) |
/// | `s & other`, `s - other`, `s <= other` and the like | those of `std`, of what [`to_set`](Self::to_set) gives |
/// | `for x in s` | [`pages`](Self::pages) |
///
/// # Examples
///
/// ```
/// use std::collections::HashSet;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let seen = manager.set::<String>().await?;
/// assert!(seen.insert(&"a".to_owned()).await?);
/// assert!(!seen.insert(&"a".to_owned()).await?, "it was there");
/// seen.extend(["b".to_owned(), "c".to_owned()]).await?;
/// assert!(seen.remove(&"b".to_owned()).await?);
/// assert!(seen.contains(&"c".to_owned()).await?);
/// assert_eq!(seen.to_set().await?, HashSet::from(["a".to_owned(), "c".to_owned()]));
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct SetProxy<T> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> T>,
}

typed!(SetProxy<T>);

fn encoded<T: Payload>(items: impl IntoIterator<Item = T>) -> Result<Vec<(Raw, Blob)>> {
    items.into_iter().map(|item| Ok((Raw::of(&item)?, Blob::default()))).collect()
}

fn items<T: Payload, C: FromIterator<T>>(all: Vec<(Raw, Blob)>) -> Result<C> {
    all.into_iter().map(|(item, _)| item.open()).collect()
}

impl<T: Payload> SetProxy<T> {
    both! {
        /// Puts an item in. False if it was there.
        insert, blocking_insert(item: &T) -> bool { "insert_new" (Raw::of(item)?, Blob::default()) => Ok }

        /// Puts all of these in, in one step.
        extend, blocking_extend(items: impl IntoIterator<Item = T>) -> () { "extend" (encoded(items)?,) => Ok }

        /// Takes an item out. False if it was not there. Python: `discard`.
        remove, blocking_remove(item: &T) -> bool { "remove" (Raw::of(item)?,) => |removed: Option<Blob>| Ok(removed.is_some()) }

        /// True if the item is there.
        contains, blocking_contains(item: &T) -> bool { "contains" (Raw::of(item)?,) => Ok }

        /// Takes the item out that came last. Python: `pop`.
        pop_last, blocking_pop_last() -> Option<T> {
            "pop_last" () => |last: Option<(Raw, Blob)>| last.map(|(item, _)| item.open()).transpose()
        }

        /// How many items there are.
        len, blocking_len() -> u64 { "len" () => Ok }

        /// True if there is no item.
        is_empty, blocking_is_empty() -> bool { "len" () => |len: u64| Ok(len == 0) }

        /// Takes all items out.
        clear, blocking_clear() -> () { "clear" () => Ok }

        /// All items at one moment, in the order in which they came.
        to_vec, blocking_to_vec() -> Vec<T> { "all" () => items }
    }

    /// One item after the other, fetched in pages, in the order in which they came.
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let set = manager.blocking_set::<u32>()?;
    /// set.blocking_extend([3, 1, 2, 3])?;
    /// let mut items = set.pages();
    /// assert_eq!(items.blocking_next()?, Some(3));
    /// assert_eq!(items.blocking_next()?, Some(1));
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn pages(&self) -> Pages<'_, T> {
        Pages::new(&self.reference, |item: Raw, _| item.open())
    }
}

impl<T: Payload + Eq + Hash> SetProxy<T> {
    both! {
        /// All items at one moment.
        to_set, blocking_to_set() -> HashSet<T> { "all" () => items }
    }
}
