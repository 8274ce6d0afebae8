//! Tasks that run on after their time, and workers that fall silent.

use std::time::{Duration, Instant};

use multiprocess::{Error, Limit, ProcessPool};
use rustix::process::Signal;

use crate::Found;
use crate::plan::Amount;
use crate::processes::{Manner, Roll, endless, gone, kill};

const LIMIT: Duration = Duration::from_millis(50);

pub(crate) fn answered(amount: Amount) -> Found {
    Found::Times(overruns(amount, |answered, _| answered), 0.99)
}

pub(crate) fn gone_after(amount: Amount) -> Found {
    Found::Times(overruns(amount, |_, gone| gone), 0.99)
}

fn overruns(amount: Amount, which: fn(Duration, Duration) -> Duration) -> Vec<Duration> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        let (roll, mut times) = (Roll::new(), Vec::new());
        for _ in 0..amount.of(100) {
            let pid = pool.apply(std::process::id, ()).await.expect("it lives");
            let began = Instant::now();
            match pool.apply(endless, (roll.key(), Manner::Spin)).timeout(LIMIT).await {
                Err(Error::TimedOut { limit: Limit::Run, .. }) => {}
                other => panic!("it is endless, but got {other:?}"),
            }
            let answered = began.elapsed().saturating_sub(LIMIT);
            let gone = gone(&[pid], began).saturating_sub(LIMIT);
            times.push(which(answered, gone));
        }
        pool.shutdown().await.expect("it ends");
        times
    })
}

/// A worker that is stopped, where one second of silence is allowed.
pub(crate) fn silent(amount: Amount) -> Found {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let times = runtime.block_on(async {
        let beat = Duration::from_secs(1);
        let pool = ProcessPool::builder().workers(1).heartbeat(beat).build().expect("the pool starts");
        let (roll, mut times) = (Roll::new(), Vec::new());
        for _ in 0..amount.of(5) {
            let pid = pool.apply(std::process::id, ()).await.expect("it lives");
            let held = pool.apply_async(endless, (roll.key(), Manner::Wait));
            roll.begun(1);
            let began = Instant::now();
            kill(pid, Signal::STOP);
            held.await.expect_err("its worker is ended");
            times.push(began.elapsed());
        }
        pool.shutdown().await.expect("it ends");
        times
    });
    Found::Times(times, 0.99)
}
