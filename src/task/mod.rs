//! A plain function as a task: how it is named between two processes of one image, and how it is called.

mod arity;
mod call;
mod create;
mod entry;
mod held;
mod initializer;
mod label;
mod method;
mod numbers;
mod outcome;
mod panics;
mod stretch;

pub use arity::{Arguments, TaskFn};
pub use create::CreateFn;
pub use held::Held;
pub use initializer::{Fallible, InitFn};
pub use method::{ByMut, ByRef, Method};
pub use outcome::{Awaited, Outcome, Payload, Plain};

pub(crate) use call::{call_once, leave_if_forked};
pub(crate) use create::Unmade;
pub(crate) use entry::{
    InitializerRef, MakerRef, MethodRef, Task, resolve, resolve_initializer, resolve_maker, resolve_method,
    types_fingerprint,
};
pub(crate) use held::{Object, Wait, object};
pub(crate) use initializer::{Setup, State};
pub(crate) use label::{Label, task_name};
pub(crate) use panics::{capture_panics, caught, panic_text, print_panics};
pub(crate) use stretch::{Odd, Stretch};
