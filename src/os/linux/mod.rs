//! Linux: `posix_spawn` through `/proc/self/exe`, pidfd, pipes, `SCM_RIGHTS`, memfd.

mod arena;
mod block;
mod board;
mod cells;
mod child;
mod clock;
mod control;
mod datagram;
mod descriptors;
mod desk;
#[cfg(all(test, models))]
mod desk_models;
mod entrance;
mod fork;
mod held;
mod image;
mod launch;
mod level;
mod lifeline;
mod listener;
#[cfg(not(models))]
mod log;
#[cfg(models)]
#[path = "log_model.rs"]
mod log;
mod mapping;
mod memory;
#[cfg(all(test, models))]
mod models;
mod oom;
mod owner;
mod passing;
mod pipe;
mod random;
mod ready;
#[cfg(feature = "sandbox")]
mod sandbox;
mod sealed;
mod sealed_map;
#[cfg(not(models))]
mod shared;
#[cfg(models)]
#[path = "shared_model.rs"]
mod shared;
mod slot;
mod space;
mod stat;
mod stderr;
#[cfg(feature = "net")]
mod stream;
mod title;

pub(crate) use arena::{Access, Arena, Marks, Taken, Window};
pub(crate) use block::{Block, Claim};
pub(crate) use board::{Board, RESULT_BLOCKS, Row, SLOTS};
pub(crate) use cells::{Cells, Op};
pub(crate) use child::{
    Child, Killer, SIGINT, SIGKILL, SIGTERM, has_ended, waiting_thread, watch, watch_room,
};
pub(crate) use clock::{monotonic_ns, time_worked};
pub(crate) use control::{
    Maker, call_out, control_pair, hang_up, peek_stdin, receive, receive_now, send, send_waiting,
    wait_for_any, was_echoed,
};
pub(crate) use datagram::{Datagram, only_receive, send_datagram, take_datagram};
pub(crate) use descriptors::{identity_of, raise_descriptor_limit};
pub(crate) use desk::{Desk, Found};
pub(crate) use entrance::{
    LIFELINE_LOST, accept_control, become_stderr, become_stdin, become_stdout, close_stdin, has_extra_rights,
    ignores_signals, leave_at_once, leave_with_group, nice, reset_signals, set_variable, stdin_is_control,
    stdin_is_our_parent, thread_id,
};
#[cfg(feature = "auto-entry")]
pub(crate) use entrance::{before_main, run_later_constructors};
pub(crate) use fork::{Rooted, fork, forked, not_forked, notice_forks, other_threads};
pub(crate) use image::Image;
pub(crate) use launch::Launch;
pub(crate) use level::Level;
pub(crate) use lifeline::start_lifeline;
pub(crate) use listener::{
    Carries, accept, connect_as, connect_to, has_peer_ended, is_of_our_user, listen_as, listen_at, our_user,
};
pub(crate) use log::{Log, Mapped};
pub(crate) use mapping::{Content, STRICTEST};
pub(crate) use memory::Resident;
pub(crate) use oom::OomKills;
pub(crate) use owner::Owner;
pub(crate) use passing::{is_for_now, is_gone, pass, pass_none, pass_waiting, take_passed};
pub(crate) use pipe::{lift, pipe, read_into, set_nonblocking, unread, wait_readable, write_all, write_some};
pub(crate) use random::random;
pub(crate) use ready::{Wanted, Watched, any_of, is_ready, ready, register};
#[cfg(feature = "sandbox")]
pub(crate) use sandbox::{
    Limit, Refused, forbid_dumps, forbid_new_privileges, is_needed_call, limit, refuse_calls, restrict_files,
};
pub(crate) use sealed::{is_sealed, read_sealed, sealed};
pub(crate) use sealed_map::SealedMap;
pub(crate) use shared::{Shared, Word};
pub(crate) use slot::{Finish, Running, Start};
pub(super) use stderr::{read_now, run_at_exit, write_to_stderr};
#[cfg(feature = "net")]
pub(crate) use stream::{
    Semaphore, close_writing, configure, end_when_untaken, is_of_another_kind, listen_on, send_some,
    stop_listening, take_some, watch_stream,
};
pub(crate) use title::{Title, roomy_title};
