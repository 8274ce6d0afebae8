//! What stands behind a call or a map that was started: it goes on whoever waits for it, and is cancelled when nobody can ask for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::blob::Blob;
use super::super::exposed::Exposed;
use super::fault::within;
use super::mishap::Mishap;
use super::page::Room;
use crate::error::{Error, Limit, Result};
use crate::os::callers_runtime;
use crate::pool::EncodedMap;

pub(super) const KIND: &str = "task";

type Outcome = Result<Arc<Vec<Blob>>, Mishap>;

/// Some of the results, and how many there are.
pub(crate) type Part = (Vec<Blob>, u64);

#[derive(Debug)]
pub(crate) struct Errand {
    task: String,
    outcome: Arc<watch::Sender<Option<Outcome>>>,
    /// Who asks for its end.
    stop: CancellationToken,
    detached: AtomicBool,
}

pub(super) fn expose(errand: Exposed<Errand>) -> Exposed<Errand> {
    errand
        .method("fetch", Errand::fetch)
        .method("wait", Errand::wait)
        .method("is_finished", Errand::is_finished)
        .method("cancel", Errand::cancel)
        .method("detach", Errand::detach)
}

impl Errand {
    /// Starts a map, unless the pool does not hold open for it.
    pub(super) fn start(map: EncodedMap, held: Result<()>) -> Result<Self> {
        let (task, stop) = (map.task(), CancellationToken::new());
        let outcome = Arc::new(watch::Sender::new(None));
        if let Err(error) = held {
            outcome.send_replace(Some(Err(error.into())));
        } else {
            let failed = |cause| Error::start("start a thread to drive it", cause);
            let runtime = callers_runtime().map_err(failed)?;
            runtime.spawn(drive(map, Arc::clone(&outcome), stop.clone()));
        }
        Ok(Self { task, outcome, stop, detached: AtomicBool::new(false) })
    }

    /// The results from this one on, as many as make a page; it waits until all are there.
    async fn fetch(&self, from: u64, limit: Option<Duration>) -> Result<Part, Mishap> {
        let Some(outcome) = within(limit, self.settled()).await else {
            let (task, after) = (self.task.clone(), limit.unwrap_or_default());
            return Err(Mishap::TimedOut { task, limit: Limit::Wait, after });
        };
        let results = outcome?;
        let mut room = Room::default();
        let wanted = results.iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
        let page = wanted.take_while(|result| room.takes(result.bytes.0.len(), result.handles.len()));
        Ok((page.cloned().collect(), results.len() as u64))
    }

    /// False if it has not come to its end in time.
    async fn wait(&self, limit: Option<Duration>) -> bool {
        within(limit, self.settled()).await.is_some()
    }

    fn is_finished(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// False if it had come to its end.
    async fn cancel(&self) -> bool {
        if self.is_finished() {
            return false;
        }
        self.stop.cancel();
        matches!(self.settled().await, Err(Mishap::Cancelled { .. }))
    }

    /// From now on it goes on for itself.
    fn detach(&self) {
        self.detached.store(true, Ordering::Relaxed);
    }

    async fn settled(&self) -> Outcome {
        let mut seen = self.outcome.subscribe();
        let settled = seen.wait_for(Option::is_some).await;
        let outcome = settled.ok().and_then(|outcome| outcome.clone());
        // Its sender is ours.
        outcome.unwrap_or_else(|| Err(Mishap::Cancelled { task: self.task.clone() }))
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if !*self.detached.get_mut() {
            self.stop.cancel();
        }
    }
}

/// Has a map done, and tells what came of it. What is cancelled is stopped first: whoever hears of it may rely on it that nothing more of it starts.
async fn drive(mut map: EncodedMap, outcome: Arc<watch::Sender<Option<Outcome>>>, stop: CancellationToken) {
    let came = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Mishap::Cancelled { task: map.task() }),
        results = collected(&mut map) => results.map(Arc::new).map_err(Mishap::from),
    };
    drop(map);
    outcome.send_replace(Some(came));
}

async fn collected(map: &mut EncodedMap) -> Result<Vec<Blob>> {
    let mut results = Vec::new();
    while let Some(result) = map.next().await {
        results.push(result?.into());
    }
    Ok(results)
}
