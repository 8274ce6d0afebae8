//! Workers as child processes: another process of this program, started through `posix_spawn`.

mod link;
mod outbox;
mod process;
mod start;

use std::sync::Arc;

use async_trait::async_trait;

use super::{Backend, Home, Link, StartRequest, foreign};
use crate::error::Result;
use crate::task::Task;

pub(crate) use process::bear;
#[cfg(fuzzing)]
pub(crate) use start::greet;

/// Starts child processes.
#[derive(Debug)]
pub(crate) struct Spawn {
    home: Arc<Home>,
}

impl Spawn {
    pub(crate) fn new(home: Arc<Home>) -> Self {
        Self { home }
    }
}

#[async_trait]
impl Backend for Spawn {
    fn check(&self, task: Task) -> Result<()> {
        if task.is_native() { Ok(()) } else { Err(foreign(task)) }
    }

    async fn start(&self, request: StartRequest) -> Result<Arc<dyn Link>> {
        let link: Arc<dyn Link> = start::start(request, Arc::clone(&self.home)).await?;
        Ok(link)
    }
}
