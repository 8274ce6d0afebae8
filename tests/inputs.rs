//! Inputs that fail, panic, never end or come slowly, elements that fail, and what waits: bounded, and in its place.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use multiprocess::{Error, Kind, Pool, ProcessPool};
use support::alone::alone;
use support::census::memory_kib;
use support::gate::{Gate, pass, stand};
use support::{on_both, run};

fn pool<K: Kind>(workers: usize) -> Pool<K> {
    Pool::new(workers).expect("the pool starts")
}

fn fails_at(failing: u32, n: u32) -> u32 {
    assert!(n != failing, "element {n}");
    n
}

// fault 76
async fn a_map_fails_with_the_element_that_fails_whichever_it_is<K: Kind>() {
    let pool = pool::<K>(2);
    for chunksize in 1..=6 {
        for failing in 0..6 {
            let input = (0..6).map(move |n| (failing, n));
            match pool.starmap(fails_at, input).chunksize(chunksize).await {
                Err(Error::Panicked(panic)) => assert_eq!(panic.message, format!("element {failing}")),
                other => panic!("element {failing} of chunks of {chunksize} fails, but: {other:?}"),
            }
        }
    }
    assert_eq!(pool.map(|n: u32| n, 0..5).await.expect("the pool goes on"), [0, 1, 2, 3, 4]);
    pool.shutdown().await.expect("it ends");
}

// fault 76
async fn a_stream_misses_only_the_element_that_fails<K: Kind>() {
    let pool = pool::<K>(2);
    for chunksize in 1..=6 {
        for failing in 0..6 {
            let input = (0..6).map(move |n| (failing, n));
            let results: Vec<_> =
                pool.imap(|(failing, n)| fails_at(failing, n), input).chunksize(chunksize).collect().await;
            let expected: Vec<_> = (0..6).map(|n| (n != failing).then_some(n)).collect();
            assert_eq!(results.into_iter().map(Result::ok).collect::<Vec<_>>(), expected);
        }
    }
    pool.shutdown().await.expect("it ends");
}

// fault 76
async fn a_map_that_fails_reads_no_more_of_an_endless_input<K: Kind>() {
    let pool = pool::<K>(2);
    let result = pool.map(|n: u32| fails_at(1_000, n), 0..).await;
    assert!(matches!(result, Err(Error::Panicked(_))), "{result:?}");
    // What was cancelled is not in the way of what comes next.
    assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
    pool.shutdown().await.expect("it ends");
}

/// An input that panics instead of giving its element `at`.
fn breaks_at(at: u32) -> impl Iterator<Item = u32> + Send {
    (0..100).inspect(move |n| assert!(*n != at, "no element {n}"))
}

// fault 77
async fn an_input_that_panics_fails_its_map_and_nothing_else<K: Kind>() {
    let pool = pool::<K>(2);
    for at in [0, 1, 2, 7, 99] {
        for result in
            [pool.map(|n: u32| n, breaks_at(at)).await, pool.map_async(|n: u32| n, breaks_at(at)).await]
        {
            match result {
                Err(Error::Input(panic)) => assert_eq!(panic.message, format!("no element {at}")),
                other => panic!("its input panics at {at}, but: {other:?}"),
            }
        }
        assert_eq!(pool.apply(|| 1, ()).await.expect("the pool goes on"), 1);
    }
    pool.shutdown().await.expect("it ends");
}

// fault 77
async fn what_an_input_gave_before_it_panicked_is_answered<K: Kind>() {
    let pool = pool::<K>(2);
    for at in [0, 1, 2, 7, 99] {
        let results: Vec<_> = pool.imap(|n: u32| n, breaks_at(at)).collect().await;
        let (last, before) = results.split_last().expect("the panic is a result");
        assert!(matches!(last, Err(Error::Input(_))), "{last:?}");
        assert!(before.iter().zip(0..at).all(|(result, n)| matches!(result, Ok(m) if *m == n)));
        assert_eq!(before.len(), usize::try_from(at).expect("it is small"));
    }
    pool.shutdown().await.expect("it ends");
}

// fault 77
async fn an_endless_input_is_read_no_further_than_it_is_needed<K: Kind>() {
    let pool = pool::<K>(2);
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let input = (0_u64..).inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let first: Vec<u64> =
        pool.imap(|n: u64| n, input).buffer(16).take(10).try_collect().await.expect("no task fails");
    assert!(first.into_iter().eq(0..10));
    assert!(read.load(Ordering::Relaxed) <= 10 + 16);
    pool.shutdown().await.expect("it ends");
}

// fault 77
async fn elements_that_come_slowly_are_answered_as_they_come<K: Kind>() {
    let pool = pool::<K>(2);
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<u32>();
    let input = futures::stream::unfold(receiver, async |mut receiver| {
        let element = receiver.recv().await?;
        Some((element, receiver))
    });
    let mut results = pool.imap_stream(|n: u32| n * 2, input);
    for n in 0..20 {
        sender.send(n).expect("the stream reads");
        let result = results.next().await.expect("there is one for each").expect("no task fails");
        assert_eq!(result, n * 2, "it came before the next element was there");
    }
    drop(sender);
    assert!(results.next().await.is_none());
    pool.shutdown().await.expect("it ends");
}

/// The first element is held; all others are quick.
fn held_if_first((key, n): (String, u32)) -> Vec<u8> {
    if n == 0 {
        pass(&key);
    }
    vec![1; 1_024]
}

// fault 80
async fn a_slow_first_element_holds_the_input_back<K: Kind>() {
    const ALL: u32 = 1_000_000;
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let (key, read) = (gate.key(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&read);
    let input = (0..ALL).map(move |n| {
        counter.fetch_add(1, Ordering::Relaxed);
        (key.clone(), n)
    });
    let mut results = pool.imap(held_if_first, input).buffer(5_000);
    assert!(results.next().now_or_never().is_none(), "the first is held");
    gate.arrived().await;
    // Until the workers have done all that was read, and reading on changes nothing.
    loop {
        let before = read.load(Ordering::Relaxed);
        assert!(results.next().now_or_never().is_none(), "the first is held");
        let stats = pool.stats();
        if read.load(Ordering::Relaxed) == before && stats.queued == 0 && before >= 4_000 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(read.load(Ordering::Relaxed) <= 5_000, "{read:?} of the input wait in memory");
    gate.let_all_go();
    for _ in 0..20_000 {
        assert_eq!(results.next().await.expect("there are more").expect("no task fails").len(), 1_024);
    }
    drop(results);
    pool.shutdown().await.expect("it ends");
}

on_both!(
    a_map_fails_with_the_element_that_fails_whichever_it_is,
    a_stream_misses_only_the_element_that_fails,
    a_map_that_fails_reads_no_more_of_an_endless_input,
    an_input_that_panics_fails_its_map_and_nothing_else,
    what_an_input_gave_before_it_panicked_is_answered,
    an_endless_input_is_read_no_further_than_it_is_needed,
    elements_that_come_slowly_are_answered_as_they_come,
    a_slow_first_element_holds_the_input_back,
);

// fault 80
#[test]
fn results_behind_a_slow_first_element_take_bounded_memory_by_default_too() {
    alone(|| {
        run(async {
            let pool = ProcessPool::new(2).expect("the pool starts");
            let mut gate = Gate::new();
            let key = gate.key();
            let before = memory_kib("VmHWM");
            let mut results = pool.imap(held_if_first, (0..1_000_000).map(move |n| (key.clone(), n)));
            assert!(results.next().now_or_never().is_none(), "the first is held");
            gate.arrived().await;
            let mut done = 0;
            // The other worker stands still once no more is read: the same number of results again and again.
            let mut same = 0;
            while same < 2_000 {
                assert!(results.next().now_or_never().is_none(), "the first is held");
                let (stats, last) = (pool.stats(), done);
                done = stats.completed;
                same = if done == last && stats.queued == 0 && stats.running == 1 { same + 1 } else { 0 };
                tokio::task::yield_now().await;
            }
            let grown = memory_kib("VmHWM") - before;
            assert!(grown < 400 * 1_024, "{done} results of 1 KiB wait in {grown} KiB; all would take a GiB");
            gate.let_all_go();
            drop(results);
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 68
#[test]
fn a_limit_of_bytes_bounds_what_waits_for_a_worker_that_is_held() {
    alone(|| {
        run(async {
            let pool =
                ProcessPool::builder().workers(1).queue_bytes(4 << 20).build().expect("the pool starts");
            let mut gate = Gate::new();
            let held = pool.apply_async(stand, (gate.key(),));
            gate.arrived().await;
            let before = memory_kib("VmHWM");
            let (mut taken, mut refused) = (Vec::new(), 0);
            for _ in 0..100_000 {
                match pool.try_apply(|load: Vec<u8>| load.len(), (vec![1; 1_000],)) {
                    Ok(call) => taken.push(call.start()),
                    Err(Error::QueueFull) => refused += 1,
                    Err(other) => panic!("unexpected: {other:?}"),
                }
            }
            let grown = memory_kib("VmHWM") - before;
            // Those that were sent ahead have left the queue.
            assert!((4_096..5_000).contains(&taken.len()), "{} were taken", taken.len());
            assert_eq!(taken.len() + refused, 100_000);
            assert!(grown < 32 * 1_024, "it grew by {grown} KiB");
            gate.let_all_go();
            held.await.expect("it was let go");
            for call in taken {
                assert_eq!(call.await.expect("what was taken is done"), 1_000);
            }
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 68
#[test]
fn a_limit_of_calls_is_told_at_once_and_free_again_later() {
    run(async {
        let pool = ProcessPool::builder().workers(1).queue_limit(5).build().expect("the pool starts");
        let mut gate = Gate::new();
        let held = pool.apply_async(stand, (gate.key(),));
        gate.arrived().await;
        let mut taken = Vec::new();
        let full = loop {
            match pool.try_apply(|n: u32| n, (7,)) {
                Ok(call) => taken.push(call.start()),
                Err(error) => break error,
            }
            assert!(taken.len() < 100, "the limit is 5, and few are sent ahead");
        };
        assert!(matches!(full, Error::QueueFull), "{full:?}");
        let mut waits = pool.apply(|n: u32| n, (8,));
        assert!((&mut waits).now_or_never().is_none(), "there is no room yet");
        gate.let_all_go();
        held.await.expect("it was let go");
        assert_eq!(waits.await.expect("there is room now"), 8);
        for call in taken {
            assert_eq!(call.await.expect("what was taken is done"), 7);
        }
        pool.try_apply(|| 1, ()).expect("there is room again").await.expect("no task fails");
        pool.shutdown().await.expect("it ends");
    });
}
