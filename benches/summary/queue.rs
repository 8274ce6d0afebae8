//! How many small items go through a queue between processes. The producers are copies of this one, so that these cases come before all that start threads.
//!
//! Floor: the same between threads over a channel of the standard library, whose receivers take turns by a lock.

use std::hint::black_box;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use multiprocess::{Process, Queue};

use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const ITEMS: u32 = 1_000_000;
const ROUNDS: u32 = 10;

pub(crate) fn one_each(amount: Amount) -> Line {
    between(amount, 1)
}

pub(crate) fn two_each(amount: Amount) -> Line {
    between(amount, 2)
}

fn between(amount: Amount, each: usize) -> Line {
    let items = amount.of(ITEMS);
    let of_processes = || vec![between_processes(items, each)];
    let of_threads = || vec![between_threads(items, each)];
    // In the copies there is no second thread, and here none is left when they are made.
    let medians = in_turns(amount.of(ROUNDS), of_processes, of_threads);
    let all = f64::from(items);
    Line::new(all / medians.case.as_secs_f64(), "items/s", all / medians.floor.as_secs_f64())
}

fn between_processes(items: u32, each: usize) -> Duration {
    let queue = Queue::<u64>::new().expect("there is memory");
    let share = items / u32::try_from(each).expect("they are few");
    let start = multiprocess::Barrier::new(2 * each).expect("two are enough");
    let arrive = || start.blocking_wait().expect("nobody breaks it");
    let produce = || {
        arrive();
        (0..u64::from(share)).for_each(|item| queue.blocking_put(item).expect("it is open"));
    };
    let consume = || {
        arrive();
        for _ in 0..share {
            black_box(queue.blocking_get().expect("it is open"));
        }
    };
    let mut others = Vec::new();
    for _ in 0..each {
        others.push(Process::fork(produce).expect("there is one thread"));
    }
    for _ in 1..each {
        others.push(Process::fork(consume).expect("there is one thread"));
    }
    let (time, ()) = timed(|| {
        consume();
        for other in &others {
            other.blocking_join().expect("it has no reason to fail");
        }
    });
    time
}

fn between_threads(items: u32, each: usize) -> Duration {
    let share = items / u32::try_from(each).expect("they are few");
    let (sender, receiver) = mpsc::channel::<u64>();
    let receiver = Mutex::new(receiver);
    let consume = || {
        for _ in 0..share {
            let receiver = receiver.lock().expect("nobody panics with it");
            black_box(receiver.recv().expect("somebody sends"));
        }
    };
    let (time, ()) = timed(|| {
        thread::scope(|scope| {
            for sender in vec![sender; each] {
                scope.spawn(move || {
                    (0..u64::from(share)).for_each(|item| sender.send(item).expect("it is received"));
                });
            }
            for _ in 1..each {
                scope.spawn(consume);
            }
            consume();
        });
    });
    time
}
