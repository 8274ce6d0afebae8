//! The numbers that change in one step.

use bytemuck::Pod;

/// A whole number of 1, 2, 4 or 8 bytes: `u8` to `u64`, `i8` to `i64`, `usize` and `isize`.
///
/// # Examples
///
/// ```
/// use multiprocess::{Integer, RawArray};
///
/// fn count<T: Integer>(bins: &RawArray<T>, bin: usize, one: T) -> multiprocess::Result<T> {
///     bins.fetch_add(bin, one)
/// }
///
/// let bins = RawArray::<u32>::zeroed(3)?;
/// count(&bins, 1, 1)?;
/// assert_eq!(bins.to_vec(), [0, 1, 0]);
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub trait Integer: Pod + Ord + Sealed {}

pub trait Sealed {}

macro_rules! integers {
    ($($number:ty),*) => {
        $(
            impl Sealed for $number {}
            impl Integer for $number {}
        )*
    };
}

integers!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
