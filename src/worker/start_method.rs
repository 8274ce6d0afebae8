//! The start method of a program that does not say otherwise.

use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::wire::StartMethod;

static CHOSEN: OnceLock<StartMethod> = OnceLock::new();

/// Chooses the start method of all pools and processes that do not say otherwise, in this process and in those below it. Once: what was
/// chosen stays. Python: `multiprocessing.set_start_method`.
///
/// # Errors
///
/// [`Error::Option`]: it was chosen before, be it the same one.
///
/// # Examples
///
/// ```
/// use multiprocess::{StartMethod, set_start_method, start_method};
///
/// assert_eq!(start_method(), StartMethod::Spawn);
/// set_start_method(StartMethod::Forkserver)?;
/// assert_eq!(start_method(), StartMethod::Forkserver);
/// assert!(set_start_method(StartMethod::Spawn).is_err());
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub fn set_start_method(method: StartMethod) -> Result<()> {
    CHOSEN.set(method).map_err(|_| {
        let chosen = start_method();
        Error::option("start_method", format!("{chosen} was chosen before, once for the whole program"))
    })
}

/// The start method of pools and processes that do not say otherwise: the one that was chosen, or [`StartMethod::Spawn`].
/// Python: `multiprocessing.get_start_method`.
///
/// # Examples
///
/// ```
/// assert_eq!(multiprocess::start_method(), multiprocess::StartMethod::Spawn);
/// ```
#[must_use]
pub fn start_method() -> StartMethod {
    CHOSEN.get().copied().unwrap_or_default()
}

/// What was chosen, if something was.
pub(super) fn chosen() -> Option<StartMethod> {
    CHOSEN.get().copied()
}

/// What the parent has chosen is chosen here too.
pub(super) fn inherit(method: StartMethod) {
    // A constructor of the program may have chosen before.
    let _chosen_before = CHOSEN.set(method);
}

/// All start methods that there are here, the default first. Python: `multiprocessing.get_all_start_methods`.
///
/// # Examples
///
/// ```
/// use multiprocess::StartMethod;
///
/// assert!(multiprocess::all_start_methods().contains(&StartMethod::Forkserver));
/// ```
#[must_use]
pub fn all_start_methods() -> &'static [StartMethod] {
    &[StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork]
}
