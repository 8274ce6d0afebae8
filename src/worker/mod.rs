//! The child's side: from the first instruction before `main` to the last task. Blocking throughout; there is no
//! tokio on the serving path.

mod answers;
mod blocks;
#[cfg(feature = "sandbox")]
mod confine;
mod context;
mod enter;
mod execute;
mod forked;
mod forkserver;
mod identity;
mod permission;
mod preload;
mod serve;
mod shape;
mod start_method;

#[cfg(feature = "sandbox")]
pub use confine::{Held, Hold, sandbox};
pub use context::{Worker, current, is_cancelled, state};

pub(crate) use answers::Answers;
pub(crate) use context::{Context, depth, serves_with};
#[cfg(fuzzing)]
pub(crate) use enter::confirms;
pub use enter::init;
pub(crate) use enter::{ENV, Role, Setup, Token, enter_forked};
pub(crate) use execute::{Answer, Order, execute};
pub(crate) use forked::Forked;
pub(crate) use forkserver::REQUEST_ROOM;
pub(crate) use identity::{Ourselves, ourselves, program_name};
pub(crate) use permission::{SMALLEST_STACK, may_start_processes, not_too_deep};
pub use preload::preloaded;
pub(crate) use preload::run as run_preload;
pub(crate) use shape::Shape;
pub use start_method::{all_start_methods, set_start_method, start_method};
