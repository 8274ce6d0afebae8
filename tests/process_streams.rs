//! The standard streams of a process: what they are, and that broken ones hurt nobody.

mod support;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::time::Duration;

use multiprocess::{Error, Process, Stdio};
use support::alone::{again, assert_passed, is_alone};
use support::foreign::close_whosever;
use support::on_processes;
use support::tally::{Tally, tell};

fn read_all() -> Option<String> {
    io::read_to_string(io::stdin()).ok()
}

fn text(mut stream: impl io::Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it is text");
    text
}

async fn stdin_is_empty_unless_it_is_said() {
    let process = Process::spawn(read_all, ()).expect("it starts");
    assert_eq!(process.take_stdin().map(drop), None);
    assert_eq!(process.join().await.expect("it comes back").as_deref(), Some(""));
}

async fn what_is_written_to_a_pipe_is_read_in_the_process() {
    let process = Process::builder().stdin(Stdio::piped()).spawn(read_all, ()).expect("it starts");
    let mut stdin = process.take_stdin().expect("it is a pipe");
    stdin.write_all(b"line\n").expect("it reads");
    assert_eq!(process.take_stdin().map(drop), None, "it was taken");
    drop(stdin);
    assert_eq!(process.join().await.expect("it comes back").as_deref(), Some("line\n"));
}

async fn a_join_closes_a_stdin_that_nobody_has_taken() {
    let process = Process::builder().stdin(Stdio::piped()).spawn(read_all, ()).expect("it starts");
    assert_eq!(process.join().await.expect("it comes back").as_deref(), Some(""));
}

async fn a_join_with_a_limit_leaves_stdin_open() {
    let process = Process::builder().stdin(Stdio::piped()).spawn(read_all, ()).expect("it starts");
    let waited = process.join_timeout(Duration::from_millis(1)).await;
    assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
    let mut stdin = process.take_stdin().expect("it is a pipe");
    stdin.write_all(b"late").expect("it reads");
    drop(stdin);
    assert_eq!(process.join().await.expect("it comes back").as_deref(), Some("late"));
}

async fn a_file_or_a_pipe_of_ours_can_be_a_stream() {
    let (input, output) = (Tally::new(), Tally::new());
    std::fs::write(input.key(), "from a file").expect("it can be written");
    let (said, says) = io::pipe().expect("there are descriptors left");
    let copies = || {
        print!("{}", read_all().expect("it is text"));
        eprint!("to a pipe");
    };
    let process = Process::builder()
        .stdin(File::open(input.key()).expect("it is there"))
        .stdout(File::create(output.key()).expect("it is there"))
        .stderr(says)
        .spawn(copies, ())
        .expect("it starts");
    assert_eq!(text(said), "to a pipe", "our own end of it was closed");
    process.join().await.expect("it returns");
    assert_eq!(output.marks(), b"from a file");
}

async fn what_goes_to_null_is_gone() {
    let builder = Process::builder().stdout(Stdio::null()).stderr(Stdio::null());
    let says = || {
        println!("nobody hears this");
        eprintln!("nor this");
    };
    let process = builder.spawn(says, ()).expect("it starts");
    assert!(process.take_stdout().is_none() && process.take_stderr().is_none());
    process.join().await.expect("it returns");
}

/// Not a test, but what the one below starts: its processes have its own streams.
#[test]
fn hands_its_streams_on() {
    if is_alone("hands_its_streams_on") {
        let echo = || {
            let mut line = String::new();
            io::stdin().read_line(&mut line).expect("it can be read");
            println!("stdout {line}");
            eprintln!("stderr {line}");
        };
        let process = Process::builder().stdin(Stdio::inherit()).spawn(echo, ()).expect("it starts");
        process.blocking_join().expect("it returns");
    }
}

async fn inherited_streams_are_those_of_the_program() {
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program.as_os_str(), "hands_its_streams_on");
    let (theirs, mut ours) = io::pipe().expect("there are descriptors left");
    ours.write_all(b"hello\n").expect("there is room");
    let output = command.stdin(theirs).output().expect("it can be started");
    assert_passed("hands_its_streams_on", &output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("stdout hello"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stderr hello"));
}

/// What writes to streams that are broken, and does not care.
fn talks() -> u8 {
    let _broken = writeln!(io::stdout(), "nobody hears this");
    let _broken = writeln!(io::stderr(), "nor this");
    let _still_waits = write!(io::stdout(), "nor what waits to be written");
    7
}

// C019
async fn broken_streams_of_a_process_hurt_nobody() {
    let process = Process::builder().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn(talks, ());
    let process = process.expect("it starts");
    drop((process.take_stdout(), process.take_stderr()));
    assert_eq!(process.join().await.expect("it returns"), 7);
    assert_eq!(process.exit_code(), Some(0));
}

/// Not a test, but what the one below starts: a program with no streams at all.
#[test]
fn has_no_streams() {
    if !is_alone("has_no_streams") {
        return;
    }
    for stream in 0..3 {
        close_whosever(stream);
    }
    let tally = std::env::var("MULTIPROCESS_TEST_TALLY").expect("the test says so");
    for _ in 0..3 {
        let process = Process::spawn(talks, ()).expect("it starts");
        let joined = process.blocking_join();
        tell(&tally, &format!("{:?} {:?}", joined.ok(), process.exit_code()));
    }
}

// C019
async fn a_program_without_streams_has_processes_all_the_same() {
    let tally = Tally::new();
    let program = std::env::current_exe().expect("a test has a file");
    let mut command = again(program.as_os_str(), "has_no_streams");
    command
        .env("MULTIPROCESS_TEST_TALLY", tally.key())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let _its_harness_may_complain = command.status().expect("it can be started");
    assert_eq!(tally.lines(), ["Some(7) Some(0)"; 3]);
}

/// A type with a process of its own: it has what it needs, a run, and more than that.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Shouter {
    mark: char,
}

impl Shouter {
    fn shout(&self, line: &str) -> String {
        format!("{}{}", line.to_uppercase(), self.mark)
    }

    fn run(self) -> u32 {
        let mut lines = 0;
        for line in io::stdin().lines().map_while(Result::ok) {
            println!("{}", self.shout(&line));
            lines += 1;
        }
        lines
    }
}

// C020
async fn a_type_of_its_own_runs_in_a_process_and_talks_over_pipes() {
    let builder = Process::builder().stdin(Stdio::piped()).stdout(Stdio::piped());
    let process = builder.spawn(Shouter::run, (Shouter { mark: '!' },)).expect("it starts");
    let mut to = process.take_stdin().expect("it is a pipe");
    let mut from = BufReader::new(process.take_stdout().expect("it is a pipe")).lines();
    for (said, heard) in [("hello", "HELLO!"), ("this too", "THIS TOO!")] {
        writeln!(to, "{said}").expect("it reads");
        assert_eq!(from.next().expect("it answers").expect("it is text"), heard);
    }
    drop(to);
    assert_eq!(process.join().await.expect("it returns"), 2);
}

on_processes!(
    stdin_is_empty_unless_it_is_said,
    what_is_written_to_a_pipe_is_read_in_the_process,
    a_join_closes_a_stdin_that_nobody_has_taken,
    a_join_with_a_limit_leaves_stdin_open,
    a_file_or_a_pipe_of_ours_can_be_a_stream,
    what_goes_to_null_is_gone,
    inherited_streams_are_those_of_the_program,
    broken_streams_of_a_process_hurt_nobody,
    a_program_without_streams_has_processes_all_the_same,
    a_type_of_its_own_runs_in_a_process_and_talks_over_pipes,
);
