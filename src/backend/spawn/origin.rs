//! Where the processes of one pool come from, by its start method.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use super::forkserver::Forkserver;
use super::start::Born;
use crate::backend::{Profile, Streams};
use crate::error::{Error, Result};
use crate::wire::StartMethod;

/// Where the processes of one pool come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The program is started anew for each.
    Spawn,
    /// A process forks itself for each: one that was started anew, or this one as it was when the pool was made.
    Forkserver(Forkserver),
}

impl Origin {
    /// Comes before any thread of this crate is started, as a second thread is the end of all forks.
    ///
    /// # Errors
    ///
    /// Of [`StartMethod::Fork`] only: there are other threads already, or the operating system refuses.
    pub(crate) fn new(method: StartMethod, profile: &Arc<Profile>) -> Result<Self> {
        Ok(match method {
            StartMethod::Spawn => Self::Spawn,
            StartMethod::Forkserver => Self::Forkserver(Forkserver::new(profile)),
            StartMethod::Fork => Self::Forkserver(Forkserver::forked(profile)?),
        })
    }

    /// A new process. Runs on the background runtime.
    pub(crate) async fn bear(
        &self,
        profile: &Arc<Profile>,
        title: OsString,
        streams: Streams,
    ) -> Result<Born> {
        match self {
            Self::Spawn => spawn(profile, title, streams).await,
            Self::Forkserver(forkserver) => forkserver.bear(profile, title, streams).await,
        }
    }

    /// Ends the process that forks, if there is one.
    pub(super) async fn end(&self) {
        if let Self::Forkserver(forkserver) = self {
            forkserver.end().await;
        }
    }
}

/// Starts the program anew, without holding up the runtime.
pub(super) async fn spawn(profile: &Arc<Profile>, title: OsString, streams: Streams) -> Result<Born> {
    let profile = Arc::clone(profile);
    let started = tokio::task::spawn_blocking(move || Born::spawn(&profile, title, streams)).await;
    started.map_err(|cause| Error::start("start its process", io::Error::other(cause)))?
}
