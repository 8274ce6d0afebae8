//! What a pool leaves behind, however it ends: no process, no descriptor, no thread, no shared memory.

mod support;

use multiprocess::dummy::{ThreadPool, Threads};
use multiprocess::{Error, Kind, Pool, ProcessPool, Processes};
use support::alone::{again, alone, is_alone};
use support::census::{Census, exists, open, own_threads, until, workers};
use support::foreign::{SIGKILL, signal};
use support::gate::{Gate, stand};
use support::start_method::is_on_forkserver;

/// Looks, in a process of its own, whether anything is left of what `ways` do. Each is done three times, so that
/// what is only built up once shows.
fn leave_nothing(ways: &[fn()]) {
    let before = Census::after_the_first_pool();
    for (number, way) in ways.iter().enumerate() {
        for _ in 0..3 {
            println!("way {number}");
            way();
            before.settles();
        }
    }
}

fn pool<K: Kind>(workers: usize) -> Pool<K> {
    Pool::new(workers).expect("the pool starts")
}

fn used<K: Kind>() -> Pool<K> {
    let pool = pool::<K>(2);
    let sum: u64 = pool.blocking_map(|x: u64| x, 0..100).expect("no task fails").into_iter().sum();
    assert_eq!(sum, 4_950);
    pool
}

fn inside(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(test);
}

fn shut_down<K: Kind>() {
    used::<K>().blocking_shutdown().expect("it ends");
}

fn terminate<K: Kind>() {
    let pool = used::<K>();
    pool.terminate();
    pool.blocking_join().expect("it ends");
}

fn drop_it<K: Kind>() {
    drop(used::<K>());
}

fn drop_it_at_once<K: Kind>() {
    drop(pool::<K>(3));
}

fn drop_it_once_it_is_ready<K: Kind>() {
    let pool = pool::<K>(3);
    pool.blocking_ready().expect("it starts");
}

fn drop_it_in_a_runtime<K: Kind>() {
    inside(async {
        let pool = pool::<K>(2);
        assert_eq!(pool.apply(|| 1, ()).await.expect("no task fails"), 1);
    });
}

fn drop_it_while_unwinding<K: Kind>() {
    let unwound = std::panic::catch_unwind(|| {
        let _pool = used::<K>();
        std::panic::resume_unwind(Box::new(()));
    });
    unwound.expect_err("it panics");
}

fn drop_it_on_another_thread<K: Kind>() {
    let pool = used::<K>();
    std::thread::spawn(move || drop(pool)).join().expect("a drop does not panic");
}

fn drop_it_when_its_thread_ends<K: Kind>() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<Box<dyn std::any::Any>>> = const { std::cell::RefCell::new(None) };
    }
    let thread = std::thread::spawn(|| KEPT.with(|kept| *kept.borrow_mut() = Some(Box::new(used::<K>()))));
    thread.join().expect("a drop does not panic");
}

fn drop_it_after_its_runtime<K: Kind>() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let pool = runtime.block_on(async {
        let pool = pool::<K>(2);
        assert_eq!(pool.apply(|| 1, ()).await.expect("no task fails"), 1);
        pool
    });
    drop(runtime);
    assert_eq!(pool.blocking_apply(|| 2, ()).expect("the pool outlives the runtime it was made in"), 2);
}

// faults 46, 52
#[test]
fn a_process_pool_leaves_nothing_however_it_ends() {
    alone(|| {
        leave_nothing(&[
            shut_down::<Processes>,
            terminate::<Processes>,
            drop_it::<Processes>,
            drop_it_at_once::<Processes>,
            drop_it_once_it_is_ready::<Processes>,
            drop_it_in_a_runtime::<Processes>,
            drop_it_while_unwinding::<Processes>,
            drop_it_on_another_thread::<Processes>,
            drop_it_when_its_thread_ends::<Processes>,
            drop_it_after_its_runtime::<Processes>,
        ]);
    });
}

#[test]
fn a_thread_pool_leaves_nothing_however_it_ends() {
    alone(|| {
        leave_nothing(&[
            shut_down::<Threads>,
            terminate::<Threads>,
            drop_it::<Threads>,
            drop_it_at_once::<Threads>,
            drop_it_once_it_is_ready::<Threads>,
            drop_it_in_a_runtime::<Threads>,
            drop_it_while_unwinding::<Threads>,
            drop_it_on_another_thread::<Threads>,
            drop_it_when_its_thread_ends::<Threads>,
            drop_it_after_its_runtime::<Threads>,
        ]);
    });
}

/// A pool whose workers are all in the middle of something, in a runtime.
async fn held<K: Kind>(workers: usize) -> (Pool<K>, Gate) {
    let pool = pool::<K>(workers);
    let mut gate = Gate::new();
    for _ in 0..workers {
        drop(pool.apply_async(stand, (gate.key(),)));
    }
    for _ in 0..workers {
        gate.arrived().await;
    }
    (pool, gate)
}

fn drop_it_busy<K: Kind>() {
    inside(async { drop(held::<K>(2).await) });
}

fn terminate_it_busy() {
    inside(async {
        let (pool, _gate) = held::<Processes>(2).await;
        pool.terminate();
        pool.join().await.expect("the workers are killed");
    });
}

fn close_it_busy<K: Kind>() {
    inside(async {
        let (pool, mut gate) = held::<K>(2).await;
        pool.close();
        gate.let_all_go();
        pool.join().await.expect("it ends");
    });
}

fn kill_its_workers() {
    inside(async {
        let (pool, _gate) = held::<Processes>(3).await;
        for pid in pool.worker_pids() {
            signal(pid, SIGKILL);
        }
        assert_eq!(pool.apply(|| 1, ()).await.expect("they are replaced"), 1);
        pool.shutdown().await.expect("it ends");
    });
}

fn give_up_calls_half_way() {
    inside(async {
        let pool = pool::<Processes>(1);
        let mut gate = Gate::new();
        let running = pool.apply_async(stand, (gate.key(),)).abort_on_drop();
        gate.arrived().await;
        let waiting: Vec<_> =
            (0..50).map(|n: u64| pool.apply_async(|n: u64| n, (n,)).abort_on_drop()).collect();
        drop((running, waiting));
        gate.let_all_go();
        pool.shutdown().await.expect("it ends");
    });
}

fn break_it() {
    let pool = Pool::<Processes>::builder().workers(2).initializer(|| -> u8 { panic!("never") }, ()).build();
    let pool = pool.expect("the pool starts");
    let error = pool.blocking_apply(|| 1, ()).expect_err("no worker starts");
    assert!(matches!(error, Error::Initializer { .. }), "{error:?}");
    pool.blocking_join().expect("nothing is left of it");
}

fn start_nothing_in_a_missing_directory() {
    let pool = ProcessPool::builder().workers(2).current_dir("/this/is/not/there").build();
    let pool = pool.expect("the pool starts");
    let error = pool.blocking_apply(|| 1, ()).expect_err("no worker starts");
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
}

fn leave_children_behind() {
    fn start_a_child() -> u32 {
        // Another process of this very program, which waits for something that never comes.
        let program = std::env::current_exe().expect("a test has a file");
        let child = again(program.as_os_str(), "waits_for_ever").spawn();
        child.expect("it can be started").id()
    }
    let pool = pool::<Processes>(1);
    pool.blocking_apply(start_a_child, ()).expect("it starts one");
    drop(pool);
}

// faults 31, 32, 46
#[test]
fn a_pool_leaves_nothing_when_it_ends_in_the_middle_of_something() {
    alone(|| {
        leave_nothing(&[
            drop_it_busy::<Processes>,
            drop_it_busy::<Threads>,
            terminate_it_busy,
            close_it_busy::<Processes>,
            close_it_busy::<Threads>,
            kill_its_workers,
            give_up_calls_half_way,
            break_it,
            start_nothing_in_a_missing_directory,
            leave_children_behind,
        ]);
    });
}

// fault 51
#[test]
fn a_runtime_that_ends_under_busy_workers_leaves_nothing() {
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            let (pool, mut gate) = runtime.block_on(held::<Processes>(8));
            let waits = pool.apply(stand, (gate.key(),));
            let left = runtime.spawn(waits);
            runtime.shutdown_background();
            // Whoever waited there is gone; the pool is not.
            inside(async { assert!(left.await.is_err_and(|error| error.is_cancelled())) });
            assert_eq!(workers().len(), 8);
            let outside = pool.apply_async(|| 5, ());
            gate.let_all_go();
            assert_eq!(outside.blocking_get().expect("the pool goes on"), 5);
            drop((pool, gate));
            before.settles();
        }
    });
}

// fault 46
#[test]
fn two_hundred_pools_leave_nothing() {
    alone(|| {
        let before = Census::after_the_first_pool();
        for round in 0..200_u32 {
            let pool = ProcessPool::new(1).expect("the pool starts");
            assert_eq!(pool.blocking_apply(|n: u32| n, (round,)).expect("no task fails"), round);
        }
        before.settles();
        for round in 0..200_u32 {
            let pool = ThreadPool::new(1).expect("the pool starts");
            assert_eq!(pool.blocking_apply(|n: u32| n, (round,)).expect("no task fails"), round);
        }
        before.settles();
    });
}

// fault 8
#[test]
fn a_hundred_deaths_leave_nothing_but_the_workers_there_should_be() {
    alone(|| {
        Census::after_the_first_pool();
        let pool = ProcessPool::new(2).expect("the pool starts");
        pool.blocking_ready().expect("it starts");
        let settled = || {
            pool.blocking_ready().expect("the worker is replaced");
            until("there are two workers and no zombie", || workers().len() == 2);
        };
        let die = || -> u8 { std::process::abort() };
        for _ in 0..5 {
            pool.blocking_apply(die, ()).expect_err("it died");
        }
        settled();
        let processes = 2 + usize::from(is_on_forkserver());
        until("the crate holds on to nothing but them", || own_threads() == 1 && open("pidfd") == processes);
        let before = Census::take();
        for _ in 0..100 {
            pool.blocking_apply(die, ()).expect_err("it died");
        }
        settled();
        before.settles();
    });
}

// fault 58
#[test]
fn a_program_that_ends_with_a_busy_pool_leaves_no_process() {
    alone(|| {
        let program = std::env::current_exe().expect("a test has a file");
        let helper = "ends_with_a_busy_pool";
        let output = again(program.as_os_str(), helper).output().expect("it can be started");
        let told = String::from_utf8_lossy(&output.stdout);
        let pids = told.lines().find_map(|line| line.split_once("workers:")).expect("it tells its workers").1;
        let pids = pids.split(|c: char| !c.is_ascii_digit()).filter(|pid| !pid.is_empty());
        let pids: Vec<u32> = pids.map(|pid| pid.parse().expect("a number")).collect();
        assert_eq!((pids.len(), output.status.code()), (2, Some(42)));
        until("its workers are gone", || pids.iter().all(|pid| !exists(*pid)));
    });
}

/// Not a test, but what a task above starts.
#[test]
fn waits_for_ever() {
    if is_alone("waits_for_ever") {
        loop {
            std::thread::park();
        }
    }
}

/// Not a test, but what the one above starts.
#[test]
fn ends_with_a_busy_pool() {
    if is_alone("ends_with_a_busy_pool") {
        inside(async {
            let (pool, gate) = held::<Processes>(2).await;
            println!("workers: {:?}", pool.worker_pids());
            // Its tasks stand there already, and nobody else will come.
            std::mem::forget((pool, gate));
        });
        std::process::exit(42);
    }
}
