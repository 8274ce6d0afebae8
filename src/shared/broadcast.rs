//! A value that is encoded once, for any number of calls.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cache::Broadcast;
use super::content::{Kind, content};
use crate::error::{Error, Result};
use crate::os::{Content, SealedMap};
use crate::wire::{Arriving, Collecting, Fd, decode, encode};

/// A value that is encoded once and handed to any number of calls for the price of a descriptor; each worker decodes it once. Python has no counterpart; elsewhere it is called a broadcast variable.
///
/// [`Shared::new`] takes a value of any type that can be sent, and [`get`](Self::get) gives it, in whichever process the handle has arrived. [`Shared::from_slice`] takes a slice
/// of a [`Pod`] type, which is never decoded at all: in every process the handle is a slice of the very same memory. Nobody can write to that any more, neither whoever has made it.
///
/// # What a process keeps
///
/// A process keeps what it has decoded for as long as it has a handle, or an `Arc` from `get`. Of those that it has no handle for any more it keeps the 8 that came last, memory and value, so that the next call
/// that brings one finds it; the rest is freed. In the process that has made the value nothing is kept but by its handles.
///
/// # Examples
///
/// ```
/// use std::collections::BTreeMap;
/// use multiprocess::{ProcessPool, Shared};
///
/// type Prices = BTreeMap<String, f64>;
///
/// fn total(prices: Shared<Prices>, basket: Vec<String>) -> f64 {
///     let prices = prices.get().expect("it is a table of prices"); // decoded by the first call in this worker
///     basket.iter().map(|item| prices[item]).sum()
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let prices = Prices::from([("apple".to_owned(), 0.5), ("pear".to_owned(), 0.75)]);
/// let (pool, prices) = (ProcessPool::new(2)?, Shared::new(&prices)?);
/// let baskets = [vec!["apple"], vec!["apple", "pear"]].map(|basket| basket.into_iter().map(String::from).collect());
/// let calls = baskets.map(|basket: Vec<_>| (prices.clone(), basket));
/// assert_eq!(pool.starmap(total, calls).await?, [0.5, 1.25]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub struct Shared<T: ?Sized> {
    broadcast: Arc<Broadcast>,
    values: PhantomData<Arc<T>>,
}

/// What can be shared so: a value, or a slice.
trait Shape {
    const CONTENT: fn() -> Content;

    /// Whether so many bytes are one.
    fn is_whole(bytes: usize) -> bool;
}

impl<T> Shape for T {
    const CONTENT: fn() -> Content = || content::<u8>(Kind::Encoded);

    fn is_whole(_bytes: usize) -> bool {
        true
    }
}

impl<T: Pod> Shape for [T] {
    const CONTENT: fn() -> Content = || content::<T>(Kind::Slice);

    fn is_whole(bytes: usize) -> bool {
        bytes.is_multiple_of(size_of::<T>())
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Shared<T> {
    /// Encodes a value, to be shared.
    ///
    /// # Errors
    ///
    /// [`Error::EncodeShared`] if it cannot be encoded, or has handles, and [`Error::Shared`] if there is not so much memory, or no descriptor left.
    ///
    /// # Examples
    ///
    /// See [`Shared`].
    pub fn new(value: &T) -> Result<Self> {
        let mut bytes = Vec::new();
        let collecting = Collecting::nothing();
        let encoded = encode(value, &mut bytes);
        drop(collecting);
        encoded.map_err(|cause| Error::EncodeShared { cause })?;
        Self::of_bytes(&bytes)
    }

    /// The value, decoded if this is the first time in this process.
    ///
    /// # Errors
    ///
    /// [`Error::DecodeShared`] if it cannot be decoded.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let shared = multiprocess::Shared::new(&vec!["a".to_owned()])?;
    /// let value = shared.get()?;
    /// assert_eq!(*value, ["a"]);
    /// assert!(Arc::ptr_eq(&value, &shared.clone().get()?));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn get(&self) -> Result<Arc<T>> {
        self.broadcast.decoded(|bytes| {
            // Those of a call that is being decoded around it are not its own.
            let _arriving = Arriving::begin(&mut Vec::new());
            decode(bytes).map_err(|cause| Error::DecodeShared { cause })
        })
    }

    /// How many bytes it takes, encoded.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(multiprocess::Shared::new(&"four".to_owned())?.encoded_size(), 5);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn encoded_size(&self) -> usize {
        self.broadcast.map.bytes().len()
    }
}

impl<T: Pod> Shared<[T]> {
    /// Copies a slice into memory that is shared, and from then on nobody can write to.
    ///
    /// A `T` without bytes, of more than 1 GiB or aligned to more than 64 bytes does not compile.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is not so much memory, or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{ProcessPool, Shared};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let table: Vec<f64> = (0..100_000).map(f64::from).collect();
    /// let (pool, table) = (ProcessPool::new(2)?, Shared::from_slice(&table)?);
    /// let sums = |table: Shared<[f64]>, from: usize| table[from..from + 1_000].iter().sum::<f64>();
    /// let calls = (0..100).map(|n| (table.clone(), n * 1_000)).collect::<Vec<_>>();
    /// assert_eq!(pool.starmap(sums, calls).await?.iter().sum::<f64>(), 4_999_950_000.0);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn from_slice(elements: &[T]) -> Result<Self> {
        Self::of_bytes(bytemuck::cast_slice(elements))
    }
}

#[expect(private_bounds, reason = "it says which of two kinds it is, and nobody else has another one")]
impl<T: Shape + ?Sized> Shared<T> {
    fn of_bytes(bytes: &[u8]) -> Result<Self> {
        let map = SealedMap::new(T::CONTENT(), bytes);
        let map = map.map_err(|cause| Error::shared("a value", cause))?;
        Ok(Self { broadcast: Arc::new(Broadcast::new(map)), values: PhantomData })
    }
}

impl<T: Pod> Deref for Shared<[T]> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // It was seen that these are whole elements, and the bytes are aligned to more than any.
        bytemuck::cast_slice(self.broadcast.map.bytes())
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { broadcast: Arc::clone(&self.broadcast), values: PhantomData }
    }
}

impl<T: ?Sized> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("bytes", &self.broadcast.map.bytes().len()).finish()
    }
}

impl<T: ?Sized> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fd::from(self.broadcast.map.memory()).serialize(serializer)
    }
}

impl<'de, T: Shape + ?Sized> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let memory = Fd::deserialize(deserializer)?.into();
        let broadcast = Broadcast::arrived(T::CONTENT(), memory).map_err(D::Error::custom)?;
        if !T::is_whole(broadcast.map.bytes().len()) {
            return Err(D::Error::custom("the memory of a shared slice has a wrong size"));
        }
        Ok(Self { broadcast, values: PhantomData })
    }
}
