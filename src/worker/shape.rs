//! What a process that was forked makes of itself, which for one that is started anew is done on its way.

use std::os::fd::OwnedFd;

use super::enter::{enter_forked, give_up};
use crate::os::{self, Launch, Title};

/// Makes this process, which was just forked, what was to be started; its control socket. Whoever cannot complains where that is heard.
pub(super) fn take_shape(launch: Launch, shown: Option<Title>) -> OwnedFd {
    if let Some(shown) = shown {
        shown.set(&launch.title);
    }
    let Launch { env, current_dir, control, stdout, stderr, .. } = launch;
    let streams = stderr.map_or(Ok(()), os::become_stderr);
    let streams = streams.and_then(|()| stdout.map_or(Ok(()), os::become_stdout));
    streams.unwrap_or_else(|error| give_up("take its standard streams", &error));
    for (key, value) in env {
        os::set_variable(&key, &value);
    }
    if let Some(directory) = current_dir {
        let moved = std::env::set_current_dir(directory);
        moved.unwrap_or_else(|error| give_up("change its directory", &error));
    }
    control
}

/// Makes this process, which its program has just forked, what was to be started, and serves.
pub(crate) fn enter_forked_as(launch: Launch) -> ! {
    enter_forked(take_shape(launch, Title::of_this_process()))
}
