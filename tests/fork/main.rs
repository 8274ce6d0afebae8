//! The start method `fork`, in programs of one thread: each case is one, since the harness of `cargo test` has several.

mod pools;
mod processes;
mod queue;
mod shared;
#[path = "../support/mod.rs"]
mod support;
mod sync;

use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use support::DEADLINE;
use support::foreign::kill_if_there;

/// A case: its name, and what it does.
pub(crate) type Case = (&'static str, fn());

/// By this variable a program knows which case it is.
const ENV: &str = "MULTIPROCESS_TEST_FORK_CASE";

/// Makes a list of cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[crate::Case] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use cases;

fn all() -> impl Iterator<Item = Case> {
    let shared = sync::CASES.iter().chain(queue::CASES).chain(shared::CASES);
    processes::CASES.iter().chain(pools::CASES).chain(shared).copied()
}

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(ENV) {
        let (_, case) = all().find(|(other, _)| *other == name).expect("it was started for one of them");
        case();
        println!("{name} is through");
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut failed = 0;
    let mut passed = 0;
    for (name, _) in all().filter(|(name, _)| wanted(name)) {
        let passes = runs(name);
        println!("test {name} ... {}", if passes { "ok" } else { "FAILED" });
        passed += usize::from(passes);
        failed += usize::from(!passes);
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one case as a program of its own; false if it fails.
fn runs(name: &str) -> bool {
    let Some(output) = output_of(name) else {
        println!("it hangs");
        return false;
    };
    let told = String::from_utf8_lossy(&output.stdout);
    // A copy that came back to `main` would say so once more.
    let passes = output.status.success() && told.matches("is through").count() == 1;
    if !passes {
        println!("{}\n{told}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    passes
}

/// What it tells; nothing if it hangs, and then it is killed.
fn output_of(name: &str) -> Option<Output> {
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = Command::new(program);
    command.env(ENV, name).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it can be started");
    let pid = child.id();
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    let output = told.recv_timeout(deadline()).ok();
    if output.is_none() {
        kill_if_there(pid);
    }
    output.map(|output| output.expect("its streams can be read"))
}

/// A case that does what it does much more often than usual may take long.
fn deadline() -> Duration {
    if std::env::var_os(sync::ROUNDS).is_some() { Duration::from_hours(1) } else { DEADLINE }
}

/// A thread that runs, under its name, until what is given with it is dropped.
pub(crate) fn another_thread() -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = channel();
    let (tell, told) = channel();
    let runs = move || {
        tell.send(()).expect("somebody listens");
        let _dropped = stopped.recv();
    };
    let thread = std::thread::Builder::new().name("the-other".into()).spawn(runs).expect("it starts");
    told.recv().expect("it says that it runs");
    (stop, thread)
}

/// The name of each thread of this process.
pub(crate) fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("it is our own");
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

/// The processes that this one has started and not reaped.
pub(crate) fn children() -> usize {
    let children = std::fs::read_to_string("/proc/self/task/self/children").or_else(|_| {
        let own = std::process::id();
        std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"))
    });
    children.expect("the kernel tells it").split_whitespace().count()
}
