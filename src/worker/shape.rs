//! What a process that was forked makes of itself, which for one that is started anew is done on its way.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::enter::give_up;
use crate::os;

/// What is different from whom it was forked from.
#[derive(Debug, Default)]
pub(crate) struct Shape<'a> {
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) env: &'a [(OsString, OsString)],
    pub(crate) current_dir: Option<&'a Path>,
}

impl Shape<'_> {
    /// Makes this process so, which was just forked. Whoever cannot complains where that is heard.
    pub(super) fn take(self) {
        let streams = self.stderr.map_or(Ok(()), os::become_stderr);
        let streams = streams.and_then(|()| self.stdout.map_or(Ok(()), os::become_stdout));
        streams.unwrap_or_else(|error| give_up("take its standard streams", &error));
        for (key, value) in self.env {
            os::set_variable(key, value);
        }
        if let Some(directory) = self.current_dir {
            let moved = std::env::set_current_dir(directory);
            moved.unwrap_or_else(|error| give_up("change its directory", &error));
        }
    }
}
