//! Large values, many tasks, and queues that are full.

mod support;

use std::fmt::Debug;

use futures::FutureExt as _;
use multiprocess::{Apply, Error, Kind, Payload, Pool, Result, TaskHandle};
use support::gate::{Gate, stand};
use support::tally::{Tally, mark};
use support::{end, on_both, pool, until};

/// What the tests expect of tasks that have no reason to fail.
const RUNS: &str = "the task has no reason to fail";
/// Calls of a worker that may have left the queue without having started.
const SENT_AHEAD: usize = 32;

fn double(n: u32) -> u32 {
    n * 2
}

/// A task that stands at the gate and holds the only worker.
async fn held<K: Kind>(pool: &Pool<K>, gate: &mut Gate) -> TaskHandle<u32> {
    let handle = pool.apply_async(stand, (gate.key(),));
    gate.arrived().await;
    handle
}

/// Starts calls until the queue is full.
fn fill<R: Payload + Debug>(mut call: impl FnMut() -> Result<Apply<R>>) -> Vec<TaskHandle<R>> {
    let mut handles = Vec::new();
    loop {
        match call() {
            Ok(call) => handles.push(call.start()),
            Err(Error::QueueFull) => return handles,
            Err(other) => panic!("unexpected: {other}"),
        }
        assert!(handles.len() < 10_000, "the queue has no limit");
    }
}

// C222
async fn arguments_and_results_of_64_mib_travel<K: Kind>() {
    const SIZE: usize = 64 << 20;
    let pool = pool::<K>(1);
    let flipped = |mut bytes: Vec<u8>| {
        bytes.reverse();
        bytes
    };
    let mut bytes = vec![0x5A; SIZE];
    bytes[0] = 1;
    let back = pool.apply(flipped, (bytes,)).await.expect(RUNS);
    assert_eq!((back.len(), back[0], back[SIZE - 1]), (SIZE, 0x5A, 1));
    let text = pool.apply(|text: String| text + "!", ("x".repeat(SIZE),)).await.expect(RUNS);
    assert_eq!((text.len(), text.ends_with("x!")), (SIZE + 1, true));
    end(pool).await;
}

// C222
async fn several_large_values_travel_side_by_side<K: Kind>() {
    const SIZE: usize = 4 << 20;
    let pool = pool::<K>(2);
    let blocks = (0..16_u8).map(|n| vec![n; SIZE]);
    let back = pool.map(|bytes: Vec<u8>| bytes, blocks).await.expect(RUNS);
    assert!(back.iter().zip(0..16).all(|(bytes, n)| bytes[SIZE - 1] == n && bytes.len() == SIZE));
    end(pool).await;
}

// C198
async fn a_hundred_thousand_calls_at_once_are_all_answered<K: Kind>() {
    let pool = pool::<K>(2);
    let handles: Vec<_> = (0..100_000).map(|n| pool.apply_async(double, (n,))).collect();
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.await.expect(RUNS), 2 * n);
    }
    assert_eq!(pool.stats().completed, 100_000);
    end(pool).await;
}

// C131
async fn a_map_of_two_million_elements_is_answered<K: Kind>() {
    let pool = pool::<K>(2);
    let sums = pool.map(|n: u32| n + 1, 0..2_000_000).await.expect(RUNS);
    assert!(sums.into_iter().eq(1..=2_000_000));
    end(pool).await;
}

// fault 69
async fn arguments_beyond_a_frame_fail_alone<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).max_frame(1_000).build().expect("the pool starts");
    let failed = pool.apply(|text: String| text.len(), ("x".repeat(2_000),)).await;
    assert!(
        matches!(failed, Err(Error::TooLarge { what: "the arguments", max: 1_000, size, .. }) if size > 2_000)
    );
    assert_eq!(pool.apply(|text: String| text.len(), ("x".repeat(900),)).await.expect(RUNS), 900);
    let failed = pool.map(|text: String| text.len(), ["x".to_owned(), "x".repeat(2_000)]).await;
    assert!(matches!(failed, Err(Error::TooLarge { what: "the arguments", .. })), "{failed:?}");
    end(pool).await;
}

// fault 69
async fn a_result_beyond_a_frame_fails_alone<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).max_frame(1_000).build().expect("the pool starts");
    let failed = pool.apply(|n: usize| "x".repeat(n), (2_000,)).await;
    assert!(
        matches!(failed, Err(Error::TooLarge { what: "the result", max: 1_000, size, .. }) if size > 2_000)
    );
    assert_eq!(pool.apply(|n: usize| "x".repeat(n), (900,)).await.expect(RUNS).len(), 900);
    end(pool).await;
}

// C144
async fn a_full_queue_refuses_calls<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).queue_limit(5).build().expect("the pool starts");
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    let handles = fill(|| pool.try_apply(double, (1,)));
    assert!((5..=5 + SENT_AHEAD).contains(&handles.len()), "{} have a place", handles.len());
    gate.let_all_go();
    first.await.expect(RUNS);
    for handle in handles {
        assert_eq!(handle.await.expect(RUNS), 2);
    }
    assert_eq!(pool.try_apply(double, (2,)).expect("there is room again").await.expect(RUNS), 4);
    end(pool).await;
}

// C144
async fn an_apply_waits_for_a_place_in_the_queue<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).queue_limit(2).build().expect("the pool starts");
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    drop(fill(|| pool.try_apply(double, (1,))));
    let submitted = pool.stats().submitted;
    let mut waiting = pool.apply(double, (4,));
    assert!((&mut waiting).now_or_never().is_none());
    let eager = pool.apply_async(double, (5,));
    assert_eq!(pool.stats().submitted, submitted, "both wait outside the queue");
    gate.let_all_go();
    first.await.expect(RUNS);
    assert_eq!(waiting.await.expect(RUNS), 8);
    assert_eq!(eager.await.expect(RUNS), 10);
    end(pool).await;
}

// C144, C208
async fn a_call_that_is_given_up_leaves_its_place<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).queue_limit(1).build().expect("the pool starts");
    let (mut gate, tally) = (Gate::new(), Tally::new());
    let first = held(&pool, &mut gate).await;
    let mut handles = fill(|| pool.try_apply(double, (1,)));
    let mut waiting = pool.apply(|key: String| mark(&key, 1), (tally.key(),));
    assert!((&mut waiting).now_or_never().is_none());
    let eager = pool.apply_async(|key: String| mark(&key, 1), (tally.key(),));
    assert!(eager.cancel());
    drop((waiting, eager));
    assert!(handles.pop().expect("one has the place").cancel());
    // The task that waited for a place on behalf of the cancelled call is dropped by the runtime in its own time.
    let mut place = None;
    until(|| {
        place = pool.try_apply(double, (2,)).ok();
        place.is_some()
    })
    .await;
    assert!(matches!(pool.try_apply(double, (3,)), Err(Error::QueueFull)));
    drop(place);
    drop(pool.try_apply(double, (3,)).expect("a call that was never polled leaves its place too"));
    gate.let_all_go();
    first.await.expect(RUNS);
    end(pool).await;
    assert_eq!(tally.count(), 0);
}

// C144
async fn a_queue_is_limited_in_bytes_too<K: Kind>() {
    const SIZE: usize = 40 << 10;
    let pool = Pool::<K>::builder().workers(1).queue_bytes(3 * SIZE).build().expect("the pool starts");
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    let handles = fill(|| pool.try_apply(|bytes: Vec<u8>| bytes.len(), (vec![0; SIZE],)));
    assert!((2..=3 + SENT_AHEAD).contains(&handles.len()), "{} have a place", handles.len());
    gate.let_all_go();
    first.await.expect(RUNS);
    for handle in handles {
        assert_eq!(handle.await.expect(RUNS), SIZE);
    }
    end(pool).await;
}

// C144
async fn a_call_that_is_larger_than_the_queue_waits_until_it_is_empty<K: Kind>() {
    const SIZE: usize = 1 << 20;
    let pool = Pool::<K>::builder().workers(1).queue_bytes(64 << 10).build().expect("the pool starts");
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    drop(fill(|| pool.try_apply(|bytes: Vec<u8>| bytes.len(), (vec![0; 20 << 10],))));
    let mut large = pool.apply(|bytes: Vec<u8>| bytes.len(), (vec![0; SIZE],));
    assert!((&mut large).now_or_never().is_none());
    gate.let_all_go();
    first.await.expect(RUNS);
    assert_eq!(large.await.expect(RUNS), SIZE);
    end(pool).await;
}

// C144
async fn a_map_needs_no_place_in_the_queue<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).queue_limit(1).build().expect("the pool starts");
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    drop(fill(|| pool.try_apply(double, (1,))));
    let map = pool.map_async(double, 0..1_000);
    gate.let_all_go();
    first.await.expect(RUNS);
    assert_eq!(map.await.expect(RUNS).len(), 1_000);
    end(pool).await;
}

// C211
async fn a_pool_with_a_full_queue_can_be_closed<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).queue_limit(1).build().expect("the pool starts");
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    let handles = fill(|| pool.try_apply(double, (1,)));
    let waiting: Vec<_> = (0..10).map(|n| pool.apply_async(double, (n,))).collect();
    pool.close();
    gate.let_all_go();
    first.await.expect(RUNS);
    for handle in handles {
        assert_eq!(handle.await.expect(RUNS), 2);
    }
    for (n, handle) in (0..).zip(waiting) {
        // What waits outside the queue was made before the end, or is refused; it does not hang.
        match handle.await {
            Ok(value) => assert_eq!(value, 2 * n),
            Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
        }
    }
    pool.join().await.expect("it was closed");
}

// C146
async fn a_pool_with_a_full_queue_can_be_terminated<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).queue_limit(1).build().expect("the pool starts");
    let mut gate = Gate::new();
    let first = held(&pool, &mut gate).await;
    let handles = fill(|| pool.try_apply(double, (1,)));
    let waiting: Vec<_> = (0..10).map(|n| pool.apply_async(double, (n,))).collect();
    pool.terminate();
    assert!(matches!(first.await, Err(Error::Cancelled { .. })));
    for handle in handles.into_iter().chain(waiting) {
        let failed = handle.await;
        assert!(matches!(failed, Err(Error::Cancelled { .. } | Error::Closed)), "{failed:?}");
    }
    pool.join().await.expect("it was terminated");
}

// C130
async fn a_task_has_the_stack_it_was_given<K: Kind>() {
    #[expect(clippy::large_stack_arrays, reason = "it is about a large stack")]
    fn deep() -> usize {
        std::hint::black_box([1_u8; 24 << 20]).len()
    }
    let pool = Pool::<K>::builder().workers(1).stack_size(96 << 20).build().expect("the pool starts");
    assert_eq!(pool.apply(deep, ()).await.expect(RUNS), 24 << 20);
    end(pool).await;
}

on_both!(
    arguments_and_results_of_64_mib_travel,
    several_large_values_travel_side_by_side,
    a_hundred_thousand_calls_at_once_are_all_answered,
    a_map_of_two_million_elements_is_answered,
    arguments_beyond_a_frame_fail_alone,
    a_result_beyond_a_frame_fails_alone,
    a_full_queue_refuses_calls,
    an_apply_waits_for_a_place_in_the_queue,
    a_call_that_is_given_up_leaves_its_place,
    a_queue_is_limited_in_bytes_too,
    a_call_that_is_larger_than_the_queue_waits_until_it_is_empty,
    a_map_needs_no_place_in_the_queue,
    a_pool_with_a_full_queue_can_be_closed,
    a_pool_with_a_full_queue_can_be_terminated,
    a_task_has_the_stack_it_was_given,
);
