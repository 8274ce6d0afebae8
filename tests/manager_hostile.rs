//! A manager against whoever has a proxy and means no good: what it sends is refused, and hurts nobody else.

mod support;

use multiprocess::{Connection, Manager, Proxy, Sender, pipe};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use support::run;

const CALLED: &str = "the manager lives";
const OPEN: &str = "it is open";

/// A proxy as it travels: which server, which object, and the door.
type Parts<T> = (u128, u64, Sender<T>);
/// Whoever comes to a door: the version, the build, and a line.
type Visitor = (u32, u64, Connection<Vec<u8>, Request>);
/// A call by place: its kind, the object, what is asked for, offset and fingerprint, arguments, handles, and what is lent.
type Request = (u8, u64, u8, i64, u64, Vec<u8>, Vec<u8>, Vec<u64>);

const VERSION: u32 = 2;
const MAKE: u8 = 0;
const CALL: u8 = 1;
/// How an answer begins that refuses, and why.
const REFUSED: u8 = 6;
const OTHER_PROGRAM: u8 = 4;
const OTHER_VERSION: u8 = 5;
const NO_FUNCTION: u8 = 6;

/// What is written as one type and read as another.
enum Recast<W, R> {
    Written(W),
    Read(R),
}

impl<W: Serialize, R> Serialize for Recast<W, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Written(written) => written.serialize(serializer),
            Self::Read(_) => Err(serde::ser::Error::custom("it was read")),
        }
    }
}

impl<'de, W, R: Deserialize<'de>> Deserialize<'de> for Recast<W, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        R::deserialize(deserializer).map(Self::Read)
    }
}

fn recast<W, R>(written: W) -> R
where
    W: Serialize + DeserializeOwned + Send + 'static,
    R: DeserializeOwned + Send + 'static,
{
    let (here, there) = pipe::<Recast<W, R>, Recast<W, R>>().expect("there are descriptors left");
    here.blocking_send(&Recast::Written(written)).expect(OPEN);
    match there.blocking_recv().expect("it was sent") {
        Recast::Read(read) => read,
        Recast::Written(_) => panic!("it was read"),
    }
}

/// The door of an object, for what is sent through it.
fn door<T: 'static>(proxy: &Proxy<u64>) -> Sender<T> {
    recast::<_, Parts<T>>(proxy.clone()).2
}

/// A line that was let in.
fn line(proxy: &Proxy<u64>, version: u32, build: u64) -> Connection<Request, Vec<u8>> {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    door::<Visitor>(proxy).blocking_send(&(version, build, theirs)).expect(OPEN);
    ours
}

fn call(proxy: &Proxy<u64>, what: u8, offset: i64) -> Request {
    (0, proxy.id(), what, offset, 7, Vec::new(), Vec::new(), Vec::new())
}

async fn lives(manager: Manager, proxy: Proxy<u64>) {
    assert_eq!(proxy.call(u64::clone, ()).await.expect(CALLED), 7);
    manager.shutdown().await.expect(CALLED);
}

/// The build of this program, as a proxy's own call tells it.
fn our_build(proxy: &Proxy<u64>) -> u64 {
    // A door of our own, in place of the object's, to which this program comes with its own build.
    let (taker, ours) = multiprocess::one_way::<Visitor>().expect("there are descriptors left");
    let (server, object, _) = recast::<_, Parts<Visitor>>(proxy.clone());
    let trap: Proxy<u64> = recast((server.wrapping_add(1), object, ours));
    let caught = std::thread::spawn(move || {
        let (version, build, _line) = taker.blocking_recv().expect("somebody comes");
        assert_eq!(version, VERSION);
        build
    });
    trap.blocking_call(u64::clone, ()).expect_err("it was let go");
    caught.join().expect("it does not panic")
}

#[test]
fn whatever_comes_through_a_door_only_visitors_are_let_in() {
    run(async {
        let manager = Manager::start().await.expect("a child can be started");
        let proxy = manager.create(|| 7_u64, ()).await.expect(CALLED);
        let door = door::<Vec<u8>>(&proxy);
        for length in [0, 1, 2, 10, 100, 40_000] {
            for byte in [0, 1, 0x7f, 0xff] {
                door.send_bytes(&vec![byte; length]).await.expect(OPEN);
            }
        }
        drop(door);
        lives(manager, proxy).await;
    });
}

// fault 96
#[test]
fn a_number_that_stands_for_no_function_calls_nothing() {
    run(async {
        let manager = Manager::start().await.expect("a child can be started");
        let proxy = manager.create(|| 7_u64, ()).await.expect(CALLED);
        let line = line(&proxy, VERSION, our_build(&proxy));
        for what in [MAKE, CALL] {
            for offset in [0, 1, -1, 8, 4_096, 1 << 30, i64::MAX, i64::MIN] {
                line.send(&call(&proxy, what, offset)).await.expect(OPEN);
                let answer = line.recv_bytes().await.expect(CALLED);
                assert_eq!(answer, [REFUSED, NO_FUNCTION], "{what} at {offset}");
            }
        }
        lives(manager, proxy).await;
    });
}

// fault 96
#[test]
fn another_program_and_another_version_call_nothing_by_its_place() {
    run(async {
        let manager = Manager::start().await.expect("a child can be started");
        let proxy = manager.create(|| 7_u64, ()).await.expect(CALLED);
        let build = our_build(&proxy);
        for (version, build, why) in
            [(VERSION, build ^ 1, OTHER_PROGRAM), (VERSION + 1, build, OTHER_VERSION)]
        {
            let line = line(&proxy, version, build);
            line.send(&call(&proxy, CALL, 0)).await.expect(OPEN);
            assert_eq!(line.recv_bytes().await.expect(CALLED), [REFUSED, why]);
        }
        lives(manager, proxy).await;
    });
}

#[test]
fn garbage_over_a_line_is_answered_and_hurts_nobody() {
    run(async {
        let manager = Manager::start().await.expect("a child can be started");
        let proxy = manager.create(|| 7_u64, ()).await.expect(CALLED);
        let line = line(&proxy, VERSION, our_build(&proxy));
        for length in [1, 2, 7, 100, 40_000] {
            line.send_bytes(&vec![0xff; length]).await.expect(OPEN);
            assert!(!line.recv_bytes().await.expect("it is answered").is_empty());
        }
        lives(manager, proxy).await;
    });
}
