//! Tasks of numbers, which travel and run with less ado than others. Whoever calls them must see nothing of it.

mod support;

use std::fmt::Debug;
use std::hint;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use multiprocess::{Error, Exit, Kind, Payload, Pool, ProcessPool};
use support::foreign::SIGABRT;
use support::{death, end, on_both, on_processes, pool};

const ELEMENTS: u32 = 20_000;

on_both!(
    numbers_of_every_kind_come_back_from_a_chunk,
    up_to_eight_numbers_are_arguments,
    numbers_go_in_and_others_come_out_and_the_other_way_around,
    an_element_that_panics_fails_alone,
    the_first_panic_ends_a_map_of_numbers,
    a_number_larger_than_a_frame_is_refused,
    more_results_than_a_board_holds_come_back_in_order,
);

on_processes!(
    an_element_that_aborts_takes_no_finished_number_along,
    a_map_that_is_dropped_ends_between_two_numbers,
);

async fn come_back<K: Kind, N>(pool: &Pool<K>, numbers: impl Fn(u32) -> N)
where
    N: Payload + PartialEq + Debug + Copy,
{
    let sent: Vec<N> = (0..1_000).map(numbers).collect();
    let called = pool.apply(|n: N| n, (sent[999],)).await;
    assert_eq!(called.expect("no call fails"), sent[999]);
    let mapped = pool.map(|n: N| n, sent.clone()).chunksize(300).await;
    assert_eq!(mapped.expect("no element fails"), sent);
}

async fn numbers_of_every_kind_come_back_from_a_chunk<K: Kind>() {
    let pool = pool::<K>(2);
    let wide = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    come_back(&pool, |n| wide(n).to_le_bytes()[0]).await;
    come_back(&pool, |n| wide(n).to_le_bytes()[7].cast_signed()).await;
    come_back(&pool, |n| u16::from_le_bytes([wide(n).to_le_bytes()[1], 0xff])).await;
    come_back(&pool, |n| i16::from_le_bytes([wide(n).to_le_bytes()[2], 0x80])).await;
    come_back(&pool, |n| u32::MAX - n).await;
    come_back(&pool, |n| i32::MIN + n.cast_signed()).await;
    come_back(&pool, wide).await;
    come_back(&pool, |n| wide(n).cast_signed()).await;
    come_back(&pool, |n| usize::MAX - n as usize).await;
    come_back(&pool, |n| isize::MIN.wrapping_add_unsigned(n as usize)).await;
    come_back(&pool, |n| f32::from_bits(n << 8)).await;
    come_back(&pool, |n| 1.0 / f64::from(n)).await;
    // These are none, but as short.
    come_back(&pool, |n| n.is_multiple_of(3)).await;
    come_back(&pool, |n| char::from_u32(n).expect("there are more")).await;
    come_back(&pool, |n| u128::from(n) << 100).await;
    end(pool).await;
}

async fn up_to_eight_numbers_are_arguments<K: Kind>() {
    type Eight = (u8, i64, u16, f32, usize, i8, f64, u32);
    let pool = pool::<K>(1);
    let long: [u64; 8] = std::array::from_fn(|n| u64::MAX - n as u64);
    let eight = |n: u32| -> Eight { (7, -1, 300, 0.5, 1 << 40, -8, f64::from(n), n) };
    let back =
        pool.starmap(|a, b, c, d, e, f, g, h| -> Eight { (a, b, c, d, e, f, g, h) }, (0..100).map(eight));
    assert!(back.chunksize(50).await.expect("no element fails").into_iter().eq((0..100).map(eight)));
    let sums = pool.starmap(
        |a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64| {
            [a, b, c, d, e, f, g, h].into_iter().fold(0_u64, u64::wrapping_add)
        },
        vec![long.into(); 10],
    );
    assert_eq!(sums.chunksize(10).await.expect("no element fails"), [8_u64.wrapping_neg() - 28; 10]);
    end(pool).await;
}

async fn numbers_go_in_and_others_come_out_and_the_other_way_around<K: Kind>() {
    let pool = pool::<K>(1);
    let texts = pool.map(|n: u32| n.to_string(), 0..100).chunksize(100).await.expect("no element fails");
    assert!(texts.iter().map(String::as_str).eq((0..100).map(|n| n.to_string()).collect::<Vec<_>>()));
    let lengths = pool.map(|text: String| text.len(), texts).chunksize(100).await.expect("no element fails");
    assert!(lengths.into_iter().eq((0..100).map(|n: u32| n.to_string().len())));
    let halves = pool.map(async |n: u64| n.is_multiple_of(2).then_some(n / 2), 0..9).chunksize(9).await;
    assert_eq!(halves.expect("no element fails")[7..], [None, Some(4)]);
    end(pool).await;
}

fn picky(n: u32) -> u64 {
    assert!(n % 1_000 != 999, "not {n}");
    u64::from(n) << 20
}

async fn an_element_that_panics_fails_alone<K: Kind>() {
    let pool = pool::<K>(1);
    let results: Vec<_> = pool.imap(picky, 0..ELEMENTS).chunksize(ELEMENTS as usize).collect().await;
    assert_eq!(results.len(), ELEMENTS as usize);
    for (n, result) in (0_u32..).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, u64::from(n) << 20),
            Err(Error::Panicked(panic)) => assert_eq!(panic.message, format!("not {n}")),
            Err(other) => panic!("{n}: {other:?}"),
        }
    }
    end(pool).await;
}

async fn the_first_panic_ends_a_map_of_numbers<K: Kind>() {
    let pool = pool::<K>(1);
    match pool.map(picky, 0..2_500).chunksize(2_500).await {
        Err(Error::Panicked(panic)) => assert_eq!(panic.message, "not 999"),
        other => panic!("an element panicked, but: {other:?}"),
    }
    end(pool).await;
}

async fn a_number_larger_than_a_frame_is_refused<K: Kind>() {
    let pool = Pool::<K>::builder().workers(1).max_frame(4).build().expect("the pool starts");
    let results: Vec<_> = pool.imap(|n: u16| n, 0..10).chunksize(10).collect().await;
    assert!(results.into_iter().map(|result| result.expect("it has two bytes")).eq(0..10));
    let too_large = |result| match result {
        Err(Error::TooLarge { what, size, max: 4, .. }) => (what, size),
        other => panic!("it does not fit, but: {other:?}"),
    };
    let sent: Vec<_> = pool.imap(|n: u64| n.to_le_bytes()[0], 0..1).collect().await;
    assert_eq!(
        sent.into_iter().map(|result| too_large(result.map(u64::from))).next(),
        Some(("the arguments", 9))
    );
    let results: Vec<_> = pool.imap(u64::from, 0..10_u8).chunksize(10).collect().await;
    assert_eq!(results.len(), 10);
    for result in results {
        assert_eq!(too_large(result), ("the result", 9));
    }
    end(pool).await;
}

async fn more_results_than_a_board_holds_come_back_in_order<K: Kind>() {
    let pool = pool::<K>(2);
    let squares = pool.map(|n: u64| n * n, 0..100_000).chunksize(40_000).await.expect("no element fails");
    assert!(squares.into_iter().eq((0..100_000).map(|n| n * n)));
    end(pool).await;
}

async fn an_element_that_aborts_takes_no_finished_number_along() {
    fn fatal(n: u32) -> u32 {
        if n == 7_777 {
            std::process::abort();
        }
        n + 1
    }
    let pool: ProcessPool = pool(1);
    let results: Vec<_> = pool.imap(fatal, 0..ELEMENTS).chunksize(ELEMENTS as usize).collect().await;
    assert_eq!(results.len(), ELEMENTS as usize);
    for (n, result) in (0..).zip(results) {
        if n == 7_777 {
            assert_eq!(death(result).exit, Exit::Signal(SIGABRT));
        } else {
            assert_eq!(result.expect("only one element is fatal"), n + 1);
        }
    }
    end(pool).await;
}

async fn a_map_that_is_dropped_ends_between_two_numbers() {
    /// Quick, until there are more results than a board holds. All others together take minutes.
    fn slows_down(n: u64) -> u64 {
        let began = Instant::now();
        while n >= 8_000 && began.elapsed() < Duration::from_millis(50) {
            hint::spin_loop();
        }
        n
    }
    let pool: ProcessPool = pool(1);
    let mut results = pool.imap(slows_down, 0..12_000).chunksize(12_000);
    assert_eq!(results.next().await.expect("there are some").expect("no element fails"), 0);
    drop(results);
    assert_eq!(pool.apply(|n: u8| n, (1,)).await.expect("the worker has ended what nobody wants"), 1);
    end(pool).await;
}
