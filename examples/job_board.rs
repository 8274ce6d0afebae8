//! A manager as the small coordinator of several programs: it listens at a path, workers come and go, and whoever puts jobs in sees their results.
//!
//! ```sh
//! cargo run --example job_board -- serve /tmp/board       # in one terminal, until Enter is pressed
//! cargo run --example job_board -- work /tmp/board        # in any number of others
//! cargo run --example job_board -- submit /tmp/board 2 3 5 8 13
//! cargo run --example job_board                           # all of it at once, in three processes
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use multiprocess::{DictProxy, Error, JoinableQueueProxy, Manager, Process, Result};

type Jobs = JoinableQueueProxy<u64>;
type Results = DictProxy<u64, u64>;

/// Opens the board, where others can find jobs and results by their names.
fn open(path: &PathBuf) -> Result<Manager> {
    let manager = Manager::builder().name("board").address(path).blocking_start()?;
    manager.blocking_publish("jobs", &manager.blocking_joinable_queue::<u64>()?)?;
    manager.blocking_publish("results", &manager.blocking_dict::<u64, u64>()?)?;
    Ok(manager)
}

fn board(path: &PathBuf) -> Result<(Jobs, Results)> {
    let manager = Manager::blocking_connect(path)?;
    let jobs = manager.blocking_find("jobs")?.expect("the board has jobs");
    let results = manager.blocking_find("results")?.expect("the board has results");
    Ok((jobs, results))
}

/// Works until the board is closed.
fn work(path: PathBuf) -> Result<u32> {
    let (jobs, results) = board(&path)?;
    let mut done = 0;
    loop {
        match jobs.blocking_get() {
            Ok(job) => {
                results.blocking_insert(&job, &fibonacci(job))?;
                jobs.blocking_task_done()?;
                done += 1;
            }
            Err(Error::Closed | Error::Disconnected) => return Ok(done),
            Err(error) => return Err(error),
        }
    }
}

/// Puts jobs on the board, and waits until all that are there are done.
fn submit(path: &PathBuf, submitted: &[u64]) -> Result<BTreeMap<u64, u64>> {
    let (jobs, results) = board(path)?;
    for job in submitted {
        jobs.blocking_put(job)?;
    }
    jobs.blocking_join()?;
    let mut all = results.blocking_to_map()?;
    Ok(submitted.iter().filter_map(|job| Some((*job, all.remove(job)?))).collect())
}

fn fibonacci(n: u64) -> u64 {
    (0..n).fold((0_u64, 1_u64), |(a, b), _| (b, a.wrapping_add(b))).0
}

/// The whole of it: a board, two workers, one that submits.
fn all_at_once() -> Result<()> {
    let path = std::env::temp_dir().join(format!("board-{}", std::process::id()));
    let manager = open(&path)?;
    let workers = [(); 2].map(|()| {
        Process::spawn(|path: PathBuf| work(path).map_err(|error| error.to_string()), (path.clone(),))
    });
    for (job, result) in submit(&path, &[10, 20, 30, 40, 50])? {
        println!("fibonacci {job} = {result}");
    }
    let (jobs, _) = board(&path)?;
    jobs.blocking_close()?;
    let mut done = 0;
    for worker in workers {
        done += worker?.blocking_join()?.expect("it has no reason to fail");
    }
    println!("{done} jobs done");
    manager.blocking_shutdown()
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", path] => {
            let manager = open(&PathBuf::from(path))?;
            println!("the board is open; Enter closes it");
            let _read = std::io::stdin().read_line(&mut String::new());
            manager.blocking_shutdown()
        }
        ["work", path] => {
            println!("{} jobs done", work(PathBuf::from(path))?);
            Ok(())
        }
        ["submit", path, jobs @ ..] => {
            let jobs: Vec<u64> = jobs.iter().filter_map(|job| job.parse().ok()).collect();
            for (job, result) in submit(&PathBuf::from(path), &jobs)? {
                println!("fibonacci {job} = {result}");
            }
            Ok(())
        }
        _ => all_at_once(),
    }
}
