//! A shared array, locked, and worked on in place.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;

use super::value_guard::Keeps;
use crate::os::Claim;

/// An [`Array`](crate::Array) is ours: a slice of its elements, in place. Dropping this releases the lock.
///
/// # Examples
///
/// See [`Array`](crate::Array).
#[must_use = "dropping it releases the lock"]
pub struct ArrayGuard<'a, T: Pod> {
    // It is given back before the lock is.
    claim: Claim<'a, T>,
    keeps: Keeps<'a>,
}

impl<'a, T: Pod> ArrayGuard<'a, T> {
    pub(super) fn new(claim: Claim<'a, T>, keeps: Keeps<'a>) -> Self {
        Self { claim, keeps }
    }

    pub(super) fn repaired(&mut self) {
        self.keeps.repaired();
    }
}

/// With the feature `ndarray`.
#[cfg(feature = "ndarray")]
impl<T: Pod> ArrayGuard<'_, T> {
    /// The elements as an array of this shape, the last dimension running fastest; nothing is copied. Python: `numpy.frombuffer(array.get_obj())`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongLength`](crate::Error::WrongLength) if a shape like that has another number of elements.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::Array::new(&[1, 2, 3, 4, 5, 6])?;
    /// let guard = array.blocking_lock()?;
    /// let table = guard.view((2, 3))?;
    /// assert_eq!(table.column(1).to_vec(), [2, 5]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn view<D: ndarray::IntoDimension>(
        &self,
        shape: D,
    ) -> crate::Result<ndarray::ArrayView<'_, T, D::Dim>> {
        let shape = shape.into_dimension();
        let wrong = wrong_length(self.claim.len(), &shape);
        ndarray::ArrayView::from_shape(shape, &self.claim).map_err(|_| wrong)
    }

    /// As [`view`](Self::view), to change the elements.
    ///
    /// # Errors
    ///
    /// As for [`view`](Self::view).
    ///
    /// # Examples
    ///
    /// ```
    /// let array = multiprocess::Array::new(&[1, 2, 3, 4])?;
    /// let mut guard = array.blocking_lock()?;
    /// guard.view_mut((2, 2))?.swap_axes(0, 1);
    /// guard.view_mut((2, 2))?.row_mut(0).fill(9);
    /// assert_eq!(*guard, [9, 9, 3, 4]);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn view_mut<D: ndarray::IntoDimension>(
        &mut self,
        shape: D,
    ) -> crate::Result<ndarray::ArrayViewMut<'_, T, D::Dim>> {
        let shape = shape.into_dimension();
        let wrong = wrong_length(self.claim.len(), &shape);
        ndarray::ArrayViewMut::from_shape(shape, &mut self.claim).map_err(|_| wrong)
    }
}

#[cfg(feature = "ndarray")]
fn wrong_length(needed: usize, shape: &impl ndarray::Dimension) -> crate::Error {
    crate::Error::WrongLength { given: shape.size_checked().unwrap_or(usize::MAX), needed }
}

impl<T: Pod> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.claim
    }
}

impl<T: Pod> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.claim
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
