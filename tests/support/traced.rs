//! Runs a test under strace, which shows what it asks of the kernel, and can have the kernel refuse it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::alone::again;

/// What came of a traced program: its own output, and the calls that it made.
pub struct Traced {
    pub output: Output,
    pub calls: String,
}

/// Runs a helper under strace with these options; nothing, and a word about it, where that cannot be.
pub fn traced(options: &[&str], helper: &str) -> Option<Traced> {
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no strace here, or it may trace nothing");
        return None;
    }
    let program = std::env::current_exe().expect("a test has a file");
    Some(strace(Command::new("strace"), options, again(program, helper)))
}

/// Runs `strace` with options and the program to trace; the command may be one that starts strace elsewhere.
pub fn strace(mut strace: Command, options: &[&str], traced: Command) -> Traced {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let calls: PathBuf =
        std::env::temp_dir().join(format!("multiprocess-traced-{}-{number}", std::process::id()));
    strace.args(["-f", "-qq", "-o"]).arg(&calls).args(options).arg(traced.get_program());
    strace.args(traced.get_args()).stdin(Stdio::null());
    strace.envs(traced.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = strace.output().expect("strace can be started");
    let told = std::fs::read(&calls).unwrap_or_default();
    let _gone = std::fs::remove_file(&calls);
    Traced { output, calls: String::from_utf8_lossy(&told).into_owned() }
}
