//! A pool that lives in a manager: calls, maps and started tasks of many clients, on processes and on threads.

mod support;

use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, future};
use multiprocess::{
    Death, Error, Exit, Handle, Limit, Manager, MapTaskProxy, PoolProxy, Process, ProcessPool, TaskProxy,
    worker,
};
use support::alone::alone;
use support::census::Census;
use support::gate::{Gate, pass, stand};
use support::start_method::left_out;
use support::tally::{Tally, mark};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::values::{Undecodable, Unencodable};
use support::{run, run_outside};

const CALLED: &str = "the manager lives";
const RUNS: &str = "the task has no reason to fail";
const SHORT: Duration = Duration::from_millis(20);

on_twins!(a_pool_is_used_from_elsewhere, what_was_started_is_heard_of_elsewhere);

/// Both ways to run a manager, each with a pool of so many workers.
async fn pools(workers: usize) -> [(Manager, PoolProxy); 2] {
    let child = Manager::start().await.expect("a child can be started");
    let here = Manager::builder().serve().expect("threads can be started");
    let (first, second) = (child.pool(workers).await.expect(CALLED), here.pool(workers).await.expect(CALLED));
    [(child, first), (here, second)]
}

async fn ends(manager: Manager) {
    manager.shutdown().await.expect("it lives until now");
}

fn square(n: u64) -> u64 {
    n * n
}

/// Marks when it has begun, and when it was told to end.
fn until_cancelled(key: String) {
    mark(&key, b'b');
    while !worker::is_cancelled() {
        std::thread::yield_now();
    }
    mark(&key, b'c');
}

// C237
async fn a_pool_is_used_from_elsewhere<T: Twin>() {
    fn use_it(pool: PoolProxy) -> (u64, Vec<u64>, Vec<u64>) {
        let one = pool.blocking_apply(square, (7,)).expect(CALLED);
        let some = pool.blocking_map(square, 0..4).expect(CALLED);
        let powers = pool.blocking_starmap(u64::pow, [(2, 3), (3, 2)]).expect(CALLED);
        (one, some, powers)
    }
    for (manager, pool) in pools(2).await {
        let others: Vec<_> = (0..3).map(|_| start::<T, _, _, _>(use_it, (pool.clone(),))).collect();
        for other in others {
            assert_eq!(other.join().await.expect(RUNS), (49, vec![0, 1, 4, 9], vec![8, 9]));
        }
        let pids = pool.worker_pids().await.expect(CALLED);
        assert!(pids.contains(&pool.apply(std::process::id, ()).await.expect(CALLED)));
        assert_eq!((pool.stats().await.expect(CALLED).workers, pids.len()), (2, 2));
        ends(manager).await;
    }
}

// C237
async fn what_was_started_is_heard_of_elsewhere<T: Twin>() {
    type Both = (TaskProxy<u32>, MapTaskProxy<u64>);
    fn hear((task, map): Both) -> (u32, Vec<u64>) {
        assert!(task.blocking_wait(None).expect(CALLED) && task.blocking_is_finished().expect(CALLED));
        (task.blocking_get().expect(RUNS), map.blocking_get().expect(RUNS))
    }
    for (manager, pool) in pools(2).await {
        let mut gate = Gate::new();
        let task = pool.apply_async(stand, (gate.key(),)).await.expect(CALLED);
        let map = pool.map_async(square, 0..3_000).await.expect(CALLED);
        gate.arrived().await;
        assert!(!task.is_finished().await.expect(CALLED) && !task.wait(Some(SHORT)).await.expect(CALLED));
        match task.get_timeout(SHORT).await {
            Err(Error::TimedOut { limit: Limit::Wait, after, task }) => {
                assert!(after == SHORT && task.contains("stand"), "{task}");
            }
            other => panic!("unexpected: {other:?}"),
        }
        let others: Vec<_> =
            (0..2).map(|_| start::<T, _, _, _>(hear, ((task.clone(), map.clone()),))).collect();
        gate.let_all_go();
        let here = (task.get().await.expect(RUNS), map.get().await.expect(RUNS));
        assert!(here.1.iter().copied().eq((0..3_000).map(square)));
        for other in others {
            assert_eq!(other.join().await.expect(RUNS), here);
        }
        assert!(!task.cancel().await.expect(CALLED), "it has come to its end");
        ends(manager).await;
    }
}

// C237
#[test]
fn code_outside_async_blocks_its_thread() {
    run_outside(|| {
        let child = Manager::blocking_start().expect("a child can be started");
        for manager in [child, Manager::builder().serve().expect("threads can be started")] {
            let pool = manager.blocking_pool(1).expect(CALLED);
            pool.blocking_ready().expect(CALLED);
            let task = pool.blocking_apply_async(square, (9,)).expect(CALLED);
            assert_eq!(task.blocking_get_timeout(support::DEADLINE).expect(RUNS), 81);
            let map = pool.blocking_starmap_async(u64::pow, [(2, 2), (3, 3)]).expect(CALLED);
            assert_eq!(map.blocking_get_timeout(support::DEADLINE).expect(RUNS), [4, 27]);
            let map = pool.blocking_map_async(square, [5]).expect(CALLED);
            assert_eq!(map.blocking_get().expect(RUNS), [25]);
            let mut squares = pool.imap(square, 0..2_500);
            let all = std::iter::from_fn(|| squares.blocking_next()).map(|result| result.expect(RUNS));
            assert!(all.eq((0..2_500).map(square)));
            pool.blocking_resize(2).expect(CALLED);
            assert_eq!(pool.blocking_cancel_pending().expect(CALLED), 0);
            assert!(pool.blocking_stats().expect(CALLED).completed >= 2_500);
            pool.blocking_close().expect(CALLED);
            pool.blocking_join().expect(CALLED);
            manager.blocking_shutdown().expect("it lives until now");
        }
    });
}

// C237
#[test]
fn what_goes_wrong_is_told_as_by_a_pool_of_ones_own() {
    run(async {
        for (manager, pool) in pools(1).await {
            let panics = pool.apply(|| -> u8 { panic!("no more paper") }, ()).await;
            let Err(Error::Panicked(panic)) = panics else { panic!("unexpected: {panics:?}") };
            assert_eq!(panic.message, "no more paper");
            assert!(panic.location.contains("manager_pool.rs") && panic.task.contains("what_goes_wrong"));

            let died = pool.apply(|| -> u8 { std::process::exit(3) }, ()).await;
            let Err(Error::WorkerDied(Death { exit, attempts, task, .. })) = died else {
                panic!("unexpected: {died:?}")
            };
            assert_eq!((exit, attempts), (Exit::Code(3), 1));
            assert!(task.is_some_and(|task| task.contains("what_goes_wrong")));

            let endless = || -> u8 {
                loop {
                    std::hint::spin_loop();
                }
            };
            let late = pool.timeout(SHORT).apply(endless, ()).await;
            assert!(
                matches!(&late, Err(Error::TimedOut { limit: Limit::Run, after: SHORT, .. })),
                "{late:?}"
            );

            assert_eq!(pool.apply(square, (3,)).await.expect("nothing of that hurts it"), 9);
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn what_cannot_be_asked_of_a_pool_in_a_manager_is_an_error() {
    run(async {
        for (manager, pool) in pools(1).await {
            let zero = pool.timeout(Duration::ZERO).apply(square, (1,)).await;
            assert!(matches!(zero, Err(Error::Option { option: "timeout", .. })), "{zero:?}");
            let zero = pool.chunksize(0).map(square, [1]).await;
            assert!(matches!(zero, Err(Error::Option { option: "chunksize", .. })), "{zero:?}");
            assert!(matches!(pool.join().await, Err(Error::NotClosed)));
            assert!(matches!(pool.resize(0).await, Err(Error::Option { option: "resize", .. })));
            let sent = pool.apply(|_: Unencodable| (), (Unencodable,)).await;
            assert!(matches!(sent, Err(Error::Encode { what: "the arguments", .. })), "{sent:?}");
            let sent = pool.map(|_: Unencodable| (), [Unencodable]).await;
            assert!(matches!(sent, Err(Error::Encode { what: "the arguments", .. })), "{sent:?}");
            let sent = pool.apply(|| Unencodable, ()).await;
            assert!(matches!(sent, Err(Error::Encode { what: "the result", .. })), "{sent:?}");
            let sent = pool.apply(|_: Undecodable| (), (Undecodable,)).await;
            assert!(matches!(sent, Err(Error::Decode { what: "the arguments", .. })), "{sent:?}");
            let sent = pool.apply(|| Undecodable, ()).await;
            assert!(matches!(sent, Err(Error::Decode { what: "the result", .. })), "{sent:?}");
            assert_eq!(pool.apply(square, (3,)).await.expect("nothing of that hurts it"), 9);
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn a_pool_is_built_as_a_function_says() {
    fn build(workers: usize) -> Result<ProcessPool, Error> {
        ProcessPool::builder().workers(workers).initializer(|| 7_u32, ()).build()
    }
    fn fails() -> Result<ProcessPool, Error> {
        let never = |text: String| Err::<(), _>(text);
        ProcessPool::builder().workers(1).try_initializer(never, ("none left".to_owned(),)).build()
    }
    run(async {
        let child = Manager::start().await.expect("a child can be started");
        for manager in [child, Manager::builder().serve().expect("threads can be started")] {
            let none = manager.pool(0).await;
            assert!(matches!(none, Err(Error::Option { option: "pool", .. })), "{none:?}");
            let none = manager.create_pool(build, (0,)).await;
            assert!(
                matches!(&none, Err(Error::NotCreated { task, .. }) if task.contains("build")),
                "{none:?}"
            );
            let none = manager.create_pool(|| -> Result<ProcessPool, Error> { panic!("none") }, ()).await;
            assert!(matches!(none, Err(Error::Panicked(_))), "{none:?}");
            let pool = manager.create_pool(build, (1,)).await.expect(CALLED);
            let state = pool.apply(|| worker::state::<u32>().map(|state| *state), ()).await;
            assert_eq!(state.expect(RUNS), Some(7));
            let pool = manager.create_pool(fails, ()).await.expect(CALLED);
            let refused = pool.apply(square, (1,)).await;
            assert!(
                matches!(&refused, Err(Error::Initializer { cause }) if cause == "none left"),
                "{refused:?}"
            );
            let refused = pool.ready().await;
            assert!(matches!(&refused, Err(Error::Initializer { .. })), "{refused:?}");
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn handles_go_through_a_pool_in_a_manager() {
    fn write(mut file: Handle<std::fs::File>, text: String) -> Handle<std::fs::File> {
        file.write_all(text.as_bytes()).expect("it is open");
        file
    }
    run(async {
        let path = support::scratch("manager-pool");
        let open = || {
            let mut options = std::fs::File::options();
            options.read(true).append(true).create(true).open(&path).expect("it can be made").into()
        };
        for (manager, pool) in pools(2).await {
            let mut file = pool.apply(write, (open(), "a".to_owned())).await.expect(RUNS);
            let many = (0..200).map(|_| (open(), "b".to_owned())).collect::<Vec<_>>();
            assert_eq!(pool.starmap(write, many).await.expect(RUNS).len(), 200);
            let task = pool.apply_async(write, (open(), "c".to_owned())).await.expect(CALLED);
            drop((task.get().await.expect(RUNS), task.get().await.expect("it stays")));
            let mut text = String::new();
            file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("it is open");
            assert_eq!(text, format!("a{}c", "b".repeat(200)));
            std::fs::remove_file(&path).expect("it is there");
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn large_values_go_through_a_pool_in_a_manager() {
    fn scale(row: Vec<f64>, by: f64, name: Vec<u8>) -> (Vec<f64>, Vec<u8>) {
        (row.into_iter().map(|x| x * by).collect(), name)
    }
    run(async {
        let row: Vec<f64> = (0..300_000).map(f64::from).collect();
        let doubled: Vec<f64> = row.iter().map(|x| x * 2.0).collect();
        for (manager, pool) in pools(2).await {
            let name = vec![7; 1 << 20];
            let scaled = pool.apply(scale, (row.clone(), 2.0, name.clone())).await.expect(RUNS);
            assert!(scaled == (doubled.clone(), name));
            let double = |row: Vec<f64>| row.into_iter().map(|x| x * 2.0).collect::<Vec<_>>();
            let rows = pool.map(double, [row.clone(), vec![], row.clone()]).await.expect(RUNS);
            assert!(rows == [doubled.clone(), vec![], doubled.clone()]);
            let task = pool.apply_async(double, (row.clone(),)).await.expect(CALLED);
            assert!(task.get().await.expect(RUNS) == doubled);
            ends(manager).await;
        }
    });
}

// C237, fault 97
#[test]
fn a_client_that_is_gone_gives_up_what_it_waits_for() {
    fn wait(pool: PoolProxy, key: String, maps: bool) {
        if maps {
            let _never = pool.blocking_map(until_cancelled, [key]);
        } else {
            let _never = pool.blocking_apply(until_cancelled, (key,));
        }
    }
    run(async {
        for (manager, pool) in pools(1).await {
            for maps in [false, true] {
                let tally = Tally::new();
                let client = Process::spawn(wait, (pool.clone(), tally.key(), maps)).expect("it starts");
                support::until(|| tally.count() == 1).await;
                client.kill().expect("it runs");
                client.join().await.expect_err("it was killed");
                support::until(|| tally.marks() == b"bc").await;
            }
            let tally = Tally::new();
            let mut call = Box::pin(pool.apply(until_cancelled, (tally.key(),)));
            assert!((&mut call).now_or_never().is_none());
            let begun = support::until(|| tally.count() == 1);
            future::select(Box::pin(begun), &mut call).await;
            drop(call);
            support::until(|| tally.marks() == b"bc").await;
            assert_eq!(pool.apply(square, (3,)).await.expect("its worker is free again"), 9);
            ends(manager).await;
        }
    });
}

// C237, fault 97
#[test]
fn what_was_started_goes_on_until_its_last_proxy_is_gone() {
    fn start(pool: PoolProxy, key: String) -> TaskProxy<()> {
        pool.blocking_apply_async(until_cancelled, (key,)).expect(CALLED)
    }
    run(async {
        for (manager, pool) in pools(1).await {
            let tally = Tally::new();
            let client = Process::spawn(start, (pool.clone(), tally.key())).expect("it starts");
            let task = client.join().await.expect(RUNS);
            support::until(|| tally.count() == 1).await;
            assert!(!task.is_finished().await.expect(CALLED), "its client is gone");
            drop(task);
            support::until(|| tally.marks() == b"bc").await;

            let tally = Tally::new();
            let task = pool.apply_async(until_cancelled, (tally.key(),)).await.expect(CALLED);
            let queued = pool.apply_async(until_cancelled, (tally.key(),)).await.expect(CALLED);
            support::until(|| tally.count() == 1).await;
            assert!(queued.cancel().await.expect(CALLED), "it has not begun");
            assert!(matches!(queued.get().await, Err(Error::Cancelled { .. })));
            assert!(task.cancel().await.expect(CALLED) && !task.cancel().await.expect(CALLED));
            assert!(matches!(task.get().await, Err(Error::Cancelled { .. })));
            support::until(|| tally.marks() == b"bc").await;

            let mut gate = Gate::new();
            let finish = |gate: String, key: String| {
                pass(&gate);
                mark(&key, b'f');
            };
            let tally = Tally::new();
            let detached = pool.apply_async(finish, (gate.key(), tally.key())).await.expect(CALLED);
            gate.arrived().await;
            detached.detach().await.expect(CALLED);
            drop(detached);
            gate.let_all_go();
            support::until(|| tally.marks() == b"f").await;
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn a_call_that_takes_its_time_holds_up_no_other() {
    run(async {
        for (manager, pool) in pools(2).await {
            let mut gate = Gate::new();
            let slow = tokio::spawn({
                let (pool, key) = (pool.clone(), gate.key());
                async move { pool.apply(stand, (key,)).await }
            });
            gate.arrived().await;
            assert_eq!(pool.map(square, 0..100).await.expect(RUNS).len(), 100);
            assert_eq!(pool.stats().await.expect(CALLED).running, 1);
            gate.let_all_go();
            slow.await.expect("it does not panic").expect(RUNS);
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn an_imap_reads_its_input_as_it_is_needed() {
    run(async {
        for (manager, pool) in pools(2).await {
            let read = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            let counted = std::sync::Arc::clone(&read);
            let endless = (0_u64..).inspect(move |_| {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
            let mut squares = pool.imap(square, endless);
            for n in 0..5_000 {
                assert_eq!(squares.next().await.expect("it is endless").expect(RUNS), square(n));
            }
            let ahead = read.load(std::sync::atomic::Ordering::Relaxed) - 5_000;
            assert!(ahead <= 5 * 1_024, "it has read {ahead} more");
            drop(squares);

            let mut quotients = pool.imap(|n: u64| 12 / n, [4, 0, 6]);
            assert_eq!(quotients.next().await.expect("there are three").expect(RUNS), 3);
            let failed = quotients.next().await.expect("there are three");
            assert!(matches!(failed, Err(Error::Panicked(_))));
            assert_eq!(quotients.next().await.expect("there are three").expect(RUNS), 2);
            assert!(quotients.next().await.is_none() && quotients.next().await.is_none());

            let all: Vec<_> = pool.imap_unordered(square, 0..3_000).into_stream().collect().await;
            let mut all: Vec<_> = all.into_iter().map(|result| result.expect(RUNS)).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq((0..3_000).map(square)));
            assert!(pool.imap(square, []).next().await.is_none());
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn an_imap_whose_wait_is_given_up_loses_nothing() {
    run(async {
        for (manager, pool) in pools(2).await {
            let mut squares = pool.imap(square, 0..2_000);
            let mut all = Vec::new();
            let mut is_over = false;
            while !is_over {
                // At whichever step it is.
                let turns = all.len() % 5;
                let given_up = async {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                };
                let next = tokio::select! {
                    biased;
                    next = squares.next() => Some(next),
                    () = given_up => None,
                };
                let next = match next {
                    Some(next) => next,
                    None => squares.next().await,
                };
                is_over = next.is_none();
                all.extend(next.map(|result| result.expect(RUNS)));
            }
            assert!(all.into_iter().eq((0..2_000).map(square)));
            assert_eq!(pool.stats().await.expect(CALLED).submitted, 2_000, "nothing is done twice");
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn a_map_ends_with_its_first_error() {
    run(async {
        for (manager, pool) in pools(2).await {
            let endless = pool.map(|n: u64| 1_000 / 100_u64.saturating_sub(n), 0..).await;
            assert!(matches!(endless, Err(Error::Panicked(_))), "{endless:?}");
            let broken = [1_u64, 2].into_iter().chain(std::iter::from_fn(|| panic!("no more input")));
            let failed = pool.map(square, broken).await;
            assert!(
                matches!(&failed, Err(Error::Input(panic)) if panic.message == "no more input"),
                "{failed:?}"
            );
            let mut squares =
                pool.imap(square, [1_u64, 2].into_iter().chain(std::iter::from_fn(|| panic!())));
            assert_eq!(squares.next().await.expect("it is there").expect(RUNS), 1);
            assert_eq!(squares.next().await.expect("it is there").expect(RUNS), 4);
            assert!(matches!(squares.next().await, Some(Err(Error::Input(_)))));
            assert!(squares.next().await.is_none());
            let failed = pool.map_async(|n: u64| 1 / n, [1, 0]).await.expect(CALLED);
            assert!(matches!(failed.get().await, Err(Error::Panicked(_))));
            assert!(matches!(failed.get().await, Err(Error::Panicked(_))), "it stays");
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn a_pool_in_a_manager_is_closed_and_terminated_for_all() {
    run(async {
        for (manager, pool) in pools(1).await {
            let mut gate = Gate::new();
            let task = pool.apply_async(stand, (gate.key(),)).await.expect(CALLED);
            let map = pool.map_async(square, 0..500).await.expect(CALLED);
            gate.arrived().await;
            pool.close().await.expect(CALLED);
            assert!(matches!(pool.apply(square, (1,)).await, Err(Error::Closed)));
            assert!(matches!(pool.map(square, [1]).await, Err(Error::Closed)));
            let refused = pool.apply_async(square, (1,)).await.expect("it tells");
            assert!(matches!(refused.get().await, Err(Error::Closed)));
            gate.let_all_go();
            pool.join().await.expect(CALLED);
            task.get().await.expect("it was called before");
            assert_eq!(map.get().await.expect("it was called before").len(), 500);

            let pool = manager.pool(1).await.expect(CALLED);
            let task = pool.apply_async(stand, (gate.key(),)).await.expect(CALLED);
            gate.arrived().await;
            pool.clone().terminate().await.expect(CALLED);
            assert!(matches!(task.get().await, Err(Error::Cancelled { .. })));
            pool.join().await.expect(CALLED);
            ends(manager).await;
        }
    });
}

// C237
#[test]
fn the_workers_end_with_the_last_proxy_of_their_pool() {
    run(async {
        for (manager, pool) in pools(2).await {
            pool.ready().await.expect(CALLED);
            let pids = pool.worker_pids().await.expect(CALLED);
            let other = pool.clone();
            drop(pool);
            assert_eq!(other.apply(square, (2,)).await.expect("a proxy keeps it"), 4);
            drop(other);
            support::until(|| !pids.iter().any(|pid| support::exists(*pid))).await;
            ends(manager).await;
        }
    });
}

#[test]
fn workers_of_a_pool_in_a_manager_end_with_it() {
    run(async {
        for (manager, pool) in pools(2).await {
            pool.ready().await.expect(CALLED);
            let pids = pool.worker_pids().await.expect(CALLED);
            let endless = pool.apply_async(std::thread::park, ()).await.expect(CALLED);
            ends(manager).await;
            assert!(matches!(endless.get().await, Err(Error::Disconnected)));
            support::until(|| !pids.iter().any(|pid| support::exists(*pid))).await;
        }
    });
}

#[test]
fn pools_in_managers_leave_nothing_behind() {
    if left_out("the forkserver stays") {
        return;
    }
    alone(|| {
        let before = Census::after_the_first_pool();
        for begin in [Manager::blocking_start, || Manager::builder().serve()] {
            let manager = begin().expect("it can be started");
            let pool = manager.blocking_pool(2).expect(CALLED);
            assert_eq!(pool.blocking_map(square, 0..100).expect(RUNS).len(), 100);
            let mut endless = pool.imap(square, 0..);
            endless.blocking_next().expect("it is endless").expect(RUNS);
            drop(pool);
            drop((endless, manager));
            before.settles();
        }
    });
}

/// Whoever comes over a network may be another program, which has none of the functions.
#[cfg(feature = "net")]
#[test]
fn a_pool_is_of_no_use_over_a_network() {
    use multiprocess::{AuthKey, Refusal};

    run(async {
        let key = AuthKey::generate();
        let builder = Manager::builder().address(("127.0.0.1", 0)).authkey(&key);
        let manager = builder.start().await.expect("a child can be started");
        let theirs = Manager::connect_with(manager.address().expect("it listens"), &key).await.expect(CALLED);
        let refused = theirs.pool(1).await;
        assert!(matches!(refused, Err(Error::Refused { why: Refusal::OtherProgram, .. })), "{refused:?}");
        let pool = manager.pool(1).await.expect(CALLED);
        assert!(manager.publish("pool", &pool).await.expect(CALLED));
        let pool: PoolProxy = theirs.find("pool").await.expect(CALLED).expect("it is published");
        let refused = pool.apply(square, (1,)).await;
        assert!(matches!(refused, Err(Error::Refused { why: Refusal::OtherProgram, .. })), "{refused:?}");
        drop((pool, theirs));
        ends(manager).await;
    });
}
