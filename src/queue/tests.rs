//! What is hard to bring about from outside: the end of the log, a process that dies at each step, and one that writes into the memory of others.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::Ordering;

use super::parcel::Parcel;
use super::place::{MOST_ITEMS, Place};
use super::record::{Record, SMALL, WINDOW};
use super::ring::{ALLOCATED, GIVEN_BACK, HEAD, LATCH, Ring, TAIL, TICKET, WATCHED};
use crate::error::Error;
use crate::os::{Log, Owner, Wanted, is_ready};
use crate::sync::Look;
use crate::wire::Fd;

fn ring(at: u64, items: u64) -> Ring {
    Ring::starting_at(Place::new(at, items), MOST_ITEMS).expect("there is memory")
}

fn put(ring: &Ring, item: &[u8]) {
    let parcel = Parcel { bytes: item.to_vec(), handles: Vec::new() };
    ring.put(&parcel, Look::ONCE).expect("there is room").expect("it is an item");
}

fn take(ring: &Ring) -> Option<Vec<u8>> {
    Some(ring.take(1 << 30, Look::ONCE)?.expect("nobody has written there").bytes)
}

#[test]
fn items_of_every_length_come_through_every_place() {
    let lengths = [0, 1, 7, 8, 9, 100, 4_000, 60_000, 65_528, 65_529, 70_000, 3_000_000];
    for at in [0, WINDOW - 3, Log::WORDS - 1, Log::WORDS - 9, Log::WORDS - SMALL, Log::WORDS - 20_000] {
        let ring = ring(at, MOST_ITEMS - 2);
        for round in 0..3_u8 {
            let items: Vec<Vec<u8>> = lengths.iter().map(|length| vec![round + 1; *length]).collect();
            for item in &items {
                put(&ring, item);
            }
            assert_eq!(ring.len(), items.len() as u64);
            for item in items {
                assert!(take(&ring) == Some(item), "from {at} on");
            }
            assert_eq!(take(&ring), None);
        }
    }
}

#[test]
fn memory_of_what_was_taken_is_given_back() {
    let ring = ring(Log::WORDS - 3 * WINDOW, 0);
    let file = File::from(ring.log.descriptor().try_clone().expect("there are descriptors left"));
    let blocks = || file.metadata().expect("it is open").blocks();
    let mut most = 0;
    for number in 0..3_000_u32 {
        put(&ring, &vec![7; if number % 100 == 99 { 200_000 } else { 5_000 }]);
        assert!(take(&ring).is_some());
        most = most.max(blocks());
    }
    // Blocks of 512 bytes: no more than a megabyte was there at a time, of 21.
    assert!(most <= 2_048, "{most} blocks");
    assert!(ring.head().at() < Log::WORDS / 2, "the log has begun anew");
}

#[test]
fn what_does_not_fit_into_the_number_of_items_waits() {
    let ring = Ring::starting_at(Place::new(0, 0), u64::MAX).expect("there is memory");
    ring.room.word(HEAD).store(Place::new(0, MOST_ITEMS).word(), Ordering::Release);
    assert_eq!(ring.len(), MOST_ITEMS);
    let parcel = Parcel { bytes: Vec::new(), handles: Vec::new() };
    assert!(ring.put(&parcel, Look::ONCE).is_none());
}

// fault 91
#[test]
fn a_producer_that_dies_at_any_step_has_put_its_item_or_not() {
    let dead = Owner::gone().bits();
    let handle = || Fd::new(std::io::pipe().expect("there are descriptors left").0.into());
    for step in 0..6 {
        let ring = ring(WINDOW - 2, 0);
        put(&ring, b"before");
        let (head, at) = (ring.head(), WINDOW);
        let mut window = ring.producing.lock();
        let mut store = |at, value| window.store(&ring.log, at, value).expect("it can be mapped");
        ring.room.word(LATCH).store(dead, Ordering::Release);
        if step > 0 {
            store(head.at(), Record::Pad { words: 1 }.header());
        }
        if step > 1 {
            ring.room.word(TICKET).store(1, Ordering::Release);
        }
        if step > 2 {
            assert!(ring.handles.send(1, &[handle()]).expect("there is room"));
        }
        if step > 3 {
            store(at, Record::Item { bytes: 0, handles: 1 }.header());
            store(at + 1, 1);
        }
        let was_put = step > 4;
        if was_put {
            ring.room.word(HEAD).store(Place::new(at + 2, 2).word(), Ordering::Release);
        }
        drop(window);
        put(&ring, b"after");
        assert_eq!(take(&ring).expect("it is there"), b"before");
        if was_put {
            let parcel = ring.take(1, Look::ONCE).expect("it is there").expect("it is whole");
            assert_eq!(parcel.handles.len(), 1);
        }
        assert_eq!(take(&ring).expect("it is there"), b"after", "step {step}");
        assert_eq!(take(&ring), None);
        let parcel = Parcel { bytes: vec![1], handles: vec![handle(), handle()] };
        ring.put(&parcel, Look::ONCE).expect("there is room").expect("it is an item");
        let parcel = ring.take(1, Look::ONCE).expect("it is there").expect("it is whole");
        assert_eq!(parcel.handles.len(), 2, "those of nobody are passed over");
    }
}

// fault 91
#[test]
fn a_consumer_that_dies_at_any_step_has_taken_its_item_or_not() {
    let dead = Owner::gone().bits();
    let handle = || Fd::new(std::io::pipe().expect("there are descriptors left").0.into());
    for moved in [false, true] {
        let ring = ring(0, 0);
        for bytes in [vec![1], vec![2]] {
            let parcel = Parcel { bytes, handles: vec![handle()] };
            ring.put(&parcel, Look::ONCE).expect("there is room").expect("it is an item");
        }
        ring.items.word(LATCH).store(dead, Ordering::Release);
        if moved {
            // And it did not come to take the handle.
            ring.items.word(TAIL).store(ring.tail().after(3, 1).word(), Ordering::Release);
        }
        for number in if moved { vec![2] } else { vec![1, 2] } {
            let parcel = ring.take(1, Look::ONCE).expect("it is there").expect("it is whole");
            assert_eq!((parcel.bytes, parcel.handles.len()), (vec![number], 1));
        }
        assert!(ring.take(1, Look::ONCE).is_none());
    }
}

// fault 91
#[test]
fn an_item_that_was_put_by_a_dead_producer_is_announced_and_one_that_was_not_is_forgotten() {
    let ring = ring(0, 0);
    let is_announced = |ring: &Ring| is_ready(ring.watched(), Wanted::Input).expect("it is open");
    assert!(!is_announced(&ring));
    ring.room.word(LATCH).store(Owner::gone().bits(), Ordering::Release);
    ring.raise_level();
    // It was killed here.
    assert!(is_announced(&ring));
    assert!(ring.take(1, Look::ONCE).is_none());
    assert!(!is_announced(&ring));
}

// fault 90
#[test]
fn an_item_that_would_go_beyond_its_window_or_the_log_is_an_error() {
    for (at, bytes) in [(WINDOW - 2, 100), (Log::WORDS - 2, 100), (Log::WORDS - 2, 1 << 20)] {
        let ring = ring(at, 0);
        put(&ring, &vec![1; 1 << 21]);
        let header = Record::Item { bytes, handles: 0 }.header();
        ring.consuming.lock().store(&ring.log, at, header).expect("it can be mapped");
        assert!(matches!(ring.take(1 << 30, Look::ONCE), Some(Err(Error::DecodeMessage { .. }))));
        put(&ring, b"next");
        assert_eq!(take(&ring).expect("the next is not harmed"), b"next");
    }
}

// fault 90
#[test]
fn whatever_another_process_writes_there_an_item_is_had_or_an_error() {
    let mut seen = 0_u64;
    for which in 0..7 {
        for value in
            [0, 1, 7, u64::MAX, 1 << 63, Log::WORDS - 1, Log::WORDS, 1 << 36, 3 << 56 | 5, 1 << 56 | 1 << 40]
        {
            let ring = ring(3, 5);
            put(&ring, b"one");
            put(&ring, &vec![2; 100_000]);
            let mut window = ring.consuming.lock();
            match which {
                0 => ring.room.word(HEAD).store(value, Ordering::Release),
                1 => ring.items.word(TAIL).store(value, Ordering::Release),
                2 => ring.room.word(ALLOCATED).store(value, Ordering::Release),
                3 => ring.items.word(GIVEN_BACK).store(value, Ordering::Release),
                4 => ring.items.word(WATCHED).store(value, Ordering::Release),
                5 => window.store(&ring.log, 3, value).expect("it can be mapped"),
                _ => window.store(&ring.log, 5, value).expect("it can be mapped"),
            }
            drop(window);
            for _ in 0..5 {
                match ring.take(1 << 20, Look::ONCE) {
                    Some(Err(Error::DecodeMessage { .. } | Error::MessageTooLarge { .. })) => seen += 1,
                    Some(Err(other)) => panic!("{other:?}"),
                    Some(Ok(_)) | None => {}
                }
                let parcel = Parcel { bytes: vec![1; 9], handles: Vec::new() };
                drop(ring.put(&parcel, Look::ONCE));
            }
        }
    }
    assert!(seen > 10, "what was overwritten is noticed");
}
