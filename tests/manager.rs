//! Managers: any object, called through proxies, from processes and threads, in a child and in this process.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future;
use multiprocess::{Error, Exposed, Manager, Proxy, Queue, Refusal, pipe};
use support::gate::{Gate, pass};
use support::tally::{Tally, mark};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{run, run_outside};

/// What the tests expect of calls that have no reason to fail.
const CALLED: &str = "the manager lives";
const RUNS: &str = "the task has no reason to fail";

on_twins!(
    an_object_is_called_from_elsewhere,
    a_proxy_in_a_queue_keeps_its_object_when_its_sender_has_ended,
    a_proxy_that_another_process_gets_may_give_proxies,
    a_manager_travels_and_makes_objects_elsewhere,
);

struct Counter(u64);

impl Counter {
    fn new(start: u64) -> Self {
        Self(start)
    }

    fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }

    fn value(&self) -> u64 {
        self.0
    }

    async fn add_later(&mut self, by: u64) -> u64 {
        tokio::task::yield_now().await;
        self.add(by)
    }

    async fn value_later(&self) -> u64 {
        tokio::task::yield_now().await;
        self.0
    }
}

/// Says when it is dropped.
struct Watched(String);

impl Drop for Watched {
    fn drop(&mut self) {
        mark(&self.0, b'd');
    }
}

/// Both ways to run a manager.
async fn managers() -> [Manager; 2] {
    let child = Manager::start().await.expect("a child can be started");
    [child, Manager::builder().serve().expect("threads can be started")]
}

async fn ends(manager: Manager) {
    manager.shutdown().await.expect("it lives until now");
}

async fn is_dropped(tally: &Tally) {
    support::until(|| tally.count() == 1).await;
}

// C225
#[test]
fn methods_of_all_forms_are_called_as_they_stand() {
    run(async {
        for manager in managers().await {
            let counter = manager.create(Counter::new, (7,)).await.expect(CALLED);
            assert_eq!(counter.call(Counter::add, (3,)).await.expect(CALLED), 10);
            assert_eq!(counter.call(Counter::add_later, (1,)).await.expect(CALLED), 11);
            assert_eq!(counter.call(Counter::value, ()).await.expect(CALLED), 11);
            assert_eq!(counter.call(Counter::value_later, ()).await.expect(CALLED), 11);
            let double = |counter: &mut Counter| counter.0 *= 2;
            counter.call(double, ()).await.expect(CALLED);
            let many = |counter: &Counter, a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: String| {
                (counter.0, u64::from(a) + u64::from(b) + u64::from(c) + d, e, f, g)
            };
            let args = (1, 2, 3, 4, -5, -6, "seven".to_owned());
            let all = counter.call(many, args).await.expect(CALLED);
            assert_eq!(all, (22, 10, -5, -6, "seven".to_owned()));
            let later = async |counter: &mut Counter, by: u64| counter.add_later(by).await;
            assert_eq!(counter.call(later, (1,)).await.expect(CALLED), 23);
            ends(manager).await;
        }
    });
}

// C225
#[test]
fn code_outside_async_blocks_its_thread() {
    run_outside(|| {
        let child = Manager::blocking_start().expect("a child can be started");
        for manager in [child, Manager::builder().serve().expect("threads can be started")] {
            let counter = manager.blocking_create(Counter::new, (7,)).expect(CALLED);
            assert_eq!(counter.blocking_call(Counter::add_later, (3,)).expect(CALLED), 10);
            let bytes = counter.blocking_call(|_: &Counter, bytes: Vec<u8>| bytes, (vec![7; 3 << 20],));
            assert!(bytes.expect(CALLED) == vec![7; 3 << 20]);
            manager.blocking_shutdown().expect("it lives until now");
        }
    });
}

// C225 C226
async fn an_object_is_called_from_elsewhere<T: Twin>() {
    fn count(counter: Proxy<Counter>) {
        for _ in 0..100 {
            counter.blocking_call(Counter::add, (1,)).expect(CALLED);
        }
    }
    for manager in managers().await {
        let counter = manager.create(Counter::new, (0,)).await.expect(CALLED);
        let others: Vec<_> = (0..3).map(|_| start::<T, _, _, _>(count, (counter.clone(),))).collect();
        for other in others {
            other.join().await.expect(RUNS);
        }
        assert_eq!(counter.call(Counter::value, ()).await.expect(CALLED), 300);
        ends(manager).await;
    }
}

// C225
#[test]
fn a_method_that_panics_is_an_error_to_its_caller_alone() {
    run(async {
        for manager in managers().await {
            let counter = manager.create(Counter::new, (7,)).await.expect(CALLED);
            let add_and_panic = |counter: &mut Counter| -> u64 {
                counter.0 += 1;
                panic!("no more paper")
            };
            match counter.call(add_and_panic, ()).await {
                Err(Error::Panicked(panic)) => {
                    assert_eq!(panic.message, "no more paper");
                    assert!(
                        panic.location.contains("manager.rs") && panic.task.contains("a_method_that_panics")
                    );
                }
                other => panic!("unexpected: {other:?}"),
            }
            assert_eq!(counter.call(Counter::value, ()).await.expect(CALLED), 8, "as the panic has left it");
            let made = manager.create(|| -> Counter { panic!("none") }, ()).await;
            assert!(matches!(made, Err(Error::Panicked(_))));
            let made = manager.try_create(|| Err::<Counter, _>("none left"), ()).await;
            assert!(matches!(made, Err(Error::NotCreated { cause, .. }) if cause == "none left"));
            ends(manager).await;
        }
    });
}

// C226
#[test]
fn what_cannot_be_sent_is_an_error_and_hurts_nothing() {
    run(async {
        use support::values::{Undecodable, Unencodable};
        for manager in managers().await {
            let counter = manager.create(Counter::new, (7,)).await.expect(CALLED);
            let sent = counter.call(|_: &Counter, _: Unencodable| (), (Unencodable,)).await;
            assert!(matches!(sent, Err(Error::Encode { what: "the arguments", .. })), "{sent:?}");
            let sent = counter.call(|_: &Counter| Unencodable, ()).await;
            assert!(matches!(sent, Err(Error::Encode { what: "the result", .. })), "{sent:?}");
            let sent = counter.call(|_: &Counter, _: Undecodable| (), (Undecodable,)).await;
            assert!(matches!(sent, Err(Error::Decode { what: "the arguments", .. })), "{sent:?}");
            let sent = counter.call(|_: &Counter| Undecodable, ()).await;
            assert!(matches!(sent, Err(Error::Decode { what: "the result", .. })), "{sent:?}");
            assert_eq!(counter.call(Counter::value, ()).await.expect(CALLED), 7);
            ends(manager).await;
        }
    });
}

#[test]
fn a_call_that_blocks_holds_up_nobody_but_its_own_object() {
    run(async {
        for manager in managers().await {
            let mut gate = Gate::new();
            let held = manager.create(Counter::new, (0,)).await.expect(CALLED);
            let free = manager.create(Counter::new, (7,)).await.expect(CALLED);
            let stand = |_: &mut Counter, key: String| pass(&key);
            let standing = tokio::spawn({
                let (held, key) = (held.clone(), gate.key());
                async move { held.call(stand, (key,)).await }
            });
            gate.arrived().await;
            let waiting = tokio::spawn(async move { held.call(Counter::add, (1,)).await });
            for _ in 0..20 {
                assert_eq!(free.call(Counter::value, ()).await.expect(CALLED), 7);
            }
            assert!(!waiting.is_finished(), "its object is taken");
            gate.let_all_go();
            standing.await.expect("it does not panic").expect(CALLED);
            assert_eq!(waiting.await.expect("it does not panic").expect(CALLED), 1);
            ends(manager).await;
        }
    });
}

#[test]
fn calls_that_only_look_share_their_object() {
    run(async {
        for manager in managers().await {
            let mut gate = Gate::new();
            let counter = manager.create(Counter::new, (7,)).await.expect(CALLED);
            let look = |_: &Counter, key: String| pass(&key);
            let looks: Vec<_> = (0..3).map(|_| counter.call(look, (gate.key(),))).collect();
            let arrivals = async {
                for _ in 0..3 {
                    gate.arrived().await;
                }
                gate.let_all_go();
            };
            let (looked, ()) = future::join(future::join_all(looks), arrivals).await;
            for looked in looked {
                looked.expect(CALLED);
            }
            ends(manager).await;
        }
    });
}

#[test]
fn an_object_ends_with_its_last_proxy() {
    run(async {
        for manager in managers().await {
            let tally = Tally::new();
            let watched = manager.create(|key: String| Watched(key), (tally.key(),)).await.expect(CALLED);
            let second = watched.clone();
            drop(watched);
            second.call(|_: &Watched| (), ()).await.expect("there is one more proxy");
            assert_eq!(tally.count(), 0);
            drop(second);
            is_dropped(&tally).await;
            ends(manager).await;
        }
    });
}

// C240
async fn a_proxy_in_a_queue_keeps_its_object_when_its_sender_has_ended<T: Twin>() {
    fn put(queue: Queue<Proxy<Watched>>, watched: Proxy<Watched>) {
        queue.blocking_put(watched).expect("it is open");
    }
    for manager in managers().await {
        let tally = Tally::new();
        let queue = Queue::new().expect("there is memory");
        let watched = manager.create(|key: String| Watched(key), (tally.key(),)).await.expect(CALLED);
        let sender = start::<T, _, _, _>(put, (queue.clone(), watched));
        sender.join().await.expect(RUNS);
        drop(sender);
        let watched = queue.get().await.expect("it was put");
        watched.call(|_: &Watched| (), ()).await.expect("it was kept");
        assert_eq!(tally.count(), 0);
        queue.put(watched).await.expect("it is open");
        drop(queue);
        is_dropped(&tally).await;
        ends(manager).await;
    }
}

// C239
async fn a_proxy_that_another_process_gets_may_give_proxies<T: Twin>() {
    type Family = Vec<Proxy<Counter>>;
    fn count(family: Proxy<Family>) -> Proxy<Counter> {
        let child = |family: &Family, place: usize| family[place].clone();
        let child = family.blocking_call(child, (1,)).expect(CALLED);
        child.blocking_call(Counter::add, (5,)).expect(CALLED);
        child
    }
    for manager in managers().await {
        let family = manager.create(Family::new, ()).await.expect(CALLED);
        for start in [10, 20] {
            let child = manager.create(Counter::new, (start,)).await.expect(CALLED);
            family.call(Family::push, (child,)).await.expect(CALLED);
        }
        let child = start::<T, _, _, _>(count, (family.clone(),)).join().await.expect(RUNS);
        assert_eq!(child.call(Counter::value, ()).await.expect(CALLED), 25);
        drop(family);
        assert_eq!(child.call(Counter::add, (1,)).await.expect("the proxy keeps it"), 26);
        ends(manager).await;
    }
}

// C231
#[test]
fn an_object_that_holds_itself_ends_with_its_manager() {
    run(async {
        struct Ring(Option<Proxy<Ring>>, #[expect(dead_code, reason = "its drop is what counts")] Watched);
        for manager in managers().await {
            let tally = Tally::new();
            let ring =
                manager.create(|key: String| Ring(None, Watched(key)), (tally.key(),)).await.expect(CALLED);
            let close = |ring: &mut Ring, itself: Proxy<Ring>| ring.0 = Some(itself);
            ring.call(close, (ring.clone(),)).await.expect(CALLED);
            drop(ring);
            ends(manager).await;
            is_dropped(&tally).await;
        }
    });
}

async fn a_manager_travels_and_makes_objects_elsewhere<T: Twin>() {
    fn make(manager: Manager) -> Proxy<Counter> {
        assert_eq!(manager.pid(), None);
        manager.blocking_create(Counter::new, (7,)).expect(CALLED)
    }
    for manager in managers().await {
        let made = start::<T, _, _, _>(make, (manager.clone(),)).join().await.expect(RUNS);
        assert_eq!(made.call(Counter::value, ()).await.expect(CALLED), 7);
        ends(manager).await;
    }
}

#[test]
fn proxies_of_one_object_are_equal_wherever_they_come_from() {
    run(async {
        for manager in managers().await {
            let (first, second) = (
                manager.create(Counter::new, (7,)).await.expect(CALLED),
                manager.create(Counter::new, (7,)).await.expect(CALLED),
            );
            let (here, there) = pipe::<Proxy<Counter>, Proxy<Counter>>().expect("there are descriptors left");
            here.send(&first).await.expect("it is open");
            let arrived = there.recv().await.expect("it was sent");
            assert!(arrived == first && arrived != second);
            ends(manager).await;
        }
    });
}

fn counter(exposed: Exposed<Counter>) -> Exposed<Counter> {
    exposed.create(Counter::new).method("add", Counter::add).method("value", Counter::value)
}

/// Why a manager has refused.
fn refused<T>(result: multiprocess::Result<T>) -> Option<Refusal> {
    match result {
        Err(Error::Refused { why, .. }) => Some(why),
        _ => None,
    }
}

/// A manager with registered types, in both ways to run one.
async fn registered() -> [Manager; 2] {
    let builder = || Manager::builder().register("Counter", counter).register::<Watched>("Watched", |it| it);
    let child = builder().start().await.expect("a child can be started");
    [child, builder().serve().expect("threads can be started")]
}

// C225, fault 96
#[test]
fn only_what_is_registered_is_made_by_name() {
    run(async {
        for manager in registered().await {
            let made = manager.create_named::<(), _>("Count", (7_u64,)).await;
            assert_eq!(refused(made), Some(Refusal::UnknownType));
            let made = manager.create_named::<(), _>("Counter", (7_u32,)).await;
            assert_eq!(refused(made), Some(Refusal::WrongTypes));
            let made = manager.create_named::<(), _>("Watched", (String::new(),)).await;
            assert_eq!(refused(made), Some(Refusal::UnknownMethod));
            let made = manager.create_named::<(), _>("dict", ()).await;
            assert_eq!(refused(made), Some(Refusal::UnknownType), "what the crate has is not registered");
            ends(manager).await;
        }
    });
}

// C225, fault 96
#[test]
fn only_what_is_registered_is_called_by_name_and_only_with_its_types() {
    run(async {
        for manager in registered().await {
            let counter: Proxy<()> = manager.create_named("Counter", (7_u64,)).await.expect(CALLED);
            let sum: u64 = counter.call_named("add", (3_u64,)).await.expect(CALLED);
            assert_eq!((sum, counter.blocking_call_named::<u64, _>("value", ()).expect(CALLED)), (10, 10));

            let unknown = counter.call_named::<u64, _>("new", (3_u64,)).await;
            assert_eq!(refused(unknown), Some(Refusal::UnknownMethod));
            let wrong = [
                refused(counter.call_named::<u64, _>("add", (3_u32,)).await),
                refused(counter.call_named::<u32, _>("add", (3_u64,)).await),
                refused(counter.call_named::<u64, _>("add", ()).await),
                refused(counter.call(|(): &mut ()| (), ()).await),
            ];
            assert_eq!(wrong, [Some(Refusal::WrongTypes); 4]);
            let unregistered = manager.create(|| 7_u64, ()).await.expect(CALLED);
            let unknown = unregistered.call_named::<u64, _>("clone", ()).await;
            assert_eq!(refused(unknown), Some(Refusal::UnknownMethod));
            assert_eq!(counter.call_named::<u64, _>("value", ()).await.expect(CALLED), 10);
            ends(manager).await;
        }
    });
}

// C226
#[test]
fn what_is_published_is_found_by_whoever_connects() {
    run(async {
        let path = support::scratch("manager");
        for round in 0..2 {
            let builder = Manager::builder().address(&path).register("Counter", counter);
            let manager = if round == 0 { builder.start().await } else { builder.serve() };
            let manager = manager.expect("nobody else listens there");
            let theirs = Manager::connect(&path).await.expect("it listens");
            assert_eq!(theirs.find::<Proxy<Counter>>("counter").await.expect(CALLED), None);
            let counter: Proxy<Counter> = manager.create_named("Counter", (7_u64,)).await.expect(CALLED);
            assert!(manager.publish("counter", &counter).await.expect(CALLED));
            let found = theirs.find::<Proxy<Counter>>("counter").await.expect(CALLED);
            let found = found.expect("it is published");
            assert!(found == counter);
            drop(counter);
            assert_eq!(found.call_named::<u64, _>("add", (1_u64,)).await.expect(CALLED), 8);
            let other = theirs.find::<Proxy<u32>>("counter").await;
            assert!(matches!(other, Err(Error::Refused { why: Refusal::WrongTypes, .. })));
            drop(manager);
            let left =
                || matches!(found.blocking_call_named::<u64, _>("value", ()), Err(Error::Disconnected));
            support::until(left).await;
            support::until(|| !path.exists()).await;
        }
    });
}

// C227
#[test]
fn a_manager_can_be_started_again_at_its_address() {
    run(async {
        let path = support::scratch("manager-again");
        for _ in 0..5 {
            let manager = Manager::builder().address(&path).start().await.expect("nobody else listens there");
            let second = Manager::builder().address(&path).start().await;
            assert!(matches!(second, Err(Error::Start { .. })), "it is taken");
            Manager::connect(&path).await.expect("it listens");
            ends(manager).await;
        }
    });
}

#[test]
fn there_are_no_more_connections_than_were_asked_for() {
    run(async {
        let none = Manager::builder().max_connections(0).start().await;
        assert!(matches!(none, Err(Error::Option { option: "max_connections", .. })));
        let manager = Manager::builder().max_connections(2).start().await.expect("a child can be started");
        let mut gate = Gate::new();
        let counter = manager.create(Counter::new, (7,)).await.expect(CALLED);
        let look = |_: &Counter, key: String| pass(&key);
        let looks = future::join(counter.call(look, (gate.key(),)), counter.call(look, (gate.key(),)));
        let third = async {
            gate.arrived().await;
            gate.arrived().await;
            let refused = counter.call(Counter::value, ()).await;
            assert!(matches!(refused, Err(Error::Refused { why: Refusal::Busy, .. })), "{refused:?}");
            gate.let_all_go();
        };
        let ((first, second), ()) = future::join(looks, third).await;
        first.and(second).expect(CALLED);
        assert_eq!(counter.call(Counter::value, ()).await.expect(CALLED), 7, "there is room again");
        ends(manager).await;
    });
}

#[test]
fn maps_of_std_are_objects_as_they_are() {
    run(async {
        let manager = Manager::start().await.expect("a child can be started");
        let map = manager.create(BTreeMap::<String, u32>::new, ()).await.expect(CALLED);
        assert_eq!(map.call(BTreeMap::insert, ("a".to_owned(), 1)).await.expect(CALLED), None);
        assert_eq!(map.call(BTreeMap::insert, ("a".to_owned(), 2)).await.expect(CALLED), Some(1));
        assert_eq!(map.call(BTreeMap::len, ()).await.expect(CALLED), 1);
        let sleepy = async |map: &BTreeMap<String, u32>| {
            tokio::time::timeout(Duration::from_millis(1), future::pending::<()>()).await.is_err()
                && !map.is_empty()
        };
        assert!(map.call(sleepy, ()).await.expect(CALLED));
        ends(manager).await;
    });
}
