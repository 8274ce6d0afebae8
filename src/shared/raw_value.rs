//! A value that processes share without a lock.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::content::{Kind, content};
use super::slots::Slots;
use crate::error::{Error, Result};
use crate::os::Cells;
use crate::wire::Fd;

/// A value that processes share, without a lock. Python: `multiprocessing.RawValue`.
///
/// It is read and written as a whole, by any number of processes, threads and tasks at once: nobody ever sees half of one value and half of another, of whatever size it is, also if
/// whoever writes is killed in the middle of it. One of 1, 2, 4 or 8 bytes is written in one instruction, and integers also change in one step, as by [`fetch_add`](Self::fetch_add). One of another
/// size stands there twice, and writers take turns, which never holds up a reader. To read it and then write it, so that nobody comes in between, take a [`Value`](crate::Value).
///
/// All clones are the same value, and so is whatever arrives where one is sent. It takes one descriptor and a page of memory, and is gone with the last process that has it.
///
/// # Types
///
/// `T` is a [`Pod`], of which any bytes are a value: numbers, arrays of them, and structs that derive it, with the crate `bytemuck` and its feature `derive`.
///
/// ```
/// use multiprocess::{Process, RawValue};
///
/// #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Position {
///     x: f64,
///     y: f64,
///     step: u64,
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let position = RawValue::new(Position { x: 1.0, y: 2.0, step: 0 })?;
/// let moves = |position: RawValue<Position>| {
///     let Position { x, y, step } = position.get();
///     position.set(Position { x: x + 1.0, y, step: step + 1 });
/// };
/// Process::spawn(moves, (position.clone(),))?.join().await?;
/// assert_eq!(position.get(), Position { x: 2.0, y: 2.0, step: 1 });
/// # Ok::<(), multiprocess::Error>(())
/// # }).unwrap();
/// ```
///
/// # Processes that are not to be trusted
///
/// Any process that has it can write any bytes at any time, which are then its value. One that writes past this crate can make others see mixed values or wait when they write one of another size than
/// 1, 2, 4 or 8 bytes; it can do them no other harm.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, RawValue};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (pool, found) = (ProcessPool::new(2)?, RawValue::new(0_u64)?);
/// let count = |found: RawValue<u64>, text: String| {
///     found.fetch_add(text.matches('e').count() as u64);
/// };
/// let texts = ["three", "green", "bottles"].map(|text| (found.clone(), text.to_owned()));
/// pool.starmap(count, texts).await?;
/// assert_eq!(found.get(), 5);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub struct RawValue<T> {
    pub(super) cells: Arc<Cells>,
    values: PhantomData<T>,
}

/// True of sizes that are read and written in one instruction.
const fn is_one_step<T>() -> bool {
    matches!(size_of::<T>(), 1 | 2 | 4 | 8)
}

impl<T: Pod> RawValue<T> {
    const SLOTS: Slots = Slots::alone(size_of::<T>());

    /// A new one, with this value. Python: `RawValue(typecode, value)`.
    ///
    /// A `T` without bytes, of more than 1 GiB or aligned to more than 64 bytes does not compile.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] if there is no memory or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let value = multiprocess::RawValue::new(1.5_f32)?;
    /// assert_eq!(value.get(), 1.5);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new(value: T) -> Result<Self> {
        let cells = Cells::create(content::<T>(Kind::RawValue), Self::bytes());
        let cells = cells.map_err(|cause| Error::shared("a value", cause))?;
        let new = Self { cells: Arc::new(cells), values: PhantomData };
        new.set(value);
        Ok(new)
    }

    const fn bytes() -> usize {
        if is_one_step::<T>() { size_of::<T>() } else { Self::SLOTS.end() }
    }

    /// The value now. Whoever sees what another process has set sees also what that has written before. Python: `value`.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    #[inline]
    #[must_use]
    pub fn get(&self) -> T {
        if is_one_step::<T>() {
            return self.cells.load(0);
        }
        let mut value = T::zeroed();
        Self::SLOTS.read(&*self.cells, bytemuck::bytes_of_mut(&mut value));
        value
    }

    /// Sets it. A value of another size than 1, 2, 4 or 8 bytes waits while another process sets it, which takes no longer than copying it, unless that process is stopped. Python: `value`.
    ///
    /// # Examples
    ///
    /// ```
    /// let value = multiprocess::RawValue::new([1_u64, 2, 3])?;
    /// value.set([4, 5, 6]);
    /// assert_eq!(value.get(), [4, 5, 6]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn set(&self, value: T) {
        if is_one_step::<T>() {
            self.cells.store(0, value);
        } else {
            Self::SLOTS.write(&*self.cells, bytemuck::bytes_of(&value));
        }
    }

    /// Another one, with the value that this has now. Python: `multiprocessing.sharedctypes.copy`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// let value = multiprocess::RawValue::new(1)?;
    /// let copy = value.copy()?;
    /// value.set(2);
    /// assert_eq!(copy.get(), 1);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn copy(&self) -> Result<Self> {
        Self::new(self.get())
    }
}

impl<T> Clone for RawValue<T> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells), values: PhantomData }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for RawValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawValue").field(&self.get()).finish()
    }
}

impl<T: Pod> Serialize for RawValue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fd::from(self.cells.memory()).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for RawValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let memory = Fd::deserialize(deserializer)?.into();
        let cells = Cells::attach(content::<T>(Kind::RawValue), memory).map_err(D::Error::custom)?;
        if cells.len() != Self::bytes() {
            return Err(D::Error::custom("the memory of a shared value has a wrong size"));
        }
        Ok(Self { cells: Arc::new(cells), values: PhantomData })
    }
}
