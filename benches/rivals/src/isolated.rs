//! One measurement in a process of its own, which is killed with all that it has started if it takes too long.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::cases::{By, CASES, Case, Rival};
use crate::plan::Amount;

const MEASURE: &str = "--measure";
const LIMIT: Duration = Duration::from_mins(1);

/// Measures if this process was started for it, which is by `--measure`, a case, the place of the rival there, and the part of the work.
pub(crate) fn measure_if_asked(arguments: &[String]) -> Option<ExitCode> {
    let [first, name, place, part] = arguments else { return None };
    if first != MEASURE {
        return None;
    }
    let case = CASES.iter().find(|case| case.name == name)?;
    let rival = case.rivals.get(place.parse::<usize>().ok()?)?;
    let By::Rust(measure) = rival.by else { return None };
    let value = measure(Amount::from_part(part)?);
    println!("{}", json!({ "value": value }));
    Some(ExitCode::SUCCESS)
}

/// Why there is no value.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    NotInstalled,
    TookTooLong,
    /// What it said last, or how it ended.
    Failed(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("not installed"),
            Self::TookTooLong => write!(f, "killed after {} s", LIMIT.as_secs()),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

pub(crate) async fn measure(case: &Case, rival: &Rival, amount: Amount) -> Result<f64, Failure> {
    let mut command = command(case, rival, amount);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::NotInstalled,
        _ => Failure::Failed(error.to_string()),
    })?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    // Its output ends when all that it has started have ended too, so whatever it leaves behind counts as time.
    let output = timeout(LIMIT, child.wait_with_output()).await.map_err(|_| Failure::TookTooLong)?;
    group.ended();
    value_of(&output.map_err(|error| Failure::Failed(error.to_string()))?)
}

fn command(case: &Case, rival: &Rival, amount: Amount) -> Command {
    let part = amount.part().to_string();
    match rival.by {
        By::Rust(_) => {
            let place = case.rivals.iter().position(|other| std::ptr::eq(other, rival));
            let place = place.expect("it is one of them").to_string();
            let mut command = Command::new(std::env::current_exe().expect("a program has a path"));
            command.args([MEASURE, case.name, &place, &part]);
            command
        }
        By::Python(variant) => {
            let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
            let mut command = Command::new(python());
            command.arg(scripts.join("measure.py")).args([case.name, variant, &part]);
            command
        }
    }
}

/// The interpreter: `python3`, unless `PYTHON` names another.
pub(crate) fn python() -> OsString {
    std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into())
}

fn value_of(output: &Output) -> Result<f64, Failure> {
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    if !output.status.success() {
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
        return Err(Failure::Failed(last.unwrap_or_else(|| ended(output.status))));
    }
    let found: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let value = found.and_then(|found| found.get("value")?.as_f64()).filter(|value| value.is_normal());
    value.ok_or_else(|| Failure::Failed("it printed no value".to_owned()))
}

fn ended(status: ExitStatus) -> String {
    status.signal().map_or_else(|| status.to_string(), |signal| format!("killed by signal {signal}"))
}

/// A process and all that it has started, which are killed when this is dropped before they have ended.
struct Group(Option<Pid>);

impl Group {
    /// From now on the number may be that of somebody else.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // If that fails nobody is left.
        let _killed = self.0.map(|group| kill_process_group(group, Signal::KILL));
    }
}
