//! A start method that is chosen for some and not for others.

mod support;

use std::io::{Read as _, Write as _};

use multiprocess::{
    Context, Error, Process, ProcessPool, StartMethod, Stdio, all_start_methods, cpu_count, set_start_method,
    start_method,
};
use support::alone::alone_with;
use support::start_method::ENV;
use support::{end, on_processes};

/// How the process that asks has come about: a forked one has another parent than the one that has asked for it.
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

fn park() {
    loop {
        std::thread::park();
    }
}

// C243
#[test]
fn the_start_method_of_a_program_is_chosen_once() {
    let without_a_choice = |command: &mut std::process::Command| {
        command.env_remove(ENV);
    };
    alone_with(without_a_choice, || {
        assert_eq!(start_method(), StartMethod::Spawn);
        assert_eq!(all_start_methods(), [StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork]);
        set_start_method(StartMethod::Forkserver).expect("nothing was chosen before");
        assert_eq!(start_method(), StartMethod::Forkserver);
        for again in all_start_methods() {
            let refused = set_start_method(*again).expect_err("it was chosen");
            assert!(
                matches!(&refused, Error::Option { option: "start_method", why } if why.contains("forkserver"))
            );
        }
        let process = Process::spawn(|| (parent(), start_method()), ()).expect("it starts");
        let (parent, below) = process.blocking_join().expect("it returns");
        assert_ne!(parent, std::process::id(), "it was forked");
        assert_eq!(below, StartMethod::Forkserver, "and what it starts will be, too");
        let pool = ProcessPool::new(1).expect("the pool starts");
        let parent = pool.blocking_apply(self::parent, ()).expect("no task fails");
        assert_ne!(parent, std::process::id());
        pool.blocking_shutdown().expect("it ends");
    });
}

// C244
async fn processes_and_pools_of_all_start_methods_work_with_each_other() {
    let (spawn, forkserver) = (Context::new(StartMethod::Spawn), Context::new(StartMethod::Forkserver));
    for (from, to) in [(spawn, forkserver), (forkserver, spawn)] {
        // What one of them prints is what the other one reads.
        let writer = from.process().stdout(Stdio::piped()).spawn(|| print!("from one to the other"), ());
        let writer = writer.expect("it starts");
        let between = writer.take_stdout().expect("it is a pipe");
        let reader = to.process().stdin(between).stdout(Stdio::piped()).spawn(relay, ()).expect("it starts");
        let mut text = String::new();
        reader.take_stdout().expect("it is a pipe").read_to_string(&mut text).expect("it is text");
        assert_eq!(text, "from one to the other");
        writer.join().await.expect("it returns");
        reader.join().await.expect("it returns");
        // A task of one has a pool of the other.
        let pool = from.pool().workers(1).build().expect("the pool starts");
        let below = pool.apply(pool_below, (to.start_method(),)).await.expect("no task fails");
        assert_eq!(below, [0, 1, 4]);
        end(pool).await;
    }
}

fn relay() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("it is text");
    std::io::stdout().write_all(text.as_bytes()).expect("it is read");
}

fn pool_below(method: StartMethod) -> Vec<u64> {
    let pool = Context::new(method).pool().workers(2).build().expect("the pool starts");
    let squares = pool.blocking_map(|n: u64| n * n, 0..3).expect("no task fails");
    pool.blocking_shutdown().expect("it ends");
    squares
}

// C242
async fn a_context_keeps_its_start_method_whatever_the_program_has_chosen() {
    let chosen = start_method();
    for method in [StartMethod::Spawn, StartMethod::Forkserver] {
        let context = Context::new(method);
        assert_eq!(context.start_method(), method);
        let is_forked = |parent: u32| parent != std::process::id();
        let process = context.spawn(parent, ()).expect("it starts");
        assert_eq!(is_forked(process.join().await.expect("it returns")), method == StartMethod::Forkserver);
        let named = context.process().name("of a context").spawn(parent, ()).expect("it starts");
        assert_eq!(named.name(), "of a context");
        assert_eq!(is_forked(named.join().await.expect("it returns")), method == StartMethod::Forkserver);
        let pool = context.pool().workers(1).build().expect("the pool starts");
        let parent = pool.apply(parent, ()).await.expect("no task fails");
        assert_eq!(is_forked(parent), method == StartMethod::Forkserver);
        end(pool).await;
    }
    assert_eq!(start_method(), chosen, "the program's own choice is what it was");
}

// C242
async fn a_context_tells_what_the_crate_tells() {
    let context = Context::new(StartMethod::Spawn);
    assert_eq!(context.cpu_count(), cpu_count());
    assert_eq!(context.current_process().pid(), std::process::id());
    assert!(context.parent_process().is_none());
    let process = context.spawn(park, ()).expect("it starts");
    let listed = || context.active_children().iter().any(|child| child.pid() == process.pid());
    assert!(listed());
    process.kill().expect("it is there");
    support::death(process.join().await);
    assert!(!listed());
}

on_processes!(
    processes_and_pools_of_all_start_methods_work_with_each_other,
    a_context_keeps_its_start_method_whatever_the_program_has_chosen,
    a_context_tells_what_the_crate_tells,
);
