//! Models of queues, in which loom tries every order of what their holders do. `.ci/loom` runs them. A wake-up that is lost is a deadlock, which loom
//! reports.

use std::sync::Arc;

use loom::thread;

use super::parcel::Parcel;
use super::ring::Ring;
use crate::sync::{self, Look};
use crate::wait::block_on;

fn ring(bound: u64) -> Arc<Ring> {
    Arc::new(Ring::new(bound, true).expect("it is memory"))
}

fn put(ring: &Ring, item: u8) {
    let parcel = Parcel { bytes: vec![item], handles: Vec::new() };
    let put = ring.put(&parcel, Look::ONCE);
    put.or_else(|| sync::block(&ring.room, None, |look| ring.put(&parcel, look)))
        .expect("a wait without an end finds something")
        .expect("it is open");
}

/// The next item; nothing if the queue is closed.
fn get(ring: &Ring) -> Option<u8> {
    let take = |look| ring.take(1, look);
    let taken = take(Look::ONCE).or_else(|| sync::block(&ring.items, None, take));
    taken.expect("a wait without an end finds something").ok().map(|parcel| parcel.bytes[0])
}

// fault 89
#[test]
fn whoever_waits_for_an_item_or_for_room_gets_it() {
    loom::model(|| {
        let ring = ring(1);
        let theirs = Arc::clone(&ring);
        let other = thread::spawn(move || [1, 2].map(|item| put(&theirs, item)));
        assert_eq!([get(&ring), get(&ring)], [Some(1), Some(2)]);
        other.join().expect("no thread of a model panics");
    });
}

// fault 89
#[test]
fn each_of_two_that_wait_gets_one_of_two_items() {
    loom::model(|| {
        let ring = ring(2);
        let takes = [(); 2].map(|()| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || get(&ring).expect("it is open"))
        });
        put(&ring, 1);
        put(&ring, 2);
        let taken = takes.map(|take| take.join().expect("no thread of a model panics"));
        assert_eq!(taken[0] + taken[1], 3);
    });
}

#[test]
fn whoever_waits_sees_that_the_queue_is_closed() {
    loom::model(|| {
        let ring = ring(1);
        let theirs = Arc::clone(&ring);
        let other = thread::spawn(move || (get(&theirs), get(&theirs)));
        put(&ring, 1);
        ring.close();
        assert_eq!(other.join().expect("no thread of a model panics"), (Some(1), None));
    });
}

#[test]
fn whoever_joins_sees_that_all_is_done() {
    loom::model(|| {
        let ring = ring(1);
        put(&ring, 1);
        let theirs = Arc::clone(&ring);
        let other = thread::spawn(move || {
            get(&theirs);
            assert!(theirs.done());
        });
        block_on(sync::wait(&ring.room, None, |look| ring.all_done(look)));
        assert_eq!((ring.unfinished(), ring.done()), (0, false));
        other.join().expect("no thread of a model panics");
    });
}
