//! Values that are many numbers in a row: they travel as they lie in memory, and are copied at once.
//!
//! ```text
//! in a record   count, as a base-128 number | the numbers
//! in a block    the numbers
//! ```
//!
//! Only where both sides run one image: for bytes, floats and text that is what postcard writes too, but for other numbers it is not.

use std::any::{Any, TypeId};

use bytemuck::Pod;
use bytes::Bytes;

use super::blocks::Block;
use super::budget::{Budget, Cause, Failure};
use super::value::describe;

/// Where the numbers of a value lie.
enum Source<'a> {
    /// In a record, as many as are counted there.
    Record(&'a [u8]),
    Block(&'a Block),
}

/// Does something with each kind of number.
macro_rules! each_number {
    ($act:ident) => {
        $act!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize, f32, f64)
    };
}
pub(super) use each_number;

/// A value of such a type, and how many numbers it has.
pub(super) struct Raw<'v> {
    pub(super) count: usize,
    pub(super) bytes: &'v [u8],
}

impl<'v> Raw<'v> {
    fn of<T: Pod>(numbers: &'v [T]) -> Self {
        Self { count: numbers.len(), bytes: bytemuck::cast_slice(numbers) }
    }
}

/// True if a value of this type is such a row. It is asked for each small value, and known when that is compiled.
#[inline]
fn is_row<T: 'static>() -> bool {
    let asked = TypeId::of::<T>();
    macro_rules! any_of {
        ($($number:ty),*) => { $(asked == TypeId::of::<Vec<$number>>())||* };
    }
    each_number!(any_of) || asked == TypeId::of::<String>() || asked == TypeId::of::<Bytes>()
}

/// The numbers of a value, if it is such a row.
#[inline]
pub(super) fn raw<T: 'static>(value: &T) -> Option<Raw<'_>> {
    if !is_row::<T>() {
        return None;
    }
    let value = value as &dyn Any;
    macro_rules! first_of {
        ($($number:ty),*) => {
            $(if let Some(numbers) = value.downcast_ref::<Vec<$number>>() {
                return Some(Raw::of(numbers));
            })*
        };
    }
    each_number!(first_of);
    let text = value.downcast_ref::<String>().map(|text| Raw::of(text.as_bytes()));
    text.or_else(|| value.downcast_ref::<Bytes>().map(|bytes| Raw::of(bytes)))
}

/// A value that lies at the front of a record, if its type is such a row, and what stands behind it.
#[inline]
pub(super) fn take<'a, T: 'static>(
    input: &'a [u8],
    budget: &mut Budget,
) -> Option<Result<(T, &'a [u8]), String>> {
    if !is_row::<T>() {
        return None;
    }
    Some(counted(input).and_then(|(count, rest)| {
        let bytes = count.checked_mul(size_of_number::<T>()).filter(|bytes| *bytes <= rest.len());
        let (bytes, rest) = rest.split_at(bytes.ok_or("the input ends within the value")?);
        Ok((filled(&Source::Record(bytes), budget)?, rest))
    }))
}

/// A value that lies in a block, if its type is such a row.
#[inline]
pub(super) fn read<T: 'static>(block: &Block, budget: &mut Budget) -> Option<Result<T, String>> {
    is_row::<T>().then(|| filled(&Source::Block(block), budget))
}

fn counted(input: &[u8]) -> Result<(usize, &[u8]), String> {
    postcard::take_from_bytes::<usize>(input).map_err(|error| describe(&error))
}

/// How many bytes one number takes of the row that `T` is.
fn size_of_number<T: 'static>() -> usize {
    let slot = None::<T>;
    let slot = &slot as &dyn Any;
    macro_rules! size_of_each {
        ($($number:ty),*) => {
            $(if slot.is::<Option<Vec<$number>>>() {
                return size_of::<$number>();
            })*
        };
    }
    each_number!(size_of_each);
    1
}

/// A value of the type, which is such a row, with these numbers.
fn filled<T: 'static>(source: &Source<'_>, budget: &mut Budget) -> Result<T, String> {
    budget.charge::<postcard::Error>(source.len()).map_err(|failure| text_of(&failure))?;
    let mut value = None::<T>;
    let slot = &mut value as &mut dyn Any;
    macro_rules! fill_one {
        ($($number:ty),*) => {
            $(if let Some(slot) = slot.downcast_mut::<Option<Vec<$number>>>() {
                *slot = Some(source.numbers()?);
            })*
        };
    }
    each_number!(fill_one);
    if let Some(slot) = slot.downcast_mut::<Option<String>>() {
        let text = String::from_utf8(source.numbers()?);
        *slot = Some(text.map_err(|_| describe(&postcard::Error::DeserializeBadUtf8))?);
    }
    if let Some(slot) = slot.downcast_mut::<Option<Bytes>>() {
        *slot = Some(source.numbers::<u8>()?.into());
    }
    Ok(value.expect("the slot of such a row was filled"))
}

fn text_of(failure: &Failure<postcard::Error>) -> String {
    match failure.cause() {
        Cause::Refused(refusal) => refusal.to_string(),
        Cause::Wire(error) => describe(error),
    }
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Record(bytes) => bytes.len(),
            Self::Block(block) => block.len(),
        }
    }

    fn numbers<T: Pod>(&self) -> Result<Vec<T>, String> {
        match self {
            Self::Record(bytes) => {
                let mut numbers = vec![T::zeroed(); bytes.len() / size_of::<T>()];
                bytemuck::cast_slice_mut::<T, u8>(&mut numbers).copy_from_slice(bytes);
                Ok(numbers)
            }
            Self::Block(block) => block.read(),
        }
    }
}
