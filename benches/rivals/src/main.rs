//! The same work on `multiprocess` and on what one might use instead, all in one run. See `benches/README.md`.
//!
//! ```text
//!  run.rs      for each case, for each round, for each rival in turn
//!  isolated.rs   a process with a limit: this program again (`--measure`), or Python
//!  cases/          one measurement, which prints {"value": ...}
//!  table.rs    the medians of the rounds, beside ours
//! ```

mod cases;
mod ipc;
mod isolated;
mod plan;
mod private;
mod run;
mod sample;
mod table;

use std::process::ExitCode;

use plan::Plan;

fn main() -> ExitCode {
    // These come first: for its workers each of them starts this program again.
    procspawn::init();
    ipc::serve_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(status) = isolated::measure_if_asked(&arguments) {
        return status;
    }
    match Plan::from_arguments(arguments) {
        Ok(plan) => run::all(&plan),
        Err(reason) => {
            eprintln!("rivals: {reason}");
            ExitCode::FAILURE
        }
    }
}
