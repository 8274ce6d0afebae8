//! A process of its own for one function, as a thread has it.

mod builder;
mod builder_options;
mod children;
mod control;
mod current;
mod fate;
mod handle;
mod join;
mod life;
mod stdio;

pub use builder::ProcessBuilder;
pub use children::{ActiveChild, active_children};
pub use current::{CurrentProcess, ParentProcess, cpu_count, current_process, parent_process};
pub(crate) use fate::Fate;
pub use handle::Process;
pub use join::Join;
pub use stdio::Stdio;
