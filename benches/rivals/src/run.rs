//! The run: in each round every rival of a case has its turn, so that a machine that is busy now and then hits all alike.

use std::process::{Command, ExitCode};

use tokio::runtime::Builder;

use crate::cases::{Case, Rival};
use crate::isolated::{self, Failure};
use crate::plan::{Amount, Plan};
use crate::table;

/// Runs the plan, prints its table, and fails if nobody could be measured.
pub(crate) fn all(plan: &Plan) -> ExitCode {
    say_who_is_there();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let run = async {
        tokio::select! {
            found = each(plan) => Some(found),
            _ = tokio::signal::ctrl_c() => None,
        }
    };
    // What was measured just then is killed when its future is dropped.
    let Some(found) = runtime.block_on(run) else { return ExitCode::FAILURE };
    table::print(&plan.cases, &found);
    let measured = found.iter().flatten().any(Result::is_ok);
    if measured { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say_who_is_there() {
    let python = isolated::python();
    let version = Command::new(&python).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let version = version.unwrap_or_else(|error| error.to_string());
    eprintln!("{}: {version}", python.display());
}

/// What each rival of each case reached, which is the median of its rounds.
async fn each(plan: &Plan) -> Vec<Vec<Result<f64, Failure>>> {
    let mut found = Vec::new();
    for case in &plan.cases {
        found.push(in_turns(case, plan.amount).await);
    }
    found
}

async fn in_turns(case: &Case, amount: Amount) -> Vec<Result<f64, Failure>> {
    let mut samples: Vec<Result<Vec<f64>, Failure>> = case.rivals.iter().map(|_| Ok(Vec::new())).collect();
    for round in 1..=amount.rounds() {
        for (rival, samples) in case.rivals.iter().zip(&mut samples) {
            // Whoever has failed once is not asked again.
            let Ok(values) = samples else { continue };
            eprint!("{} {round}/{}: {}, {} ... ", case.name, amount.rounds(), rival.who, rival.how);
            match measured(case, rival, amount).await {
                Ok(value) => values.push(value),
                Err(failure) => *samples = Err(failure),
            }
        }
    }
    samples.into_iter().map(|values| values.map(median)).collect()
}

async fn measured(case: &Case, rival: &Rival, amount: Amount) -> Result<f64, Failure> {
    let measured = isolated::measure(case, rival, amount).await;
    match &measured {
        Ok(value) => eprintln!("{} {}", table::figure(*value), case.unit),
        Err(failure) => eprintln!("{failure}"),
    }
    measured
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
