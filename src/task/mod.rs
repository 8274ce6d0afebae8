//! A plain function as a task: how it is named between two processes of one image, and how it is called.

mod arity;
mod call;
mod entry;
mod initializer;
mod label;
mod outcome;
mod panics;

pub use arity::{Arguments, TaskFn};
pub use initializer::{Fallible, InitFn};
pub use outcome::{Awaited, Outcome, Payload, Plain};

pub(crate) use call::call_once;
pub(crate) use entry::{InitializerRef, Task, resolve, resolve_initializer};
pub(crate) use initializer::{Setup, State};
pub(crate) use label::{Label, task_name};
pub(crate) use panics::{capture_panics, panic_text, print_panics};
