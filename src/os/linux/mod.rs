//! Linux: `posix_spawn` through `/proc/self/exe`, pidfd, pipes, `SCM_RIGHTS`, memfd.

mod board;
mod child;
mod clock;
mod control;
mod entrance;
mod image;
mod pipe;
mod random;
#[cfg(feature = "sandbox")]
mod sandbox;

pub(crate) use board::{Board, SLOTS, Start};
pub(crate) use child::{Killer, Launch};
pub(crate) use clock::monotonic_ns;
pub(crate) use control::{control_pair, peek_stdin, receive, send, wait_for_end};
pub(crate) use entrance::{
    LIFELINE_LOST, accept_control, leave_at_once, nice, reset_signals, stdin_is_control, stdin_is_our_parent,
    thread_id,
};
#[cfg(feature = "auto-entry")]
pub(crate) use entrance::{before_main, run_later_constructors};
pub(crate) use image::Image;
pub(crate) use pipe::{pipe, read_into, set_nonblocking, wait_readable, write_all, write_some};
pub(crate) use random::random;
#[cfg(feature = "sandbox")]
pub(crate) use sandbox::{
    Limit, Refused, forbid_dumps, forbid_new_privileges, is_needed_call, limit, refuse_calls, restrict_files,
};
