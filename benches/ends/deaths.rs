//! From the death of a worker to the error of its task, and to the first result of its successor.

use std::time::{Duration, Instant};

use multiprocess::{Error, ProcessPool};
use rustix::process::Signal;

use crate::Found;
use crate::plan::Amount;
use crate::processes::{Manner, Roll, endless, kill};

pub(crate) fn to_error(amount: Amount) -> Found {
    Found::Times(measure(amount, false), 0.99)
}

pub(crate) fn to_successor(amount: Amount) -> Found {
    Found::Times(measure(amount, true), 0.5)
}

fn measure(amount: Amount, successor: bool) -> Vec<Duration> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        let (roll, mut times) = (Roll::new(), Vec::new());
        for _ in 0..amount.of(500) {
            let pid = pool.apply(std::process::id, ()).await.expect("it lives");
            let held = pool.apply_async(endless, (roll.key(), Manner::Wait));
            roll.begun(1);
            let began = Instant::now();
            kill(pid, Signal::KILL);
            let result = held.await;
            let mut time = began.elapsed();
            match result {
                Err(Error::WorkerDied(_)) => {}
                other => panic!("its worker was killed, but it got {other:?}"),
            }
            if successor {
                pool.apply(|| (), ()).await.expect("there is a new one");
                time = began.elapsed();
            }
            times.push(time);
        }
        pool.shutdown().await.expect("it ends");
        times
    })
}
