//! A pool that is dropped while its workers do whatever they do: how long the drop takes, and until all of them are gone.

use std::time::{Duration, Instant};

use multiprocess::{ProcessPool, TaskHandle};

use crate::Found;
use crate::plan::Amount;
use crate::processes::{Manner, Roll, endless, gone};

const WORKERS: usize = 4;

pub(crate) fn returns(amount: Amount) -> Found {
    Found::Times(measure(amount).into_iter().map(|(drop, _)| drop).collect(), 0.99)
}

pub(crate) fn workers_gone(amount: Amount) -> Found {
    Found::Times(measure(amount).into_iter().map(|(_, gone)| gone).collect(), 0.99)
}

fn measure(amount: Amount) -> Vec<(Duration, Duration)> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    (0..amount.of(200)).map(|turn| runtime.block_on(once(turn))).collect()
}

async fn once(turn: u32) -> (Duration, Duration) {
    let pool = ProcessPool::new(WORKERS).expect("the pool starts");
    pool.ready().await.expect("the pool starts");
    let roll = Roll::new();
    let manner = [None, Some(Manner::Spin), Some(Manner::Wait)][turn as usize % 3];
    let tasks = manner.map(|manner| [manner; WORKERS]).into_iter().flatten();
    let tasks: Vec<TaskHandle<u8>> =
        tasks.map(|manner| pool.apply_async(endless, (roll.key(), manner))).collect();
    roll.begun(tasks.len() as u64);
    let pids = pool.worker_pids();
    let began = Instant::now();
    drop(pool);
    let returned = began.elapsed();
    (returned, gone(&pids, began))
}
