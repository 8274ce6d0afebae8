//! Values, arrays and memory that processes share.

mod array;
mod array_guard;
mod broadcast;
mod cache;
mod content;
mod integers;
mod item;
mod list;
mod manager;
mod memory;
#[cfg(all(test, models))]
mod models;
mod name;
mod raw_array;
mod raw_array_steps;
mod raw_value;
mod raw_value_steps;
mod slots;
mod value;
mod value_guard;

pub use array::Array;
pub use array_guard::ArrayGuard;
pub use broadcast::Shared;
pub use integers::Integer;
pub use item::ListItem;
pub use list::ShareableList;
pub use manager::SharedMemoryManager;
pub use memory::SharedMemory;
pub use raw_array::{RawArray, RawArrayIter};
pub use raw_value::RawValue;
pub use value::Value;
pub use value_guard::ValueGuard;
