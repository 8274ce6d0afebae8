//! Runs a test under strace, which shows what it asks of the kernel, and can have the kernel refuse it.

use std::process::{Command, Output, Stdio};

use super::alone::again_by;

/// What came of a traced program: its own output, and the calls that it made.
pub struct Traced {
    pub output: Output,
    pub calls: String,
}

/// True if programs can be traced; otherwise a word about it.
pub fn can_trace() -> bool {
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        super::skipped("there is no strace here, or it may trace nothing");
    }
    works
}

/// Runs a helper under strace with these options, where `can_trace`. `strace` is the command, or one that starts it elsewhere.
pub fn traced(mut strace: Command, options: &[&str], helper: &str) -> Traced {
    let calls = super::scratch("traced");
    strace.args(["-f", "-qq", "-o"]).arg(&calls).args(options);
    let output = again_by(strace, helper).output().expect("strace can be started");
    let told = std::fs::read(&calls).unwrap_or_default();
    let _gone = std::fs::remove_file(&calls);
    Traced { output, calls: String::from_utf8_lossy(&told).into_owned() }
}
