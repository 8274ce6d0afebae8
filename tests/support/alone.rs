//! Runs a test's body in a process of its own: the test binary, started again with only that test. For whatever
//! looks at, or spoils, what a whole process has: descriptors, threads, memory, standard streams.

use std::any::type_name_of_val;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use super::{DEADLINE, skipped};

/// By this variable the second process knows which test it was started for.
const ENV: &str = "MULTIPROCESS_TEST_ALONE";

/// Runs `body` in a process of its own, and fails if it does.
///
/// It must be called first in the test, with a closure that stands there: its type names the test.
pub fn alone<F: FnOnce()>(body: F) {
    alone_with(|_| (), body);
}

/// As `alone`; `prepare` changes how the process is started.
pub fn alone_with<F: FnOnce()>(prepare: impl FnOnce(&mut Command), body: F) {
    let name = test_of(&body);
    if is_alone(&name) {
        return with_deadline(body);
    }
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program.as_os_str(), &name);
    prepare(&mut command);
    let output = command.output().expect("the test binary can be started");
    assert_passed(&name, &output);
}

/// A command that runs this one test of `program`, which was copied from this binary or is it.
pub fn again(program: impl AsRef<std::ffi::OsStr>, name: &str) -> Command {
    let mut command = Command::new(program);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(ENV, name).stdin(Stdio::null());
    command
}

/// As `again`, with this program started by another one: `strace`, `unshare` and the like, with their own arguments.
pub fn again_by(mut starter: Command, name: &str) -> Command {
    let command = again(std::env::current_exe().expect("a test has a file"), name);
    starter.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    starter.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    starter
}

/// True in the process that was started for this test.
pub fn is_alone(name: &str) -> bool {
    std::env::var_os(ENV).is_some_and(|value| value == name)
}

/// The path of the test that a closure stands in.
pub fn test_of<F>(body: &F) -> String {
    let path = type_name_of_val(body);
    let path = path.split_once("::").map_or(path, |(_crate, path)| path);
    path.trim_end_matches("::{{closure}}").to_owned()
}

/// Fails unless the process ran exactly one test, and that passed.
pub fn assert_passed(name: &str, output: &Output) {
    let (told, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let passed = output.status.success() && told.contains("test result: ok. 1 passed");
    for why in complained.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")) {
        skipped(why);
    }
    // The end says what went wrong; some tests write megabytes before.
    let (told, complained) = (tail(&told), tail(&complained));
    assert!(passed, "{name} alone: {}\n{told}\n{complained}", output.status);
}

fn tail(text: &str) -> &str {
    let start = text.floor_char_boundary(text.len().saturating_sub(8 * 1024));
    &text[start..]
}

/// A body that hangs must not hang the process that waits for it.
fn with_deadline(body: impl FnOnce()) {
    let (finished, end) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if end.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("the test hangs");
            std::process::abort();
        }
    });
    body();
    drop(finished);
    watchdog.join().expect("the watchdog does not panic");
}
