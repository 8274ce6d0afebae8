//! What became of each task: what the caller was told, and what was executed.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use multiprocess::{Error, Result, worker};

/// Without an answer for so long, the pool hangs.
const PATIENCE: Duration = Duration::from_mins(1);

/// A log in shared memory to which each task adds its number before anything else: it is there whoever dies.
pub(crate) struct Log(String);

impl Log {
    pub(crate) fn create() -> Self {
        let path = format!("/dev/shm/multiprocess-chaos-{}", std::process::id());
        File::create(&path).expect("there is shared memory");
        Self(path)
    }

    pub(crate) fn path(&self) -> String {
        self.0.clone()
    }

    /// How often each task was executed.
    fn executions(&self, tasks: u64) -> Vec<u32> {
        let mut counts = vec![0; usize::try_from(tasks).expect("they fit into memory")];
        for number in std::fs::read(&self.0).expect("the log is there").chunks_exact(8) {
            let number = u64::from_le_bytes(number.try_into().expect("it has eight bytes"));
            counts[usize::try_from(number).expect("it is the number of a task")] += 1;
        }
        counts
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// What each worker does first.
pub(crate) fn open(path: String) -> File {
    OpenOptions::new().append(true).open(path).expect("the log is there")
}

fn value_of(n: u64) -> u64 {
    n.wrapping_mul(n) ^ 0x5bd1
}

pub(crate) fn task(n: u64) -> (u64, u64) {
    let mut log = &*worker::state::<File>().expect("the pool has an initializer");
    log.write_all(&n.to_le_bytes()).expect("there is memory");
    (n, value_of(n))
}

pub(crate) struct Account {
    submitted: u64,
    ok: Vec<u64>,
    failed: BTreeMap<String, u64>,
    wrong: u64,
    hung: u64,
}

impl Account {
    pub(crate) fn new(submitted: u64) -> Self {
        Self { submitted, ok: Vec::new(), failed: BTreeMap::new(), wrong: 0, hung: 0 }
    }

    pub(crate) async fn settle(&mut self, results: impl Stream<Item = Result<(u64, u64)>>) {
        let mut results = std::pin::pin!(results);
        loop {
            let Ok(next) = tokio::time::timeout(PATIENCE, results.next()).await else {
                self.hung = self.unanswered();
                return;
            };
            match next {
                None => return,
                Some(Ok((n, value))) if value == value_of(n) => self.ok.push(n),
                Some(Ok(_)) => self.wrong += 1,
                Some(Err(Error::WorkerDied(death))) => self.failed_by(death.exit.to_string()),
                Some(Err(other)) => self.failed_by(other.to_string()),
            }
        }
    }

    fn failed_by(&mut self, cause: String) {
        *self.failed.entry(cause).or_default() += 1;
    }

    fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn unanswered(&self) -> u64 {
        self.submitted.saturating_sub(self.ok.len() as u64 + self.failures() + self.wrong + self.hung)
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.submitted += other.submitted;
        self.ok.extend(other.ok);
        for (cause, count) in other.failed {
            *self.failed.entry(cause).or_default() += count;
        }
        (self.wrong, self.hung) = (self.wrong + other.wrong, self.hung + other.hung);
        self
    }

    /// Prints the account; true if all is well.
    pub(crate) fn close(&self, tasks: u64, kills: u64, log: &Log) -> bool {
        let executions = log.executions(tasks);
        let doubled = executions.iter().filter(|times| **times > 1).count();
        let executed = |n: &u64| usize::try_from(*n).ok().and_then(|n| executions.get(n)) != Some(&0);
        let lost = self.unanswered() + self.ok.iter().filter(|n| !executed(n)).count() as u64;
        // An answer that came twice stands in for another one.
        let distinct = self.ok.iter().collect::<HashSet<_>>().len();
        let wrong = self.wrong + (self.ok.len() - distinct) as u64;
        println!("submitted {tasks}\nok        {}", self.ok.len());
        for (cause, count) in &self.failed {
            println!("failed    {count} by {cause}");
        }
        println!(
            "executed more than once {doubled}\nlost  {lost}\nwrong {}\nhung  {}",
            self.wrong, self.hung
        );
        doubled == 0 && lost == 0 && wrong == 0 && self.hung == 0 && self.failures() <= kills
    }
}
