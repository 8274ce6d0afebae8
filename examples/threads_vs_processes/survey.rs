//! All measurements, each compared with the serial one of its kind.

use std::error::Error;
use std::net::SocketAddr;

use crate::trial::{Outcome, Trial};
use crate::work::Kind;

pub(crate) struct Survey {
    pub(crate) tasks: u32,
    pub(crate) cores: u32,
    pub(crate) blocks: Vec<Block>,
}

/// One kind of work.
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// The serial one first.
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) trial: Trial,
    pub(crate) outcome: Outcome,
    /// How many times faster than the serial one.
    pub(crate) speed_up: f64,
}

impl Survey {
    /// Takes each measurement so many times and keeps the fastest, which is the one that was disturbed least.
    pub(crate) async fn take(tasks: u32, rounds: u32, server: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let cores = std::thread::available_parallelism()?.get().try_into()?;
        let mut blocks = Vec::new();
        for kind in Kind::ALL {
            blocks.push(Block::take(kind, tasks, rounds, server).await?);
        }
        Ok(Self { tasks, cores, blocks })
    }

    /// How much was done, and on what.
    pub(crate) fn setting(&self) -> String {
        let Self { tasks, cores, .. } = self;
        let plural = if *cores == 1 { "" } else { "s" };
        format!("{tasks} tasks of each kind on {cores} core{plural}")
    }
}

impl Block {
    async fn take(kind: Kind, tasks: u32, rounds: u32, server: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let trials: Vec<_> = Trial::all_of(kind).collect();
        let mut fastest = round(&trials, tasks, server).await?;
        for _ in 1..rounds {
            for (best, outcome) in fastest.iter_mut().zip(round(&trials, tasks, server).await?) {
                if outcome.wall < best.wall {
                    *best = outcome;
                }
            }
        }
        let serial = fastest[0].wall.as_secs_f64();
        let speed_up = |outcome: &Outcome| serial / outcome.wall.as_secs_f64();
        let rows = trials.into_iter().zip(fastest);
        let rows = rows.map(|(trial, outcome)| Row { trial, outcome, speed_up: speed_up(&outcome) });
        Ok(Self { kind, rows: rows.collect() })
    }
}

/// Each of them once. All must have come to the results of the first, which is the serial one.
async fn round(trials: &[Trial], tasks: u32, server: SocketAddr) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for trial in trials {
        eprintln!("{trial} ...");
        outcomes.push(trial.take(tasks, server).await?);
        if outcomes[0].checksum != outcomes[outcomes.len() - 1].checksum {
            return Err(format!("{trial}: the results are not those of the serial run").into());
        }
    }
    Ok(outcomes)
}
