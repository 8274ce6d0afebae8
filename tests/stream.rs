//! `imap` and its kin: results as a stream, and the input pulled no faster than they are taken.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::mpsc;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use multiprocess::{Error, Kind, Result};
use support::gate::{Gate, pass, stand};
use support::tally::{Tally, mark};
use support::{end, on_both, pool};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";

fn square(n: u64) -> u64 {
    n * n
}

/// Numbers without end, and how many of them were pulled.
fn counted_numbers() -> (Arc<AtomicUsize>, impl Iterator<Item = u64> + Send + 'static) {
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let numbers = (0..).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (pulled, numbers)
}

// C140
async fn imap_yields_results_in_the_order_of_its_input<K: Kind>() {
    let pool = pool::<K>(2);
    let all: Vec<_> = pool.imap(square, 0..1_000).try_collect().await.expect(RUNS);
    assert!(all.into_iter().eq((0..1_000).map(square)));
    let all: Vec<_> = pool.imap(square, 0..1_000).chunksize(100).try_collect().await.expect(RUNS);
    assert!(all.into_iter().eq((0..1_000).map(square)));
    end(pool).await;
}

// C140
async fn a_stream_that_has_ended_stays_ended<K: Kind>() {
    let pool = pool::<K>(1);
    let mut results = pool.imap(square, 3..4);
    assert_eq!(results.next().await.expect("there is one").expect(RUNS), 9);
    assert!(results.next().await.is_none());
    assert!(results.next().await.is_none());
    end(pool).await;
}

// C140
async fn imap_holds_a_result_back_until_its_turn<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let stand_first = |(key, n): (String, u32)| {
        if n == 0 {
            pass(&key);
        }
        n
    };
    let key = gate.key();
    let mut results = pool.imap(stand_first, (0..2).map(move |n| (key.clone(), n))).chunksize(1);
    assert!(results.next().now_or_never().is_none(), "this starts it");
    gate.arrived().await;
    // The second element is done once both were sent and only one of them runs.
    support::until(|| pool.stats().completed == 1).await;
    assert!(results.next().now_or_never().is_none(), "the first is not done");
    gate.let_all_go();
    assert_eq!(results.try_collect::<Vec<_>>().await.expect(RUNS), [0, 1]);
    end(pool).await;
}

// C142
async fn imap_unordered_yields_all_results<K: Kind>() {
    let pool = pool::<K>(2);
    for chunksize in [1, 53, 1_000] {
        let results = pool.imap_unordered(square, 0..1_000).chunksize(chunksize);
        let mut all: Vec<_> = results.try_collect().await.expect(RUNS);
        all.sort_unstable();
        assert!(all.into_iter().eq((0..1_000).map(square)));
    }
    end(pool).await;
}

// C142
async fn imap_unordered_does_not_wait_for_the_slow_ones<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let stand_first = |(key, n): (String, u32)| {
        if n == 0 {
            pass(&key);
        }
        n
    };
    let key = gate.key();
    let mut results = pool.imap_unordered(stand_first, (0..10).map(move |n| (key.clone(), n))).chunksize(1);
    let mut others = Vec::new();
    for _ in 1..10 {
        others.push(results.next().await.expect("there are nine").expect(RUNS));
    }
    others.sort_unstable();
    assert!(others.into_iter().eq(1..10));
    gate.arrived().await;
    gate.let_all_go();
    assert_eq!(results.next().await.expect("one is left").expect(RUNS), 0);
    assert!(results.next().await.is_none());
    end(pool).await;
}

// C142
async fn a_slow_first_element_does_not_stall_an_unordered_stream<K: Kind>() {
    let pool = pool::<K>(2);
    let mut gate = Gate::new();
    let stand_first = |(key, n): (String, u32)| {
        if n == 0 {
            pass(&key);
        }
        n
    };
    let key = gate.key();
    let mut results =
        pool.imap_unordered(stand_first, (0..2_000).map(move |n| (key.clone(), n))).chunksize(1);
    let mut taken = 0;
    // However far it goes ahead of the first, in the end nothing but that one is under way.
    loop {
        let before = pool.stats();
        match results.next().now_or_never() {
            Some(result) => taken += u32::from(result.expect("the first is not done").is_ok()),
            None if before.queued + before.running == 1 && taken > 0 => break,
            None => tokio::task::yield_now().await,
        }
    }
    gate.arrived().await;
    gate.let_all_go();
    let rest: Vec<_> = results.try_collect().await.expect(RUNS);
    assert_eq!(taken as usize + rest.len(), 2_000);
    end(pool).await;
}

// C147
async fn streams_of_nothing_end_at_once<K: Kind>() {
    let pool = pool::<K>(1);
    assert!(pool.imap(square, []).next().await.is_none());
    assert!(pool.imap_unordered(square, []).next().await.is_none());
    assert!(pool.imap_stream(square, futures::stream::empty()).next().await.is_none());
    end(pool).await;
}

fn breaks_at_three(n: u64) -> u64 {
    assert_ne!(n, 3, "three is not allowed");
    n
}

// C141, C169
async fn an_element_that_fails_is_an_error_in_its_place<K: Kind>() {
    let pool = pool::<K>(2);
    let results: Vec<_> = pool.imap(breaks_at_three, 0..6).collect().await;
    assert!(
        matches!(&results[..], [Ok(0), Ok(1), Ok(2), Err(Error::Panicked(_)), Ok(4), Ok(5)]),
        "{results:?}"
    );
    let results: Vec<_> = pool.imap(breaks_at_three, 0..6).chunksize(6).collect().await;
    assert!(
        matches!(&results[..], [Ok(0), Ok(1), Ok(2), Err(Error::Panicked(_)), Ok(4), Ok(5)]),
        "{results:?}"
    );
    end(pool).await;
}

/// Counts up, and panics instead of giving element `at`.
fn input_that_fails(at: u64) -> impl Iterator<Item = u64> + Send + 'static {
    (0..1_000).inspect(move |n| assert_ne!(*n, at, "the input is broken"))
}

// C141
async fn what_was_read_comes_before_the_failure_of_the_input<K: Kind>() {
    let pool = pool::<K>(2);
    for (at, chunksize) in [(0, 1), (1, 1), (4, 3), (999, 100)] {
        let mut results = pool.imap(square, input_that_fails(at)).chunksize(chunksize);
        for n in 0..at {
            assert_eq!(results.next().await.expect("it was read").expect(RUNS), n * n);
        }
        let failed = results.next().await;
        assert!(matches!(failed, Some(Err(Error::Input(_)))), "{failed:?}");
        assert!(results.next().await.is_none(), "nothing follows");
    }
    assert_eq!(pool.apply(square, (3,)).await.expect("the pool goes on"), 9);
    end(pool).await;
}

// C143
async fn the_failure_of_an_unordered_input_comes_once_and_no_value_twice<K: Kind>() {
    let pool = pool::<K>(2);
    let results: Vec<Result<u64>> = pool.imap_unordered(|n: u64| n, input_that_fails(100)).collect().await;
    let failures = results.iter().filter(|result| matches!(result, Err(Error::Input(_)))).count();
    let mut values: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    values.sort_unstable();
    assert_eq!(failures, 1);
    assert!(values.into_iter().copied().eq(0..100));
    end(pool).await;
}

// C144, C171
async fn nothing_is_pulled_before_the_first_poll<K: Kind>() {
    let pool = pool::<K>(1);
    let (pulled, numbers) = counted_numbers();
    drop(pool.imap(square, numbers));
    assert_eq!(pulled.load(Ordering::SeqCst), 0);
    end(pool).await;
}

// C144, C171
async fn an_input_is_pulled_no_further_ahead_than_the_buffer<K: Kind>() {
    const BUFFER: usize = 7;
    let pool = pool::<K>(2);
    let (pulled, numbers) = counted_numbers();
    let mut results = pool.imap(square, numbers).buffer(BUFFER);
    for taken in 1..=500 {
        results.next().await.expect("it is endless").expect(RUNS);
        let ahead = pulled.load(Ordering::SeqCst).saturating_sub(taken);
        assert!(ahead <= BUFFER, "{ahead} ahead of {taken}");
    }
    drop(results);
    end(pool).await;
}

// C144, C171
async fn an_unordered_input_respects_the_buffer_too<K: Kind>() {
    const BUFFER: usize = 5;
    let pool = pool::<K>(2);
    let (pulled, numbers) = counted_numbers();
    let mut results = pool.imap_unordered(square, numbers).buffer(BUFFER).chunksize(2);
    for taken in 1..=500 {
        results.next().await.expect("it is endless").expect(RUNS);
        let ahead = pulled.load(Ordering::SeqCst).saturating_sub(taken);
        assert!(ahead <= BUFFER, "{ahead} ahead of {taken}");
    }
    drop(results);
    end(pool).await;
}

// C144
async fn an_endless_input_of_large_elements_takes_bounded_memory<K: Kind>() {
    const SIZE: usize = 64 << 10;
    const AT_MOST: usize = (128 << 20) / SIZE;
    let pool = pool::<K>(2);
    let (pulled, numbers) = counted_numbers();
    let mut lengths = pool.imap(|bytes: Vec<u8>| bytes.len(), numbers.map(|_| vec![0; SIZE]));
    for taken in 1..=3_000 {
        assert_eq!(lengths.next().await.expect("it is endless").expect(RUNS), SIZE);
        let ahead = pulled.load(Ordering::SeqCst) - taken;
        assert!(ahead <= AT_MOST, "{ahead} ahead of {taken}");
    }
    drop(lengths);
    end(pool).await;
}

// C144
async fn results_that_nobody_takes_hold_the_input_back<K: Kind>() {
    let pool = pool::<K>(2);
    let (pulled, numbers) = counted_numbers();
    let mut results = pool.imap(square, numbers).chunksize(10);
    results.next().await.expect("it is endless").expect(RUNS);
    // Whatever was sent comes back; the stream is not polled, so that nothing is pulled meanwhile.
    support::until(|| pool.stats().queued + pool.stats().running == 0).await;
    let before = pulled.load(Ordering::SeqCst);
    assert_eq!(pool.apply(square, (2,)).await.expect(RUNS), 4);
    assert_eq!(pulled.load(Ordering::SeqCst), before);
    drop(results);
    end(pool).await;
}

// C144
async fn terminate_ends_a_stream_of_an_endless_input<K: Kind>() {
    let pool = pool::<K>(2);
    let mut results = pool.imap(square, 0..).buffer(100);
    results.next().await.expect("it is endless").expect(RUNS);
    pool.terminate();
    let failed = results.try_for_each(|_| futures::future::ready(Ok(()))).await;
    assert!(matches!(failed, Err(Error::Cancelled { .. } | Error::Closed)), "{failed:?}");
    pool.join().await.expect("it was terminated");
}

// C144, C205
async fn close_ends_a_stream_behind_what_is_under_way<K: Kind>() {
    let pool = pool::<K>(2);
    let mut results = pool.imap(square, 0..).buffer(10);
    results.next().await.expect("it is endless").expect(RUNS);
    pool.close();
    let rest: Vec<_> = results.collect().await;
    let (last, values) = rest.split_last().expect("an error comes last");
    assert!(matches!(last, Err(Error::Closed)), "{last:?}");
    assert!(values.iter().zip(1..).all(|(value, n)| value.as_ref().is_ok_and(|value| *value == n * n)));
    assert!(values.len() <= 10);
    pool.join().await.expect("it was closed");
}

// C141
async fn a_stream_of_a_closed_pool_is_one_error<K: Kind>() {
    let pool = pool::<K>(1);
    pool.close();
    let results: Vec<_> = pool.imap(square, 0..3).collect().await;
    assert!(matches!(&results[..], [Err(Error::Closed)]), "{results:?}");
    pool.join().await.expect("it was closed");
}

// C168
async fn streams_refuse_chunks_and_buffers_of_nothing<K: Kind>() {
    let pool = pool::<K>(1);
    let no_chunk: Vec<_> = pool.imap(square, 0..3).chunksize(0).collect().await;
    assert!(matches!(&no_chunk[..], [Err(Error::Option { option: "chunksize", .. })]), "{no_chunk:?}");
    let no_buffer: Vec<_> = pool.imap_unordered(square, 0..3).buffer(0).collect().await;
    assert!(matches!(&no_buffer[..], [Err(Error::Option { option: "buffer", .. })]), "{no_buffer:?}");
    end(pool).await;
}

// C140
async fn a_stream_as_input_is_answered_as_it_comes<K: Kind>() {
    let pool = pool::<K>(2);
    let (sender, input) = mpsc::unbounded();
    let mut results = pool.imap_stream(square, input);
    for n in 0..20 {
        assert!(results.next().now_or_never().is_none(), "nothing was sent yet");
        sender.unbounded_send(n).expect("the input is read");
        assert_eq!(results.next().await.expect("it was sent").expect(RUNS), n * n);
    }
    drop(sender);
    assert!(results.next().await.is_none());
    end(pool).await;
}

// C140
async fn a_stream_as_input_keeps_its_order<K: Kind>() {
    let pool = pool::<K>(2);
    let input = futures::stream::iter(0..2_000);
    let all: Vec<_> = pool.imap_stream(square, input).chunksize(7).try_collect().await.expect(RUNS);
    assert!(all.into_iter().eq((0..2_000).map(square)));
    end(pool).await;
}

// C208
async fn dropping_a_stream_cancels_what_has_not_started<K: Kind>() {
    let pool = pool::<K>(1);
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let held = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    let key = tally.key();
    let mut results = pool.imap(|key: String| mark(&key, 1), std::iter::repeat_with(move || key.clone()));
    assert!(results.next().now_or_never().is_none(), "this starts it");
    assert!(pool.stats().submitted > 1, "it has started");
    drop(results);
    gate.let_all_go();
    held.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C140
async fn next_can_be_given_up_and_taken_up_again<K: Kind>() {
    let pool = pool::<K>(1);
    let mut gate = Gate::new();
    let key = gate.key();
    let stands = |(key, n): (String, u32)| {
        pass(&key);
        n
    };
    let mut results = pool.imap(stands, (0..3).map(move |n| (key.clone(), n)));
    for n in 0..3 {
        tokio::select! {
            biased;
            _ = results.next() => panic!("it stands at the gate"),
            () = gate.arrived() => {}
        }
        gate.let_all_go();
        assert_eq!(results.next().await.expect("there are three").expect(RUNS), n);
    }
    end(pool).await;
}

on_both!(
    imap_yields_results_in_the_order_of_its_input,
    a_stream_that_has_ended_stays_ended,
    imap_holds_a_result_back_until_its_turn,
    imap_unordered_yields_all_results,
    imap_unordered_does_not_wait_for_the_slow_ones,
    a_slow_first_element_does_not_stall_an_unordered_stream,
    streams_of_nothing_end_at_once,
    an_element_that_fails_is_an_error_in_its_place,
    what_was_read_comes_before_the_failure_of_the_input,
    the_failure_of_an_unordered_input_comes_once_and_no_value_twice,
    nothing_is_pulled_before_the_first_poll,
    an_input_is_pulled_no_further_ahead_than_the_buffer,
    an_unordered_input_respects_the_buffer_too,
    an_endless_input_of_large_elements_takes_bounded_memory,
    results_that_nobody_takes_hold_the_input_back,
    terminate_ends_a_stream_of_an_endless_input,
    close_ends_a_stream_behind_what_is_under_way,
    a_stream_of_a_closed_pool_is_one_error,
    streams_refuse_chunks_and_buffers_of_nothing,
    a_stream_as_input_is_answered_as_it_comes,
    a_stream_as_input_keeps_its_order,
    dropping_a_stream_cancels_what_has_not_started,
    next_can_be_given_up_and_taken_up_again,
);
