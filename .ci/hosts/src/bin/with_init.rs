//! Without `auto-entry`, and with `init` first in `main`: pools work by whatever start method, and a panic that aborts is a worker's death.

use multiprocess::{Error, Exit, Process, ProcessPool, StartMethod};

fn main() -> multiprocess::Result<()> {
    multiprocess::init();
    let captured = 5;
    assert_eq!(Process::fork(|| captured + 1)?.blocking_join()?, 6);
    for method in [StartMethod::Spawn, StartMethod::Forkserver] {
        works(method)?;
    }
    println!("with init: ok");
    Ok(())
}

fn works(method: StartMethod) -> multiprocess::Result<()> {
    let process = Process::builder().start_method(method).spawn(|a: u64, b: u64| a + b, (2, 3))?;
    assert_eq!(process.blocking_join()?, 5);
    let pool = ProcessPool::builder().workers(2).start_method(method).build()?;
    assert_eq!(pool.blocking_map(|x: u64| x * x, 0..4)?, [0, 1, 4, 9]);
    // fault 3
    match pool.blocking_apply(|n: u64| 1 / n, (0,)) {
        Err(Error::WorkerDied(death)) => assert_eq!(death.exit, Exit::Signal(6)),
        other => panic!("unexpected: {other:?}"),
    }
    assert_eq!(pool.blocking_apply(|n: u64| 1 / n, (1,))?, 1);
    pool.blocking_shutdown()
}
