//! The pool's face: what users hold.

mod apply;
mod blocking_calls;
mod builder;
mod builder_limits;
mod builder_start;
mod calls;
mod cell;
mod encoded;
mod feed;
mod flow;
mod front;
mod handle;
mod imap;
mod kind;
mod lock;
mod map;
#[cfg(all(test, models))]
mod models;
mod outcome;
mod pace;
mod window;
mod wishes;

pub use apply::Apply;
pub use builder::Builder;
pub(crate) use builder::{is_result, setup};
pub(crate) use encoded::{Element, Encoded, EncodedMap, Recoded};
pub use front::Pool;
pub use handle::{TaskHandle, TaskId};
pub use imap::{BlockingImap, Imap};
pub(crate) use kind::Sealed;
pub use kind::{Kind, ProcessPool, Processes};
pub use map::Map;
