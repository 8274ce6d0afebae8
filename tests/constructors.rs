//! What a program sets up before its `main` is there in its tasks too, although its workers never come to `main`.

#![expect(unsafe_code, reason = "a section of the linker's is what makes the loader call a function")]

mod support;

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

use multiprocess::{Error, Process, ProcessPool, StartMethod};
use support::alone::alone_with;
use support::run;

/// By this variable a constructor starts a process, by the start method that it names, in the program and in all processes that it is run in.
const BEFORE_MAIN: &str = "MULTIPROCESS_TEST_BEFORE_MAIN";
/// What the constructor has started, in a process that has the variable.
static STARTED: OnceLock<multiprocess::Result<Process<Option<String>>>> = OnceLock::new();

/// Why the constructor of this process has started nothing.
fn what_came_of_it() -> Option<String> {
    STARTED.get()?.as_ref().err().map(ToString::to_string)
}

/// What no constructor counts to.
const COPIED: u32 = 1_000;

/// What a fork has of its program, and who that is.
fn what_was_copied() -> Option<String> {
    let loaded = LATE.load(Ordering::Relaxed) >= COPIED;
    loaded.then(|| format!("copied from {}", std::os::unix::process::parent_id()))
}

static ORDINARY: AtomicU32 = AtomicU32::new(0);
static EARLY: AtomicU32 = AtomicU32::new(0);
static LATE: AtomicU32 = AtomicU32::new(0);

extern "C" fn ordinary() {
    ORDINARY.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn early() {
    EARLY.fetch_add(1, Ordering::Relaxed);
    let builder = Process::builder();
    let started = match std::env::var(BEFORE_MAIN).as_deref() {
        Ok("spawn") => builder.start_method(StartMethod::Spawn).spawn(what_came_of_it, ()),
        Ok("fork") => {
            LATE.store(COPIED, Ordering::Relaxed);
            builder.start_method(StartMethod::Fork).spawn(what_was_copied, ())
        }
        _ => return,
    };
    STARTED.set(started).expect("a constructor runs once");
}

extern "C" fn late() {
    LATE.fetch_add(1, Ordering::Relaxed);
}

// As C++ statics are: where it stands, before or behind the crate's own, is up to the linker.
#[used]
// SAFETY: the section holds pointers to functions that the loader calls with more arguments than this one takes.
#[unsafe(link_section = ".init_array")]
static ORDINARY_ENTRY: extern "C" fn() = ordinary;

// Before all that have no number.
#[used]
// SAFETY: as above.
#[unsafe(link_section = ".init_array.00200")]
static EARLY_ENTRY: extern "C" fn() = early;

// Some linkers put this behind all that have no number, others before them.
#[used]
// SAFETY: as above.
#[unsafe(link_section = ".init_array.99999")]
static LATE_ENTRY: extern "C" fn() = late;

struct Plugin(&'static str);

inventory::collect!(Plugin);
inventory::submit!(Plugin("red"));
inventory::submit!(Plugin("green"));

fn plugins() -> Vec<String> {
    let mut names: Vec<_> = inventory::iter::<Plugin>.into_iter().map(|plugin| plugin.0.to_owned()).collect();
    names.sort_unstable();
    names
}

fn constructed() -> [u32; 3] {
    [&EARLY, &ORDINARY, &LATE].map(|counter| counter.load(Ordering::Relaxed))
}

#[test]
fn every_constructor_has_run_exactly_once_in_a_worker() {
    assert_eq!(constructed(), [1; 3], "they have here");
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        assert_eq!(pool.apply(constructed, ()).await.expect("no task fails"), [1; 3]);
        pool.shutdown().await.expect("it ends");
    });
}

#[test]
fn items_of_an_inventory_are_there_in_a_task() {
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        assert_eq!(pool.apply(plugins, ()).await.expect("no task fails"), ["green", "red"]);
        pool.shutdown().await.expect("it ends");
    });
}

fn before_main(method: &str) -> impl FnOnce(&mut Command) {
    move |command| {
        command.env(BEFORE_MAIN, method);
    }
}

/// What the constructor of this process has started.
fn started() -> &'static Process<Option<String>> {
    let started = STARTED.get().expect("the constructor has run");
    started.as_ref().expect("the program is no worker, and may start one")
}

// C024
#[test]
fn a_process_that_is_started_before_its_own_entry_is_an_error_and_no_bomb() {
    alone_with(before_main("spawn"), || {
        let why = started().blocking_join().expect("it returns").expect("it has started none");
        assert!(why.contains("find the entry"), "{why}");
    });
}

#[test]
fn a_program_with_one_thread_can_fork_a_process() {
    alone_with(before_main("fork"), || {
        let copied = started().blocking_join().expect("it returns");
        assert_eq!(copied, Some(format!("copied from {}", std::process::id())));
        assert_eq!(started().exit_code(), Some(0));
    });
}

#[test]
fn a_program_with_more_threads_is_told_which_stand_in_the_way_of_a_fork() {
    let (stays, until) = channel::<()>();
    let other = std::thread::spawn(move || until.recv());
    let process = Process::builder().start_method(StartMethod::Fork).spawn(|| (), ());
    drop(stays);
    let _nothing_came = other.join().expect("it does not panic");
    let Err(Error::NotAlone { threads }) = process else { panic!("there was another thread: {process:?}") };
    assert!(!threads.is_empty());
}
