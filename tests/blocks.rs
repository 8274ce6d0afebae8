//! Large arguments and results, which lie in shared memory that is used again and again: they come as they were, nobody sees those of another call,
//! and the memory is given back.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;

use futures::StreamExt as _;
use futures::future::join_all;
use multiprocess::{Error, Handle, Kind, Payload, Pool, ProcessPool};
use serde::{Deserialize, Serialize};
use support::alone::alone;
use support::census::{Census, until};
use support::foreign::{exit_at_once, fork_twofold, limit_file_size};
use support::gate::{Gate, pass};
use support::tally::{Tally, mark};
use support::{end, on_both, run};

/// From so many bytes on an argument or a result lies in a block.
const LARGE: usize = 128 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    key: u64,
    weight: f32,
    name: String,
}

fn rows(count: usize) -> Vec<Row> {
    let row = |key: u64| Row { key, weight: 0.5, name: format!("row {key}") };
    (0..count as u64).map(row).collect()
}

/// Sends values of every length that makes a difference there and back.
async fn echo<K: Kind, T: Payload + Clone + PartialEq>(pool: &Pool<K>, value_of: impl Fn(usize) -> T) {
    let full = LARGE / 8;
    for length in [0, 1, full - 1, full, full + 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE] {
        let value = value_of(length);
        let back = pool.apply(|value: T| value, (value.clone(),)).await.expect("it is plain data");
        assert!(back == value, "{length} of {}", std::any::type_name::<T>());
    }
}

async fn what_is_large_comes_back_as_it_was<K: Kind>() {
    let pool = support::pool::<K>(1);
    echo(&pool, |length| vec![0xa5_u8; length]).await;
    echo(&pool, |length| vec![i8::MIN; length]).await;
    echo(&pool, |length| vec![u16::MAX; length]).await;
    echo(&pool, |length| vec![i16::MIN; length]).await;
    echo(&pool, |length| vec![u32::MAX; length]).await;
    echo(&pool, |length| vec![i32::MIN; length]).await;
    echo(&pool, |length| vec![u64::MAX; length]).await;
    echo(&pool, |length| vec![i64::MIN; length]).await;
    echo(&pool, |length| vec![usize::MAX; length]).await;
    echo(&pool, |length| vec![isize::MIN; length]).await;
    echo(&pool, |length| vec![f32::NEG_INFINITY; length]).await;
    echo(&pool, |length| (0..u32::try_from(length).expect("it is small")).map(f64::from).collect::<Vec<_>>())
        .await;
    echo(&pool, |length| "\u{df}".repeat(length)).await;
    echo(&pool, |length| rows(length / 8)).await;
    echo(&pool, |length| Some(vec![vec![7_u8; length]; 2])).await;
    end(pool).await;
}

async fn a_nan_keeps_its_bits<K: Kind>() {
    let odd = f64::from_bits(0xfff4_dead_beef_0001);
    let pool = support::pool::<K>(1);
    for count in [1, LARGE] {
        let back =
            pool.apply(|numbers: Vec<f64>| numbers, (vec![odd; count],)).await.expect("it is plain data");
        assert!(back.len() == count && back.iter().all(|number| number.to_bits() == odd.to_bits()));
    }
    end(pool).await;
}

async fn large_arguments_and_small_ones_come_in_their_order<K: Kind>() {
    fn sum(
        none: (),
        bytes: Vec<u8>,
        small: u32,
        rows: Vec<Row>,
        text: String,
        numbers: Vec<i64>,
    ) -> (usize, i64) {
        let () = none;
        let lengths = bytes.len() + small as usize + rows.len() + text.len();
        (lengths, numbers.iter().sum())
    }
    let pool = support::pool::<K>(1);
    for (bytes, count, letters, numbers) in
        [(LARGE, 1, 1, 1), (1, LARGE, 1, 1), (1, 1, LARGE, 1), (1, 1, 1, LARGE), (LARGE, LARGE, LARGE, LARGE)]
    {
        let args = ((), vec![1; bytes], 7, rows(count), "a".repeat(letters), vec![-3; numbers]);
        let expected = (bytes + count + letters + 7, -3 * i64::try_from(numbers).expect("it is small"));
        assert_eq!(pool.apply(sum, args).await.expect("it is plain data"), expected);
    }
    end(pool).await;
}

async fn a_map_of_large_elements_among_small_ones_comes_in_order<K: Kind>() {
    let pool = support::pool::<K>(2);
    let length = |n: usize| if n.is_multiple_of(3) { LARGE * 2 } else { n };
    for chunksize in [1, 7, 100] {
        let input = (0..100).map(move |n| vec![u8::try_from(n).expect("it is small"); length(n)]);
        let results = pool.imap(|bytes: Vec<u8>| bytes, input).chunksize(chunksize);
        let lengths: Vec<_> = results.map(|bytes| bytes.expect("it is plain data")).collect().await;
        for (n, bytes) in lengths.iter().enumerate() {
            assert!(bytes.len() == length(n) && bytes.iter().all(|byte| usize::from(*byte) == n), "{n}");
        }
    }
    let input = (0..100_u8).map(|n| vec![n; LARGE]);
    let sums = pool.map(|bytes: Vec<u8>| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>(), input).await;
    assert!(sums.expect("it is plain data").into_iter().eq((0..100).map(|n| n * LARGE as u64)));
    end(pool).await;
}

async fn many_large_calls_at_once_keep_their_values_apart<K: Kind>() {
    let pool = support::pool::<K>(2);
    let calls = (0..60_u32).map(|n| {
        let pool = &pool;
        async move {
            let numbers = vec![n; LARGE / 4 * (1 + n as usize % 4)];
            let doubled = pool.apply(
                |numbers: Vec<u32>| numbers.into_iter().map(|n| n * 2).collect::<Vec<_>>(),
                (numbers,),
            );
            let doubled = doubled.await.expect("it is plain data");
            assert!(doubled.iter().all(|double| *double == n * 2), "{n}");
        }
    });
    join_all(calls).await;
    end(pool).await;
}

async fn a_large_value_with_a_handle_comes_with_it<K: Kind>() {
    let pool = support::pool::<K>(1);
    let file = Handle::new(File::open("/dev/null").expect("it is there"));
    let echo = |args: (Vec<Row>, Handle<File>)| (args.0, args.1);
    let (back, null) = pool.apply(echo, ((rows(LARGE), file),)).await.expect("it travels");
    assert_eq!(back, rows(LARGE));
    assert_eq!(std::io::read_to_string(null.into_inner()).expect("it can be read"), "");
    end(pool).await;
}

// fault 69
async fn a_large_value_over_the_limit_says_how_large_it_is<K: Kind>() {
    let max = 4 * LARGE;
    let pool = Pool::<K>::builder().workers(1).max_frame(max).build().expect("the pool starts");
    pool.apply(|bytes: Vec<u8>| bytes, (vec![7; max - 10],)).await.expect("that is not too large");
    let too_large = |error: Option<Error>| match error {
        Some(Error::TooLarge { size, what, .. }) => (size, what),
        other => panic!("it is too large, but the task got {other:?}"),
    };
    let arguments = pool.apply(|numbers: Vec<u64>| numbers.len(), (vec![7; max],)).await.err();
    let (size, what) = too_large(arguments);
    assert!(size >= 8 * max && what == "the arguments", "{size}");
    let result = pool.apply(|count: usize| vec![7_u64; count], (max,)).await.err();
    let (size, what) = too_large(result);
    assert!(size >= 8 * max && what == "the result", "{size}");
    let structs = pool.apply(rows, (max,)).await.err();
    assert!(too_large(structs).0 > max);
    assert_eq!((pool.apply(|| 1, ()).await.expect("the worker goes on"), pool.stats().deaths), (1, 0));
    end(pool).await;
}

on_both!(
    what_is_large_comes_back_as_it_was,
    a_nan_keeps_its_bits,
    large_arguments_and_small_ones_come_in_their_order,
    a_map_of_large_elements_among_small_ones_comes_in_order,
    many_large_calls_at_once_keep_their_values_apart,
    a_large_value_with_a_handle_comes_with_it,
    a_large_value_over_the_limit_says_how_large_it_is,
);

/// Bytes of memory that this process has for large arguments and results.
fn held() -> u64 {
    let descriptors = fs::read_dir("/proc/self/fd").expect("it is our own");
    let of_blocks = descriptors.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_one = fs::read_link(&path).ok()?.to_string_lossy().contains("memfd:multiprocess payloads");
        is_one.then(|| fs::metadata(path).ok())?
    });
    of_blocks.map(|memory| memory.blocks() * 512).sum()
}

#[test]
fn a_thousand_large_calls_take_the_memory_of_one() {
    alone(|| {
        run(async {
            let pool = ProcessPool::new(1).expect("the pool starts");
            let mut travels = vec![0.5_f64; LARGE / 8];
            let mut most = 0;
            for _ in 0..1_000 {
                travels =
                    pool.apply(|numbers: Vec<f64>| numbers, (travels,)).await.expect("it is plain data");
                most = most.max(held());
            }
            assert!((1..=4 << 20).contains(&most), "{most} bytes, of which a MiB is reserved at a time");
            end(pool).await;
        });
    });
}

#[test]
fn memory_that_is_not_needed_is_given_back() {
    alone(|| {
        run(async {
            let pool = ProcessPool::new(2).expect("the pool starts");
            let calls: Vec<_> =
                (0..20).map(|_| pool.apply(|bytes: Vec<u8>| bytes, (vec![7; 1 << 20],))).collect();
            assert!(held() >= 20 << 20, "the arguments are there");
            let results = join_all(calls).await;
            drop(results);
            until("all of it is given back", || held() == 0);
            let again = pool.apply(|bytes: Vec<u8>| bytes, (vec![8; 1 << 20],)).await;
            assert_eq!(again.expect("it is plain data"), vec![8; 1 << 20]);
            end(pool).await;
        });
    });
}

#[test]
fn results_that_nobody_takes_leave_room_for_more() {
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        let calls: Vec<_> = (0..100_u8).map(|n| pool.apply_async(|n: u8| vec![n; LARGE], (n,))).collect();
        join_all(calls.iter().map(|call| async {
            while !call.is_finished() {
                tokio::task::yield_now().await;
            }
        }))
        .await;
        for (n, call) in (0..).zip(calls) {
            assert_eq!(call.await.expect("it is plain data"), vec![n; LARGE]);
        }
        end(pool).await;
    });
}

// fault 10
#[test]
fn a_call_whose_worker_is_killed_is_sent_again_with_the_same_arguments() {
    fn fragile(key: String, bytes: Vec<u8>) -> usize {
        mark(&key, 1);
        if fs::read(&key).expect("the tally is there").len() < 3 {
            exit_at_once(3);
        }
        bytes.iter().map(|byte| usize::from(*byte / 7)).sum()
    }
    run(async {
        let pool = ProcessPool::new(2).expect("the pool starts");
        let tally = Tally::new();
        let count = pool.apply(fragile, (tally.key(), vec![7; 2 << 20])).retries(5).await;
        assert_eq!((count.expect("the third time goes well"), tally.count()), (2 << 20, 3));
        end(pool).await;
    });
}

#[test]
fn a_result_outlives_its_worker() {
    fn die_after(n: u8) -> Vec<u8> {
        vec![n; 1 << 20]
    }
    run(async {
        let pool = ProcessPool::builder().workers(1).max_tasks_per_child(1).build().expect("the pool starts");
        let calls: Vec<_> = (0..4).map(|n| pool.apply_async(die_after, (n,))).collect();
        join_all(calls.iter().map(|call| async {
            while !call.is_finished() {
                tokio::task::yield_now().await;
            }
        }))
        .await;
        pool.terminate();
        pool.join().await.expect("nothing is left of it");
        for (n, call) in (0..).zip(calls) {
            assert_eq!(call.await.expect("it had come"), vec![n; 1 << 20]);
        }
    });
}

#[test]
fn the_arguments_of_a_call_that_was_cancelled_stay_until_its_worker_is_done() {
    /// Its first argument cannot be decoded before the test wants it.
    #[derive(Serialize)]
    struct Slow(String);
    impl<'de> Deserialize<'de> for Slow {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let key = String::deserialize(deserializer)?;
            if !key.is_empty() {
                pass(&key);
            }
            Ok(Self(key))
        }
    }
    fn tell(slow: Slow, tally: String, bytes: Vec<u8>) {
        drop(slow);
        let is_as_sent = bytes.iter().all(|byte| *byte == 1);
        mark(&tally, u8::from(is_as_sent));
    }
    run(async {
        let pool = ProcessPool::new(2).expect("the pool starts");
        let (mut gate, tally) = (Gate::new(), Tally::new());
        let call = pool.apply_async(tell, (Slow(gate.key()), tally.key(), vec![1; 1 << 20]));
        gate.arrived().await;
        assert!(call.cancel());
        drop(call);
        // Were the block free, one of these would be written over it.
        for n in 2..10 {
            let back = pool.apply(|bytes: Vec<u8>| bytes, (vec![n; 1 << 20],)).await;
            assert_eq!(back.expect("it is plain data"), vec![n; 1 << 20]);
        }
        gate.let_all_go();
        support::until(|| tally.count() == 1).await;
        assert_eq!(tally.marks(), [1], "it was called with what it was sent");
        end(pool).await;
    });
}

#[test]
fn nothing_is_left_of_blocks() {
    alone(|| {
        let before = Census::after_the_first_pool();
        for _ in 0..3 {
            let pool = ProcessPool::new(2).expect("the pool starts");
            let bytes = pool.blocking_map(|bytes: Vec<u8>| bytes, vec![vec![7; 1 << 20]; 8]);
            assert_eq!(bytes.expect("it is plain data").len(), 8);
            let died = pool.blocking_apply(|_: Vec<u8>| -> u8 { exit_at_once(1) }, (vec![7; 1 << 20],));
            died.expect_err("it has died");
            drop(pool.apply_async(|bytes: Vec<u8>| bytes, (vec![7; 1 << 20],)));
            pool.blocking_shutdown().expect("it ends");
            drop(pool);
            before.settles();
        }
    });
}

// fault 70
#[test]
fn where_files_may_not_be_long_all_goes_over_the_pipes() {
    alone(|| {
        limit_file_size(16 << 20);
        let pool = ProcessPool::new(1).expect("the pool starts");
        let back = pool.blocking_apply(|bytes: Vec<u8>| bytes, (vec![7; 3 << 20],));
        assert_eq!(back.expect("it only takes longer"), vec![7; 3 << 20]);
        assert_eq!(held(), 0);
        pool.blocking_shutdown().expect("it ends");
    });
}

// fault 53
#[test]
fn a_task_that_forks_does_not_write_over_the_results_of_its_worker() {
    fn fork_and_return(n: u8) -> Vec<u8> {
        let _child = fork_twofold();
        vec![n; 1 << 20]
    }
    run(async {
        let pool = ProcessPool::new(1).expect("the pool starts");
        for n in 0..20 {
            assert_eq!(
                pool.apply(fork_and_return, (n,)).await.expect("the worker goes on"),
                vec![n; 1 << 20]
            );
        }
        end(pool).await;
    });
}

#[test]
fn the_memory_of_blocks_does_not_count_as_that_of_a_worker() {
    run(async {
        let pool = ProcessPool::builder()
            .workers(1)
            .max_memory_per_child(100 << 20)
            .build()
            .expect("the pool starts");
        let echo = |bytes: Vec<u8>| bytes;
        let mut workers = Vec::new();
        for _ in 0..3 {
            pool.apply(echo, (vec![7; 60 << 20],)).await.expect("it is plain data");
            workers.extend(pool.worker_pids());
        }
        workers.dedup();
        assert_eq!(workers.len(), 1, "it has not outgrown its limit");
        end(pool).await;
    });
}
