//! What stands behind a pool: one of this process, whose workers run what clients ask for.
//!
//! Whoever asks for a call has it come to its end on a thread of his session, and gives it up by
//! leaving; what was [started](Crew::start) is an object of its own.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::super::blob::{Blob, Raw};
use super::super::exposed::Exposed;
use super::super::kept::{hand_over, served_as};
use super::errand::Errand;
use super::mishap::Mishap;
use super::relay::Relay;
use crate::dispatch::Stats;
use crate::error::Result;
use crate::pool::{Element, Encoded, EncodedMap, ProcessPool, Recoded};
use crate::task::object;

/// By which name the registry has what can be called on it.
const KIND: &str = "pool";

#[derive(Debug)]
pub(crate) struct Crew(ProcessPool);

/// What a client asks of his calls; without it, what the pool has itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) timeout: Option<Duration>,
    pub(crate) chunksize: Option<u64>,
}

/// In which order the results of a map come, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manner {
    /// In the order of the input, up to the first failure; a pool that is closed meanwhile reads it to its end.
    Whole,
    InOrder,
    AsTheyCome,
}

/// A function is named by its place only by this very program; so what takes one is called by place too, and stands not here.
pub(super) fn expose(crew: Exposed<Crew>) -> Exposed<Crew> {
    crew.method("close", Crew::close)
        .method("terminate", Crew::terminate)
        .method("join", Crew::join)
        .method("ready", Crew::ready)
        .method("resize", Crew::resize)
        .method("cancel_pending", Crew::cancel_pending)
        .method("stats", Crew::stats)
        .method("worker_pids", Crew::worker_pids)
}

impl Crew {
    /// It is being made for a client.
    pub(crate) fn new(pool: ProcessPool) -> Self {
        served_as(KIND);
        Self(pool)
    }

    pub(crate) async fn apply(&self, task: Recoded, terms: Wanted, arguments: Blob) -> Result<Blob, Mishap> {
        let mut call = self.map(task, terms, stream::iter([Ok(arguments.into())]));
        match call.next().await {
            Some(result) => Ok(result?.into()),
            None => Err(Mishap::Cancelled { task: call.task() }),
        }
    }

    /// Has all of these done, whoever waits for it; hands over what knows of them.
    pub(crate) fn start(
        &self,
        task: Recoded,
        terms: Wanted,
        arguments: Vec<Result<Blob, String>>,
    ) -> Result<(), Mishap> {
        let elements: Vec<Element> = arguments.into_iter().map(|each| each.map(Encoded::from)).collect();
        let mut map = self.map(task, terms, stream::iter(elements)).failing_fast();
        let held = map.hold();
        hand_over(object(Errand::start(map, held)?), super::errand::KIND);
        Ok(())
    }

    /// Begins a map, whose input comes in portions; hands over what takes them and gives results.
    pub(crate) fn begin(&self, task: Recoded, terms: Wanted, manner: Manner) -> Result<(), Mishap> {
        let relay = Relay::new(self.0.workers_wanted(), |input| {
            let mut map = self.map(task, terms, input);
            match manner {
                Manner::InOrder => {}
                Manner::AsTheyCome => map = map.unordered(),
                Manner::Whole => {
                    map = map.failing_fast();
                    map.hold()?;
                }
            }
            Ok(map)
        })?;
        hand_over(object(relay), super::relay::KIND);
        Ok(())
    }

    fn map(
        &self,
        task: Recoded,
        terms: Wanted,
        input: impl futures::Stream<Item = Element> + Send + 'static,
    ) -> EncodedMap {
        let mut map = self.0.encoded_map(task, input);
        if let Some(limit) = terms.timeout {
            map = map.timeout(limit);
        }
        if let Some(elements) = terms.chunksize {
            map = map.chunksize(usize::try_from(elements).unwrap_or(usize::MAX));
        }
        map
    }

    fn close(&self) {
        self.0.close();
    }

    fn terminate(&self) {
        self.0.terminate();
    }

    async fn join(&self) -> Result<(), Mishap> {
        Ok(self.0.join().await?)
    }

    async fn ready(&self) -> Result<(), Mishap> {
        Ok(self.0.ready().await?)
    }

    fn resize(&self, workers: u64) -> Result<(), Mishap> {
        Ok(self.0.resize(usize::try_from(workers).unwrap_or(usize::MAX))?)
    }

    fn cancel_pending(&self) -> u64 {
        self.0.cancel_pending()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn worker_pids(&self) -> Vec<u32> {
        self.0.worker_pids()
    }
}

impl From<Blob> for Encoded {
    fn from(Blob { bytes, handles }: Blob) -> Self {
        Self { bytes: bytes.0, handles }
    }
}

impl From<Encoded> for Blob {
    fn from(Encoded { bytes, handles }: Encoded) -> Self {
        Self { bytes: Raw(bytes), handles }
    }
}
