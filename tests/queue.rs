//! Queues between tasks, in processes and on threads.

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, future};
use multiprocess::{
    Array, Error, Handle, JoinableQueue, Kind, Process, Queue, RawValue, Result, Shared, SharedMemory,
    SimpleQueue, blocking_wait, wait,
};
use serde::{Deserialize, Serialize};
use support::odd::{Habit, Odd};
use support::{end, on_both, on_processes, pool, run};

/// What the tests expect of what has no reason to fail.
const RUNS: &str = "it has no reason to fail";
/// Longer than what could be waited for by mistake, and waited for by nobody.
const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(20);

on_both!(
    a_bounded_queue_is_full_when_it_is,
    items_come_in_order_and_none_is_an_answer_too,
    what_was_put_before_and_after_a_task_starts_comes_once_and_in_order,
    the_length_follows_each_item,
    a_queue_is_joined_when_each_item_is_done,
    a_closed_queue_takes_nothing_and_gives_what_is_left,
    whoever_waits_sees_the_end,
    whoever_waits_for_room_gets_it,
    each_of_many_that_wait_gets_an_item,
    a_stream_gives_all_items_and_ends,
    large_items_come_whole,
    handles_go_through_a_queue,
    a_queue_goes_through_a_queue_and_inside_of_values,
    what_processes_share_goes_through_a_queue,
    many_put_and_many_take_and_each_item_comes_once,
);

on_processes!(a_child_that_has_put_what_nobody_took_can_be_joined, a_queue_goes_on_to_a_grandchild,);

fn queue<T>() -> Queue<T> {
    Queue::new().expect("there is memory")
}

fn bounded<T>(items: usize) -> Queue<T> {
    Queue::bounded(items).expect("there is memory")
}

fn is_full<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Full))
}

fn is_closed<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Closed))
}

fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(future).poll(&mut context).is_pending()
}

// C029
async fn a_bounded_queue_is_full_when_it_is<K: Kind>() {
    let (pool, queue) = (pool::<K>(1), bounded::<u32>(3));
    assert!(queue.is_empty() && !queue.is_full());
    let put = |queue: Queue<u32>| {
        queue.blocking_put(1).expect(RUNS);
        queue.try_put(2).expect(RUNS);
        queue.blocking_put_timeout(3, LONG).expect(RUNS);
    };
    pool.apply(put, (queue.clone(),)).await.expect(RUNS);
    assert!(!queue.is_empty() && queue.is_full());
    assert!(is_full(queue.try_put(4)));
    let begun = Instant::now();
    assert!(is_full(queue.put_timeout(4, SHORT).await));
    assert!(begun.elapsed() >= SHORT);
    let refused = |queue: Queue<u32>| {
        let begun = Instant::now();
        (is_full(queue.blocking_put_timeout(4, SHORT)), begun.elapsed() >= SHORT, is_full(queue.try_put(4)))
    };
    assert_eq!(pool.apply(refused, (queue.clone(),)).await.expect(RUNS), (true, true, true));
    assert!(is_full(queue.put_timeout(4, Duration::ZERO).await));
    assert_eq!(queue.get().await.expect(RUNS), 1);
    assert!(!queue.is_full());
    queue.try_put(4).expect("there is room again");
    end(pool).await;
}

#[test]
fn a_queue_without_room_is_refused() {
    for error in [Queue::<u8>::bounded(0).map(drop), JoinableQueue::<u8>::bounded(0).map(drop)] {
        assert!(matches!(error, Err(Error::Option { option: "bounded", .. })));
    }
}

// C030, C034
async fn items_come_in_order_and_none_is_an_answer_too<K: Kind>() {
    let (pool, queue) = (pool::<K>(1), queue::<u32>());
    let put = |queue: Queue<u32>| (0..3).try_for_each(|item| queue.blocking_put(item)).expect(RUNS);
    pool.apply(put, (queue.clone(),)).await.expect(RUNS);
    assert_eq!(queue.get().await.expect(RUNS), 0);
    assert_eq!(queue.get_timeout(LONG).await.expect(RUNS), Some(1));
    assert_eq!(queue.try_get().expect(RUNS), Some(2));
    assert_eq!(queue.try_get().expect(RUNS), None);
    assert_eq!(queue.get_timeout(Duration::ZERO).await.expect(RUNS), None);
    let begun = Instant::now();
    assert_eq!(queue.get_timeout(SHORT).await.expect(RUNS), None);
    assert!(begun.elapsed() >= SHORT);
    let waits = |queue: Queue<u32>| {
        let begun = Instant::now();
        let none = queue.blocking_get_timeout(SHORT).expect(RUNS);
        (none, begun.elapsed() >= SHORT, queue.try_get().expect(RUNS))
    };
    assert_eq!(pool.apply(waits, (queue.clone(),)).await.expect(RUNS), (None, true, None));
    end(pool).await;
}

// C031
async fn what_was_put_before_and_after_a_task_starts_comes_once_and_in_order<K: Kind>() {
    let (pool, there, back) = (pool::<K>(1), queue::<u32>(), queue::<u32>());
    for item in 0..10 {
        there.put(item).await.expect(RUNS);
    }
    let pass_on = |there: Queue<u32>, back: Queue<u32>| {
        while let Ok(item) = there.blocking_get() {
            back.blocking_put(item).expect(RUNS);
        }
        back.close();
    };
    let passing = pool.apply_async(pass_on, (there.clone(), back.clone()));
    assert_eq!(back.get().await.expect(RUNS), 0);
    for item in 10..20 {
        there.put(&item).await.expect(RUNS);
    }
    there.close();
    let rest: Vec<u32> = back.clone().try_collect().await.expect(RUNS);
    assert!(rest.into_iter().eq(1..20));
    passing.await.expect(RUNS);
    end(pool).await;
}

// C032, C039
async fn the_length_follows_each_item<K: Kind>() {
    let (pool, queue) = (pool::<K>(1), SimpleQueue::<String>::new().expect("there is memory"));
    let seen = |queue: &SimpleQueue<String>| (queue.len(), queue.is_empty());
    assert_eq!(seen(&queue), (0, true));
    let put = |queue: SimpleQueue<String>| {
        queue.blocking_put("item".to_owned()).expect(RUNS);
        queue.len()
    };
    assert_eq!(pool.apply(put, (queue.clone(),)).await.expect(RUNS), 1);
    assert_eq!(seen(&queue), (1, false));
    assert_eq!(pool.apply(put, (queue.clone(),)).await.expect(RUNS), 2);
    assert_eq!(seen(&queue), (2, false));
    assert_eq!(queue.get().await.expect(RUNS), "item");
    assert_eq!(seen(&queue), (1, false));
    let get = |queue: SimpleQueue<String>| {
        queue.blocking_get().expect(RUNS);
        queue.is_empty()
    };
    assert!(pool.apply(get, (queue.clone(),)).await.expect(RUNS));
    assert_eq!(seen(&queue), (0, true));
    end(pool).await;
}

// C033
async fn a_queue_is_joined_when_each_item_is_done<K: Kind>() {
    let (pool, queue) = (pool::<K>(4), JoinableQueue::<u64>::bounded(5).expect("there is memory"));
    let done = Queue::<u64>::new().expect("there is memory");
    let work = |queue: JoinableQueue<u64>, done: Queue<u64>| {
        while let Ok(item) = queue.blocking_get() {
            done.blocking_put(item).expect(RUNS);
            queue.task_done().expect("it was taken");
        }
    };
    let workers: Vec<_> = (0..4).map(|_| pool.apply_async(work, (queue.clone(), done.clone()))).collect();
    queue.join().await;
    for item in 0..40 {
        queue.put(item).await.expect(RUNS);
    }
    queue.join().await;
    assert_eq!((done.len(), queue.unfinished()), (40, 0), "each was done before");
    queue.put(7).await.expect(RUNS);
    let joins = |queue: JoinableQueue<u64>| queue.blocking_join();
    // It has a task of its own to wait in: all workers of the pool are at work.
    let other = Process::spawn(joins, (queue.clone(),)).expect("it starts");
    other.join().await.expect(RUNS);
    assert_eq!((done.len(), queue.unfinished()), (41, 0));
    assert!(matches!(queue.task_done(), Err(Error::TooManyDone)));
    queue.close();
    future::try_join_all(workers).await.expect(RUNS);
    end(pool).await;
}

// C035
#[test]
fn an_item_that_cannot_be_encoded_takes_no_room_and_stops_no_other() {
    let queue = bounded::<Odd>(1);
    assert!(matches!(queue.try_put(Odd(Habit::WriteFails, 1)), Err(Error::EncodeMessage { .. })));
    assert!(queue.is_empty());
    queue.try_put(Odd(Habit::None, 2)).expect("there is room");
    assert_eq!(queue.try_get().expect("it is as it was"), Some(Odd(Habit::None, 2)));
}

// C035
#[test]
fn an_item_that_cannot_be_decoded_is_gone_and_stops_no_other() {
    let queue = queue::<Odd>();
    queue.try_put(Odd(Habit::ReadFails, 1)).expect(RUNS);
    queue.try_put(Odd(Habit::None, 2)).expect(RUNS);
    let error = queue.try_get().expect_err("it does not want");
    assert!(matches!(&error, Error::DecodeMessage { cause } if cause.contains("does not want to be read")));
    assert_eq!(queue.try_get().expect("it is not harmed"), Some(Odd(Habit::None, 2)));
}

// C037, C038, C041
async fn a_closed_queue_takes_nothing_and_gives_what_is_left<K: Kind>() {
    let (pool, queue) = (pool::<K>(1), queue::<u32>());
    queue.put(1).await.expect(RUNS);
    let close = |queue: Queue<u32>| {
        queue.close();
        queue.close();
    };
    pool.apply(close, (queue.clone(),)).await.expect(RUNS);
    assert!(queue.is_closed() && !queue.is_empty());
    assert!(is_closed(queue.put(2).await) && is_closed(queue.try_put(2)));
    assert!(is_closed(queue.put_timeout(2, LONG).await));
    let refused = |queue: Queue<u32>| {
        is_closed(queue.blocking_put(2)) && is_closed(queue.blocking_put_timeout(2, LONG))
    };
    assert!(pool.apply(refused, (queue.clone(),)).await.expect(RUNS));
    assert_eq!(queue.get().await.expect(RUNS), 1);
    assert!(is_closed(queue.get().await) && is_closed(queue.try_get()));
    assert!(is_closed(queue.get_timeout(LONG).await) && queue.is_empty());
    let ended =
        |queue: Queue<u32>| is_closed(queue.blocking_get()) && is_closed(queue.blocking_get_timeout(LONG));
    assert!(pool.apply(ended, (queue.clone(),)).await.expect(RUNS));
    end(pool).await;
}

async fn whoever_waits_sees_the_end<K: Kind>() {
    let (pool, empty, full) = (pool::<K>(2), queue::<u32>(), bounded::<u32>(1));
    full.put(1).await.expect(RUNS);
    let waits = |queue: Queue<u32>| is_closed(queue.blocking_get());
    let taking = pool.apply_async(waits, (empty.clone(),));
    let putting = pool.apply_async(|queue: Queue<u32>| is_closed(queue.blocking_put(2)), (full.clone(),));
    let (mut stream, mut getting, mut filling) =
        (empty.clone(), Box::pin(empty.get()), Box::pin(full.put(3)));
    let (mut next, close) = (stream.next(), || (empty.close(), full.close()));
    assert!(is_pending(&mut next));
    assert!(is_pending(&mut getting) && is_pending(&mut filling));
    close();
    assert!(next.await.is_none() && is_closed(getting.await) && is_closed(filling.await));
    assert!(taking.await.expect(RUNS) && putting.await.expect(RUNS));
    end(pool).await;
}

async fn whoever_waits_for_room_gets_it<K: Kind>() {
    let (pool, queue) = (pool::<K>(1), bounded::<u32>(1));
    let put = |queue: Queue<u32>| (0..50).try_for_each(|item| queue.blocking_put(item)).expect(RUNS);
    let putting = pool.apply_async(put, (queue.clone(),));
    let more = async { futures::stream::iter(50..100).map(Ok).try_for_each(|item| queue.put(item)).await };
    let take = async {
        let mut taken = Vec::new();
        while taken.len() < 100 {
            taken.push(queue.get().await.expect(RUNS));
        }
        taken
    };
    let (more, taken) = future::join(more, take).await;
    more.expect(RUNS);
    putting.await.expect(RUNS);
    let (ours, theirs): (Vec<_>, Vec<_>) = taken.into_iter().partition(|item| *item >= 50);
    assert!(theirs.into_iter().eq(0..50) && ours.into_iter().eq(50..100));
    end(pool).await;
}

async fn each_of_many_that_wait_gets_an_item<K: Kind>() {
    let (pool, queue) = (pool::<K>(4), queue::<u32>());
    let get = |queue: Queue<u32>| queue.blocking_get().expect(RUNS);
    let theirs: Vec<_> = (0..4).map(|_| pool.apply_async(get, (queue.clone(),))).collect();
    let mut ours: Vec<_> = (0..4).map(|_| Box::pin(queue.get())).collect();
    for waiting in &mut ours {
        assert!(is_pending(waiting));
    }
    // One that is dropped takes nothing along.
    drop(ours.pop());
    for item in 0..7 {
        queue.put(item).await.expect(RUNS);
    }
    let mut taken = future::try_join_all(theirs).await.expect(RUNS);
    taken.extend(future::try_join_all(ours).await.expect(RUNS));
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..7));
    end(pool).await;
}

async fn a_stream_gives_all_items_and_ends<K: Kind>() {
    let (pool, queue) = (pool::<K>(2), bounded::<(u8, u32)>(4));
    let put = |queue: Queue<(u8, u32)>, own: u8| {
        (0..100).try_for_each(|item| queue.blocking_put((own, item))).expect(RUNS);
    };
    let puts = [0, 1].map(|own| pool.apply_async(put, (queue.clone(), own)));
    let closes = async {
        future::try_join_all(puts).await.expect(RUNS);
        queue.close();
    };
    let all = queue.clone().try_collect::<Vec<_>>();
    let ((), all) = future::join(closes, all).await;
    for own in [0, 1] {
        let its = all.as_ref().expect(RUNS).iter().filter(|(of, _)| *of == own).map(|(_, item)| *item);
        assert!(its.eq(0..100));
    }
    end(pool).await;
}

async fn large_items_come_whole<K: Kind>() {
    let (pool, queue) = (pool::<K>(2), queue::<(u64, Vec<u64>)>());
    let put = |queue: Queue<(u64, Vec<u64>)>, own: u64| {
        for length in [0, 1, 8_000, 100_000, 8_200, 3] {
            queue.blocking_put((own, vec![own; length])).expect(RUNS);
        }
    };
    let puts = [3, 4].map(|own| pool.apply_async(put, (queue.clone(), own)));
    let mut lengths = BTreeMap::<u64, Vec<usize>>::new();
    for _ in 0..12 {
        let (own, items) = queue.get().await.expect(RUNS);
        assert!(items.iter().all(|item| *item == own));
        lengths.entry(own).or_default().push(items.len());
    }
    assert!(lengths.into_values().all(|lengths| lengths == [0, 1, 8_000, 100_000, 8_200, 3]));
    future::try_join_all(puts).await.expect(RUNS);
    end(pool).await;
}

// C042
async fn handles_go_through_a_queue<K: Kind>() {
    let (pool, queue) = (pool::<K>(1), queue::<(u32, Handle<File>)>());
    let put = |queue: Queue<(u32, Handle<File>)>| {
        for number in 0..300_u32 {
            let (reader, mut writer) = std::io::pipe().expect("there are descriptors left");
            writer.write_all(&number.to_le_bytes()).expect("it is read");
            let file = File::from(std::os::fd::OwnedFd::from(reader));
            queue.blocking_put((number, Handle::new(file))).expect(RUNS);
        }
    };
    let putting = pool.apply_async(put, (queue.clone(),));
    for number in 0..300_u32 {
        let (own, file) = queue.get().await.expect(RUNS);
        let mut bytes = [0; 4];
        file.into_inner().read_exact(&mut bytes).expect("it was written");
        assert_eq!((own, u32::from_le_bytes(bytes)), (number, number));
    }
    putting.await.expect(RUNS);
    end(pool).await;
}

#[derive(Serialize, Deserialize)]
struct Common {
    count: RawValue<u64>,
    table: Shared<Vec<u64>>,
    sums: Array<u64>,
    memory: SharedMemory,
}

async fn what_processes_share_goes_through_a_queue<K: Kind>() {
    let (pool, queue) = (pool::<K>(1), queue::<Common>());
    let common = Common {
        count: RawValue::new(0).expect("there is memory"),
        table: Shared::new(&vec![1, 2, 3]).expect("there is memory"),
        sums: Array::zeroed(1).expect("there is memory"),
        memory: SharedMemory::create(8).expect("there is memory"),
    };
    queue.put(&common).await.expect(RUNS);
    let work = |queue: Queue<Common>| {
        let common = queue.blocking_get().expect(RUNS);
        let table = common.table.get().expect("it is a list of numbers");
        common.count.set(table.len() as u64);
        common.sums.blocking_lock().expect("nobody has died with it")[0] = table.iter().sum();
        common.memory.write(0, &[7; 8]).expect("there is room");
    };
    pool.apply(work, (queue,)).await.expect(RUNS);
    let sum = common.sums.lock().await.expect("nobody has died with it")[0];
    assert_eq!((common.count.get(), sum), (3, 6));
    let mut bytes = [0; 8];
    common.memory.read(0, &mut bytes).expect("they are there");
    assert_eq!(bytes, [7; 8]);
    end(pool).await;
}

#[test]
fn items_with_handles_wait_for_room_of_their_own() {
    let queue = queue::<(u32, Option<Handle<File>>)>();
    let file = File::open("/dev/null").expect("it is there");
    let item = |number| {
        let copy = file.try_clone().expect("there are descriptors left");
        (number, Some(Handle::new(copy)))
    };
    let mut put = 0;
    while queue.try_put(item(put)).is_ok() {
        put += 1;
    }
    assert!(put >= 100, "{put} were put");
    assert!(is_full(queue.try_put(item(put))) && !queue.is_full());
    queue.try_put((put, None)).expect("there is room for any number of others");
    for number in 0..=put {
        let (own, file) = queue.try_get().expect(RUNS).expect("it was put");
        assert_eq!((own, file.is_some()), (number, number < put));
    }
    queue.try_put(item(0)).expect("there is room again");
}

#[derive(Serialize, Deserialize)]
struct Job {
    name: String,
    answer: Option<Queue<String>>,
    counted: JoinableQueue<u8>,
}

async fn a_queue_goes_through_a_queue_and_inside_of_values<K: Kind>() {
    let (pool, jobs, answer) = (pool::<K>(1), queue::<Job>(), bounded::<String>(1));
    let work = |jobs: Queue<Job>| {
        let job = jobs.blocking_get().expect(RUNS);
        job.counted.blocking_put(7).expect(RUNS);
        job.counted.task_done().expect("one was put");
        job.answer.expect("it came along").blocking_put(format!("hello {}", job.name)).expect(RUNS);
    };
    let working = pool.apply_async(work, (jobs.clone(),));
    let counted = JoinableQueue::new().expect("there is memory");
    let job = Job { name: "world".to_owned(), answer: Some(answer.clone()), counted: counted.clone() };
    jobs.put(job).await.expect(RUNS);
    assert_eq!(answer.get().await.expect(RUNS), "hello world");
    working.await.expect(RUNS);
    assert_eq!((counted.len(), counted.unfinished()), (1, 0));
    end(pool).await;
}

async fn many_put_and_many_take_and_each_item_comes_once<K: Kind>() {
    let (pool, queue) = (pool::<K>(4), bounded::<(u8, u32)>(16));
    let put = |queue: Queue<(u8, u32)>, own: u8| {
        (0..1_000).try_for_each(|item| queue.blocking_put((own, item))).expect(RUNS);
    };
    let take = |queue: Queue<(u8, u32)>| std::iter::from_fn(|| queue.blocking_get().ok()).collect::<Vec<_>>();
    let takes = [(); 2].map(|()| pool.apply_async(take, (queue.clone(),)));
    future::try_join_all([0, 1].map(|own| pool.apply_async(put, (queue.clone(), own)))).await.expect(RUNS);
    queue.close();
    let taken = future::try_join_all(takes).await.expect(RUNS);
    for its in &taken {
        for own in [0, 1] {
            let of_one: Vec<_> = its.iter().filter(|(of, _)| *of == own).collect();
            assert!(of_one.is_sorted(), "in the order in which they were put");
        }
    }
    let mut all = taken.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..2).flat_map(|own| (0..1_000).map(move |item| (own, item)))));
    end(pool).await;
}

// C044
async fn a_child_that_has_put_what_nobody_took_can_be_joined() {
    let queue = queue::<Vec<u8>>();
    let put = |queue: Queue<Vec<u8>>| {
        for length in [10, 100_000, 1_000_000] {
            queue.blocking_put(vec![1; length]).expect(RUNS);
        }
    };
    let child = Process::spawn(put, (queue.clone(),)).expect("it starts");
    child.join().await.expect(RUNS);
    queue.close();
    let lengths: Vec<_> = queue.map(|item| item.expect("it is whole").len()).collect().await;
    assert_eq!(lengths, [10, 100_000, 1_000_000]);
}

// C042
async fn a_queue_goes_on_to_a_grandchild() {
    let queue = queue::<u32>();
    let grandchild = |queue: Queue<u32>| queue.blocking_put(1).expect(RUNS);
    let child = move |queue: Queue<u32>| {
        let process = Process::spawn(grandchild, (queue.clone(),)).expect("it starts");
        queue.blocking_put(2).expect(RUNS);
        process.blocking_join().expect(RUNS);
    };
    Process::spawn(child, (queue.clone(),)).expect("it starts").join().await.expect(RUNS);
    let mut both = [queue.get().await.expect(RUNS), queue.get().await.expect(RUNS)];
    both.sort_unstable();
    assert_eq!(both, [1, 2]);
}

// C063
#[test]
fn queues_are_waited_for_beside_others() {
    run(async {
        let (one, other, (receiver, sender)) =
            (queue::<u32>(), queue::<u32>(), multiprocess::one_way::<u32>().expect(RUNS));
        let any = [one.as_fd(), other.as_fd(), receiver.as_fd()];
        assert!(wait(&any, Some(Duration::ZERO)).await.expect(RUNS).is_empty());
        let put = |queue: Queue<u32>| queue.blocking_put(7).expect(RUNS);
        let process = Process::spawn(put, (other.clone(),)).expect("it starts");
        assert_eq!(wait(&any, None).await.expect(RUNS), [1]);
        process.join().await.expect(RUNS);
        sender.send(&1).await.expect(RUNS);
        assert_eq!(wait(&any, None).await.expect(RUNS), [1, 2]);
        assert_eq!(other.get().await.expect(RUNS), 7);
        assert_eq!(wait(&any, None).await.expect(RUNS), [2]);
        one.close();
        assert_eq!(blocking_wait(&any, None).expect(RUNS), [0, 2]);
    });
}

#[test]
fn nobody_else_can_send_a_queue() {
    let error = postcard::to_stdvec(&queue::<u8>()).expect_err("it is a handle");
    assert_eq!(error, postcard::Error::SerdeSerCustom);
}

#[test]
fn an_item_over_the_limit_is_an_error_for_who_puts_and_who_takes_it() {
    let queue = queue::<String>();
    let strict = queue.clone().max_frame(4);
    assert!(matches!(strict.try_put("too long".to_owned()), Err(Error::MessageTooLarge { size: 9, max: 4 })));
    queue.try_put("too long".to_owned()).expect(RUNS);
    queue.try_put("abc".to_owned()).expect(RUNS);
    assert!(matches!(strict.try_get(), Err(Error::MessageTooLarge { size: 9, max: 4 })));
    assert_eq!(strict.try_get().expect("the next is not harmed").as_deref(), Some("abc"));
}
