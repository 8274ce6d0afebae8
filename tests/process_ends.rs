//! How processes end: by returning, exiting, panicking or a signal, and what is told of it.

mod support;

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use multiprocess::{Error, Exit, Payload, Process, StartMethod, Stdio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::census::Census;
use support::foreign::{
    SIGCONT, SIGINT, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM, at_exit, ignore, on_signal, read_unmapped_memory,
    signal,
};
use support::gate::{Gate, stand};
use support::{alone, death, on_processes};

/// A process that stands at a gate for as long as that is there.
async fn held(gate: &mut Gate) -> Process<u32> {
    let process = Process::spawn(stand, (gate.key(),)).expect("it starts");
    gate.arrived().await;
    process
}

fn is_readable(descriptor: impl AsFd) -> bool {
    becomes_readable(descriptor, 0)
}

fn becomes_readable(descriptor: impl AsFd, within: i64) -> bool {
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    let within = Timespec { tv_sec: within, tv_nsec: 0 };
    poll(&mut polled, Some(&within)).expect("it can be waited for") > 0
}

/// A process that is held does not end by itself; `end` ends it with this signal.
async fn ends_by(end: impl FnOnce(&Process<u32>), signal: i32) {
    let mut gate = Gate::new();
    let process = held(&mut gate).await;
    let waited = process.join_timeout(Duration::ZERO).await;
    assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
    assert!(process.is_alive());
    assert_eq!(process.exit_code(), None);
    end(&process);
    let death = death(process.join().await);
    assert_eq!((death.pid, death.exit), (process.pid(), Exit::Signal(signal)));
    assert!(death.task.is_some_and(|task| task.contains("stand")), "it had begun");
    assert!(!death.oom_likely, "we have killed it ourselves");
    assert!(!process.is_alive());
    assert_eq!(process.exit_code(), Some(-signal));
}

// C007
async fn terminate_ends_a_process_by_sigterm() {
    ends_by(|process| process.terminate().expect("it is there"), SIGTERM).await;
}

// C008
async fn kill_ends_a_process_by_sigkill() {
    ends_by(|process| process.kill().expect("it is there"), SIGKILL).await;
}

// C009
async fn interrupt_ends_a_process_by_sigint() {
    ends_by(|process| process.interrupt().expect("it is there"), SIGINT).await;
}

async fn a_child_in_the_list_can_be_ended_too() {
    let by_list = |process: &Process<u32>| {
        let children = multiprocess::active_children();
        let child = children.iter().find(|child| child.pid() == process.pid()).expect("it is active");
        assert_eq!(child.name(), process.name());
        child.terminate().expect("it is there");
    };
    ends_by(by_list, SIGTERM).await;
}

fn park() {
    loop {
        std::thread::park();
    }
}

// C009, fault 43
#[test]
fn a_host_that_ignores_interrupts_can_interrupt_all_the_same() {
    alone::alone(|| {
        ignore(SIGINT);
        for _ in 0..20 {
            let process = Process::spawn(park, ()).expect("it starts");
            process.interrupt().expect("it is there");
            assert_eq!(death(process.blocking_join()).exit, Exit::Signal(SIGINT));
        }
    });
}

// C009
async fn a_process_may_catch_its_interrupt_and_go_on() {
    extern "C" fn say(_signal: i32) {
        let _said = rustix::io::write(rustix::stdio::stdout(), b"!");
    }
    let catch = || {
        on_signal(SIGINT, say);
        print!("ready");
        let _said = std::io::stdout().flush();
        let mut nothing = String::new();
        // It goes on after the signal, until its stdin ends.
        std::io::stdin().read_to_string(&mut nothing).map(|_| 7).ok()
    };
    let process = Process::builder().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn(catch, ());
    let process = process.expect("it starts");
    let mut said = process.take_stdout().expect("it is a pipe");
    let stdin = process.take_stdin().expect("it is a pipe");
    let mut ready = [0; 5];
    said.read_exact(&mut ready).expect("it says so");
    process.interrupt().expect("it is there");
    let mut caught = [0];
    said.read_exact(&mut caught).expect("its handler says so");
    drop(stdin);
    assert_eq!(process.join().await.expect("it goes on"), Some(7));
    assert_eq!(process.exit_code(), Some(0));
}

// C013
async fn a_sentinel_is_readable_once_its_process_has_ended() {
    let mut gate = Gate::new();
    let process = held(&mut gate).await;
    assert!(!is_readable(process.sentinel()));
    gate.let_all_go();
    assert!(becomes_readable(process.sentinel(), 60));
    assert!(!process.is_alive());
    assert_eq!(process.exit_code(), Some(0), "it can be told at once");
    process.join().await.expect("it has returned");
    assert!(is_readable(process.sentinel()));
}

fn is_closed<T: std::fmt::Debug>(result: multiprocess::Result<T>) {
    assert!(matches!(result, Err(Error::ProcessClosed { .. })), "{result:?}");
}

// C014
async fn only_a_process_that_has_ended_can_be_closed() {
    let mut gate = Gate::new();
    let process = held(&mut gate).await;
    assert!(matches!(process.close(), Err(Error::StillRunning { pid, .. }) if pid == process.pid()));
    gate.let_all_go();
    process.join().await.expect("nothing has changed");
    process.close().expect("it has ended");
    assert!(!process.is_alive());
    is_closed(process.join().await);
    is_closed(process.join_timeout(Duration::ZERO).await);
    is_closed(process.terminate());
    is_closed(process.kill());
    is_closed(process.interrupt());
    is_closed(process.close());
}

// C015
async fn many_processes_that_return_all_exit_with_0() {
    let started = (0..20).map(|n| Process::spawn(|n: u32| n, (n,)).expect("it starts"));
    for (n, process) in started.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(process.join().await.map(|n| n as usize).expect("it comes back"), n);
        assert_eq!(process.exit_code(), Some(0));
    }
}

// C015
async fn many_processes_that_are_terminated_all_say_so() {
    let mut gate = Gate::new();
    let mut started = Vec::new();
    for _ in 0..20 {
        started.push(held(&mut gate).await);
    }
    for process in &started {
        process.terminate().expect("it is there");
    }
    for process in started {
        death(process.join().await);
        assert_eq!(process.exit_code(), Some(-SIGTERM));
    }
}

async fn one_that_is_terminated_before_it_comes_to_its_function_says_so_too() {
    for _ in 0..20 {
        let mut gate = Gate::new();
        let process = Process::spawn(stand, (gate.key(),)).expect("it starts");
        process.kill().expect("it is there");
        assert_eq!(death(process.join().await).exit, Exit::Signal(SIGKILL));
        assert_eq!(process.exit_code(), Some(-SIGKILL));
        gate.let_all_go();
    }
}

// C021
async fn a_panic_is_on_stderr_before_the_process_exits_with_1() {
    let panics = Process::builder().stderr(Stdio::piped()).spawn(|| -> u8 { panic!("no more paper") }, ());
    let process = panics.expect("it starts");
    let mut said = String::new();
    process.take_stderr().expect("it is a pipe").read_to_string(&mut said).expect("it is text");
    assert!(said.contains("panicked at") && said.contains("no more paper"), "{said}");
    assert_eq!(said.matches("no more paper").count(), 1, "it is said once");
    assert!(matches!(process.join().await, Err(Error::Panicked(_))));
    assert_eq!(process.exit_code(), Some(1));
}

async fn exits_with<R: Payload + std::fmt::Debug>(process: Process<R>, code: i32) {
    let death = death(process.join().await);
    assert_eq!((death.exit, process.exit_code()), (Exit::Code(code), Some(code)));
}

// C022
async fn an_exit_code_arrives_as_it_is() {
    for code in [0, 1, 8, 255] {
        let process = Process::spawn(|code: i32| -> u8 { std::process::exit(code) }, (code,));
        exits_with(process.expect("it starts"), code).await;
    }
}

async fn a_crash_is_told_by_its_signal() {
    let process = Process::spawn(read_unmapped_memory, ()).expect("it starts");
    assert_eq!(death(process.join().await).exit, Exit::Signal(SIGSEGV));
    assert_eq!(process.exit_code(), Some(-SIGSEGV));
}

// C027
async fn what_was_registered_for_the_end_runs_and_what_was_printed_is_written() {
    extern "C" fn last_words() {
        let _said = std::io::stderr().write_all(b"last words");
    }
    let ends = || {
        at_exit(last_words);
        print!("no line");
    };
    let builder = Process::builder().stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = builder.spawn(ends, ()).expect("it starts");
    let (mut printed, mut said) = (String::new(), String::new());
    process.take_stdout().expect("it is a pipe").read_to_string(&mut printed).expect("it is text");
    process.take_stderr().expect("it is a pipe").read_to_string(&mut said).expect("it is text");
    assert_eq!((printed.as_str(), said.as_str()), ("no line", "last words"));
    process.join().await.expect("it returns");
    assert_eq!(process.exit_code(), Some(0));
}

async fn a_process_may_become_another_program() {
    let become_shell = || -> u8 {
        let error = Command::new("sh").args(["-c", "echo here; read line; exit 7"]).exec();
        panic!("there is a shell: {error}");
    };
    let builder = Process::builder().stdin(Stdio::piped()).stdout(Stdio::piped());
    let process = builder.spawn(become_shell, ()).expect("it starts");
    let stdin = process.take_stdin().expect("it is a pipe");
    let mut here = [0; 5];
    process.take_stdout().expect("it is a pipe").read_exact(&mut here).expect("the shell says so");
    // The pipe to us is closed by now, as by a worker that is no longer one and would be ended.
    let waited = process.join_timeout(Duration::from_millis(300)).await;
    assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
    drop(stdin);
    exits_with(process, 7).await;
}

async fn a_process_that_is_stopped_is_alive_and_goes_on_later() {
    let mut gate = Gate::new();
    let process = held(&mut gate).await;
    signal(process.pid(), SIGSTOP);
    gate.let_all_go();
    let waited = process.join_timeout(Duration::from_millis(1)).await;
    assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
    assert!(process.is_alive());
    signal(process.pid(), SIGCONT);
    process.join().await.expect("it goes on");
}

async fn a_large_value_comes_back_whole() {
    let process = Process::spawn(|load: Vec<u8>| load, (vec![7; 16 << 20],)).expect("it starts");
    assert!(process.join().await.expect("it comes back") == vec![7; 16 << 20]);
}

#[test]
fn an_ended_process_leaves_nothing_behind() {
    alone::alone(|| {
        // The one forkserver of a program stays as long as that does.
        let builder = || Process::builder().start_method(StartMethod::Spawn);
        let end_one = |spoil: bool| {
            let process = builder().spawn(|spoil: bool| assert!(!spoil), (spoil,)).expect("it starts");
            let _either = process.blocking_join();
        };
        let before = Census::after_the_first_pool();
        end_one(false);
        end_one(true);
        // A process that is dropped before it has ended.
        drop(builder().spawn(|| (), ()).expect("it starts"));
        before.settles();
    });
}

on_processes!(
    terminate_ends_a_process_by_sigterm,
    kill_ends_a_process_by_sigkill,
    interrupt_ends_a_process_by_sigint,
    a_child_in_the_list_can_be_ended_too,
    a_process_may_catch_its_interrupt_and_go_on,
    a_sentinel_is_readable_once_its_process_has_ended,
    only_a_process_that_has_ended_can_be_closed,
    many_processes_that_return_all_exit_with_0,
    many_processes_that_are_terminated_all_say_so,
    one_that_is_terminated_before_it_comes_to_its_function_says_so_too,
    a_panic_is_on_stderr_before_the_process_exits_with_1,
    an_exit_code_arrives_as_it_is,
    a_crash_is_told_by_its_signal,
    what_was_registered_for_the_end_runs_and_what_was_printed_is_written,
    a_process_may_become_another_program,
    a_process_that_is_stopped_is_alive_and_goes_on_later,
    a_large_value_comes_back_whole,
);
