//! Values that are encoded once, and decoded once in each worker.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use multiprocess::{
    Client, Connection, Context, Error, Kind, Listener, Process, ProcessPool, Shared, StartMethod,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use support::census::Census;
use support::{alone::alone, end, on_both, on_processes, pool, run};

/// What the tests expect of what has no reason to fail.
const RUNS: &str = "it has no reason to fail";

/// How often this process has decoded one.
static DECODED: AtomicU32 = AtomicU32::new(0);

/// Counts how often it is decoded.
#[derive(Debug, PartialEq)]
struct Counted(Vec<String>);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        Vec::deserialize(deserializer).map(Self)
    }
}

type Table = BTreeMap<String, Vec<u32>>;

fn table() -> Table {
    (0..1_000).map(|n| (format!("row {n}"), vec![n; 3])).collect()
}

async fn a_value_arrives_as_it_was<K: Kind>() {
    let (pool, table) = (pool::<K>(2), table());
    let shared = Shared::new(&table).expect(RUNS);
    let finds = |shared: Shared<Table>, n: u32| shared.get().expect(RUNS)[&format!("row {n}")][2];
    let calls: Vec<_> = (0..100).map(|n| (shared.clone(), n)).collect();
    assert!(pool.starmap(finds, calls).await.expect(RUNS).into_iter().eq(0..100));
    let back = pool.apply(|shared: Shared<Table>| Some(shared), (shared,)).await.expect(RUNS);
    assert_eq!(*back.expect("it came back").get().expect(RUNS), table);
    end(pool).await;
}

async fn a_slice_arrives_as_it_was_and_is_not_copied<K: Kind>() {
    let pool = pool::<K>(2);
    let numbers: Vec<u32> = (0..100_000).collect();
    let shared = Shared::from_slice(&numbers).expect(RUNS);
    assert_eq!(&*shared, &numbers[..]);
    let sums = |shared: Shared<[u32]>, from: usize| {
        shared[from..from + 1_000].iter().map(|n| u64::from(*n)).sum::<u64>()
    };
    let calls: Vec<_> = (0..100).map(|n| (shared.clone(), n * 1_000)).collect();
    let all: Vec<u64> = pool.starmap(sums, calls).await.expect(RUNS);
    assert_eq!(all.iter().sum::<u64>(), numbers.iter().map(|n| u64::from(*n)).sum());
    let none = Shared::<[u64]>::from_slice(&[]).expect(RUNS);
    assert_eq!(pool.apply(|none: Shared<[u64]>| none.len(), (none,)).await.expect(RUNS), 0);
    end(pool).await;
}

on_both!(a_value_arrives_as_it_was, a_slice_arrives_as_it_was_and_is_not_copied);

async fn a_worker_decodes_a_value_once() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    let looks = |shared: Shared<Counted>| {
        let value = shared.get().expect(RUNS);
        (value.0.len(), DECODED.load(Ordering::Relaxed))
    };
    let first = Shared::new(&Counted(vec!["a".into(); 10])).expect(RUNS);
    let calls = vec![first.clone(); 20];
    assert_eq!(pool.map(looks, calls).chunksize(1).await.expect(RUNS), [(10, 1); 20]);
    let second = Shared::new(&Counted(vec!["b".into(); 3])).expect(RUNS);
    assert_eq!(pool.apply(looks, (second,)).await.expect(RUNS), (3, 2));
    assert_eq!(pool.apply(looks, (first,)).await.expect(RUNS), (10, 2), "it is kept between the calls");
    // Of those that no handle is for, so many are kept: the first is not.
    let forever = |shared: Shared<Counted>| std::mem::forget(shared);
    let kept = Shared::new(&Counted(Vec::new())).expect(RUNS);
    pool.apply(forever, (kept.clone(),)).await.expect(RUNS);
    pool.apply(looks, (kept.clone(),)).await.expect(RUNS);
    let others = (0..9).map(|_| Shared::new(&Counted(vec!["c".into()])).expect(RUNS));
    pool.map(looks, others.collect::<Vec<_>>()).await.expect(RUNS);
    assert_eq!(pool.apply(looks, (kept,)).await.expect(RUNS), (0, 12), "there is a handle for it");
    end(pool).await;
}

async fn many_threads_of_a_process_decode_it_once() {
    let shared = Shared::new(&Counted(vec!["d".into()])).expect(RUNS);
    let gets = |shared: Shared<Counted>| {
        let first = shared.get().expect(RUNS);
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..8).map(|_| scope.spawn(|| shared.get().expect(RUNS))).collect();
            assert!(
                others.into_iter().all(|other| std::sync::Arc::ptr_eq(&first, &other.join().expect(RUNS)))
            );
        });
        DECODED.load(Ordering::Relaxed)
    };
    assert_eq!(Process::spawn(gets, (shared,)).expect("it starts").join().await.expect("it returns"), 1);
}

// C244
async fn every_start_method_and_a_grandchild_have_it() {
    let (value, slice) =
        (Shared::new(&table()).expect(RUNS), Shared::from_slice(&[1.5_f64; 1_000]).expect(RUNS));
    for method in [StartMethod::Spawn, StartMethod::Forkserver] {
        let passes_on = |value: Shared<Table>, slice: Shared<[f64]>| {
            let pool = ProcessPool::new(1).expect("the pool starts");
            let looks = |value: Shared<Table>, slice: Shared<[f64]>| {
                (value.get().expect(RUNS).len(), slice.iter().sum::<f64>())
            };
            let looked = pool.blocking_apply(looks, (value, slice)).expect(RUNS);
            pool.blocking_shutdown().expect("it ends");
            looked
        };
        let process =
            Context::new(method).spawn(passes_on, (value.clone(), slice.clone())).expect("it starts");
        assert_eq!(process.join().await.expect("it returns"), (1_000, 1_500.0), "{method}");
    }
}

on_processes!(
    a_worker_decodes_a_value_once,
    many_threads_of_a_process_decode_it_once,
    every_start_method_and_a_grandchild_have_it,
);

#[test]
fn a_value_that_cannot_be_encoded_or_has_handles_is_an_error() {
    let refused = Shared::new(&support::values::Unencodable).expect_err("it refuses to be encoded");
    assert!(matches!(refused, Error::EncodeShared { .. }));
    let event = multiprocess::RawValue::new(1).expect(RUNS);
    let refused = Shared::new(&event).expect_err("it has a handle");
    assert!(matches!(&refused, Error::EncodeShared { cause } if cause.contains("handles")), "{refused}");
    let undecodable = Shared::new(&support::values::Undecodable).expect(RUNS);
    assert!(matches!(undecodable.get().map(drop), Err(Error::DecodeShared { .. })));
}

// fault 90
#[test]
fn one_of_another_type_is_an_error() {
    run(async {
        let listener = Listener::new().expect(RUNS);
        let theirs: Connection<Shared<[u32]>, ()> = Client::connect(listener.address()).await.expect(RUNS);
        let ours: Connection<(), Shared<[u64]>> = listener.accept().await.expect(RUNS);
        theirs.send(&Shared::from_slice(&[1, 2, 3]).expect(RUNS)).await.expect("it travels");
        assert!(matches!(ours.recv().await.map(drop), Err(Error::DecodeMessage { .. })));
        let theirs: Connection<Shared<u32>, ()> = Client::connect(listener.address()).await.expect(RUNS);
        let ours: Connection<(), Shared<String>> = listener.accept().await.expect(RUNS);
        theirs.send(&Shared::new(&7).expect(RUNS)).await.expect("it travels");
        let shared = ours.recv().await.expect("what it is of shows when it is decoded");
        assert!(matches!(shared.get().map(drop), Err(Error::DecodeShared { .. })));
    });
}

// C127
#[test]
fn nothing_is_left_of_what_was_dropped() {
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            run(async {
                let (value, slice) =
                    (Shared::new(&table()).expect(RUNS), Shared::from_slice(&vec![7_u8; 100_000]));
                value.get().expect(RUNS);
                let pool = ProcessPool::new(1).expect("the pool starts");
                let takes =
                    |value: Shared<Table>, slice: Shared<[u8]>| value.get().expect(RUNS).len() + slice.len();
                assert_eq!(pool.apply(takes, (value, slice.expect(RUNS))).await.expect(RUNS), 101_000);
                end(pool).await;
            });
            before.settles();
        }
    });
}
