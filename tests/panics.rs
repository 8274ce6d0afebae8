//! Panics of tasks and of their values: the task fails, says why, and its worker goes on.

mod support;

use std::panic::{panic_any, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt as _;
use multiprocess::{Error, Exit, Kind, Panic, Pool, ProcessPool, TaskFn};
use support::foreign::SIGABRT;
use support::odd::{Habit, Odd};
use support::{on_both, run};

fn pool<K: Kind>() -> Pool<K> {
    Pool::new(1).expect("the pool starts")
}

/// Runs a task that fails, and returns its error. The worker must be the same before and after.
async fn failure<K, F, Args, M>(f: F, args: Args) -> Error
where
    K: Kind,
    F: TaskFn<Args, M>,
    Args: multiprocess::Arguments,
{
    let pool = pool::<K>();
    pool.ready().await.expect("the pool starts");
    let workers = pool.worker_pids();
    let error = pool.apply(f, args).await.map(drop).expect_err("it fails");
    let sum = pool.apply(|a: u32, b: u32| a + b, (2, 3)).await.expect("the worker goes on");
    assert_eq!((sum, pool.worker_pids()), (5, workers));
    assert_eq!(pool.stats().deaths, 0);
    pool.shutdown().await.expect("it ends");
    error
}

fn panic_of(error: Error) -> Panic {
    match error {
        Error::Panicked(panic) => panic,
        other => panic!("it panicked, but the error is {other:?}"),
    }
}

// fault 4
async fn a_panic_tells_message_place_and_task<K: Kind>() {
    fn divide(a: u32, b: u32) -> u32 {
        assert!(b != 0, "{a} cannot be divided by nothing");
        a / b
    }
    let panic = panic_of(failure::<K, _, _, _>(divide, (7, 0)).await);
    assert_eq!(panic.message, "7 cannot be divided by nothing");
    assert!(panic.location.contains("tests/panics.rs:"), "{}", panic.location);
    assert!(panic.task.contains("divide #"), "{}", panic.task);
    assert!(panic.backtrace.contains("divide"), "{}", panic.backtrace);
}

// fault 4
async fn a_payload_that_is_no_text_is_told_as_that<K: Kind>() {
    let panic = panic_of(failure::<K, _, _, _>(|| -> u8 { panic_any(42_u32) }, ()).await);
    assert_eq!(panic.message, "a panic whose payload is no text");
    assert!(panic.location.contains("tests/panics.rs:"), "{}", panic.location);
}

// fault 4
async fn a_payload_that_was_made_at_run_time_is_told<K: Kind>() {
    let raise = |n: u32| -> u8 { panic_any(format!("number {n}")) };
    assert_eq!(panic_of(failure::<K, _, _, _>(raise, (5,)).await).message, "number 5");
}

// fault 4
async fn a_panic_that_was_resumed_passes_by_the_hook_and_is_told<K: Kind>() {
    let resume = || -> u8 { resume_unwind(Box::new("from before")) };
    assert_eq!(panic_of(failure::<K, _, _, _>(resume, ()).await).message, "from before");
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload panics too");
    }
}

// fault 4
async fn a_payload_that_panics_when_it_is_dropped_is_not_dropped<K: Kind>() {
    panic_of(failure::<K, _, _, _>(|| -> u8 { panic_any(Bomb) }, ()).await);
}

// fault 4
async fn a_panic_of_an_async_task_is_caught<K: Kind>() {
    async fn fails(n: u32) -> u32 {
        tokio::task::yield_now().await;
        assert!(n == 0, "not with {n}");
        n
    }
    assert_eq!(panic_of(failure::<K, _, _, _>(fails, (3,)).await).message, "not with 3");
}

// fault 4
async fn a_panic_of_a_thread_that_a_task_has_started_is_the_tasks_own<K: Kind>() {
    let pool = pool::<K>();
    let failed = pool.apply(|| std::thread::spawn(|| panic_any(1_u8)).join().is_err(), ()).await;
    assert!(failed.expect("the task itself did not panic"));
    pool.shutdown().await.expect("it ends");
}

// fault 4
async fn a_result_that_panics_when_it_is_written_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|| Odd(Habit::WritePanics, 1), ()).await;
    let Error::Encode { what: "the result", cause, .. } = error else { panic!("{error:?}") };
    assert!(cause.contains("it panics when it is written"), "{cause}");
}

// fault 4
async fn a_result_that_panics_when_it_is_dropped_fails_its_task<K: Kind>() {
    let panic = panic_of(failure::<K, _, _, _>(|| Odd(Habit::DropPanics, 1), ()).await);
    assert_eq!(panic.message, "it panics when it is dropped");
}

// fault 4
async fn an_argument_that_panics_when_it_is_dropped_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|odd: Odd| odd.1, (Odd(Habit::DropPanics, 1),)).await;
    assert_eq!(panic_of(error).message, "it panics when it is dropped");
}

// faults 4, 79
async fn an_argument_that_panics_when_it_is_read_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|odd: Odd| odd.1, (Odd(Habit::ReadPanics, 1),)).await;
    let Error::Decode { what: "the arguments", cause, .. } = error else { panic!("{error:?}") };
    assert!(cause.contains("it panics when it is read"), "{cause}");
}

// faults 4, 79
async fn a_result_that_panics_when_it_is_read_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|| Odd(Habit::ReadPanics, 1), ()).await;
    let Error::Decode { what: "the result", cause, .. } = error else { panic!("{error:?}") };
    assert!(cause.contains("panicked"), "{cause}");
}

// faults 4, 78
async fn an_argument_that_panics_when_it_is_written_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|odd: Odd| odd.1, (Odd(Habit::WritePanics, 1),)).await;
    let Error::Encode { what: "the arguments", cause, .. } = error else { panic!("{error:?}") };
    assert!(cause.contains("panicked"), "{cause}");
}

// fault 4
async fn a_panic_spoils_no_other_element_of_its_chunk<K: Kind>() {
    let pool = pool::<K>();
    let habits = [
        Habit::None,
        Habit::WritePanics,
        Habit::WriteFails,
        Habit::ReadPanics,
        Habit::ReadFails,
        Habit::DropPanics,
        Habit::None,
    ];
    let results: Vec<_> = pool
        .imap(|(habit, n): (Habit, u32)| Odd(habit, n), habits.into_iter().zip(0..))
        .chunksize(7)
        .collect()
        .await;
    let told: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(Odd(_, n)) => format!("{n}"),
            Err(Error::Encode { .. }) => "encode".into(),
            Err(Error::Decode { .. }) => "decode".into(),
            Err(Error::Panicked(_)) => "panic".into(),
            Err(other) => panic!("unexpected: {other:?}"),
        })
        .collect();
    assert_eq!(told, ["0", "encode", "encode", "decode", "decode", "panic", "6"]);
    pool.shutdown().await.expect("it ends");
}

// fault 4: a worker is kept after a panic on purpose, and what the panic left behind is there for the next task.
async fn what_a_panic_leaves_in_a_static_is_there_for_the_next_task<K: Kind>() {
    /// One for each kind of pool, since threads share it with all others of this program.
    static LEFT: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
    fn leave(which: usize) -> u32 {
        LEFT[which].store(17, Ordering::Relaxed);
        panic!("in the middle of something");
    }
    let pool = pool::<K>();
    let which = usize::from(K::ARE_THREADS);
    panic_of(pool.apply(leave, (which,)).await.expect_err("it panics"));
    let left = pool.apply(|which: usize| LEFT[which].load(Ordering::Relaxed), (which,)).await;
    assert_eq!(left.expect("the worker goes on"), 17);
    pool.shutdown().await.expect("it ends");
}

// fault 4
async fn a_thousand_panics_take_no_worker_along<K: Kind>() {
    let pool = pool::<K>();
    let failed = pool.imap(|n: u32| if n.is_multiple_of(2) { panic!("{n} is even") } else { n }, 0..1_000);
    let failed: Vec<_> = failed.map(|result| result.is_err()).collect().await;
    assert!(failed.chunks(2).all(|pair| pair == [true, false]) && failed.len() == 1_000);
    assert_eq!(pool.stats().deaths, 0);
    pool.shutdown().await.expect("it ends");
}

on_both!(
    a_panic_tells_message_place_and_task,
    a_payload_that_is_no_text_is_told_as_that,
    a_payload_that_was_made_at_run_time_is_told,
    a_panic_that_was_resumed_passes_by_the_hook_and_is_told,
    a_payload_that_panics_when_it_is_dropped_is_not_dropped,
    a_panic_of_an_async_task_is_caught,
    a_panic_of_a_thread_that_a_task_has_started_is_the_tasks_own,
    a_result_that_panics_when_it_is_written_fails_its_task,
    a_result_that_panics_when_it_is_dropped_fails_its_task,
    an_argument_that_panics_when_it_is_dropped_fails_its_task,
    an_argument_that_panics_when_it_is_read_fails_its_task,
    a_result_that_panics_when_it_is_read_fails_its_task,
    an_argument_that_panics_when_it_is_written_fails_its_task,
    a_panic_spoils_no_other_element_of_its_chunk,
    what_a_panic_leaves_in_a_static_is_there_for_the_next_task,
    a_thousand_panics_take_no_worker_along,
);

/// A second panic while the first unwinds cannot be caught, so that the worker aborts.
async fn aborts<F: TaskFn<(), M>, M>(f: F) {
    let pool = ProcessPool::new(1).expect("the pool starts");
    match pool.apply(f, ()).await.map(drop) {
        Err(Error::WorkerDied(death)) => assert_eq!(death.exit, Exit::Signal(SIGABRT)),
        other => panic!("it aborts, but the task got {other:?}"),
    }
    assert_eq!(pool.apply(|| 1, ()).await.expect("the worker is replaced"), 1);
    pool.shutdown().await.expect("it ends");
}

// fault 3
#[test]
fn a_panic_in_a_drop_while_another_unwinds_is_a_death() {
    fn twice() -> u32 {
        let _bomb = Bomb;
        panic!("the first");
    }
    run(aborts(twice));
}

// fault 3
#[test]
fn a_panic_that_must_not_unwind_is_a_death() {
    extern "C" fn foreign() {
        panic!("C does not unwind");
    }
    run(aborts(|| foreign()));
}
