//! Models of a desk and of what is held on a board, in which loom tries every order of what the two sides do. `.ci/loom` runs them.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::AtomicU8;
use loom::thread;

use super::desk::{Desk, Found};
use super::held::Held;

/// A desk with a pipe beside it.
struct Ways {
    desk: Desk,
    pipe: Mutex<Vec<u8>>,
}

impl Ways {
    fn new() -> Arc<Self> {
        Arc::new(Self { desk: Desk::new(), pipe: Mutex::new(Vec::new()) })
    }

    fn read(&self) -> Vec<u8> {
        std::mem::take(&mut *self.pipe.lock().expect("nobody panics"))
    }

    /// As a pool or a worker sends a frame.
    fn send(&self, frame: u8) {
        if !self.desk.put(&[frame]) {
            self.pipe.lock().expect("nobody panics").push(frame);
            self.desk.ring();
        }
    }

    /// As one looks who has so many looks to spare.
    fn receive(&self, looks: usize) -> Vec<u8> {
        let mut came = Vec::new();
        for _ in 0..looks {
            if self.desk.sit_down() {
                came.extend(self.read());
            } else {
                self.found(self.desk.look(), &mut came);
            }
        }
        self.leave(&mut came);
        came
    }

    fn leave(&self, came: &mut Vec<u8>) {
        loop {
            match self.desk.leave() {
                Found::Unfinished => thread::yield_now(),
                found => return self.found(found, came),
            }
        }
    }

    fn found(&self, found: Found, came: &mut Vec<u8>) {
        match found {
            Found::Frame(frame) => came.extend(frame),
            Found::Rung => came.extend(self.read()),
            Found::Nothing | Found::Unfinished => {}
        }
    }
}

#[test]
fn what_is_sent_is_received_once_and_nothing_is_left_lying() {
    loom::model(|| {
        let ways = Ways::new();
        let its = Arc::clone(&ways);
        let sending = thread::spawn(move || its.send(7));
        let mut came = ways.receive(2);
        sending.join().expect("nobody panics");
        assert_eq!(ways.desk.look(), Found::Nothing, "the receiver has left before");
        came.extend(ways.read());
        assert_eq!(came, [7]);
    });
}

#[test]
fn of_two_who_leave_one_takes_what_lies_there() {
    loom::model(|| {
        let ways = Ways::new();
        assert!(ways.desk.sit_down() && ways.desk.put(&[7]));
        let its = Arc::clone(&ways);
        let other = thread::spawn(move || its.desk.leave());
        let found = ways.desk.leave();
        let both = [found, other.join().expect("nobody panics")];
        let taken = both.iter().filter(|found| matches!(found, Found::Frame(frame) if *frame == [7])).count();
        assert_eq!(taken, 1, "{both:?}");
        assert_eq!(ways.desk.look(), Found::Nothing);
    });
}

#[test]
fn what_is_read_from_a_board_is_whole_and_has_its_number() {
    loom::model(|| {
        let board: Arc<(Held, [AtomicU8; 2])> =
            Arc::new((Held::new(), std::array::from_fn(|_| AtomicU8::new(0))));
        let its = Arc::clone(&board);
        let working = thread::spawn(move || {
            let (held, area) = &*its;
            held.add(area, 0, &[1]);
            held.written(1);
            held.add(area, 0, &[2]);
            held.add(area, 1, &[3]);
        });
        let (held, area) = &*board;
        match held.read(area) {
            None => {}
            Some((0, frames)) => assert_eq!(frames, [1]),
            Some((1, frames)) => assert!(frames == [2] || frames == [2, 3], "{frames:?}"),
            Some(other) => panic!("{other:?} was never held"),
        }
        working.join().expect("nobody panics");
        assert_eq!(held.read(area), Some((1, vec![2, 3])));
    });
}
