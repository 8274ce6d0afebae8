//! Calls so quick that they travel together: orders that are held back, answers that are held back, and frames that are handed over past the
//! pipe. Whoever waits for them must see nothing of it.

mod support;

use futures::StreamExt as _;
use multiprocess::{Error, Exit, Kind, Pool, ProcessPool};
use support::gate::{Gate, pass, stand};
use support::{death, on_both, on_processes};

/// So many calls are quick, and the one behind them is not.
const QUICK: u64 = 100;

on_both!(a_slow_call_holds_up_none_of_the_answers_before_it, callers_get_each_their_own_answer);

on_processes!(
    a_call_that_dies_takes_none_of_the_answers_before_it_along,
    what_was_taken_back_is_not_overtaken_by_what_follows_it,
);

/// Quick, until it comes to the gate.
fn up_to_the_gate((n, key): (u64, String)) -> u64 {
    if n == QUICK {
        pass(&key);
    }
    n
}

async fn a_slow_call_holds_up_none_of_the_answers_before_it<K: Kind>() {
    let pool = Pool::<K>::new(1).expect("the pool starts");
    for _ in 0..20 {
        let mut gate = Gate::new();
        let key = gate.key();
        let calls = (0..=QUICK).map(move |n| (n, key.clone()));
        let mut results = pool.imap(up_to_the_gate, calls).chunksize(1);
        for n in 0..QUICK {
            assert_eq!(results.next().await.expect("there are more").expect("it succeeds"), n);
        }
        let ((), last) = tokio::join!(
            async {
                gate.arrived().await;
                gate.let_all_go();
            },
            results.next(),
        );
        assert_eq!(last.expect("there is one more").expect("it succeeds"), QUICK);
    }
    pool.shutdown().await.expect("it ends");
}

async fn callers_get_each_their_own_answer<K: Kind>() {
    let pool = Pool::<K>::new(2).expect("the pool starts");
    let caller = |caller: u64| {
        let pool = pool.clone();
        async move {
            for n in 0..500 {
                let sum = pool.apply(|a: u64, b: u64| a * 1_000 + b, (caller, n)).await;
                assert_eq!(sum.expect("it succeeds"), caller * 1_000 + n);
            }
        }
    };
    futures::future::join_all((0..8).map(caller)).await;
    pool.shutdown().await.expect("it ends");
}

fn up_to_the_end(n: u64) -> u64 {
    if n == QUICK {
        std::process::abort();
    }
    n
}

// fault 1
async fn a_call_that_dies_takes_none_of_the_answers_before_it_along() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    for _ in 0..20 {
        let results: Vec<_> = pool.imap(up_to_the_end, 0..=QUICK).chunksize(1).collect().await;
        for (n, result) in results.into_iter().enumerate() {
            if n as u64 == QUICK {
                assert_eq!(death(result).exit, Exit::Signal(support::foreign::SIGABRT));
            } else {
                assert_eq!(result.expect("it had finished before"), n as u64);
            }
        }
    }
    pool.shutdown().await.expect("it ends");
}

/// The first call of a function says where it is, and later ones only how it is called. If the first is taken back, that must have been
/// heard all the same.
async fn what_was_taken_back_is_not_overtaken_by_what_follows_it() {
    for _ in 0..20 {
        let pool = ProcessPool::new(1).expect("the pool starts");
        let mut gate = Gate::new();
        pool.map(|n: u64| n, 0..1_000).chunksize(1).await.expect("it gets quick");
        let held = pool.apply_async(stand, (gate.key(),));
        gate.arrived().await;
        let first = pool.apply_async(|n: u64| n + 1, (1,));
        assert!(first.cancel());
        assert!(matches!(first.await, Err(Error::Cancelled { .. })));
        gate.let_all_go();
        held.await.expect("it was let go");
        let f = |n: u64| n + 2;
        let taken_back = pool.apply_async(f, (1,));
        taken_back.cancel();
        for n in 0..100 {
            assert_eq!(pool.apply(f, (n,)).await.expect("the function is known"), n + 2);
        }
        pool.shutdown().await.expect("it ends");
    }
}
