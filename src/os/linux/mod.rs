//! Linux: `posix_spawn` through `/proc/self/exe`, pidfd, pipes, `SCM_RIGHTS`, memfd.

mod board;
mod child;
mod clock;
mod control;
mod entrance;
mod image;
mod pipe;
mod random;

pub(crate) use board::{Board, SLOTS, Start};
pub(crate) use child::{Killer, Launch};
pub(crate) use clock::monotonic_ns;
pub(crate) use control::{control_pair, peek_stdin, receive, send, wait_for_end};
pub(crate) use entrance::{
    LIFELINE_LOST, accept_control, before_main, leave_at_once, nice, reset_signals, run_later_constructors,
    stdin_is_our_parent, thread_id,
};
pub(crate) use image::Image;
pub(crate) use pipe::{pipe, read_into, set_nonblocking, wait_readable, write_all, write_some};
pub(crate) use random::random;
