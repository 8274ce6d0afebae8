//! The forkserver: what it loads is shared, it has one thread, and its death costs nothing but a start.

mod support;

use multiprocess::{ProcessPool, StartMethod, worker};
use support::{end, on_processes};

const RUNS: &str = "the task has no reason to fail";

fn builder(workers: usize) -> multiprocess::Builder<multiprocess::Processes> {
    ProcessPool::builder().workers(workers).start_method(StartMethod::Forkserver)
}

/// The parent of the process that asks.
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

async fn workers_are_children_of_the_process_that_has_loaded() {
    let pool = builder(2).preload(std::process::id, ()).build().expect("it can be");
    let found = pool.map(|_: u32| (parent(), worker::preloaded::<u32>().map(|id| *id)), 0..100).await;
    for (parent, loaded_by) in found.expect(RUNS) {
        assert_eq!(Some(parent), loaded_by);
        assert_ne!(parent, std::process::id());
    }
    end(pool).await;
}

on_processes!(workers_are_children_of_the_process_that_has_loaded);
