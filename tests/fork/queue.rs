//! Queues between processes that are killed at any moment: whoever is left goes on, and no item comes torn, twice or out of order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use multiprocess::{Event, Process, Queue};

use crate::children;
use crate::sync::{RUNS, fork, kill, rounds, scatter, wait_until};

crate::cases!(
    two_processes_exchange_items_in_order,
    a_killed_producer_tears_no_item_and_holds_up_nobody,
    a_killed_consumer_takes_whole_items_and_holds_up_nobody,
    whoever_is_killed_while_it_waits_takes_no_item_along,
);

/// Whose item it is, which of its items, and a content that shows whether it is whole.
type Item = (u32, u32, Vec<u8>);

fn item(own: u32, number: u32) -> Item {
    // Some are so large that they are mapped by themselves.
    let length = if number % 64 == 63 { 70_000 } else { 7 * (number as usize % 32) };
    (own, number, vec![number.to_le_bytes()[0] | 1; length])
}

fn is_whole((own, number, bytes): &Item) -> bool {
    *bytes == item(*own, *number).2
}

fn queue(items: usize) -> Queue<Item> {
    Queue::bounded(items).expect("there is memory")
}

/// Waits as long as the scatter says, so that a kill comes at another moment each time.
fn some_moment(round: u32) {
    let end = Instant::now() + Duration::from_micros(u64::from(scatter(round)) * 3);
    wait_until(|| Instant::now() > end);
}

// C031, fault 89
fn two_processes_exchange_items_in_order() {
    let (there, back) = (Queue::<u32>::bounded(8).expect(RUNS), Queue::<u32>::bounded(1).expect(RUNS));
    let echo = fork(|| {
        while let Ok(item) = there.blocking_get() {
            back.blocking_put(item).expect(RUNS);
        }
    });
    let last = rounds(20_000);
    let feeds = fork(|| {
        (0..last).try_for_each(|item| there.blocking_put(item)).expect(RUNS);
        there.close();
    });
    assert!((0..last).all(|item| back.blocking_get().expect(RUNS) == item));
    feeds.blocking_join().expect(RUNS);
    echo.blocking_join().expect(RUNS);
    assert_eq!((there.len(), back.len(), children()), (0, 0, 0));
}

// C043, fault 91
fn a_killed_producer_tears_no_item_and_holds_up_nobody() {
    let queue = queue(50);
    let put_for_ever = |own: u32| -> () {
        (0..).try_for_each(|number| queue.blocking_put(item(own, number))).expect_err("the queue is closed");
    };
    let survivor = fork(|| put_for_ever(0));
    let mut next = HashMap::<u32, u32>::new();
    let mut check = |taken: Item| {
        let expected = next.entry(taken.0).or_default();
        assert!(is_whole(&taken) && taken.1 == *expected, "{} of {} after {expected}", taken.1, taken.0);
        *expected += 1;
        taken.0
    };
    for round in 1..=rounds(200) {
        let victim: Process<()> = fork(|| put_for_ever(round));
        while check(queue.blocking_get().expect(RUNS)) != round {}
        let end = Instant::now() + Duration::from_micros(scatter(round).into());
        while Instant::now() < end {
            check(queue.blocking_get().expect(RUNS));
        }
        kill(&victim);
        // The other one goes on.
        while check(queue.blocking_get().expect(RUNS)) != 0 {}
    }
    queue.close();
    while let Ok(taken) = queue.blocking_get() {
        check(taken);
    }
    survivor.blocking_join().expect(RUNS);
    assert_eq!(children(), 0);
}

// C043, fault 91
fn a_killed_consumer_takes_whole_items_and_holds_up_nobody() {
    let (queue, stop) = (queue(20), Event::new().expect(RUNS));
    let producer = fork(|| {
        let mut number = 0;
        while !stop.is_set() {
            queue.blocking_put(item(0, number)).expect("it is open");
            number += 1;
        }
        queue.close();
    });
    // What is taken grows, whoever takes it.
    let take_for_ever = || {
        let mut last = None;
        while let Ok(taken) = queue.blocking_get() {
            assert!(is_whole(&taken) && last.is_none_or(|last| last < taken.1), "{} after {last:?}", taken.1);
            last = Some(taken.1);
        }
    };
    let survivor = fork(take_for_ever);
    for round in 0..rounds(200) {
        let begun = Event::new().expect(RUNS);
        let victim = fork(|| {
            begun.set();
            take_for_ever();
        });
        begun.blocking_wait();
        some_moment(round);
        kill(&victim);
        assert!(is_whole(&queue.blocking_get().expect("the producer goes on")));
    }
    stop.set();
    producer.blocking_join().expect(RUNS);
    survivor.blocking_join().expect(RUNS);
    assert!(queue.is_empty());
    assert_eq!(children(), 0);
}

// C043, fault 89
fn whoever_is_killed_while_it_waits_takes_no_item_along() {
    let (empty, full) = (queue(1), queue(1));
    full.blocking_put(item(0, 0)).expect(RUNS);
    for round in 0..rounds(50) {
        let get = fork(|| drop(empty.blocking_get()));
        let put = fork(|| full.blocking_put(item(1, 1)).expect(RUNS));
        some_moment(round);
        kill(&get);
        kill(&put);
    }
    empty.blocking_put(item(0, 7)).expect(RUNS);
    assert_eq!(empty.blocking_get().expect(RUNS), item(0, 7));
    assert_eq!((full.blocking_get().expect(RUNS), full.len()), (item(0, 0), 0));
    assert_eq!(children(), 0);
}
