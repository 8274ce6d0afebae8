//! Initializers of managers, and what they leave for functions and methods.

mod support;

use multiprocess::{Error, Manager, ManagerBuilder, Process, Proxy, Result, worker};
use support::run;
use support::tally::{Tally, mark};
use support::values::Unencodable;

const CALLED: &str = "the manager lives";

/// What an initializer may return: no serde can write it.
struct Base(u64, String);

impl Drop for Base {
    fn drop(&mut self) {
        mark(&self.1, b'd');
    }
}

fn load(base: u64, key: String) -> Base {
    mark(&key, b'i');
    Base(base, key)
}

fn base() -> u64 {
    worker::state::<Base>().expect("the manager has an initializer").0
}

/// Both ways to run a manager.
async fn begun(builder: fn() -> ManagerBuilder) -> [Result<Manager>; 2] {
    [builder().start().await, builder().serve()]
}

// C163
#[test]
fn an_initializer_runs_in_the_server_before_it_serves() {
    fn add(sum: Proxy<u64>) -> u64 {
        let add_base = async |sum: &mut u64| {
            tokio::task::yield_now().await;
            *sum += base();
            *sum
        };
        sum.blocking_call(add_base, ()).expect(CALLED)
    }
    run(async {
        for is_child in [true, false] {
            let tally = Tally::new();
            let builder = Manager::builder().initializer(load, (300, tally.key()));
            let manager = if is_child { builder.start().await } else { builder.serve() };
            let manager = manager.expect("it can be started");
            assert_eq!(tally.marks(), b"i");
            let sum = manager.create(base, ()).await.expect(CALLED);
            assert_eq!(sum.call(|sum: &u64| sum + base(), ()).await.expect(CALLED), 600);
            let process = Process::spawn(add, (sum,)).expect("a process can be started");
            assert_eq!(process.join().await.expect("it has no reason to fail"), 600);
            assert!(worker::state::<Base>().is_none(), "this is no manager");
            assert_eq!(tally.marks(), b"i");
            manager.shutdown().await.expect(CALLED);
            support::until(|| tally.marks() == b"id").await;
        }
    });
}

// C163
#[test]
fn an_initializer_that_fails_is_an_error_of_the_start() {
    run(async {
        let fails = || Err::<(), _>("no route");
        for started in begun(|| Manager::builder().try_initializer(fails_with, ("no route".into(),))).await {
            assert!(
                matches!(&started, Err(Error::Initializer { cause }) if cause == "no route"),
                "{started:?}"
            );
        }
        for started in
            begun(|| Manager::builder().initializer(|| -> u8 { panic!("no more paper") }, ())).await
        {
            let Err(Error::Initializer { cause }) = &started else { panic!("unexpected: {started:?}") };
            assert!(cause.contains("manager_initializer.rs") && cause.ends_with("no more paper"), "{cause}");
        }
        for started in begun(|| Manager::builder().initializer(|_: Unencodable| (), (Unencodable,))).await {
            assert!(matches!(&started, Err(Error::Encode { what: "the arguments", .. })), "{started:?}");
        }
        let unseen = Manager::builder().initializer(fails, ()).start().await;
        assert!(matches!(&unseen, Err(Error::Option { option: "initializer", .. })), "{unseen:?}");
        let last = Manager::builder().initializer(|| 1_u8, ()).try_initializer(|| Ok::<_, String>(2_u8), ());
        let manager = last.start().await.expect("it can be started");
        let state = || worker::state::<u8>().map(|state| *state);
        let state = manager.create(state, ()).await.expect(CALLED);
        assert_eq!(state.call(|state: &Option<u8>| *state, ()).await.expect(CALLED), Some(2));
        manager.shutdown().await.expect(CALLED);
    });
}

fn fails_with(cause: String) -> Result<(), String> {
    Err(cause)
}
