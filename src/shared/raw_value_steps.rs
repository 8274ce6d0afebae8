//! Whole numbers as shared values: they change in one step, without a lock.

use super::integers::Integer;
use super::raw_value::RawValue;
use crate::error::Result;
use crate::os::Op;

/// In one step, so that nobody comes in between.
impl<T: Integer> RawValue<T> {
    /// Adds to it, wrapping around, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_add(2), number.get()), (5, 7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_add(&self, with: T) -> T {
        self.cells.fetch(0, Op::Add, with)
    }

    /// Subtracts from it, wrapping around, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_sub(2), number.get()), (5, 3));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_sub(&self, with: T) -> T {
        self.cells.fetch(0, Op::Sub, with)
    }

    /// Keeps the bits that both have, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_and(4), number.get()), (5, 4));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_and(&self, with: T) -> T {
        self.cells.fetch(0, Op::And, with)
    }

    /// Sets the bits that either has, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_or(2), number.get()), (5, 7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_or(&self, with: T) -> T {
        self.cells.fetch(0, Op::Or, with)
    }

    /// Turns over the bits that the other has, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_xor(4), number.get()), (5, 1));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn fetch_xor(&self, with: T) -> T {
        self.cells.fetch(0, Op::Xor, with)
    }

    /// Puts another one in its place, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.swap(2), number.get()), (5, 2));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn swap(&self, with: T) -> T {
        self.cells.fetch(0, Op::Swap, with)
    }

    /// Makes it the larger of itself and another one, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_max(7), number.get()), (5, 7));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn fetch_max(&self, other: T) -> T {
        self.fetch_update(|now| now.max(other))
    }

    /// Makes it the smaller of itself and another one, in one step. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_min(7), number.get()), (5, 5));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn fetch_min(&self, other: T) -> T {
        self.fetch_update(|now| now.min(other))
    }

    /// Puts another one in its place if it is what one thinks, in one step. What it was before, which is an `Err` if it was something else.
    ///
    /// # Errors
    ///
    /// What it is, if that is not `from`. Then it is left as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_i64)?;
    /// assert_eq!(number.compare_exchange(5, -1), Ok(5));
    /// assert_eq!(number.compare_exchange(5, 0), Err(-1));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[inline]
    pub fn compare_exchange(&self, from: T, to: T) -> Result<T, T> {
        self.cells.exchange(0, from, to)
    }

    /// Makes another one of it, by a function that may be called again if somebody has come in between. What it was before.
    ///
    /// # Examples
    ///
    /// ```
    /// let number = multiprocess::RawValue::new(5_u32)?;
    /// assert_eq!((number.fetch_update(|now| now * 3), number.get()), (5, 15));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn fetch_update(&self, mut change: impl FnMut(T) -> T) -> T {
        let mut now = self.get();
        loop {
            match self.compare_exchange(now, change(now)) {
                Ok(before) => return before,
                Err(other) => now = other,
            }
        }
    }
}
