//! How many cores there are for us.

use std::thread::available_parallelism;

/// How many cores this process may use, by affinity and cgroup quota; 1 where nobody can tell.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, Into::into)
}
