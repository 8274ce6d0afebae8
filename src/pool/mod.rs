//! The pool's face: what users hold.

mod apply;
mod blocking;
mod builder;
mod feed;
mod flow;
mod handle;
mod imap;
mod kind;
mod map;
mod outcome;
mod pool;

pub use apply::Apply;
pub use builder::Builder;
pub use handle::{TaskHandle, TaskId};
pub use imap::{BlockingImap, Imap};
pub(crate) use kind::Sealed;
pub use kind::{Kind, ProcessPool, Processes};
pub use map::Map;
pub use pool::Pool;
