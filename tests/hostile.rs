//! Workers that turn against their pool: whatever bytes they send or leave on the board, the pool neither panics
//! nor hangs nor grows, the task of the worker fails, and the others are answered.

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use futures::StreamExt as _;
use multiprocess::{Error, Exit, ProcessPool};
use serde::{Deserialize, Serialize};
use support::alone::alone;
use support::census::memory_kib;
use support::evil::{self, Reply, frame, noise, record, scribble, send, varint};
use support::foreign::{SIGABRT, SIGKILL, close_whosever, exit_at_once};
use support::gate::{Gate, pass, stand};
use support::run;

const MAX: usize = 1 << 20;

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::builder().workers(workers).max_frame(MAX).build().expect("the pool starts")
}

async fn works(pool: &ProcessPool) {
    let sums = pool.map(|x: u64| x + 1, 0..20).await.expect("the pool goes on");
    assert!(sums.into_iter().eq(1..=20));
}

fn exit_of<T: std::fmt::Debug>(result: multiprocess::Result<T>) -> Exit {
    match result {
        Err(Error::WorkerDied(death)) => death.exit,
        other => panic!("the worker must be ended, but the task got {other:?}"),
    }
}

/// What an evil task sends before it goes on as if nothing were.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Mischief {
    LongestLength,
    LengthOverTheMaximum,
    UnknownCall,
    CallOfAnother,
    OtherSlot,
    SlotThatIsNone,
    NoElements,
    MoreElements,
    ManyElements,
    NotTheLast,
    NoBool,
    UnknownReport,
    Hello,
    Ready,
    InitializerFailed,
    EmptyFrame,
    EndlessNumber,
    BlockThatIsNone,
    BlockOfNothing,
    BlockWithoutMemory,
    BlockLongerThanTheMaximum,
    NoPlace,
}

const ALL: [Mischief; 22] = [
    Mischief::LongestLength,
    Mischief::LengthOverTheMaximum,
    Mischief::UnknownCall,
    Mischief::CallOfAnother,
    Mischief::OtherSlot,
    Mischief::SlotThatIsNone,
    Mischief::NoElements,
    Mischief::MoreElements,
    Mischief::ManyElements,
    Mischief::NotTheLast,
    Mischief::NoBool,
    Mischief::UnknownReport,
    Mischief::Hello,
    Mischief::Ready,
    Mischief::InitializerFailed,
    Mischief::EmptyFrame,
    Mischief::EndlessNumber,
    Mischief::BlockThatIsNone,
    Mischief::BlockOfNothing,
    Mischief::BlockWithoutMemory,
    Mischief::BlockLongerThanTheMaximum,
    Mischief::NoPlace,
];

impl Mischief {
    fn bytes(self) -> Vec<u8> {
        let honest = Reply::honest(7);
        let two = [record(&[7]), record(&[7])].concat();
        match self {
            Self::LongestLength => u32::MAX.to_be_bytes().to_vec(),
            Self::LengthOverTheMaximum => {
                // Beside a payload of the largest size, a frame has room for a MiB.
                let over = u32::try_from(MAX + (1 << 20) + 1).expect("it is small");
                over.to_be_bytes().to_vec()
            }
            Self::UnknownCall => Reply { call: honest.call + 1_000, ..honest }.frame(),
            Self::CallOfAnother => Reply { call: honest.call - 1, ..honest }.frame(),
            Self::OtherSlot => Reply { slot: honest.slot + 1, ..honest }.frame(),
            Self::SlotThatIsNone => Reply { slot: u8::MAX, ..honest }.frame(),
            Self::NoElements => Reply { elements: 0, records: Vec::new(), ..honest }.frame(),
            Self::MoreElements => Reply { elements: 2, records: two, ..honest }.frame(),
            Self::ManyElements => Reply { elements: u32::MAX.into(), ..honest }.frame(),
            Self::NotTheLast => Reply { last: 0, ..honest }.frame(),
            Self::NoBool => Reply { last: 2, ..honest }.frame(),
            Self::UnknownReport => frame(&[4, 0, 0, 0]),
            Self::Hello => frame(&[0, 1, 0]),
            Self::Ready => frame(&[1]),
            Self::InitializerFailed => frame(&[2, 2, b'n', b'o']),
            Self::EmptyFrame => frame(&[]),
            Self::EndlessNumber => {
                frame(&[3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
            }
            Self::BlockThatIsNone => Reply { stowed: Some((64, 1)), ..honest }.frame(),
            Self::BlockOfNothing => Reply { stowed: Some((0, 0)), ..honest }.frame(),
            Self::BlockWithoutMemory => Reply { stowed: Some((0, MAX as u64)), ..honest }.frame(),
            Self::BlockLongerThanTheMaximum => Reply { stowed: Some((0, u64::MAX)), ..honest }.frame(),
            Self::NoPlace => frame(&[3, 0, 0, 1, 1, 0, 0, 0, 2]),
        }
    }
}

fn play(mischief: Mischief) -> u8 {
    send(&mischief.bytes());
    7
}

// faults 24, 25, 27
#[test]
fn a_worker_that_breaks_the_rules_is_ended_and_its_task_fails() {
    run(async {
        let pool = pool(1);
        for mischief in ALL {
            let result = pool.apply(play, (mischief,)).await;
            let told = matches!(&result, Err(Error::WorkerDied(death)) if death.fault.is_some());
            assert!(told, "{mischief:?}: {result:?}");
            assert_eq!(exit_of(result), Exit::Signal(SIGKILL), "{mischief:?}");
            works(&pool).await;
        }
        pool.shutdown().await.expect("it ends");
    });
}

// fault 25
#[test]
fn a_worker_that_answers_for_another_one_is_ended_and_the_other_one_is_not() {
    fn answer_for(call: u64, slot: u8) -> u8 {
        Reply { call, slot, ..Reply::honest(66) }.send();
        7
    }
    fn tell_and_stand(key: String) -> u8 {
        pass(&key);
        7
    }
    run(async {
        let pool = pool(2);
        let mut gate = Gate::new();
        let other = pool.apply_async(tell_and_stand, (gate.key(),));
        gate.arrived().await;
        // Calls are numbered one after the other, so that one of these is the other worker's.
        for call in 1..40_u64 {
            let _refused = pool.apply(answer_for, (call, 0)).await;
        }
        gate.let_all_go();
        assert_eq!(other.await.expect("its own worker does no mischief"), 7);
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 25
#[test]
fn a_second_reply_to_one_call_ends_its_worker_and_changes_nothing() {
    fn reply_twice() -> u8 {
        let reply = Reply::honest(7);
        reply.send();
        Reply { records: record(&[8]), ..reply }.send();
        exit_at_once(0)
    }
    run(async {
        let pool = pool(1);
        for _ in 0..20 {
            assert_eq!(pool.apply(reply_twice, ()).await.expect("its first reply was a right one"), 7);
            works(&pool).await;
        }
        pool.shutdown().await.expect("it ends");
    });
}

// fault 25
#[test]
fn a_late_reply_to_a_cancelled_call_is_passed_over() {
    run(async {
        let pool = pool(1);
        let mut gate = Gate::new();
        let task = pool.apply_async(stand, (gate.key(),));
        gate.arrived().await;
        assert!(task.cancel());
        assert!(matches!(task.await, Err(Error::Cancelled { .. })));
        gate.let_all_go();
        works(&pool).await;
        assert_eq!(pool.stats().deaths, 0, "the reply was the worker's right");
        pool.shutdown().await.expect("it ends");
    });
}

// fault 27
#[test]
fn bytes_that_trail_behind_the_results_fail_the_task() {
    fn trail() -> u8 {
        let honest = Reply::honest(7);
        let records = [honest.records.clone(), vec![1, 2, 3]].concat();
        Reply { records, ..honest }.send();
        exit_at_once(0)
    }
    run(async {
        let pool = pool(1);
        pool.apply(trail, ()).await.expect_err("nothing may trail");
        let mapped = pool.map(|_: u8| trail(), 0..1).await;
        mapped.expect_err("nothing may trail");
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 27
#[test]
fn records_that_are_missing_short_or_no_value_fail_the_task() {
    fn reply_with(records: Vec<u8>) -> u8 {
        Reply { records, ..Reply::honest(7) }.send();
        exit_at_once(0)
    }
    run(async {
        let pool = pool(1);
        let wrong = [
            vec![],
            varint(2),
            varint(u64::MAX),
            vec![0xff; 12],
            record(&[]),
            record(&[7, 7]),
            // The second of these bits says that the element failed, but not how.
            vec![1],
            vec![2 << 1 | 1, 0, 0xff],
            vec![2 << 1 | 1, 99, 0],
        ];
        for records in wrong {
            let result = pool.apply(reply_with, (records.clone(),)).await;
            assert!(result.is_err(), "{records:?} are no results, but the task got {result:?}");
            works(&pool).await;
        }
        pool.shutdown().await.expect("it ends");
    });
}

/// Sends a right reply less its last bytes, and then dies.
fn stammer(missing: usize) -> u8 {
    let frame = Reply::honest(7).frame();
    send(&frame[..frame.len().saturating_sub(missing)]);
    exit_at_once(3)
}

// faults 10, 11
#[test]
fn a_reply_counts_only_if_all_of_it_was_written_before_the_death() {
    run(async {
        let pool = pool(1);
        assert_eq!(pool.apply(stammer, (0,)).await.expect("all of it was written"), 7);
        for missing in 1..16 {
            assert_eq!(exit_of(pool.apply(stammer, (missing,)).await), Exit::Code(3), "{missing}");
        }
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 10
#[test]
fn a_large_result_that_was_written_before_the_death_counts() {
    fn reply_and_die(size: usize) -> Vec<u8> {
        let value = [varint(size as u64), vec![7; size]].concat();
        Reply { records: record(&value), ..Reply::honest(0) }.send();
        std::process::abort();
    }
    run(async {
        let pool = pool(1);
        for size in [100, 10_000, 200_000, 1_000_000] {
            let result = pool.apply(reply_and_die, (size,)).await;
            assert_eq!(result.expect("it was written"), vec![7; size]);
        }
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// faults 25, 90
#[test]
fn a_block_that_has_a_result_in_it_already_is_no_place_for_another() {
    fn reply_with_its_block(first: u8) -> Vec<u8> {
        if first == 1 {
            // The pool has the result of the call before in it.
            Reply { records: record(&[]), stowed: Some((0, 200_000)), ..Reply::honest(7) }.send();
        }
        vec![7; 200_000]
    }
    run(async {
        let pool = pool(1);
        let held = pool.apply_async(reply_with_its_block, (0,));
        support::until(|| held.is_finished()).await;
        let result = pool.apply(reply_with_its_block, (1,)).await;
        let fault = support::death(result).fault;
        assert!(fault.is_some_and(|fault| fault.contains("already")), "it is told");
        assert_eq!(held.await.expect("it had come"), vec![7; 200_000]);
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

/// Writes noise to all blocks that this process can reach, until it ends.
fn spoil_from_now_on() {
    let mut noise = noise(7);
    let mut bytes = vec![0; 300_000];
    bytes.fill_with(&mut noise);
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("it is our own").flatten();
    let blocks = descriptors.filter_map(|descriptor| {
        let to = std::fs::read_link(descriptor.path()).ok()?;
        to.to_string_lossy().contains("multiprocess payloads").then_some(descriptor.path())
    });
    let blocks = blocks.filter_map(|path| File::options().write(true).open(path).ok()).collect::<Vec<_>>();
    assert!(!blocks.is_empty(), "a worker has blocks");
    std::thread::spawn(move || while blocks.iter().all(|block| block.write_all_at(&bytes, 0).is_ok()) {});
}

// faults 25, 90
#[test]
fn a_worker_that_spoils_its_blocks_while_they_are_read_spoils_its_own_results_and_nothing_else() {
    fn spoil(seed: u64) -> Vec<String> {
        if seed == 0 {
            spoil_from_now_on();
        }
        vec!["x".repeat(100); 3_000]
    }
    run(async {
        let pool = pool(1);
        let other = ProcessPool::new(1).expect("the pool starts");
        for seed in 0..20 {
            // Whatever it comes to, it is no panic and no hang.
            let _any = pool.apply(spoil, (seed,)).await;
            let echo = other.apply(|text: Vec<String>| text, (vec!["y".repeat(100); 3_000],)).await;
            assert!(echo.expect("it has blocks of its own").iter().all(|text| *text == "y".repeat(100)));
        }
        pool.terminate();
        pool.join().await.expect("nothing is left of it");
        other.shutdown().await.expect("it ends");
    });
}

// faults 11, 25
#[test]
fn noise_from_a_worker_fails_its_task_and_nothing_else() {
    fn rave(seed: u64, bytes: usize) -> u8 {
        let mut noise = noise(seed);
        send(&(0..bytes).map(|_| noise()).collect::<Vec<u8>>());
        std::process::abort();
    }
    run(async {
        let pool = pool(2);
        for (seed, bytes) in (1..).zip([1, 2, 3, 4, 5, 6, 8, 13, 21, 64, 500, 4_096, 70_000]) {
            let exit = exit_of(pool.apply(rave, (seed, bytes)).await);
            assert!(matches!(exit, Exit::Signal(SIGKILL | SIGABRT)), "{exit}");
        }
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// faults 11, 25
#[test]
fn a_right_reply_with_one_wrong_byte_never_hurts_the_pool() {
    fn garble(at: usize, by: u8) -> u8 {
        let mut frame = Reply::honest(7).frame();
        let at = at % frame.len();
        frame[at] ^= by;
        send(&frame);
        std::process::abort();
    }
    run(async {
        let pool = pool(2);
        for at in 0..12 {
            for by in [1, 0x80, 0xff] {
                // Some of these bytes are the result itself, or the time it took: such a reply is as good as another.
                match pool.apply(garble, (at, by)).await {
                    Ok(_) | Err(Error::Decode { .. } | Error::Panicked(_)) => {}
                    other => drop(exit_of(other)),
                }
            }
        }
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 24
#[test]
fn a_length_word_reserves_no_memory() {
    alone(|| {
        run(async {
            let pool = ProcessPool::new(1).expect("the pool starts");
            works(&pool).await;
            let before = memory_kib("VmHWM");
            for mischief in [Mischief::LongestLength, Mischief::LengthOverTheMaximum] {
                // Here the maximum is 1 GiB, so that the second length is allowed and never comes.
                let died = pool.apply(
                    |mischief: Mischief| -> u8 {
                        send(&mischief.bytes());
                        std::process::abort();
                    },
                    (mischief,),
                );
                exit_of(died.await);
            }
            let grown = memory_kib("VmHWM") - before;
            assert!(grown < 2 * 1024, "it grew by {grown} KiB");
            works(&pool).await;
            pool.shutdown().await.expect("it ends");
        });
    });
}

// faults 24, 28
#[test]
fn a_length_that_is_allowed_takes_memory_only_as_bytes_come() {
    fn promise() -> u8 {
        let promised = u32::try_from(900 << 20).expect("it is less than 4 GiB");
        send(&promised.to_be_bytes());
        send(&[3; 1_000]);
        std::process::abort();
    }
    alone(|| {
        run(async {
            let pool = ProcessPool::new(1).expect("the pool starts");
            works(&pool).await;
            let before = memory_kib("VmHWM").max(memory_kib("VmPeak"));
            exit_of(pool.apply(promise, ()).await);
            let grown = memory_kib("VmPeak").saturating_sub(before);
            assert!(grown < 64 * 1024, "for 1,000 bytes its address space grew by {grown} KiB");
            works(&pool).await;
            pool.shutdown().await.expect("it ends");
        });
    });
}

// fault 25
#[test]
fn a_worker_that_lies_about_its_time_does_not_upset_a_map() {
    fn lie(n: u8) -> u8 {
        Reply { elapsed_ns: u64::MAX, ..Reply::honest(n) }.send();
        exit_at_once(0)
    }
    run(async {
        let pool = pool(1);
        let results: Vec<_> = pool.imap(lie, 0..6).chunksize(1).collect().await;
        let values: Vec<_> = results.into_iter().map(|result| result.expect("the reply is right")).collect();
        assert_eq!(values, [0, 1, 2, 3, 4, 5]);
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 22
#[test]
fn a_worker_that_closes_its_report_pipe_and_runs_on_is_ended() {
    fn fall_silent(key: String) -> u8 {
        close_whosever(evil::report_pipe());
        pass(&key);
        7
    }
    run(async {
        let pool = pool(1);
        let gate = Gate::new();
        assert_eq!(exit_of(pool.apply(fall_silent, (gate.key(),)).await), Exit::Signal(SIGKILL));
        works(&pool).await;
        pool.shutdown().await.expect("it ends");
    });
}

// fault 34
#[test]
fn a_worker_that_closes_its_order_pipe_answers_and_is_replaced() {
    fn go_deaf() -> u8 {
        close_whosever(evil::order_pipe());
        7
    }
    run(async {
        let pool = pool(1);
        assert_eq!(pool.apply(go_deaf, ()).await.expect("it could still answer"), 7);
        works(&pool).await;
        assert_eq!(pool.stats().deaths, 1);
        pool.shutdown().await.expect("it ends");
    });
}

// fault 90
#[test]
fn whatever_a_dead_worker_leaves_on_its_board_each_task_is_answered() {
    fn vandalise(seed: u64) -> u8 {
        let mut noise = noise(seed);
        scribble(0, |_| match seed {
            0 => 0,
            1 => 0xff,
            _ => noise(),
        });
        std::process::abort();
    }
    run(async {
        let pool = pool(1);
        for seed in 0..10 {
            let vandal = pool.apply_async(vandalise, (seed,));
            let behind: Vec<_> = (0..5_u8).map(|n| pool.apply_async(|n: u8| n, (n,))).collect();
            // Of those behind it the board may say that they had started too.
            exit_of(vandal.await);
            for (n, task) in (0..).zip(behind) {
                match task.await {
                    Ok(value) => assert_eq!(value, n),
                    died => drop(exit_of(died)),
                }
            }
            works(&pool).await;
        }
        pool.shutdown().await.expect("it ends");
    });
}

/// Leaves results on the board that the task never had, and then dies.
fn forge(n: u8, elements: u32, bytes: u32) -> u8 {
    /// Where the results begin on the board: their call, first element, number and bytes, and the records.
    const RESULTS: u64 = 32 * 64;
    if n != 3 {
        return n;
    }
    let call = evil::running().call.to_ne_bytes();
    let numbers = [0, elements, bytes].map(u32::to_ne_bytes).concat();
    let head = [&call[..], &numbers].concat();
    scribble(RESULTS, |at| match usize::try_from(at - RESULTS).expect("it is small") {
        at if at < head.len() => head[at],
        at if at < 64 => 0,
        // Records of one byte each.
        at if at % 2 == 0 => 2,
        _ => 9,
    });
    std::process::abort();
}

// fault 90
#[test]
fn results_that_a_dead_worker_has_forged_on_its_board_settle_nothing_twice() {
    run(async {
        let pool = pool(1);
        let claims = [(1, 2), (9, 18), (10, 20), (11, 22), (9, 17), (u32::MAX, 20), (3, u32::MAX), (0, 0)];
        for (elements, bytes) in claims {
            let input = (0..10).map(move |n| (n, elements, bytes));
            let evil = pool.imap(|(n, elements, bytes)| forge(n, elements, bytes), input);
            let results: Vec<_> = evil.chunksize(10).collect().await;
            assert_eq!(results.len(), 10, "{elements} results of {bytes} bytes");
            for (n, result) in (0..).zip(results) {
                match result {
                    Ok(value) => assert!(value == n || value == 9, "{value} for {n}"),
                    died => drop(exit_of(died)),
                }
            }
            works(&pool).await;
        }
        pool.shutdown().await.expect("it ends");
    });
}
