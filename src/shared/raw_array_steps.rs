//! Whole numbers as elements of shared arrays: they change in one step, without a lock.

use super::integers::Integer;
use super::raw_array::RawArray;
use crate::error::Result;
use crate::os::Op;

/// In one step, so that nobody comes in between.
impl<T: Integer> RawArray<T> {
    /// Adds to it, wrapping around, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_add(1, 2)?, numbers.get(1)?), (5, 7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_add(&self, index: usize, with: T) -> Result<T> {
        Ok(self.cells.fetch(self.at(index)?, Op::Add, with))
    }

    /// Subtracts from it, wrapping around, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_sub(1, 2)?, numbers.get(1)?), (5, 3));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_sub(&self, index: usize, with: T) -> Result<T> {
        Ok(self.cells.fetch(self.at(index)?, Op::Sub, with))
    }

    /// Keeps the bits that both have, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_and(1, 4)?, numbers.get(1)?), (5, 4));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_and(&self, index: usize, with: T) -> Result<T> {
        Ok(self.cells.fetch(self.at(index)?, Op::And, with))
    }

    /// Sets the bits that either has, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_or(1, 2)?, numbers.get(1)?), (5, 7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_or(&self, index: usize, with: T) -> Result<T> {
        Ok(self.cells.fetch(self.at(index)?, Op::Or, with))
    }

    /// Turns over the bits that the other has, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_xor(1, 4)?, numbers.get(1)?), (5, 1));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_xor(&self, index: usize, with: T) -> Result<T> {
        Ok(self.cells.fetch(self.at(index)?, Op::Xor, with))
    }

    /// Puts another one in its place, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.swap(1, 2)?, numbers.get(1)?), (5, 2));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn swap(&self, index: usize, with: T) -> Result<T> {
        Ok(self.cells.fetch(self.at(index)?, Op::Swap, with))
    }

    /// Makes it the larger of itself and another one, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_max(1, 7)?, numbers.get(1)?), (5, 7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn fetch_max(&self, index: usize, other: T) -> Result<T> {
        self.fetch_update(index, |now| now.max(other))
    }

    /// Makes it the smaller of itself and another one, in one step. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_min(1, 7)?, numbers.get(1)?), (5, 5));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn fetch_min(&self, index: usize, other: T) -> Result<T> {
        self.fetch_update(index, |now| now.min(other))
    }

    /// Puts another one in its place if it is what one thinks, in one step. What it was before, which is an `Err` if it was something else.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!(numbers.compare_exchange(1, 5, 6)?, Ok(5));
    /// assert_eq!(numbers.compare_exchange(1, 5, 7)?, Err(6));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn compare_exchange(&self, index: usize, from: T, to: T) -> Result<Result<T, T>> {
        Ok(self.cells.exchange(self.at(index)?, from, to))
    }

    /// Makes another one of it, by a function that may be called again if somebody has come in between. What it was before.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if there is no such element.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = multiprocess::RawArray::new(&[1_u32, 5])?;
    /// assert_eq!((numbers.fetch_update(1, |now| now * 3)?, numbers.get(1)?), (5, 15));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn fetch_update(&self, index: usize, mut change: impl FnMut(T) -> T) -> Result<T> {
        let at = self.at(index)?;
        let mut now = self.cells.load(at);
        loop {
            match self.cells.exchange(at, now, change(now)) {
                Ok(before) => return Ok(before),
                Err(other) => now = other,
            }
        }
    }
}
