//! Who does the tasks: nobody else, threads, or processes.

use std::fmt;

use multiprocess::dummy::ThreadPool;
use multiprocess::{Builder, ProcessPool, StartMethod};
use tokio::runtime::{self, Runtime};

use crate::work::{Job, Kind, perform, prepare};

/// A way to do all tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// One after the other, on the thread that has them.
    Serial,
    /// `tokio::task::spawn_blocking`.
    Blocking,
    /// `multiprocess::dummy::ThreadPool`.
    Threads,
    /// `multiprocess::ProcessPool`.
    Processes(StartMethod),
}

impl Runner {
    /// All that do more than one task at a time.
    pub(crate) const PARALLEL: [Self; 4] = [
        Self::Blocking,
        Self::Threads,
        Self::Processes(StartMethod::Spawn),
        Self::Processes(StartMethod::Forkserver),
    ];

    /// Does the jobs on so many workers, and then calls `done` with the results, while the workers are still there.
    pub(crate) fn run<T>(
        self,
        workers: u32,
        kind: Kind,
        jobs: impl Iterator<Item = Job> + Send + 'static,
        done: impl FnOnce(&[u64]) -> T,
    ) -> multiprocess::Result<T> {
        let workers = usize::try_from(workers).expect("there are few of them");
        match self {
            Self::Serial => Ok(done(&jobs.map(perform).collect::<Vec<_>>())),
            Self::Blocking => Ok(on_blocking_threads(workers, jobs, done)),
            Self::Threads => on_pool(ThreadPool::builder().workers(workers), kind, jobs, done),
            Self::Processes(method) => {
                on_pool(ProcessPool::builder().workers(workers).start_method(method), kind, jobs, done)
            }
        }
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial => f.pad("serial"),
            Self::Blocking => f.pad("spawn_blocking"),
            Self::Threads => f.pad("ThreadPool"),
            Self::Processes(method) => f.pad(&format!("ProcessPool, {method}")),
        }
    }
}

fn on_pool<K: multiprocess::Kind, T>(
    pool: Builder<K>,
    kind: Kind,
    jobs: impl Iterator<Item = Job> + Send + 'static,
    done: impl FnOnce(&[u64]) -> T,
) -> multiprocess::Result<T> {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let pool = pool.preload(prepare, (kind,)).build()?;
        let results = pool.map(perform, jobs).await?;
        let outcome = done(&results);
        pool.shutdown().await?;
        Ok(outcome)
    })
}

fn on_blocking_threads<T>(
    threads: usize,
    jobs: impl Iterator<Item = Job>,
    done: impl FnOnce(&[u64]) -> T,
) -> T {
    let runtime = runtime::Builder::new_multi_thread().max_blocking_threads(threads).build();
    runtime.expect("a runtime can be made").block_on(async {
        let tasks: Vec<_> = jobs.map(|job| tokio::task::spawn_blocking(move || perform(job))).collect();
        let results = futures::future::try_join_all(tasks).await.expect("no task panics");
        done(&results)
    })
}
