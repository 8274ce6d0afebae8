//! The options of the command line.

use std::path::PathBuf;

use crate::work::TASKS;

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) tasks: u32,
    /// How often each measurement is taken.
    pub(crate) rounds: u32,
    /// Where the charts go.
    pub(crate) out: PathBuf,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { tasks: TASKS, rounds: 1, out: PathBuf::from(".") };
        while let Some(option) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{option} takes a value"));
            match option.as_str() {
                "--tasks" => options.tasks = positive(&option, &value()?)?,
                "--rounds" => options.rounds = positive(&option, &value()?)?,
                "--out" => options.out = value()?.into(),
                _ => return Err(format!("{option}: there is --tasks N, --rounds N and --out DIRECTORY")),
            }
        }
        Ok(options)
    }
}

fn positive(option: &str, value: &str) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{option} takes a number, at least 1"))
}
