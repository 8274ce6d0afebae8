//! What the crate asks of the operating system: processes, pipes, descriptors, shared memory.
//!
//! One folder a system behind one contract; everything above speaks only of what is named here. With the few
//! lines of `task/` that turn a checked descriptor into a call, this is the only unsafe code of the crate.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "`multiprocess` has no operating-system floor for this target yet: add a folder beside src/os/linux"
);

#[cfg(all(target_os = "linux", not(target_pointer_width = "64")))]
compile_error!("`multiprocess` reads the program headers of 64-bit programs only");

mod background;
mod cores;
mod exclusive;
#[cfg(target_os = "linux")]
mod linux;
mod quick;
mod stderr;

#[cfg(feature = "net")]
pub(crate) use background::net_runtime;
pub(crate) use background::{background, callers_runtime, run_callback};
pub(crate) use cores::cores;
pub(crate) use exclusive::Exclusive;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
pub(crate) use quick::Quick;
pub(crate) use stderr::Stderr;
