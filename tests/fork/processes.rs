//! Processes that are copies of the program.

use std::cell::Cell;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Seek as _, Write as _, pipe, read_to_string};
use std::rc::Rc;
use std::time::Duration;

use multiprocess::{
    Context, Error, Handle, Limit, Process, StartMethod, Stdio, active_children, current_process,
    parent_process,
};

use super::support::foreign::{SIGINT, at_exit, ignore};
use super::{another_thread, children, threads};

super::cases!(
    a_closure_has_what_it_captures,
    a_closure_may_borrow_and_capture_what_cannot_be_sent,
    a_copy_changes_nothing_here,
    a_function_is_forked_too,
    one_can_be_forked_after_the_other_and_no_thread_stays,
    many_live_at_once,
    copies_make_copies,
    an_async_join_leaves_no_thread_that_lasts,
    a_second_thread_is_named_and_nothing_is_forked,
    a_thread_that_was_joined_is_none,
    a_context_forks,
    a_panic_comes_back_and_is_printed,
    a_program_that_ignores_interrupts_can_interrupt_its_copies,
    exit_codes_are_those_of_python,
    what_was_printed_before_is_printed_once,
    a_copy_knows_who_it_is_and_who_its_parent_is,
    the_children_of_the_parent_are_not_those_of_the_copy,
    a_join_that_takes_too_long_can_be_taken_up_again,
    one_that_was_dropped_is_reaped_by_the_next,
    one_that_was_dropped_does_not_wait_for_a_reader,
    a_large_value_comes_back,
    a_value_that_is_too_large_is_an_error,
    a_copy_gives_handles_back,
    a_forked_function_takes_handles_and_gives_some_back,
    a_forked_function_can_let_go_of_its_handles,
    streams_environment_and_directory_are_as_they_were_ordered,
    options_that_cannot_be_are_refused,
    what_the_program_has_registered_for_its_end_runs_only_here,
    a_daemon_ends_with_its_parent_and_another_does_not,
);

/// What the tests expect of what has no reason to fail.
const RUNS: &str = "it has no reason to fail";

fn a_closure_has_what_it_captures() {
    let words = ["a".to_owned(), "b".to_owned()];
    let process = Process::fork(move || words.join("-")).expect("there is one thread");
    assert_eq!(process.blocking_join().expect(RUNS), "a-b");
    assert_eq!(process.exit_code(), Some(0));
    assert_eq!(children(), 0);
}

fn a_closure_may_borrow_and_capture_what_cannot_be_sent() {
    let shared = Rc::new(Cell::new(5));
    let local = [1, 2, 3];
    let process = Process::fork(|| shared.get() + local.len()).expect("there is one thread");
    assert_eq!(process.blocking_join().expect(RUNS), 8);
}

fn a_copy_changes_nothing_here() {
    let cell = Cell::new(1);
    let process = Process::fork(|| cell.replace(2) + cell.get()).expect("there is one thread");
    assert_eq!((process.blocking_join().expect(RUNS), cell.get()), (3, 1));
}

fn a_function_is_forked_too() {
    let process = Process::builder().start_method(StartMethod::Fork).spawn(u64::pow, (2, 10));
    let process = process.expect("there is one thread");
    assert_eq!(process.blocking_join().expect(RUNS), 1_024);
    // An `async fn` is awaited there.
    let process = Process::builder().start_method(StartMethod::Fork).spawn(async |n: u32| n + 1, (1,));
    assert_eq!(process.expect("there is one thread").blocking_join().expect(RUNS), 2);
}

// C017 says of other start methods that descriptors do not grow; here no thread does, so that they can follow each other.
fn one_can_be_forked_after_the_other_and_no_thread_stays() {
    for round in 0..20 {
        let process = Process::fork(|| round * 2).expect("there is one thread");
        assert_eq!(process.blocking_join().expect(RUNS), round * 2);
    }
    assert_eq!(threads().len(), 1);
    assert_eq!(children(), 0);
}

// C015
fn many_live_at_once() {
    let processes: Vec<_> = (0..16).map(|n| Process::fork(move || n).expect("there is one thread")).collect();
    for (n, process) in processes.iter().enumerate() {
        assert_eq!(process.blocking_join().expect(RUNS), n);
        assert_eq!(process.exit_code(), Some(0));
    }
    let parked: Vec<_> = (0..8).map(|_| Process::fork(park).expect("there is one thread")).collect();
    for process in &parked {
        process.terminate().expect("it runs");
    }
    for process in &parked {
        assert!(matches!(process.blocking_join(), Err(Error::WorkerDied(_))));
        assert_eq!(process.exit_code(), Some(-15));
    }
    assert_eq!(children(), 0);
}

fn park() {
    loop {
        std::thread::park();
    }
}

// C012
fn copies_make_copies() {
    fn below(levels: u32) -> Vec<String> {
        let mut names = vec![current_process().name().to_owned()];
        for _ in 0..if levels == 0 { 0 } else { 2 } {
            let process = Process::fork(|| below(levels - 1)).expect("there is one thread");
            names.extend(process.blocking_join().expect(RUNS));
        }
        names
    }
    let expected =
        ["MainProcess", "Process-1", "Process-1:1", "Process-1:2", "Process-2", "Process-2:1", "Process-2:2"];
    assert_eq!(below(2), expected);
}

fn an_async_join_leaves_no_thread_that_lasts() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(async {
        for round in 0..5_u32 {
            let process = Process::fork(|| round + 1).expect("there is one thread");
            assert_eq!(process.join().await.expect(RUNS), round + 1);
        }
        let processes: Vec<_> = (0..4_u32).map(|n| Process::fork(move || n).expect("one thread")).collect();
        let joined = futures::future::try_join_all(processes.iter().map(Process::join)).await;
        assert_eq!(joined.expect(RUNS), [0, 1, 2, 3]);
    });
}

fn a_second_thread_is_named_and_nothing_is_forked() {
    let (stop, thread) = another_thread();
    let refused = Process::fork(|| 1).map(drop).expect_err("it would hold whatever lock it holds for ever");
    assert!(matches!(&refused, Error::NotAlone { threads } if threads.len() == 1), "{refused:?}");
    assert!(refused.to_string().contains("the-other"), "{refused}");
    assert_eq!(children(), 0);
    drop(stop);
    thread.join().expect("it does not panic");
}

fn a_thread_that_was_joined_is_none() {
    for _ in 0..20 {
        std::thread::spawn(|| ()).join().expect("it does nothing");
        Process::fork(|| ()).expect("there is one thread").blocking_join().expect(RUNS);
    }
}

// C242
fn a_context_forks() {
    let context = Context::new(StartMethod::Fork);
    assert_eq!(context.spawn(|| 3, ()).expect("there is one thread").blocking_join().expect(RUNS), 3);
    let captured = 4;
    let process = context.process().fork(|| captured).expect("there is one thread");
    assert_eq!(process.blocking_join().expect(RUNS), 4);
}

// C021
fn a_panic_comes_back_and_is_printed() {
    let process = Process::builder().stderr(Stdio::piped()).fork(|| -> u8 { panic!("no more paper") });
    let process = process.expect("there is one thread");
    let mut stderr = process.take_stderr().expect("it is a pipe");
    match process.blocking_join() {
        Err(Error::Panicked(panic)) => assert_eq!(panic.message, "no more paper"),
        other => panic!("{other:?}"),
    }
    let mut printed = String::new();
    stderr.read_to_string(&mut printed).expect("it is text");
    assert!(printed.contains("no more paper"), "{printed}");
    assert_eq!(process.exit_code(), Some(1));
}

// C009, fault 43
fn a_program_that_ignores_interrupts_can_interrupt_its_copies() {
    ignore(SIGINT);
    for _ in 0..20 {
        let copy = Process::fork(park).expect("there is one thread");
        copy.interrupt().expect("it runs");
        assert!(copy.blocking_join().is_err());
        assert_eq!(copy.exit_code(), Some(-SIGINT));
    }
}

// C022
fn exit_codes_are_those_of_python() {
    for code in [0, 1, 8] {
        let process = Process::fork(move || std::process::exit(code)).map(|process: Process<()>| process);
        let process = process.expect("there is one thread");
        assert!(matches!(process.blocking_join(), Err(Error::WorkerDied(_))));
        assert_eq!(process.exit_code(), Some(code));
    }
    let killed = Process::fork(park).expect("there is one thread");
    assert_eq!(killed.exit_code(), None);
    killed.kill().expect("it runs");
    assert!(killed.blocking_join().is_err());
    assert_eq!(killed.exit_code(), Some(-9));
}

fn what_was_printed_before_is_printed_once() {
    let mut file = tempfile();
    let stdout = file.try_clone().expect("there are descriptors");
    let process = Process::builder().stdout(stdout).fork(|| {
        print!("once ");
        Process::fork(|| println!("twice")).expect("there is one thread").blocking_join().expect(RUNS);
    });
    process.expect("there is one thread").blocking_join().expect(RUNS);
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("it is text");
    assert_eq!(text, "once twice\n");
}

/// A file that nobody else has.
fn tempfile() -> File {
    let path = crate::support::scratch("fork");
    let file = File::options().read(true).append(true).create_new(true).open(&path);
    std::fs::remove_file(&path).expect("it is there");
    file.expect("a file can be made")
}

// C005
fn a_copy_knows_who_it_is_and_who_its_parent_is() {
    let own = std::process::id();
    let process = Process::builder().name("copy").daemon(true).fork(|| {
        let (current, parent) = (current_process(), parent_process().expect("it has one"));
        (
            current.name().to_owned(),
            current.daemon(),
            parent.pid(),
            parent.name().to_owned(),
            parent.is_alive(),
        )
    });
    let process = process.expect("there is one thread");
    let pid = process.pid();
    assert_eq!(process.blocking_join().expect(RUNS), ("copy".into(), true, own, "MainProcess".into(), true));
    assert_ne!(pid, own);
    assert_eq!(process.name(), "copy");
    assert!(parent_process().is_none(), "this is the program itself");
}

// C011
fn the_children_of_the_parent_are_not_those_of_the_copy() {
    let first = Process::fork(park).expect("there is one thread");
    let second = Process::fork(|| active_children().len()).expect("there is one thread");
    assert_eq!(second.blocking_join().expect(RUNS), 0);
    let alive: Vec<_> = active_children().iter().map(multiprocess::ActiveChild::pid).collect();
    assert_eq!(alive, [first.pid()]);
    first.kill().expect("it runs");
    assert!(first.blocking_join().is_err());
    assert!(active_children().is_empty());
}

// C007
fn a_join_that_takes_too_long_can_be_taken_up_again() {
    let (mut reader, writer) = pipe().expect("a pipe can be made");
    let process = Process::builder().stdin(Stdio::piped()).fork(|| {
        let mut byte = [0];
        std::io::stdin().read_exact(&mut byte).expect("a byte comes");
        drop(writer);
        byte[0]
    });
    let process = process.expect("there is one thread");
    let mut stdin = process.take_stdin().expect("it is a pipe");
    let late = process.blocking_join_timeout(Duration::from_millis(1));
    assert!(matches!(late, Err(Error::TimedOut { limit: Limit::Wait, .. })), "{late:?}");
    assert!(process.is_alive());
    stdin.write_all(&[7]).expect("it reads");
    let _ended = reader.read_to_end(&mut Vec::new());
    assert_eq!(process.blocking_join_timeout(Duration::from_secs(30)).expect(RUNS), 7);
    assert!(matches!(process.blocking_join(), Err(Error::Taken { .. })));
    assert_eq!(threads().len(), 1);
}

fn one_that_was_dropped_is_reaped_by_the_next() {
    let dropped = Process::fork(|| ()).expect("there is one thread");
    while dropped.is_alive() {
        std::thread::yield_now();
    }
    drop(dropped);
    assert_eq!(children(), 1, "nobody has waited for it");
    Process::fork(|| ()).expect("there is one thread").blocking_join().expect(RUNS);
    assert_eq!(children(), 0);
}

fn one_that_was_dropped_does_not_wait_for_a_reader() {
    let (mut reader, writer) = pipe().expect("a pipe can be made");
    let dropped = Process::fork(move || {
        let _open = &writer;
        vec![1_u8; 16 << 20]
    });
    drop(dropped.expect("there is one thread"));
    // Its end comes when the copy has ended, which has the only other end of it.
    let _nothing = reader.read_to_end(&mut Vec::new()).expect("it can be read");
}

fn a_large_value_comes_back() {
    let process = Process::fork(|| vec![3_u8; 8 << 20]).expect("there is one thread");
    assert_eq!(process.blocking_join().expect(RUNS).len(), 8 << 20);
}

fn a_value_that_is_too_large_is_an_error() {
    let process =
        Process::builder().max_frame(1_000).fork(|| "x".repeat(2_000)).expect("there is one thread");
    let error = process.blocking_join().expect_err("it does not fit");
    assert!(matches!(error, Error::TooLarge { max: 1_000, .. }), "{error:?}");
    assert_eq!(process.exit_code(), Some(1));
}

fn a_copy_gives_handles_back() {
    let process = Process::fork(|| {
        let (reader, mut writer) = pipe().expect("there are descriptors left");
        writer.write_all(b"from the copy").expect("a pipe has room for it");
        (7, Handle::new(reader))
    });
    let process = process.expect("there is one thread");
    let (seven, reader) = process.blocking_join().expect(RUNS);
    assert_eq!(seven, 7);
    assert_eq!(read_to_string(reader.into_inner()).expect("it is text"), "from the copy");
}

fn a_forked_function_can_let_go_of_its_handles() {
    fn let_go(writer: Handle<PipeWriter>, mut wait: Handle<PipeReader>) {
        drop(writer);
        wait.read_exact(&mut [0]).expect("it is told to go on");
    }
    let ((mut reader, writer), (wait, mut go_on)) =
        (pipe().expect("there are descriptors left"), pipe().expect("there are descriptors left"));
    let process = Process::builder().start_method(StartMethod::Fork);
    let process =
        process.spawn(let_go, (Handle::new(writer), Handle::new(wait))).expect("there is one thread");
    assert_eq!(reader.read(&mut [0]).expect("it can be read"), 0, "nobody has the other end");
    go_on.write_all(&[1]).expect("it waits");
    process.blocking_join().expect(RUNS);
}

fn a_forked_function_takes_handles_and_gives_some_back() {
    fn answer(mut heard: Handle<PipeReader>, said: Handle<PipeWriter>) -> (String, Handle<PipeWriter>) {
        let mut text = String::new();
        heard.read_to_string(&mut text).expect("it is text");
        (text, said)
    }
    let ((heard, mut say), (hear, said)) =
        (pipe().expect("there are descriptors left"), pipe().expect("there are descriptors left"));
    say.write_all(b"to the copy").expect("a pipe has room for it");
    drop(say);
    let process = Process::builder().start_method(StartMethod::Fork);
    let process =
        process.spawn(answer, (Handle::new(heard), Handle::new(said))).expect("there is one thread");
    let (text, mut said) = process.blocking_join().expect(RUNS);
    assert_eq!(text, "to the copy");
    said.write_all(b"and back").expect("a pipe has room for it");
    drop(said);
    assert_eq!(read_to_string(hear).expect("nobody else has the other end"), "and back");
}

fn streams_environment_and_directory_are_as_they_were_ordered() {
    let builder = Process::builder().env("PLACE", "here").current_dir("/").stdout(Stdio::piped());
    let process = builder.fork(|| {
        print!("told");
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text).expect("it is empty");
        (std::env::var("PLACE").ok(), std::env::current_dir().ok(), read)
    });
    let process = process.expect("there is one thread");
    let mut told = String::new();
    let mut stdout = process.take_stdout().expect("it is a pipe");
    let value = process.blocking_join().expect(RUNS);
    assert_eq!(value, (Some("here".to_owned()), Some("/".into()), 0));
    stdout.read_to_string(&mut told).expect("it is text");
    assert_eq!(told, "told");
}

fn options_that_cannot_be_are_refused() {
    let spawned = Process::builder().start_method(StartMethod::Spawn).fork(|| 1).map(drop);
    assert!(matches!(spawned, Err(Error::Option { option: "start_method", .. })), "{spawned:?}");
    let stacked = Process::builder().stack_size(1 << 20).fork(|| 1).map(drop);
    assert!(matches!(stacked, Err(Error::Option { option: "stack_size", .. })), "{stacked:?}");
}

extern "C" fn says_goodbye() {
    println!("goodbye");
}

fn what_the_program_has_registered_for_its_end_runs_only_here() {
    at_exit(says_goodbye);
    let process = Process::builder().stdout(Stdio::piped()).fork(|| println!("hello"));
    let process = process.expect("there is one thread");
    process.blocking_join().expect(RUNS);
    let told = read_to_string(process.take_stdout().expect("it is a pipe")).expect("it is text");
    assert_eq!(told, "hello\n");
}

// C005
fn a_daemon_ends_with_its_parent_and_another_does_not() {
    for daemon in [true, false] {
        let (mut reader, writer) = pipe().expect("a pipe can be made");
        let (their_end, our_end) = pipe().expect("a pipe can be made");
        let parent = Process::fork(|| {
            let child = Process::builder().daemon(daemon).fork(|| {
                drop(reader.try_clone());
                drop(our_end.try_clone());
                let mut byte = [0];
                let mut their_end = &their_end;
                (&writer).write_all(b"1").expect("it is read");
                let _let_go = their_end.read(&mut byte);
                (&writer).write_all(b"2").expect("it is read");
            });
            let child = child.expect("there is one thread");
            let mut byte = [0];
            (&reader).read_exact(&mut byte).expect("the child says that it is there");
            child.pid()
        });
        let child = parent.expect("there is one thread").blocking_join().expect(RUNS);
        drop(writer);
        drop(their_end);
        if daemon {
            while std::fs::exists(format!("/proc/{child}")).expect("/proc is there") {
                std::thread::yield_now();
            }
            drop(our_end);
        } else {
            assert!(std::fs::exists(format!("/proc/{child}")).expect("/proc is there"));
            (&our_end).write_all(b"x").expect("it reads");
        }
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("it can be read");
        assert_eq!(rest, if daemon { &b""[..] } else { &b"2"[..] });
    }
}
