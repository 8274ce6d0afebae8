//! A map in a manager.

use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;

use super::both::{both, typed};
use super::pages::Pages;
use crate::error::Result;
use crate::manager::blob::{Blob, Raw};
use crate::manager::reference::Reference;
use crate::task::Payload;

/// A map that lives in a [`Manager`](crate::Manager). Python: `manager.dict()`.
///
/// The names are those of `std`'s maps. Each call is one step that no other comes between; what needs several, and depends on what is there, is an [`update`](Self::update).
///
/// | Python | here |
/// | --- | --- |
/// | `d[k]`, `d.get(k)` | [`get`](Self::get) |
/// | `d[k] = v` | [`insert`](Self::insert), which gives what was there |
/// | `del d[k]`, `d.pop(k)` | [`remove`](Self::remove) |
/// | `k in d` | [`contains_key`](Self::contains_key) |
/// | `d.setdefault(k, v)` | [`set_default`](Self::set_default) |
/// | `d.update(other)`, `d \|= other` | [`extend`](Self::extend) |
/// | `d.popitem()` | [`pop_last`](Self::pop_last) |
/// | `d[k] += n`, which is two steps in Python | [`update`](Self::update), [`update_or`](Self::update_or) |
/// | `d.copy()`, `dict(d)` | [`to_map`](Self::to_map) |
/// | `d.keys()`, `d.values()`, `d.items()` | [`keys`](Self::keys), [`values`](Self::values), [`items`](Self::items), all in the order in which the keys came |
/// | `for k in d`, with an error if the dict changes meanwhile | [`pages`](Self::pages), with none; [`Pages`](crate::Pages) says why |
///
/// Keys are equal if they are encoded to the same bytes. So a key must be encoded in one way only, which a `HashMap` is not, and holds no handles. A value may hold proxies, also of this dict.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use multiprocess::{DictProxy, Manager, ProcessPool};
///
/// fn count(words: DictProxy<String, u32>, text: String) {
///     for word in text.split_whitespace() {
///         let add_one = |count: &mut u32| *count += 1;
///         words.blocking_update_or(&word.to_owned(), &0, add_one, ()).expect("the manager lives");
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let words = manager.dict::<String, u32>().await?;
/// let pool = ProcessPool::new(2)?;
/// let texts = ["to be or not", "to be"].map(|text| (words.clone(), text.to_owned()));
/// pool.starmap(count, texts).await?;
///
/// assert_eq!(words.get(&"be".to_owned()).await?, Some(2));
/// assert_eq!(words.remove(&"or".to_owned()).await?, Some(1));
/// assert!(!words.contains_key(&"or".to_owned()).await?);
/// assert_eq!(words.len().await?, 3);
/// assert_eq!(words.to_map().await?, HashMap::from([("to".into(), 2), ("be".into(), 2), ("not".into(), 1)]));
/// # pool.shutdown().await?;
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct DictProxy<K, V> {
    pub(super) reference: Reference,
    kind: PhantomData<fn() -> (K, V)>,
}

typed!(DictProxy<K, V>);

fn value<V: Payload>(answer: Option<Blob>) -> Result<Option<V>> {
    answer.map(Blob::open).transpose()
}

fn entry<K: Payload, V: Payload>(key: Raw, value: Blob) -> Result<(K, V)> {
    Ok((key.open()?, value.open()?))
}

fn entries<K: Payload, V: Payload, C: FromIterator<(K, V)>>(all: Vec<(Raw, Blob)>) -> Result<C> {
    all.into_iter().map(|(key, value)| entry(key, value)).collect()
}

fn encoded<K: Payload, V: Payload>(items: impl IntoIterator<Item = (K, V)>) -> Result<Vec<(Raw, Blob)>> {
    items.into_iter().map(|(key, value)| Ok((Raw::of(&key)?, Blob::of(&value)?))).collect()
}

impl<K: Payload, V: Payload> DictProxy<K, V> {
    both! {
        /// The value of a key; nothing if the key is not there.
        get, blocking_get(key: &K) -> Option<V> { "get" (Raw::of(key)?,) => value }

        /// Puts a value in, and gives what the key had before. A key that is there keeps its place in the order.
        insert, blocking_insert(key: &K, value: &V) -> Option<V> {
            "insert" (Raw::of(key)?, Blob::of(value)?) => self::value
        }

        /// The value of a key, which is this one if the key was not there.
        set_default, blocking_set_default(key: &K, default: &V) -> V {
            "set_default" (Raw::of(key)?, Blob::of(default)?) => Blob::open
        }

        /// Puts all of these in, in one step.
        extend, blocking_extend(items: impl IntoIterator<Item = (K, V)>) -> () {
            "extend" (encoded(items)?,) => Ok
        }

        /// Takes a key out, and gives the value that it had.
        remove, blocking_remove(key: &K) -> Option<V> { "remove" (Raw::of(key)?,) => value }

        /// Takes the entry out that came last.
        pop_last, blocking_pop_last() -> Option<(K, V)> {
            "pop_last" () => |last: Option<(Raw, Blob)>| last.map(|(key, value)| entry(key, value)).transpose()
        }

        /// True if the key is there.
        contains_key, blocking_contains_key(key: &K) -> bool { "contains" (Raw::of(key)?,) => Ok }

        /// How many entries there are.
        len, blocking_len() -> u64 { "len" () => Ok }

        /// True if there is no entry.
        is_empty, blocking_is_empty() -> bool { "len" () => |len: u64| Ok(len == 0) }

        /// Takes all entries out.
        clear, blocking_clear() -> () { "clear" () => Ok }

        /// All entries at one moment, in the order in which the keys came. They are one answer, which has up to 64 handles and proxies.
        items, blocking_items() -> Vec<(K, V)> { "all" () => entries }

        /// All keys at one moment, in the order in which they came; as for [`items`](Self::items).
        keys, blocking_keys() -> Vec<K> {
            "all" () => |all: Vec<(Raw, Blob)>| all.into_iter().map(|(key, _)| key.open()).collect()
        }

        /// All values at one moment, in the order in which their keys came; as for [`items`](Self::items).
        values, blocking_values() -> Vec<V> {
            "all" () => |all: Vec<(Raw, Blob)>| all.into_iter().map(|(_, value)| value.open()).collect()
        }
    }

    /// One entry after the other, fetched in pages, in the order in which the keys came.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// let squares = manager.dict::<u64, u64>().await?;
    /// squares.extend((0..5_000).map(|n| (n, n * n))).await?;
    /// let (mut entries, mut sum) = (squares.pages(), 0);
    /// while let Some((n, square)) = entries.next().await? {
    ///     assert_eq!(square, n * n);
    ///     sum += n;
    /// }
    /// assert_eq!(sum, 4_999 * 2_500);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn pages(&self) -> Pages<'_, (K, V)> {
        Pages::new(&self.reference, entry)
    }
}

impl<K: Payload + Eq + Hash, V: Payload> DictProxy<K, V> {
    both! {
        /// All entries at one moment; as for [`items`](Self::items).
        to_map, blocking_to_map() -> HashMap<K, V> { "all" () => entries }
    }
}
