//! The start of one worker, on the background runtime.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use crate::backend::{Events, Link, StartRequest, WorkerId};
use crate::error::{Error, Result};

/// The start of one worker, whose outcome is told however it ends.
pub(super) struct Starting {
    pub(super) engine: Arc<Engine>,
    pub(super) worker: WorkerId,
    pub(super) outcome: Option<Result<Arc<dyn Link>>>,
}

impl Starting {
    pub(super) async fn run(mut self, index: usize) {
        let (worker, profile) = (self.worker, Arc::clone(self.engine.profile()));
        let events: Arc<dyn Events> = Arc::<Engine>::clone(&self.engine);
        let request = StartRequest { worker, index, profile, events };
        let limit = request.profile.start_timeout;
        let (prepares, loads) = (request.profile.setup.is_some(), request.profile.preload.is_some());
        // It runs on the background runtime, which has a clock. What was started ends with the future.
        let outcome = tokio::time::timeout(limit, self.engine.backend().start(request)).await;
        self.outcome = Some(outcome.unwrap_or_else(|_| Err(too_slow(limit, prepares, loads))));
    }
}

fn too_slow(limit: Duration, prepares: bool, loads: bool) -> Error {
    let cause = format!("it did not end within {limit:?}");
    match (prepares, loads) {
        (true, false) => Error::Initializer { cause },
        (false, true) => Error::Preload { cause },
        _ => Error::start("wait until it takes calls", io::ErrorKind::TimedOut.into()),
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let aborted = || Err(Error::start("start it", io::ErrorKind::Interrupted.into()));
        self.engine.started(self.worker, self.outcome.take().unwrap_or_else(aborted));
    }
}
