//! What a process can give up for good: privileges, files, resources, system calls.

mod calls;
mod files;
mod process;
mod threads;

pub(crate) use calls::{Refused, is_needed_call, refuse_calls};
pub(crate) use files::restrict_files;
pub(crate) use process::{Limit, forbid_dumps, forbid_new_privileges, limit};
