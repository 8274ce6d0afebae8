//! Without `auto-entry`, and with `init` first in `main`: the pool works, and a panic that aborts is a worker's death.

use multiprocess::{Error, Exit, ProcessPool};

fn main() -> multiprocess::Result<()> {
    multiprocess::init();
    let pool = ProcessPool::new(2)?;
    assert_eq!(pool.blocking_map(|x: u64| x * x, 0..4)?, [0, 1, 4, 9]);
    // fault 3
    match pool.blocking_apply(|n: u64| 1 / n, (0,)) {
        Err(Error::WorkerDied(death)) => assert_eq!(death.exit, Exit::Signal(6)),
        other => panic!("unexpected: {other:?}"),
    }
    assert_eq!(pool.blocking_apply(|n: u64| 1 / n, (1,))?, 1);
    pool.blocking_shutdown()?;
    println!("with init: ok");
    Ok(())
}
