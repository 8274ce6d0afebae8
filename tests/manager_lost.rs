//! Managers and those who die: clients in the middle of calls, the manager itself, and what is sent by whoever means no good.

mod support;

use std::time::Duration;

use futures::future;
use multiprocess::{Error, Manager, Process, Proxy, wait};
use support::alone::alone;
use support::census::Census;
use support::foreign::{SIGKILL, signal};
use support::gate::{Gate, pass};
use support::start_method::left_out;
use support::tally::{Tally, mark};
use support::{DEADLINE, run};

const CALLED: &str = "the manager lives";
const STARTS: &str = "a process can be started";

/// How often a client is killed; more by the variable, as `.ci/stress` has it.
fn rounds() -> u32 {
    let asked = std::env::var("MULTIPROCESS_TEST_MANAGER_ROUNDS").ok();
    asked.and_then(|rounds| rounds.parse().ok()).unwrap_or(100)
}

/// Says when it is dropped.
struct Watched(String);

impl Drop for Watched {
    fn drop(&mut self) {
        mark(&self.0, b'd');
    }
}

fn watched(key: String) -> Watched {
    Watched(key)
}

fn open_descriptors(_: &Watched) -> usize {
    std::fs::read_dir("/proc/self/fd").expect("it is our own").count()
}

// C240, fault 97
#[test]
fn a_client_that_is_killed_in_the_middle_of_a_call_leaves_no_reference() {
    /// Makes objects and calls them, as often as it can.
    fn use_it(manager: Manager, kept: Proxy<Watched>, key: String) {
        let mut mine = Vec::new();
        loop {
            mine.push(manager.blocking_create(watched, (key.clone(),)).expect(CALLED));
            kept.blocking_call(|_: &Watched, bytes: Vec<u8>| bytes, (vec![1; 40_000],)).expect(CALLED);
            mine.truncate(3);
        }
    }
    run(async {
        let manager = Manager::start().await.expect(STARTS);
        let (kept_key, key) = (Tally::new(), Tally::new());
        let kept = manager.create(watched, (kept_key.key(),)).await.expect(CALLED);
        let before = kept.call(open_descriptors, ()).await.expect(CALLED);
        for round in 0..rounds() {
            let made = key.count();
            let client = Process::spawn(use_it, (manager.clone(), kept.clone(), key.key())).expect(STARTS);
            // Somewhere in the middle: objects of it are dropped already.
            support::until(|| key.count() > made + round as usize % 7).await;
            client.kill().expect("it runs");
            client.join().await.expect_err("it was killed");
        }
        // Doors and lines of the dead are closed; how soon, `benches/ends` measures.
        while kept.call(open_descriptors, ()).await.expect(CALLED) > before {
            tokio::task::yield_now().await;
        }
        assert_eq!(kept_key.count(), 0, "there is one proxy of it");
        manager.shutdown().await.expect(CALLED);
    });
}

// C241, fault 98
#[test]
fn all_who_wait_hear_at_once_that_the_manager_was_killed() {
    run(async {
        let manager = Manager::start().await.expect(STARTS);
        let mut gate = Gate::new();
        let object = manager.create(watched, ("/dev/null".to_owned(),)).await.expect(CALLED);
        let stand = |_: &mut Watched, key: String| pass(&key);
        let calls = (0..10).map(|_| {
            tokio::spawn({
                let (object, key) = (object.clone(), gate.key());
                async move { object.call(stand, (key,)).await }
            })
        });
        let calls: Vec<_> = calls.collect();
        let forever = object.call(async |_: &mut Watched| future::pending::<()>().await, ());
        gate.arrived().await;
        signal(manager.pid().expect("it was started here"), SIGKILL);
        let (forever, calls) = future::join(forever, future::join_all(calls)).await;
        assert!(matches!(forever, Err(Error::Disconnected)));
        for call in calls {
            assert!(matches!(call.expect("it does not panic"), Err(Error::Disconnected)));
        }
        assert!(matches!(object.call(|_: &Watched| (), ()).await, Err(Error::Disconnected)));
        assert!(matches!(object.blocking_call(|_: &Watched| (), ()), Err(Error::Disconnected)));
        assert!(matches!(manager.create(watched, (String::new(),)).await, Err(Error::Disconnected)));
        assert!(matches!(manager.shutdown().await, Err(Error::Disconnected)));
    });
}

// C241, fault 98
#[test]
fn a_call_that_waits_hears_that_its_manager_was_dropped_or_shut_down() {
    run(async {
        for drops in [true, false] {
            let child = Manager::start().await.expect(STARTS);
            for manager in [child, Manager::builder().serve().expect(STARTS)] {
                let tally = Tally::new();
                let object = manager.create(watched, (tally.key(),)).await.expect(CALLED);
                let mut gate = Gate::new();
                let wait_for_ever = async |_: &Watched, key: String| {
                    pass(&key);
                    future::pending::<()>().await;
                };
                let call = object.call(wait_for_ever, (gate.key(),));
                let end = async {
                    gate.arrived().await;
                    gate.let_all_go();
                    if drops { drop(manager) } else { manager.shutdown().await.expect(CALLED) }
                };
                let (call, ()) = future::join(call, end).await;
                assert!(matches!(call, Err(Error::Disconnected)), "{call:?}");
                support::until(|| tally.count() == 1).await;
            }
        }
    });
}

// fault 97
#[test]
fn a_call_of_a_client_that_is_gone_is_given_up() {
    /// Marks when it was begun, and when it was dropped.
    async fn wait_for_ever(_: &mut Watched, key: String) {
        let _until = Watched(key.clone());
        mark(&key, b'b');
        future::pending::<()>().await;
    }
    fn call(object: Proxy<Watched>, key: String) {
        let _never = object.blocking_call(wait_for_ever, (key,));
    }
    run(async {
        let child = Manager::start().await.expect(STARTS);
        for manager in [child, Manager::builder().serve().expect(STARTS)] {
            let tally = Tally::new();
            let object = manager.create(watched, ("/dev/null".to_owned(),)).await.expect(CALLED);
            let client = Process::spawn(call, (object.clone(), tally.key())).expect(STARTS);
            support::until(|| tally.count() == 1).await;
            client.kill().expect("it runs");
            assert_eq!(object.call(|_: &mut Watched| 7, ()).await.expect("it is free again"), 7);
            assert_eq!(tally.marks(), b"bd");
            client.join().await.expect_err("it was killed");

            let given_up = object.call(wait_for_ever, (tally.key(),));
            drop(tokio::time::timeout(Duration::from_millis(20), given_up).await);
            assert_eq!(object.call(|_: &mut Watched| 7, ()).await.expect("it is free again"), 7);
            manager.shutdown().await.expect(CALLED);
        }
    });
}

#[test]
fn managers_leave_nothing_behind() {
    if left_out("the forkserver stays") {
        return;
    }
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            for begin in [Manager::blocking_start, || Manager::builder().serve()] {
                let manager = begin().expect(STARTS);
                let object = manager.blocking_create(watched, ("/dev/null".to_owned(),)).expect(CALLED);
                object.blocking_call(async |_: &Watched| tokio::task::yield_now().await, ()).expect(CALLED);
                drop(manager);
                drop(object);
                before.settles();
            }
        }
    });
}

#[test]
fn the_manager_ends_with_the_process_that_has_started_it() {
    fn start() -> u32 {
        let manager = Manager::blocking_start().expect(STARTS);
        let pid = manager.pid().expect("it was started here");
        std::mem::forget(manager);
        pid
    }
    run(async {
        let starter = Process::builder().daemon(false).spawn(start, ()).expect(STARTS);
        let sentinel = starter.sentinel();
        assert_eq!(wait(&[&sentinel], Some(DEADLINE)).await.expect("it can be waited for"), [0]);
        let pid = starter.join().await.expect("it has no reason to fail");
        support::until(|| !support::exists(pid)).await;
    });
}
