//! May this process start others at all, and how deep may they be nested?

use std::io;

use super::context::depth;
use super::enter::{entered, is_unserved_worker};
use crate::error::{Error, Result};
use crate::os;

/// Pools and processes may be nested this deep.
const DEEPEST: u32 = 10;

/// The least that the kernel takes for the stack of a thread, in bytes.
pub(crate) const SMALLEST_STACK: usize = 16 * 1024;

/// Looks whether processes that are started now would enter as workers.
///
/// # Errors
///
/// [`Error::Start`] says why they would not: without this they would run the program once more, and each of them the same.
pub(crate) fn may_start_processes() -> Result<()> {
    if !entered() || is_unserved_worker() {
        let step =
            "find the entry: call `multiprocess::init()` first in `main`, or enable the feature `auto-entry`";
        return Err(Error::start(step, io::ErrorKind::Unsupported.into()));
    }
    if os::has_extra_rights() {
        // They would have those rights too, and take nobody's word for it that they are workers.
        let step = "trust it: a program that is setuid or has capabilities of its own has no workers";
        return Err(Error::start(step, io::ErrorKind::PermissionDenied.into()));
    }
    Ok(())
}

/// Looks whether there may be more below this process.
///
/// # Errors
///
/// [`Error::Option`], of this option, about what is to be nested.
pub(crate) fn not_too_deep(option: &'static str, what: &str) -> Result<()> {
    if depth() < DEEPEST {
        return Ok(());
    }
    Err(Error::option(option, format!("{what} are nested {DEEPEST} deep already")))
}
