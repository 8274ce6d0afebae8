//! Values, arrays and memory that processes share.

mod array;
mod array_guard;
mod content;
mod integers;
#[cfg(all(test, models))]
mod models;
mod raw_array;
mod raw_value;
mod slots;
mod value;
mod value_guard;

pub use array::Array;
pub use array_guard::ArrayGuard;
pub use integers::Integer;
pub use raw_array::{RawArray, RawArrayIter};
pub use raw_value::RawValue;
pub use value::Value;
pub use value_guard::ValueGuard;
