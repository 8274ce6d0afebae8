//! A start method that is chosen for some and not for others.

mod support;

use multiprocess::{Context, StartMethod, cpu_count, start_method};
use support::{end, on_processes};

/// How the process that asks has come about: a forked one has another parent than the one that has asked for it.
fn parent() -> u32 {
    std::os::unix::process::parent_id()
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
    let process = context
        .spawn(
            || -> () {
                loop {
                    std::thread::park();
                }
            },
            (),
        )
        .expect("it starts");
    let listed = || context.active_children().iter().any(|child| child.pid() == process.pid());
    assert!(listed());
    process.kill().expect("it is there");
    support::death(process.join().await);
    assert!(!listed());
}

on_processes!(
    a_context_keeps_its_start_method_whatever_the_program_has_chosen,
    a_context_tells_what_the_crate_tells,
);
