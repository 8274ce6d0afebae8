//! The tests of a file once more, in a process of their own whose pools have the forkserver as their start method.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use multiprocess::{StartMethod, set_start_method};

/// The start method of pools that do not say otherwise.
pub const ENV: &str = "MULTIPROCESS_TEST_START_METHOD";

/// True in the process that runs the tests once more.
pub fn is_on_forkserver() -> bool {
    std::env::var_os(ENV).as_deref() == Some(OsStr::new("forkserver"))
}

/// True on the forkserver, for what holds otherwise there.
pub fn left_out(why: &str) -> bool {
    if is_on_forkserver() {
        super::skipped(format_args!("on the forkserver: {why}"));
    }
    is_on_forkserver()
}

/// Runs before `main`, and before the entry of a worker, so that no test has made a pool yet.
pub fn choose() {
    if is_on_forkserver() {
        set_start_method(StartMethod::Forkserver).expect("nothing was chosen before");
    }
}

#[test]
fn everything_once_more_on_the_forkserver() {
    if is_on_forkserver() {
        return;
    }
    let program = std::env::current_exe().expect("a test has a file");
    let mut again = Command::new(program);
    again.args(["--skip", "on_threads"]).env(ENV, "forkserver").stdin(Stdio::null());
    let output = again.output().expect("the test binary can be started");
    let (told, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for why in complained.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")) {
        super::skipped(why);
    }
    assert!(output.status.success() && told.contains("test result: ok."), "{told}\n{complained}");
}
