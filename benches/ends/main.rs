//! How fast ends are: of workers, tasks, pools, and of the program itself; one JSON object a line for each case.
//!
//! What a case must not exceed stands beside its value. See `benches/README.md`.

mod churn;
mod clients;
mod deaths;
mod drops;
mod limits;
mod orphans;
#[path = "../summary/plan.rs"]
mod plan;
mod processes;

use std::time::Duration;

use plan::{Amount, Plan};

/// What a case found: times, or something that is counted.
enum Found {
    /// This share of the times lies at or below the value: 0.5 or 0.99.
    Times(Vec<Duration>, f64),
    Count(f64, &'static str),
}

/// A case: its name, what it must not exceed, and what measures it.
type Case = (&'static str, f64, fn(Amount) -> Found);

const CASES: [Case; 11] = [
    ("death_to_error_p99", 10.0, deaths::to_error),
    ("death_to_successor_p50", 5.0, deaths::to_successor),
    ("orphans_gone_within_100_ms_missed", 0.0, orphans::missed),
    ("churn_left_behind", 0.0, churn::left_behind),
    ("churn_memory_growth", 1024.0, churn::memory_growth),
    ("drop_returns_p99", 1.0, drops::returns),
    ("drop_workers_gone_p99", 50.0, drops::workers_gone),
    ("timeout_answered_after_deadline_p99", 100.0, limits::answered),
    ("timeout_gone_after_deadline_p99", 100.0, limits::gone_after),
    ("silence_to_error", 1_100.0, limits::silent),
    ("client_death_to_no_reference_max", 1_000.0, clients::references_gone),
];

fn main() {
    orphans::run_if_asked();
    let plan = Plan::from_arguments(std::env::args().skip(1));
    for (name, most, measure) in CASES.iter().filter(|(name, ..)| plan.wants(name)) {
        eprintln!("{name} ...");
        let (value, unit, samples) = match measure(plan.amount) {
            Found::Times(times, share) => (percentile(&times, share), "ms", times.len()),
            Found::Count(value, unit) => (value, unit, 1),
        };
        println!(
            r#"{{"case":"{name}","value":{value:.3},"unit":"{unit}","at_most":{most},"samples":{samples}}}"#
        );
    }
}

/// In milliseconds.
fn percentile(times: &[Duration], share: f64) -> f64 {
    let mut times: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length is an index"
    )]
    let at = (times.len() as f64 * share) as usize;
    times[at.min(times.len() - 1)]
}
