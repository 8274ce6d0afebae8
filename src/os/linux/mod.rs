//! Linux: `posix_spawn` through `/proc/self/exe`, pidfd, pipes, `SCM_RIGHTS`, memfd.

mod board;
mod child;
mod clock;
mod control;
mod entrance;
mod fork;
mod image;
mod memory;
#[cfg(all(test, models))]
mod models;
mod oom;
mod pipe;
mod random;
#[cfg(feature = "sandbox")]
mod sandbox;
mod slot;
mod stderr;

pub(crate) use board::{Board, SLOTS};
pub(crate) use child::{Child, Killer, Launch, SIGINT, SIGKILL, SIGTERM, has_ended, watch_parent};
pub(crate) use clock::monotonic_ns;
pub(crate) use control::{call_out, control_pair, echo_until_end, peek_stdin, receive, send, was_echoed};
pub(crate) use entrance::{
    LIFELINE_LOST, accept_control, become_stdin, has_extra_rights, leave_at_once, leave_with_group, nice,
    reset_signals, stdin_is_control, stdin_is_our_parent, thread_id,
};
#[cfg(feature = "auto-entry")]
pub(crate) use entrance::{before_main, run_later_constructors};
pub(crate) use fork::{Rooted, forked, not_forked, notice_forks};
pub(crate) use image::Image;
pub(crate) use memory::Resident;
pub(crate) use oom::OomKills;
pub(crate) use pipe::{lift, pipe, read_into, set_nonblocking, unread, wait_readable, write_all, write_some};
pub(crate) use random::random;
#[cfg(feature = "sandbox")]
pub(crate) use sandbox::{
    Limit, Refused, forbid_dumps, forbid_new_privileges, is_needed_call, limit, refuse_calls, restrict_files,
};
pub(crate) use slot::{Finish, Running, Start};
pub(super) use stderr::{read_now, run_at_exit, write_to_stderr};
