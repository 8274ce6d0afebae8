//! Arguments and results that cannot be written, cannot be read, are too large, or are meant to hurt.

mod support;

use std::collections::HashMap;

use futures::StreamExt as _;
use multiprocess::{Arguments, Error, Kind, Payload, Pool, ProcessPool, TaskFn};
use serde::{Deserialize, Serialize};
use support::alone::alone;
use support::census::memory_kib;
use support::odd::{Habit, Odd, Posing, Raw};
use support::{on_both, piped, run};

/// Runs a task that fails, and returns its error. The worker must be the same before and after.
async fn failure<K, F, Args, M>(f: F, args: Args) -> Error
where
    K: Kind,
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    let pool = Pool::<K>::new(1).expect("the pool starts");
    pool.ready().await.expect("the pool starts");
    let workers = pool.worker_pids();
    let error = pool.apply(f, args).await.map(drop).expect_err("it fails");
    assert_eq!(pool.apply(|n: u32| n + 1, (1,)).await.expect("the worker goes on"), 2);
    assert_eq!((pool.worker_pids(), pool.stats().deaths), (workers, 0));
    pool.shutdown().await.expect("it ends");
    error
}

fn encode_cause(error: Error, expected: &str) -> String {
    match error {
        Error::Encode { what, cause, .. } if what == expected => cause,
        other => panic!("{expected} cannot be written, but the error is {other:?}"),
    }
}

fn decode_cause(error: Error, expected: &str) -> String {
    match error {
        Error::Decode { what, cause, .. } if what == expected => cause,
        other => panic!("{expected} cannot be read, but the error is {other:?}"),
    }
}

// fault 78
async fn an_argument_that_cannot_be_written_fails_its_task_and_is_never_sent<K: Kind>() {
    let error = failure::<K, _, _, _>(|odd: Odd| odd.1, (Odd(Habit::WriteFails, 1),)).await;
    encode_cause(error, "the arguments");
}

async fn a_result_that_cannot_be_written_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|| Odd(Habit::WriteFails, 1), ()).await;
    encode_cause(error, "the result");
}

// fault 79
async fn an_argument_that_cannot_be_read_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|odd: Odd| odd.1, (Odd(Habit::ReadFails, 1),)).await;
    assert_eq!(decode_cause(error, "the arguments"), "it does not want to be read");
}

// fault 79
async fn a_result_that_cannot_be_read_fails_its_task<K: Kind>() {
    let error = failure::<K, _, _, _>(|| Odd(Habit::ReadFails, 1), ()).await;
    assert_eq!(decode_cause(error, "the result"), "it does not want to be read");
}

// fault 78
async fn an_element_that_cannot_be_written_spoils_no_other<K: Kind>() {
    let pool = Pool::<K>::new(2).expect("the pool starts");
    for chunksize in 1..=5 {
        for habit in [Habit::WriteFails, Habit::WritePanics, Habit::ReadFails, Habit::ReadPanics] {
            let input = (0..5).map(move |n| Odd(if n == 2 { habit } else { Habit::None }, n));
            let results: Vec<_> = pool.imap(|odd: Odd| odd.1, input).chunksize(chunksize).collect().await;
            let numbers: Vec<_> = results.into_iter().map(Result::ok).collect();
            assert_eq!(numbers, [Some(0), Some(1), None, Some(3), Some(4)], "{habit:?} by {chunksize}");
        }
    }
    pool.shutdown().await.expect("it ends");
}

// fault 69
async fn arguments_of_exactly_the_largest_size_pass_and_one_byte_more_does_not<K: Kind>() {
    const MAX: usize = 1_000;
    let pool = Pool::<K>::builder().workers(1).max_frame(MAX).build().expect("the pool starts");
    // A vector of this size takes two bytes for its own length, and two for that of its record.
    for size in [MAX - 5, MAX - 4] {
        assert_eq!(pool.apply(|load: Vec<u8>| load.len(), (vec![1; size],)).await.expect("it fits"), size);
    }
    match pool.apply(|load: Vec<u8>| load.len(), (vec![1; MAX - 3],)).await {
        Err(Error::TooLarge { what: "the arguments", size, max: MAX, .. }) => assert_eq!(size, MAX + 1),
        other => panic!("it does not fit, but: {other:?}"),
    }
    pool.shutdown().await.expect("it ends");
}

// fault 69
async fn a_result_of_exactly_the_largest_size_passes_and_one_byte_more_does_not<K: Kind>() {
    const MAX: usize = 1_000;
    let pool = Pool::<K>::builder().workers(1).max_frame(MAX).build().expect("the pool starts");
    for size in [MAX - 5, MAX - 4] {
        assert_eq!(pool.apply(|size| vec![1_u8; size], (size,)).await.expect("it fits").len(), size);
    }
    match pool.apply(|size| vec![1_u8; size], (MAX - 3,)).await {
        Err(Error::TooLarge { what: "the result", size, max: MAX, .. }) => assert_eq!(size, MAX + 1),
        other => panic!("it does not fit, but: {other:?}"),
    }
    assert_eq!(pool.stats().deaths, 0);
    pool.shutdown().await.expect("it ends");
}

// fault 69
async fn an_element_that_is_too_large_spoils_no_other_of_its_chunk<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).max_frame(1_000).build().expect("the pool starts");
    let sizes = [10, 2_000, 900, 900, 2_000, 0];
    let results: Vec<_> = pool.imap(|size: usize| vec![1_u8; size], sizes).chunksize(6).collect().await;
    let inputs = sizes.map(|size| vec![1_u8; size]);
    let lengths: Vec<_> = pool.imap(|load: Vec<u8>| load.len(), inputs).chunksize(6).collect().await;
    for ((size, result), length) in sizes.into_iter().zip(results).zip(lengths) {
        assert_eq!(result.map(|load| load.len()).ok(), (size < 1_000).then_some(size));
        assert_eq!(length.ok(), (size < 1_000).then_some(size));
    }
    pool.shutdown().await.expect("it ends");
}

// fault 67
async fn large_loads_go_both_ways_at_once<K: Kind>() {
    let pool = piped::<K>(2);
    let load = (0..=255).collect::<Vec<u8>>().repeat((64 << 20) / 256);
    let echoes: Vec<_> = (0..4).map(|_| pool.apply_async(|load: Vec<u8>| load, (load.clone(),))).collect();
    for echo in echoes {
        assert!(echo.await.expect("it comes back") == load, "it comes back as it went");
    }
    pool.shutdown().await.expect("it ends");
}

// fault 67
async fn a_chunk_of_large_loads_goes_both_ways_at_once<K: Kind>() {
    let pool = piped::<K>(1);
    let loads = (0..8_u8).map(|n| vec![n; 4 << 20]);
    let echoes = pool.map(|load: Vec<u8>| load, loads).chunksize(4).await.expect("they come back");
    assert!(echoes.into_iter().zip(0..).all(|(echo, n)| echo == vec![n; 4 << 20]));
    pool.shutdown().await.expect("it ends");
}

/// A list that is as deep as it is long.
#[derive(Debug, Serialize, Deserialize)]
enum Nest {
    End,
    More(Box<Nest>),
}

#[expect(
    clippy::zero_sized_map_values,
    reason = "its entries take no bytes, so that any number can be claimed"
)]
type Endless = Posing<u64, HashMap<(), ()>>;
type Units = Posing<u64, Vec<()>>;
type Deep = Posing<Raw, Nest>;
type Wide = Posing<(u64, Raw), Vec<Option<[u64; 32]>>>;
type Beyond = Posing<u64, Vec<u64>>;
type Text = Posing<u64, String>;

fn endless() -> Endless {
    Posing::new(1 << 60)
}

fn units() -> Units {
    Posing::new(u64::MAX)
}

fn deep() -> Deep {
    Posing::new(Raw([vec![1; 100_000], vec![0]].concat()))
}

fn wide() -> Wide {
    Posing::new((1 << 20, Raw(vec![0; 1 << 20])))
}

fn beyond() -> Beyond {
    Posing::new(1 << 60)
}

fn text() -> Text {
    Posing::new(1 << 60)
}

/// A value that would take everything is refused on either side.
async fn is_refused<K: Kind, T: Payload>(make: impl Fn() -> T + Copy + Send + 'static) {
    decode_cause(failure::<K, _, _, _>(|_taken: T| (), (make(),)).await, "the arguments");
    decode_cause(failure::<K, _, _, _>(make, ()).await, "the result");
}

// fault 26
async fn values_that_would_take_all_time_stack_or_memory_are_refused<K: Kind>() {
    is_refused::<K, Endless>(endless).await;
    is_refused::<K, Units>(units).await;
    is_refused::<K, Deep>(deep).await;
    is_refused::<K, Wide>(wide).await;
    is_refused::<K, Beyond>(beyond).await;
    is_refused::<K, Text>(text).await;
}

// fault 26
#[test]
fn refusing_a_hostile_value_takes_no_memory_to_speak_of() {
    alone(|| {
        run(async {
            let pool = ProcessPool::new(1).expect("the pool starts");
            // So that what it takes to write, send and read a value of this size is not counted.
            pool.apply(|load: Vec<u8>| load, (vec![1; 4 << 20],)).await.expect("it is an honest one");
            let before = memory_kib("VmHWM");
            for _ in 0..3 {
                decode_cause(pool.apply(wide, ()).await.map(drop).expect_err("it is refused"), "the result");
                decode_cause(
                    pool.apply(beyond, ()).await.map(drop).expect_err("it is refused"),
                    "the result",
                );
            }
            // The kernel counts a little behind, so that the peak may seem to fall.
            let grown = memory_kib("VmHWM").saturating_sub(before);
            assert!(grown < 128 * 1024, "it took {grown} KiB; unchecked it would be 270 MiB");
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 27
async fn nothing_may_trail_behind_a_value<K: Kind>() {
    fn two_for_one() -> Posing<(u8, u8), u8> {
        Posing::new((1, 2))
    }
    let trailing = "1 bytes trail behind the";
    let argument = failure::<K, _, _, _>(|_one: Posing<(u8, u8), u8>| (), (two_for_one(),)).await;
    let cause = decode_cause(argument, "the arguments");
    assert!(cause.starts_with(trailing), "{cause}");
    let cause = decode_cause(failure::<K, _, _, _>(two_for_one, ()).await, "the result");
    assert!(cause.starts_with(trailing), "{cause}");
}

// fault 27
async fn a_value_of_another_type_is_refused_where_its_bytes_do_not_fit<K: Kind>() {
    fn too_short() -> Posing<u8, (u8, u8)> {
        Posing::new(1)
    }
    fn no_text() -> Posing<(u8, u8), String> {
        Posing::new((1, 0xff))
    }
    fn no_bool() -> Posing<u8, bool> {
        Posing::new(7)
    }
    is_refused::<K, _>(too_short).await;
    is_refused::<K, _>(no_text).await;
    is_refused::<K, _>(no_bool).await;
}

on_both!(
    an_argument_that_cannot_be_written_fails_its_task_and_is_never_sent,
    a_result_that_cannot_be_written_fails_its_task,
    an_argument_that_cannot_be_read_fails_its_task,
    a_result_that_cannot_be_read_fails_its_task,
    an_element_that_cannot_be_written_spoils_no_other,
    arguments_of_exactly_the_largest_size_pass_and_one_byte_more_does_not,
    a_result_of_exactly_the_largest_size_passes_and_one_byte_more_does_not,
    an_element_that_is_too_large_spoils_no_other_of_its_chunk,
    large_loads_go_both_ways_at_once,
    a_chunk_of_large_loads_goes_both_ways_at_once,
    values_that_would_take_all_time_stack_or_memory_are_refused,
    nothing_may_trail_behind_a_value,
    a_value_of_another_type_is_refused_where_its_bytes_do_not_fit,
);
