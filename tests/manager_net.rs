//! Managers with a key, and with the feature `tls` with certificates: over TCP and at a path, used by processes and threads that have nothing but the address and the key.

#![cfg(feature = "net")]

mod support;

use std::time::Duration;

use futures::future;
use multiprocess::{
    Address, AuthKey, Credentials, DictProxy, Error, Exposed, ListProxy, LockProxy, Manager, Process, Proxy,
    QueueProxy, Refusal,
};
use support::authority::all_credentials;
use support::foreign::{SIGKILL, signal};
use support::gate::{Gate, pass};
use support::tally::{Tally, mark};
use support::twins::{Handle as _, Twin, on_twins, start};
use support::{run, scratch};

const CALLED: &str = "the manager lives";
const RUNS: &str = "the task has no reason to fail";
const LISTENS: &str = "it listens";

on_twins!(what_the_crate_has_is_used_over_a_network, what_is_registered_is_used_over_a_network);

/// Says when it is dropped.
struct Watched(String);

impl Watched {
    fn new(key: String) -> Self {
        Self(key)
    }

    fn look(&self) -> u32 {
        if self.0.is_empty() { 0 } else { 7 }
    }

    /// What they and this one say together.
    fn look_at(&self, others: Vec<Proxy<Self>>) -> u32 {
        // This one is shared.
        others.iter().map(|other| other.blocking_call(Self::look, ()).expect(CALLED)).sum::<u32>()
            + self.look()
    }

    fn back(&self, other: Proxy<Self>) -> (Proxy<Self>, u32) {
        let number = other.blocking_call(Self::look, ()).expect(CALLED);
        (other, number + self.look())
    }

    fn marked(key: String) -> Self {
        mark(&key, b'm');
        Self(key)
    }

    async fn wait_for_ever(&mut self) {
        mark(&self.0, b'w');
        future::pending::<()>().await;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        mark(&self.0, b'd');
    }
}

fn watched(exposed: Exposed<Watched>) -> Exposed<Watched> {
    exposed
        .create(Watched::new)
        .method("look", Watched::look)
        .method("look at", Watched::look_at)
        .method("back", Watched::back)
        .method("wait", Watched::wait_for_ever)
}

/// Where a manager listens, and its key.
type Place = (Address, Credentials);

fn connect((address, key): Place) -> Manager {
    Manager::blocking_connect_with(address, key).expect(LISTENS)
}

/// A manager in a child that listens there.
async fn manager(address: impl Into<Address>, key: &Credentials) -> (Manager, Place) {
    let manager = Manager::builder().address(address).credentials(key).register("Watched", watched);
    let manager =
        manager.register::<Watched>("Marked", |marked| marked.create(Watched::marked)).start().await;
    let manager = manager.expect("a child can be started");
    let place = (manager.address().expect(LISTENS).clone(), key.clone());
    (manager, place)
}

/// Managers over TCP and at a path, with all that they can have in common with their clients.
async fn managers() -> Vec<(Manager, Place)> {
    let mut managers = Vec::new();
    for key in all_credentials() {
        managers.extend([manager(("127.0.0.1", 0), &key).await, manager(scratch("keyed"), &key).await]);
    }
    managers
}

async fn ends(manager: Manager) {
    manager.shutdown().await.expect("it lives until now");
}

// C226 C237
async fn what_the_crate_has_is_used_over_a_network<T: Twin>() {
    fn use_it(place: Place) -> u32 {
        let manager = connect(place);
        let dict: DictProxy<String, u32> = manager.blocking_find("dict").expect(CALLED).expect("it is there");
        let queue: QueueProxy<u32> = manager.blocking_find("queue").expect(CALLED).expect("it is there");
        let lock: LockProxy = manager.blocking_find("lock").expect(CALLED).expect("it is there");
        let guard = lock.blocking_acquire().expect(CALLED);
        let known = dict.blocking_get(&"a".to_owned()).expect(CALLED).expect("it was put in");
        dict.blocking_insert(&"b".to_owned(), &(known + 1)).expect(CALLED);
        drop(guard);
        let own = manager.blocking_list().expect(CALLED);
        own.blocking_extend(0..3_000).expect(CALLED);
        own.blocking_push(&queue.blocking_get().expect(CALLED)).expect(CALLED);
        assert!(manager.blocking_publish("list", &own).expect(CALLED));
        assert!(!manager.blocking_publish("dict", &own).expect(CALLED), "the name is taken");
        own.blocking_to_vec().expect(CALLED).into_iter().sum()
    }
    for (manager, place) in managers().await {
        let dict = manager.dict::<String, u32>().await.expect(CALLED);
        let queue = manager.queue::<u32>().await.expect(CALLED);
        dict.insert(&"a".to_owned(), &1).await.expect(CALLED);
        let lock = manager.lock().await.expect(CALLED);
        assert!(manager.publish("dict", &dict).await.expect(CALLED));
        assert!(manager.publish("queue", &queue).await.expect(CALLED));
        assert!(manager.publish("lock", &lock).await.expect(CALLED));
        let client = start::<T, _, _, _>(use_it, (place,));
        queue.put(&7_u32).await.expect(CALLED);
        assert_eq!(client.join().await.expect(RUNS), 2_999 * 1_500 + 7);
        assert_eq!(dict.get(&"b".to_owned()).await.expect(CALLED), Some(2));
        assert!(!lock.locked().await.expect(CALLED));
        let list: ListProxy<u32> =
            manager.find("list").await.expect(CALLED).expect("it keeps what is published");
        assert_eq!(list.len().await.expect(CALLED), 3_001);
        assert!(manager.unpublish("list").await.expect(CALLED));
        ends(manager).await;
    }
}

// C225 C226, fault 96
async fn what_is_registered_is_used_over_a_network<T: Twin>() {
    fn refused<T>(result: multiprocess::Result<T>) -> Option<Refusal> {
        match result {
            Err(Error::Refused { why, .. }) => Some(why),
            _ => None,
        }
    }
    fn use_it(place: Place, key: String) {
        let manager = connect(place);
        let made: Proxy<Watched> = manager.blocking_create_named("Watched", (key,)).expect(CALLED);
        assert_eq!(made.blocking_call_named::<u32, _>("look", ()).expect(CALLED), 7);
        let wrong = [
            refused(made.blocking_call_named::<u32, _>("loo", ())),
            refused(made.blocking_call_named::<u64, _>("look", ())),
            refused(made.blocking_call(Watched::look, ())),
            refused(manager.blocking_create(Watched::new, (String::new(),))),
            refused(manager.blocking_find::<Proxy<u32>>("watched")),
            refused(manager.blocking_shutdown()),
        ];
        let expected = [
            Refusal::UnknownMethod,
            Refusal::WrongTypes,
            Refusal::OtherProgram,
            Refusal::OtherProgram,
            Refusal::WrongTypes,
            Refusal::NotAllowed,
        ];
        assert_eq!(wrong, expected.map(Some));
    }
    for (manager, place) in managers().await {
        let tally = Tally::new();
        let watched: Proxy<Watched> =
            manager.create_named("Watched", ("/dev/null".to_owned(),)).await.expect(CALLED);
        manager.publish("watched", &watched).await.expect(CALLED);
        start::<T, _, _, _>(use_it, (place, tally.key())).join().await.expect(RUNS);
        support::until(|| tally.marks() == b"d").await;
        ends(manager).await;
    }
}

// C240, fault 97
#[test]
fn an_object_ends_with_the_last_proxy_of_the_last_client() {
    run(async {
        for (manager, (address, key)) in managers().await {
            let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let others = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let tally = Tally::new();
            let made: Proxy<Watched> = theirs.create_named("Watched", (tally.key(),)).await.expect(CALLED);
            theirs.publish("watched", &made).await.expect(CALLED);
            let found: Proxy<Watched> = others.find("watched").await.expect(CALLED).expect("it is published");
            let again: Proxy<Watched> = others.find("watched").await.expect(CALLED).expect("it is published");
            assert!(theirs.unpublish("watched").await.expect(CALLED));
            assert_eq!(theirs.find::<Proxy<Watched>>("watched").await.expect(CALLED), None);
            drop((made, found));
            assert_eq!(again.call_named::<u32, _>("look", ()).await.expect("one is left"), 7);
            assert_eq!(tally.count(), 0);
            drop(again);
            support::until(|| tally.marks() == b"d").await;
            ends(manager).await;
        }
    });
}

// C240, fault 97
#[test]
fn a_client_that_is_killed_loses_its_objects_its_locks_and_its_calls() {
    fn hold(place: Place, tally: String, gate: String) {
        let manager = connect(place);
        let made: Proxy<Watched> = manager.blocking_create_named("Watched", (tally,)).expect(CALLED);
        let lock: LockProxy = manager.blocking_find("lock").expect(CALLED).expect("it is there");
        let _guard = lock.blocking_acquire().expect(CALLED);
        pass(&gate);
        let _never = made.blocking_call_named::<(), _>("wait", ());
    }
    run(async {
        for (manager, place) in managers().await {
            let lock = manager.lock().await.expect(CALLED);
            manager.publish("lock", &lock).await.expect(CALLED);
            let (tally, mut gate) = (Tally::new(), Gate::new());
            let client =
                Process::spawn(hold, (place, tally.key(), gate.key())).expect("a process can be started");
            gate.arrived().await;
            gate.let_all_go();
            support::until(|| tally.marks() == b"w").await;
            assert!(lock.try_acquire().await.expect(CALLED).is_none());
            client.kill().expect("it runs");
            client.join().await.expect_err("it was killed");
            let guard = lock.acquire().await.expect(CALLED);
            support::until(|| tally.marks() == b"wd").await;
            drop(guard);
            ends(manager).await;
        }
    });
}

// C241, fault 98
#[test]
fn a_manager_that_was_killed_is_gone_though_another_one_listens_there() {
    run(async {
        let key = AuthKey::generate().into();
        let (manager, (address, _)) = manager(("127.0.0.1", 0), &key).await;
        let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
        let tally = Tally::new();
        let made: Proxy<Watched> = theirs.create_named("Watched", (tally.key(),)).await.expect(CALLED);
        let waits = made.call_named::<(), _>("wait", ());
        let kill = async {
            support::until(|| tally.count() == 1).await;
            signal(manager.pid().expect("it was started here"), SIGKILL);
        };
        let (waited, ()) = future::join(waits, kill).await;
        assert!(matches!(waited, Err(Error::Disconnected)), "{waited:?}");
        let call = || made.call_named::<u32, _>("look", ());
        assert!(matches!(call().await, Err(Error::Disconnected)));
        drop(manager);
        let next = loop {
            // The port may still be held by what is left of the old one.
            let next = Manager::builder().address(address.clone()).credentials(&key).start().await;
            if let Ok(next) = next {
                break next;
            }
        };
        let called = call().await;
        assert!(matches!(called, Err(Error::Disconnected)), "{called:?}");
        assert!(matches!(theirs.dict::<u32, u32>().await, Err(Error::Disconnected)));
        ends(next).await;
    });
}

// C239 C240
#[test]
fn proxies_travel_inside_of_what_is_sent_to_their_manager() {
    run(async {
        for (manager, (address, key)) in managers().await {
            let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let others = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let tally = Tally::new();
            let made: Proxy<Watched> = theirs.create_named("Watched", (tally.key(),)).await.expect(CALLED);
            let shelf = theirs.dict::<u32, Vec<Proxy<Watched>>>().await.expect(CALLED);
            theirs.publish("shelf", &shelf).await.expect(CALLED);
            let id = made.id();
            shelf.insert(&1, &vec![made.clone(), made]).await.expect(CALLED);
            drop((shelf, theirs));
            // Whoever connects later, and whoever is on the manager's machine, has it from there.
            let found: DictProxy<u32, Vec<Proxy<Watched>>> =
                others.find("shelf").await.expect(CALLED).expect("it is published");
            let taken = found.get(&1).await.expect(CALLED).expect("it was put there");
            assert_eq!((taken[0].id(), taken[1].id()), (id, id));
            assert_eq!(taken[1].call_named::<u32, _>("look", ()).await.expect(CALLED), 7);
            let here: DictProxy<u32, Vec<Proxy<Watched>>> =
                manager.find("shelf").await.expect(CALLED).expect("it is published");
            let local = here.get(&1).await.expect(CALLED).expect("it was put there").remove(0);
            assert_eq!(local.call(Watched::look, ()).await.expect(CALLED), 7);
            // It lives as long as somebody has it.
            others.unpublish("shelf").await.expect(CALLED);
            assert!(found.keys().await.expect(CALLED) == [1]);
            drop((here, found));
            assert_eq!(taken[0].call_named::<u32, _>("look", ()).await.expect(CALLED), 7);
            drop(taken);
            assert_eq!((tally.count(), local.call(Watched::look, ()).await.expect(CALLED)), (0, 7));
            drop(local);
            support::until(|| tally.marks() == b"d").await;
            ends(manager).await;
        }
    });
}

// C239 C240
#[test]
fn proxies_are_arguments_results_and_items_of_queues_over_a_network() {
    run(async {
        for (manager, (address, key)) in managers().await {
            let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let tally = Tally::new();
            let made: Proxy<Watched> = theirs.create_named("Watched", (tally.key(),)).await.expect(CALLED);
            let other: Proxy<Watched> =
                theirs.create_named("Watched", ("/dev/null".to_owned(),)).await.expect(CALLED);
            let sum: u32 =
                other.call_named("look at", (vec![made.clone(), other.clone()],)).await.expect(CALLED);
            assert_eq!(sum, 21, "the manager itself can use them");
            let (back, number): (Proxy<Watched>, u32) =
                other.call_named("back", (made.clone(),)).await.expect(CALLED);
            assert_eq!((back.id(), number), (made.id(), 14));
            drop(made);
            let queue: QueueProxy<Option<Proxy<Watched>>> = theirs.queue().await.expect(CALLED);
            queue.put(&Some(back)).await.expect(CALLED);
            queue.put(&None).await.expect(CALLED);
            let last = queue.get().await.expect(CALLED).expect("it was put there");
            assert_eq!(last.call_named::<u32, _>("look", ()).await.expect(CALLED), 7);
            drop(last);
            support::until(|| tally.marks() == b"d").await;
            ends(manager).await;
        }
    });
}

// C239
#[test]
fn what_is_put_in_on_the_machine_of_the_manager_is_had_over_a_network() {
    run(async {
        for (manager, (address, key)) in managers().await {
            let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let mixed = manager.dict::<u32, ListProxy<u32>>().await.expect(CALLED);
            let list = manager.list().await.expect(CALLED);
            list.push(&5).await.expect(CALLED);
            mixed.insert(&1, &list).await.expect(CALLED);
            manager.publish("mixed", &mixed).await.expect(CALLED);
            let found: DictProxy<u32, ListProxy<u32>> =
                theirs.find("mixed").await.expect(CALLED).expect("it is published");
            let mut pages = found.pages();
            let (_, listed) = pages.next().await.expect(CALLED).expect("there is one");
            assert_eq!(listed.pop().await.expect(CALLED), Some(5));
            // Handles of others do not travel.
            let files = manager.list::<multiprocess::Handle<std::fs::File>>().await.expect(CALLED);
            files
                .push(&multiprocess::Handle::new(std::fs::File::open("/dev/null").expect("it is there")))
                .await
                .expect(CALLED);
            manager.publish("files", &files).await.expect(CALLED);
            let files: ListProxy<multiprocess::Handle<std::fs::File>> =
                theirs.find("files").await.expect(CALLED).expect("it is published");
            assert!(matches!(files.get(0).await, Err(Error::Encode { what: "the result", .. })));
            // A function does not travel, as an update would want it to.
            let numbers = theirs.dict::<u32, u32>().await.expect(CALLED);
            let updated = numbers.update(&1, u32::clone, ()).await;
            assert!(matches!(updated, Err(Error::Refused { why: Refusal::OtherProgram, .. })), "{updated:?}");
            ends(manager).await;
        }
    });
}

#[test]
fn proxies_of_a_network_go_nowhere_but_to_their_manager() {
    #[track_caller]
    fn assert_refused<T: std::fmt::Debug>(sent: multiprocess::Result<T>) {
        let error = sent.expect_err("it stays");
        assert!(matches!(error, Error::EncodeMessage { .. } | Error::Encode { .. }), "{error:?}");
        assert!(error.to_string().contains("publish it by a name"), "{error}");
    }
    run(async {
        for (manager, (address, key)) in managers().await {
            let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let others = Manager::connect_with(&address, &key).await.expect(LISTENS);
            let list = theirs.list::<u32>().await.expect(CALLED);
            // To another connection of the same process, to the manager on this machine, and past it.
            assert_refused(others.dict().await.expect(CALLED).insert(&1_u32, &list).await);
            assert_refused(manager.dict().await.expect(CALLED).insert(&1_u32, &list).await);
            assert_refused(Process::spawn(|list: ListProxy<u32>| list.id(), (list.clone(),)));
            let (sender, _receiver) =
                multiprocess::pipe::<ListProxy<u32>, u32>().expect("there are descriptors left");
            assert_refused(sender.send(&list).await);
            let put = theirs
                .list::<Manager>()
                .await
                .expect(CALLED)
                .push(&theirs.clone())
                .await
                .expect_err("it stays");
            assert!(put.to_string().contains("connect to it there"), "{put}");
            assert!(list.is_empty().await.expect("it goes on"));
            ends(manager).await;
        }
    });
}

#[test]
fn what_is_made_for_a_future_that_is_dropped_goes_over_a_network_too() {
    use futures::FutureExt as _;
    run(async {
        for (manager, (address, key)) in managers().await {
            let theirs = Manager::connect_with(&address, &key).await.expect(LISTENS);
            for _ in 0..20 {
                // There is a line, so that the request is sent at once.
                theirs.list::<u32>().await.expect(CALLED);
                let tally = Tally::new();
                let made = theirs.create_named::<Watched, _>("Marked", (tally.key(),)).now_or_never();
                drop(made);
                support::until(|| tally.marks() == b"md").await;
            }
            ends(manager).await;
        }
    });
}

// C074, fault 93
#[test]
fn whoever_has_another_key_is_no_client() {
    run(async {
        for (manager, (address, _)) in managers().await {
            let stranger = Manager::connect_with(&address, &AuthKey::generate()).await;
            assert!(matches!(stranger, Err(Error::Authentication { .. })));
            if address.path().is_some() {
                let without = tokio::time::timeout(Duration::from_secs(30), Manager::connect(&address)).await;
                assert!(without.expect("it does not wait for ever").is_err());
            }
            let dict = manager.dict::<u32, u32>().await.expect(CALLED);
            assert!(dict.is_empty().await.expect("it goes on"));
            ends(manager).await;
        }
        let open = Manager::builder().address(("127.0.0.1", 0)).serve();
        assert!(matches!(open, Err(Error::Option { option: "authkey", .. })));
    });
}

#[test]
fn the_key_is_in_no_argument_and_no_variable_of_the_manager() {
    run(async {
        for (manager, (_, key)) in managers().await {
            let Credentials::Key(key) = key else { continue };
            let text = key.to_hex();
            let pid = manager.pid().expect("it was started here");
            for file in ["cmdline", "environ"] {
                let told = std::fs::read(format!("/proc/{pid}/{file}")).expect("it is ours");
                assert!(!told.windows(32).any(|bytes| bytes == key.as_bytes()));
                assert!(!told.windows(text.len()).any(|bytes| bytes == text.as_bytes()));
            }
            ends(manager).await;
        }
    });
}
