//! Pools whose workers are copies of the program as it was when the pool was made.

use std::collections::BTreeSet;
use std::io::{PipeReader, Read as _, Write as _, pipe};
use std::sync::OnceLock;

use multiprocess::{Error, Exit, Handle, Process, ProcessPool, StartMethod, worker};

use super::another_thread;

super::cases!(
    tasks_find_what_the_program_had_made,
    a_worker_that_dies_is_replaced_by_another_copy,
    a_pool_has_a_preload_too,
    handles_travel_to_copies_and_back,
    a_second_thread_is_the_end_of_it,
    a_second_pool_is_told_of_the_threads_of_the_first,
    the_death_of_what_was_forked_first_breaks_the_pool_and_no_task_hangs,
);

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

/// Set by the program itself, which a process that is started anew would not see.
static TABLE: OnceLock<Vec<u64>> = OnceLock::new();

fn look_up(row: usize) -> Option<u64> {
    TABLE.get().map(|table| table[row])
}

fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

fn pool(workers: usize) -> ProcessPool {
    let pool = ProcessPool::builder().workers(workers).start_method(StartMethod::Fork).build();
    pool.expect("there is one thread")
}

fn tasks_find_what_the_program_had_made() {
    TABLE.set((0..100).map(|n| n * n).collect()).expect("it was empty");
    let pool = pool(3);
    let found = pool.blocking_map(look_up, 0..100).expect(RUNS);
    assert!(found.into_iter().eq((0..100).map(|n| Some(n * n))));
    let parents: BTreeSet<_> = pool.blocking_map(|_: u8| parent(), 0..100).expect(RUNS).into_iter().collect();
    assert_eq!(parents.len(), 1, "one copy makes all others");
    assert_ne!(parents.first(), Some(&std::process::id()), "it is not this one, which has threads now");
    pool.blocking_shutdown().expect("it ends");
    drop(pool);
    assert_eq!(super::children(), 0);
}

fn a_worker_that_dies_is_replaced_by_another_copy() {
    TABLE.set(vec![5]).expect("it was empty");
    let pool = pool(1);
    let exit = || -> u8 { std::process::exit(6) };
    match pool.blocking_apply(exit, ()) {
        Err(Error::WorkerDied(death)) => assert_eq!(death.exit, Exit::Code(6)),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.blocking_apply(look_up, (0,)).expect(RUNS), Some(5));
    pool.blocking_shutdown().expect("it ends");
}

fn handles_travel_to_copies_and_back() {
    let pool = pool(2);
    let input = (0..50_u8).map(|number| {
        let (reader, mut writer) = pipe().expect("there are descriptors left");
        writer.write_all(&[number]).expect("a pipe has room for it");
        Handle::new(reader)
    });
    let back = pool.blocking_map(|pipe: Handle<PipeReader>| pipe, input).expect(RUNS);
    for (expected, mut pipe) in (0..50).zip(back) {
        let mut number = [0];
        pipe.read_exact(&mut number).expect("there is a number in it");
        assert_eq!(number, [expected]);
    }
    pool.blocking_shutdown().expect("it ends");
}

fn a_pool_has_a_preload_too() {
    let builder = ProcessPool::builder().workers(2).start_method(StartMethod::Fork);
    let pool = builder.preload(|n: u64| n, (9_u64,)).build().expect("there is one thread");
    let found = pool.blocking_apply(|| worker::preloaded::<u64>().map(|n| *n), ()).expect(RUNS);
    assert_eq!(found, Some(9));
    pool.blocking_shutdown().expect("it ends");
}

fn a_second_thread_is_the_end_of_it() {
    let (stop, thread) = another_thread();
    let refused = ProcessPool::builder().workers(1).start_method(StartMethod::Fork).build().map(drop);
    let refused = refused.expect_err("nothing can be forked");
    assert!(
        matches!(&refused, Error::NotAlone { .. }) && refused.to_string().contains("the-other"),
        "{refused}"
    );
    drop(stop);
    thread.join().expect("it does not panic");
    let pool = pool(1);
    assert_eq!(pool.blocking_apply(|| 1, ()).expect(RUNS), 1);
    pool.blocking_shutdown().expect("it ends");
}

fn a_second_pool_is_told_of_the_threads_of_the_first() {
    let first = pool(1);
    first.blocking_ready().expect("it starts");
    let second = ProcessPool::builder().workers(1).start_method(StartMethod::Fork).build().map(drop);
    let refused = second.expect_err("the crate has threads now");
    assert!(refused.to_string().contains("multiprocess"), "{refused}");
    assert!(matches!(Process::fork(|| 1).map(drop), Err(Error::NotAlone { .. })));
    // Others than forks are not concerned.
    let spawned = ProcessPool::new(1).expect("it starts");
    assert_eq!(spawned.blocking_apply(|| 1, ()).expect(RUNS), 1);
    spawned.blocking_shutdown().and_then(|()| first.blocking_shutdown()).expect("they end");
}

fn the_death_of_what_was_forked_first_breaks_the_pool_and_no_task_hangs() {
    let pool = pool(1);
    let server = pool.blocking_apply(parent, ()).expect(RUNS);
    let pid = format!("{server}");
    let killed = std::process::Command::new("kill").args(["-9", &pid]).status().expect("it can be started");
    assert!(killed.success());
    while std::fs::exists(format!("/proc/{server}")).expect("/proc is there") {
        std::thread::yield_now();
    }
    assert_eq!(pool.blocking_apply(|| 3, ()).expect("its worker lives"), 3);
    let exit = || -> u8 { std::process::exit(0) };
    assert!(matches!(pool.blocking_apply(exit, ()), Err(Error::WorkerDied(_))));
    let broken = pool.blocking_apply(|| 4, ()).expect_err("there is nobody to be forked from");
    assert!(matches!(&broken, Error::Broken { .. }) && broken.to_string().contains("fork it"), "{broken}");
    pool.blocking_join().expect("nothing is left of it");
}
