//! An array that processes share without a lock.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::content::{Kind, content};
use crate::error::{Error, Result};
use crate::os::Cells;
use crate::wire::Fd;

/// An array that processes share, without a lock. Python: `multiprocessing.RawArray`.
///
/// Its elements are read and written one by one, by any number of processes, threads and tasks at once. An element of 1, 2, 4 or 8 bytes is read and written as a whole, and integers also
/// change in one step, as by [`fetch_add`](Self::fetch_add). One of another size may be half of one value and half of another, if two write it at once or one reads it meanwhile; give such
/// an array a lock, or take an [`Array`](crate::Array), which has one and is worked on in place.
///
/// All clones are the same array, and so is whatever arrives where one is sent. [`range`](Self::range) gives a part of it, which can be sent too. It takes one descriptor, and is gone
/// with the last process that has it. Its space is reserved when it is made, so that no access fails later.
///
/// `T` is as for [`RawValue`](crate::RawValue). Any process that has the array can write any bytes at any time, which are then its elements; it can do others no other harm.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, RawArray};
///
/// fn count(bins: RawArray<u64>, words: Vec<&str>) {
///     for word in words {
///         bins.fetch_add(word.len().min(9), 1).expect("there are ten");
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (pool, bins) = (ProcessPool::new(2)?, RawArray::zeroed(10)?);
/// let count = |bins: RawArray<u64>, text: String| count(bins, text.split(' ').collect());
/// let texts = ["so much depends upon", "a red wheel barrow"].map(|text| (bins.clone(), text.to_owned()));
/// pool.starmap(count, texts).await?;
/// assert_eq!(bins.to_vec(), [0, 1, 1, 1, 2, 1, 1, 1, 0, 0]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
pub struct RawArray<T> {
    pub(super) cells: Arc<Cells>,
    /// What the memory says that it is: an array, or bytes of which this is a part.
    kind: Kind,
    /// Where the first element lies in the memory, in bytes.
    first: usize,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Pod> RawArray<T> {
    const SIZE: usize = size_of::<T>();

    /// A new one, with these elements. Python: `RawArray(typecode, sequence)`.
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
    /// let array = multiprocess::RawArray::new(&[1_u16, 2, 3])?;
    /// assert_eq!((array.len(), array.get(2)?), (3, 3));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new(elements: &[T]) -> Result<Self> {
        let array = Self::zeroed(elements.len())?;
        array.cells.store_all(0, elements);
        Ok(array)
    }

    /// A new one, with so many elements of zeros. Python: `RawArray(typecode, size)`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::RawArray::<i64>::zeroed(1_000)?;
    /// assert!(array.iter().all(|element| element == 0));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn zeroed(len: usize) -> Result<Self> {
        let kind = Kind::RawArray;
        // More than the memory of any machine, which is refused as such.
        let size = len.saturating_mul(Self::SIZE);
        let cells = Cells::create(content::<T>(kind), size);
        let cells = cells.map_err(|cause| Error::shared("an array", cause))?;
        Ok(Self { cells: Arc::new(cells), kind, first: 0, len, values: PhantomData })
    }

    /// How many elements it has. Python: `len(array)`.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if it has none.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(multiprocess::RawArray::<u8>::zeroed(0)?.is_empty());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One of its elements. Whoever sees what another process has set sees also what that has written before. Python: `array[index]`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if there is no such element.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    #[inline]
    pub fn get(&self, index: usize) -> Result<T> {
        Ok(self.cells.load(self.at(index)?))
    }

    /// Sets one of its elements. Python: `array[index] = value`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::RawArray::new(&[1, 2, 3])?;
    /// array.set(1, 5)?;
    /// assert_eq!(array.to_vec(), [1, 5, 3]);
    /// assert!(array.set(3, 5).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        self.cells.store(self.at(index)?, value);
        Ok(())
    }

    /// Sets all of its elements, one after the other. Python: `array[:] = values`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongLength`] if there are not as many. Then it is left as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::RawArray::zeroed(5)?;
    /// array.range(1..4)?.copy_from_slice(&[1, 2, 3])?;
    /// assert_eq!(array.to_vec(), [0, 1, 2, 3, 0]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn copy_from_slice(&self, elements: &[T]) -> Result<()> {
        self.is_as_long(elements.len())?;
        self.cells.store_all(self.first, elements);
        Ok(())
    }

    /// Reads all of its elements, one after the other. Python: `array[:]`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongLength`] if there is not room for just as many.
    ///
    /// # Examples
    ///
    /// ```
    /// let (array, mut room) = (multiprocess::RawArray::new(&[1, 2, 3])?, [0; 3]);
    /// array.copy_to_slice(&mut room)?;
    /// assert_eq!(room, [1, 2, 3]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn copy_to_slice(&self, room: &mut [T]) -> Result<()> {
        self.is_as_long(room.len())?;
        self.cells.load_all(self.first, room);
        Ok(())
    }

    /// All of its elements, read one after the other. Python: `array[:]`.
    ///
    /// # Examples
    ///
    /// See [`set`](Self::set).
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        let mut elements = vec![T::zeroed(); self.len];
        self.cells.load_all(self.first, &mut elements);
        elements
    }

    /// Sets all of its elements to the same.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::RawArray::zeroed(3)?;
    /// array.fill(7_u8);
    /// assert_eq!(array.to_vec(), [7, 7, 7]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn fill(&self, value: T) {
        for index in 0..self.len {
            self.cells.store(self.first + index * Self::SIZE, value);
        }
    }

    /// Its elements, each read when it is asked for. Python: `iter(array)`.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::RawArray::new(&[1, 2, 3])?;
    /// assert_eq!(array.iter().rev().collect::<Vec<i32>>(), [3, 2, 1]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> RawArrayIter<'_, T> {
        RawArrayIter { array: self, left: 0..self.len }
    }

    /// A part of it, which is the same memory, and keeps all of it. Python: `array[start:end]`, which is a copy.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if it does not lie within the array.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::RawArray::zeroed(6)?;
    /// let middle = array.range(2..4)?;
    /// middle.fill(1);
    /// assert_eq!(array.to_vec(), [0, 0, 1, 1, 0, 0]);
    /// assert!(middle.range(..3).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn range(&self, range: impl RangeBounds<usize>) -> Result<Self> {
        let (start, end) = ends(range, self.len)?;
        let part = Self { first: self.first + start * Self::SIZE, len: end - start, ..self.clone() };
        Ok(part)
    }

    /// Another one, with the elements that this has now. Python: `multiprocessing.sharedctypes.copy`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::RawArray::new(&[1, 2])?;
    /// let copy = array.copy()?;
    /// array.set(0, 9)?;
    /// assert_eq!(copy.to_vec(), [1, 2]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn copy(&self) -> Result<Self> {
        Self::new(&self.to_vec())
    }

    #[inline]
    pub(super) fn at(&self, index: usize) -> Result<usize> {
        if index < self.len { Ok(self.first + index * Self::SIZE) } else { Err(beyond(index, self.len)) }
    }

    /// So many elements in memory of bytes.
    pub(super) fn of_bytes(cells: &Arc<Cells>, first: usize, len: usize) -> Self {
        Self { cells: Arc::clone(cells), kind: Kind::Bytes, first, len, values: PhantomData }
    }

    fn is_as_long(&self, given: usize) -> Result<()> {
        if given == self.len { Ok(()) } else { Err(Error::WrongLength { given, needed: self.len }) }
    }
}

#[cold]
fn beyond(index: usize, length: usize) -> Error {
    Error::OutOfRange { start: index, end: index.saturating_add(1), length }
}

/// Start and end of a range within so many.
pub(super) fn ends(range: impl RangeBounds<usize>, length: usize) -> Result<(usize, usize)> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => length,
    };
    if start <= end && end <= length {
        Ok((start, end))
    } else {
        Err(Error::OutOfRange { start, end, length })
    }
}

impl<T> Clone for RawArray<T> {
    fn clone(&self) -> Self {
        Self { cells: Arc::clone(&self.cells), ..*self }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for RawArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a, T: Pod> IntoIterator for &'a RawArray<T> {
    type Item = T;
    type IntoIter = RawArrayIter<'a, T>;

    fn into_iter(self) -> RawArrayIter<'a, T> {
        self.iter()
    }
}

impl<T: Pod> Serialize for RawArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_of_bytes = matches!(self.kind, Kind::Bytes);
        (Fd::from(self.cells.memory()), is_of_bytes, self.first, self.len).serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for RawArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (memory, is_of_bytes, first, len) = <(Fd, bool, usize, usize)>::deserialize(deserializer)?;
        let kind = if is_of_bytes { Kind::Bytes } else { Kind::RawArray };
        let content = if is_of_bytes { content::<u8>(kind) } else { content::<T>(kind) };
        let cells = Cells::attach(content, memory.into()).map_err(D::Error::custom)?;
        let end = len.checked_mul(Self::SIZE).and_then(|size| size.checked_add(first));
        if !first.is_multiple_of(Cells::step(Self::SIZE)) || end.is_none_or(|end| end > cells.len()) {
            return Err(D::Error::custom("the part of a shared array does not lie within it"));
        }
        Ok(Self { cells: Arc::new(cells), kind, first, len, values: PhantomData })
    }
}

/// The elements of a [`RawArray`], each read when it is asked for.
///
/// # Examples
///
/// See [`RawArray::iter`].
pub struct RawArrayIter<'a, T> {
    array: &'a RawArray<T>,
    left: std::ops::Range<usize>,
}

impl<T: Pod> RawArrayIter<'_, T> {
    fn element(&self, index: usize) -> T {
        self.array.cells.load(self.array.first + index * size_of::<T>())
    }
}

impl<T: Pod> Iterator for RawArrayIter<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left.next().map(|index| self.element(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl<T: Pod> DoubleEndedIterator for RawArrayIter<'_, T> {
    fn next_back(&mut self) -> Option<T> {
        self.left.next_back().map(|index| self.element(index))
    }
}

impl<T> Clone for RawArrayIter<'_, T> {
    fn clone(&self) -> Self {
        Self { array: self.array, left: self.left.clone() }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for RawArrayIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl<T: Pod> ExactSizeIterator for RawArrayIter<'_, T> {}
impl<T: Pod> FusedIterator for RawArrayIter<'_, T> {}
