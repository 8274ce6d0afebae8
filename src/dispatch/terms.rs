//! What a caller asks of a call beside its result, and what holds for all calls and workers of a pool.

use std::time::Duration;

/// The terms of one call, or of each element of a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long it may run, from its true start on.
    pub(crate) timeout: Option<Duration>,
    /// How long it may wait for its start.
    pub(crate) queue_timeout: Option<Duration>,
    /// How often it may run again after its worker has died under it.
    pub(crate) retries: u32,
    /// Whoever gives it up while it runs ends its worker.
    pub(crate) kill_on_drop: bool,
}

impl Terms {
    /// Its worker must let the pool know which element runs since when.
    pub(super) fn are_watched(self) -> bool {
        self.timeout.is_some() || self.kill_on_drop
    }
}

/// What holds for the workers of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A worker begins at most so many tasks.
    pub(crate) max_tasks: Option<u32>,
    /// Workers that stay however idle they are; the others come when there is work. Without it all of them stay.
    pub(crate) min_workers: Option<usize>,
    /// How long one of the others may be idle before it ends.
    pub(crate) idle_timeout: Option<Duration>,
    /// How long a task whose time is over has before its worker is killed.
    pub(crate) grace: Duration,
    /// A worker that has work and gives no sign of life for so long is killed.
    pub(crate) heartbeat: Option<Duration>,
    /// How many workers can run at the same moment, at least 1.
    pub(crate) cores: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_tasks: None,
            min_workers: None,
            idle_timeout: None,
            grace: Duration::from_millis(50),
            heartbeat: Some(Duration::from_secs(10)),
            cores: usize::MAX,
        }
    }
}
