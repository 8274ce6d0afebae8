//! Workers as child processes: another process of this program, by whichever start method.

mod blocks;
mod forked;
mod forkserver;
mod inbox;
mod link;
mod origin;
mod outbox;
mod parcel;
mod process;
mod reader;
mod running;
mod start;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use super::{Backend, Home, Link, StartRequest, foreign};
use crate::error::Result;
use crate::task::Task;

pub(crate) use forked::{Ended, Forked};
pub(crate) use origin::Origin;
pub(crate) use process::bear;
#[cfg(fuzzing)]
pub(crate) use start::greet;

/// Starts child processes.
#[derive(Debug)]
pub(crate) struct Spawn {
    origin: Origin,
    home: Arc<Home>,
}

impl Spawn {
    pub(crate) fn new(origin: Origin, home: Arc<Home>) -> Self {
        Self { origin, home }
    }
}

#[async_trait]
impl Backend for Spawn {
    fn check(&self, task: Task) -> Result<()> {
        if task.is_native() { Ok(()) } else { Err(foreign(task)) }
    }

    async fn start(&self, request: StartRequest) -> Result<Arc<dyn Link>> {
        let link: Arc<dyn Link> = start::start(request, &self.origin, Arc::clone(&self.home)).await?;
        Ok(link)
    }

    async fn end(&self) {
        self.origin.end().await;
    }
}
