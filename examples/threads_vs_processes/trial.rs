//! One measurement. It is a program of its own, this one started again: so none sees what another has left in memory.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::measure::{cpu_time, memory_kib};
use crate::runner::Runner;
use crate::work::{self, Kind};

/// The first argument of a program that is a measurement.
pub(crate) const MARK: &str = "--trial";

/// How many workers there are.
pub(crate) const WORKERS: [u32; 3] = [1, 2, 4];

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) kind: Kind,
    pub(crate) runner: Runner,
    pub(crate) workers: u32,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// From before the workers are started to the last result.
    pub(crate) wall: Duration,
    /// User and system, of the program and its workers.
    pub(crate) cpu: Duration,
    /// Of the program and its workers, at the last result: their shares of all pages (PSS).
    pub(crate) memory_kib: u32,
    pub(crate) checksum: u64,
}

impl Trial {
    /// All of a kind, the serial one first.
    pub(crate) fn all_of(kind: Kind) -> impl Iterator<Item = Self> {
        let parallel =
            Runner::PARALLEL.into_iter().flat_map(|runner| WORKERS.map(|workers| (runner, workers)));
        let all = std::iter::once((Runner::Serial, 1)).chain(parallel);
        all.map(move |(runner, workers)| Self { kind, runner, workers })
    }

    /// Takes the measurement, in a program of its own.
    pub(crate) async fn take(self, tasks: u32, server: SocketAddr) -> Result<Outcome, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(MARK).args([self.kind.name(), &self.runner.to_string(), &self.workers.to_string()]);
        command.args([tasks.to_string(), server.to_string()]);
        let output = command.stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
        if !output.status.success() {
            return Err(format!("{self} ended with {}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        Outcome::parse(&text).ok_or_else(|| format!("{self} printed {text:?}").into())
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {} at a time", self.kind.name(), self.runner, self.workers)
    }
}

impl Outcome {
    pub(crate) fn mebibytes(&self) -> f64 {
        f64::from(self.memory_kib) / 1024.0
    }

    fn parse(line: &str) -> Option<Self> {
        let numbers = line.split_whitespace().map(|number| number.parse().ok());
        let [wall, cpu, memory_kib, checksum] = numbers.collect::<Option<Vec<u64>>>()?.try_into().ok()?;
        let (wall, cpu) = (Duration::from_micros(wall), Duration::from_micros(cpu));
        Some(Self { wall, cpu, memory_kib: memory_kib.try_into().ok()?, checksum })
    }
}

/// What the program does that is a measurement: the tasks, and then it prints what it took.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (kind, runner, workers) = (next()?, next()?, next()?);
    let (tasks, server) = (next()?.parse()?, next()?.parse()?);
    let same = |trial: &Trial| trial.runner.to_string() == runner && trial.workers.to_string() == workers;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).ok_or("there is no such kind")?;
    let trial = Trial::all_of(kind).find(same).ok_or("there is no such measurement")?;
    let began = Instant::now();
    let line = trial.runner.run(trial.workers, kind, work::jobs(kind, tasks, server), |results| {
        let wall = began.elapsed().as_micros();
        // The CPU time comes first, since to add up the memory takes some itself.
        let cpu = cpu_time().as_micros();
        format!("{wall} {cpu} {} {}", memory_kib(), work::checksum(results))
    })?;
    println!("{line}");
    Ok(())
}
