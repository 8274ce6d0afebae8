//! One function in a process of its own, or on a thread: what reaches it, what it is told, what comes back.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt as _;
use multiprocess::{Error, Limit, Process, StartMethod};
use support::executor::block_on;
use support::gate::{Gate, stand};
use support::odd::{Habit, Odd};
use support::on_processes;
use support::tally::{Tally, mark};
use support::twins::{Current, Handle as _, Options, Processes, Twin, on_twins, start};

fn options(name: Option<&'static str>, daemon: Option<bool>) -> Options {
    Options { name, daemon }
}

// C001
async fn the_program_itself_lives_and_is_no_daemon<T: Twin>() {
    let current = T::current();
    assert!(!current.daemon);
    assert_eq!(current.name, "MainProcess");
}

// C001
async fn the_program_itself_has_its_number_and_a_key() {
    let current = multiprocess::current_process();
    assert_eq!(current.pid(), std::process::id());
    assert!(current.authkey().len() == 32 && current.authkey().iter().any(|byte| *byte != 0));
    assert!(!format!("{current:?}").contains("authkey"), "a key is not to be found in a log");
}

// C002
async fn arguments_reach_the_function_unchanged<T: Twin>() {
    type Table = BTreeMap<String, Vec<Option<f64>>>;
    let table: Table = [("a".to_owned(), vec![Some(0.5), None]), (String::new(), vec![])].into();
    let echo = |table: Table, text: String, bytes: Vec<u8>, nothing: ()| (table, text, bytes, nothing);
    let given = (table, "\u{fc}\0".to_owned(), vec![7; 3 << 20], ());
    let process = start::<T, _, _, _>(echo, given.clone());
    assert_eq!(process.join().await.expect("it comes back"), given);
    let nothing = start::<T, _, _, _>(|| 7, ());
    assert_eq!(nothing.join().await.expect("it comes back"), 7);
}

// C003
async fn a_daemon_flag_is_inherited_unless_it_is_set<T: Twin>() {
    for (set, is) in [(None, false), (Some(true), true), (Some(false), false)] {
        let child = || {
            let grandchild = start::<T, _, _, _>(|| T::current().daemon, ());
            (T::current().daemon, grandchild.daemon(), grandchild.blocking_join().expect("it comes back"))
        };
        let process = T::start(options(None, set), child, ());
        assert_eq!(process.daemon(), is);
        assert_eq!(process.join().await.expect("it comes back"), (is, is, is));
    }
}

// C003
async fn a_process_that_a_worker_of_a_pool_starts_is_a_daemon() {
    let pool = support::pool::<multiprocess::Processes>(1);
    let started = || {
        let child = Process::spawn(|| multiprocess::current_process().daemon(), ()).expect("it starts");
        let is = (child.daemon(), child.blocking_join().expect("it comes back"));
        (is, multiprocess::current_process().name().to_owned(), multiprocess::current_process().daemon())
    };
    let (child, name, daemon) = pool.apply(started, ()).await.expect("no task fails");
    assert_eq!((child, daemon), ((true, true), true));
    assert!(name.ends_with(": worker 0"), "{name}");
    support::end(pool).await;
}

// C004
async fn a_process_is_what_its_starter_says<T: Twin>() {
    let mut gate = Gate::new();
    let current = |key: String| {
        stand(key);
        T::current()
    };
    let process = T::start(options(Some("fetcher"), Some(true)), current, (gate.key(),));
    gate.arrived().await;
    assert!(process.is_alive());
    assert_eq!(process.exit_code(), None);
    assert_eq!((process.name(), process.daemon()), ("fetcher", true));
    gate.let_all_go();
    let inside = process.join().await.expect("it comes back");
    assert_eq!(inside, Current { name: "fetcher".into(), daemon: true, ident: process.ident() });
    assert!(!process.is_alive());
    assert_eq!(process.exit_code(), Some(0));
}

// C004
async fn a_process_knows_the_key_of_its_program() {
    let below = || {
        let below = Process::spawn(|| multiprocess::current_process().authkey().to_vec(), ());
        below.expect("it starts").blocking_join().expect("it comes back")
    };
    let process = Process::spawn(below, ()).expect("it starts");
    assert_eq!(process.join().await.expect("it comes back"), multiprocess::current_process().authkey());
}

// C011
async fn a_child_is_active_from_its_start_to_its_end<T: Twin>() {
    let name = "active from start to end";
    let listed = || T::children().iter().any(|child| child == name);
    assert!(!listed());
    let mut gate = Gate::new();
    let process = T::start(options(Some(name), None), stand, (gate.key(),));
    assert!(listed());
    gate.arrived().await;
    assert!(listed());
    gate.let_all_go();
    process.join().await.expect("it comes back");
    assert!(!listed());
}

// C011
async fn the_workers_of_a_pool_are_no_active_children() {
    let pool = support::pool::<multiprocess::Processes>(1);
    pool.ready().await.expect("the pool starts");
    let worker = pool.worker_pids()[0];
    assert!(multiprocess::active_children().iter().all(|child| child.pid() != worker));
    support::end(pool).await;
}

/// The names of a process and of all that it and its children start, two of each.
fn family<T: Twin>(levels: u32) -> Vec<String> {
    let mut names = vec![T::current().name];
    if levels > 0 {
        let children = [(); 2].map(|()| start::<T, _, _, _>(family::<T>, (levels - 1,)));
        names.extend(children.iter().flat_map(|child| child.blocking_join().expect("it comes back")));
    }
    names
}

// C012
async fn children_start_children_that_are_named_after_them<T: Twin>() {
    let process = start::<T, _, _, _>(family::<T>, (2,));
    let root = process.name().to_owned();
    assert!(root.starts_with("Process-"), "{root}");
    let expected = ["", ":1", ":1:1", ":1:2", ":2", ":2:1", ":2:2"].map(|path| format!("{root}{path}"));
    assert_eq!(process.join().await.expect("it comes back"), expected);
}

async fn a_value_can_be_joined_once<T: Twin>() {
    let process = start::<T, _, _, _>(|| 7, ());
    assert_eq!(process.join().await.expect("it comes back"), 7);
    assert!(matches!(process.join().await, Err(Error::Taken { .. })));
}

async fn a_join_that_is_given_up_takes_nothing<T: Twin>() {
    let mut gate = Gate::new();
    let process = start::<T, _, _, _>(stand, (gate.key(),));
    gate.arrived().await;
    let mut given_up = process.join();
    assert!((&mut given_up).now_or_never().is_none());
    drop(given_up);
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        let waited = process.join_timeout(limit).await;
        assert!(matches!(waited, Err(Error::TimedOut { limit: Limit::Wait, .. })), "{waited:?}");
    }
    gate.let_all_go();
    process.join_timeout(support::DEADLINE).await.expect("it comes back");
}

async fn a_join_needs_no_runtime_and_no_handle<T: Twin>() {
    let join = start::<T, _, _, _>(|| 7, ()).join();
    let elsewhere = std::thread::spawn(|| block_on(join)).join().expect("it does not panic");
    assert_eq!(elsewhere.expect("it comes back"), 7);
}

async fn what_nobody_holds_runs_on<T: Twin>() {
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let late = |gate: String, tally: String| {
        stand(gate);
        mark(&tally, 1);
    };
    drop(start::<T, _, _, _>(late, (gate.key(), tally.key())));
    gate.arrived().await;
    gate.let_all_go();
    support::until(|| tally.count() == 1).await;
}

async fn a_panic_comes_back_and_is_exit_code_1<T: Twin>() {
    let process = start::<T, _, _, _>(|n: u32| -> u32 { panic!("no more than {n}") }, (7,));
    let Err(Error::Panicked(panic)) = process.join().await else { panic!("it panics") };
    assert_eq!(panic.message, "no more than 7");
    assert!(panic.location.contains("process.rs") && panic.task.contains("process::"), "{panic:?}");
    assert_eq!(process.exit_code(), Some(1));
}

async fn an_error_that_is_returned_is_a_value<T: Twin>() {
    let process = start::<T, _, _, _>(|| Err::<u8, _>("not today".to_owned()), ());
    assert_eq!(process.join().await.expect("it comes back"), Err("not today".to_owned()));
    assert_eq!(process.exit_code(), Some(0));
}

async fn a_function_may_be_async<T: Twin>() {
    let process =
        start::<T, _, _, _>(async |n: u32| tokio::task::spawn(async move { n + 1 }).await.ok(), (1,));
    assert_eq!(process.join().await.expect("it comes back"), Some(2));
}

async fn a_value_that_does_not_travel_fails_its_join<T: Twin>() {
    let process = start::<T, _, _, _>(|| Odd(Habit::WriteFails, 1), ());
    let joined = process.join().await;
    assert!(matches!(joined, Err(Error::Encode { what: "the result", .. })), "{joined:?}");
    assert_eq!(process.exit_code(), Some(1));
    let process = start::<T, _, _, _>(|odd: Odd| odd.1, (Odd(Habit::ReadPanics, 1),));
    let joined = process.join().await;
    assert!(matches!(joined, Err(Error::Decode { what: "the arguments", .. })), "{joined:?}");
}

async fn arguments_that_do_not_travel_are_an_error_of_the_start() {
    let odd = Process::spawn(|odd: Odd| odd.1, (Odd(Habit::WritePanics, 1),));
    assert!(matches!(odd, Err(Error::Encode { what: "the arguments", .. })), "{odd:?}");
    let large = Process::builder().max_frame(1_000).spawn(|load: Vec<u8>| load.len(), (vec![0; 2_000],));
    assert!(matches!(large, Err(Error::TooLarge { max: 1_000, .. })), "{large:?}");
}

async fn options_that_cannot_be_are_errors() {
    let builder = Process::builder;
    for wrong in [builder().max_frame(0), builder().max_frame(usize::MAX), builder().stack_size(1)] {
        assert!(matches!(wrong.spawn(|| (), ()), Err(Error::Option { .. })));
    }
    let nowhere = builder().start_method(StartMethod::Spawn).current_dir("/does/not/exist");
    assert!(matches!(nowhere.spawn(|| (), ()), Err(Error::Start { .. })));
}

fn dive() -> (u32, String) {
    match Process::spawn(dive, ()) {
        Ok(process) => {
            let (below, why) = process.blocking_join().expect("it comes back");
            (below + 1, why)
        }
        Err(error) => (0, error.to_string()),
    }
}

// fault 35
async fn processes_are_nested_ten_deep_and_no_deeper() {
    assert_eq!(dive(), (10, "option spawn: processes are nested 10 deep already".into()));
}

async fn a_process_is_no_worker_of_a_pool() {
    let told = || (multiprocess::worker::current().is_none(), multiprocess::worker::is_cancelled());
    assert_eq!(start::<Processes, _, _, _>(told, ()).join().await.expect("it comes back"), (true, false));
}

on_twins!(
    the_program_itself_lives_and_is_no_daemon,
    arguments_reach_the_function_unchanged,
    a_daemon_flag_is_inherited_unless_it_is_set,
    a_process_is_what_its_starter_says,
    a_child_is_active_from_its_start_to_its_end,
    children_start_children_that_are_named_after_them,
    a_value_can_be_joined_once,
    a_join_that_is_given_up_takes_nothing,
    a_join_needs_no_runtime_and_no_handle,
    what_nobody_holds_runs_on,
    a_panic_comes_back_and_is_exit_code_1,
    an_error_that_is_returned_is_a_value,
    a_function_may_be_async,
    a_value_that_does_not_travel_fails_its_join,
);

on_processes!(
    the_program_itself_has_its_number_and_a_key,
    a_process_that_a_worker_of_a_pool_starts_is_a_daemon,
    a_process_knows_the_key_of_its_program,
    the_workers_of_a_pool_are_no_active_children,
    arguments_that_do_not_travel_are_an_error_of_the_start,
    options_that_cannot_be_are_errors,
    processes_are_nested_ten_deep_and_no_deeper,
    a_process_is_no_worker_of_a_pool,
);
