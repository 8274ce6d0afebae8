//! Calls of objects in a manager, both sides blocking.
//!
//! Floors: a number to another process and back over a connection, both sides blocking; for many clients, as many of those side by side.

use std::time::{Duration, Instant};

use multiprocess::{Barrier, Connection, DictProxy, Manager, Process, pipe};

use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const ROUNDS: u32 = 20;
const TRIPS: u32 = 1_000;
const CLIENTS: usize = 16;
const CALLS: u32 = 2_000;

type Dict = DictProxy<u64, u64>;

pub(crate) fn dict_get(amount: Amount) -> Line {
    beside_a_connection(amount, |dict, number| {
        assert_eq!(dict.blocking_get(&(number % 8)).expect("it lives"), Some(number % 8));
    })
}

pub(crate) fn dict_set(amount: Amount) -> Line {
    beside_a_connection(amount, |dict, number| {
        dict.blocking_insert(&(number % 8), &(number % 8)).expect("it lives");
    })
}

fn beside_a_connection(amount: Amount, call: fn(&Dict, u64)) -> Line {
    let manager = Manager::blocking_start().expect("it starts");
    let dict = manager.blocking_dict().expect("it lives");
    dict.blocking_extend((0..8).map(|number| (number, number))).expect("it lives");
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let echo = Process::spawn(serve, (theirs,)).expect("it starts");
    let count = amount.of(TRIPS);
    let calls = || (0..u64::from(count)).map(|number| timed(|| call(&dict, number)).0).collect();
    let trips = || (0..u64::from(count)).map(|number| timed(|| trip(&ours, number)).0).collect();
    let medians = in_turns(amount.of(ROUNDS), calls, trips);
    ours.close();
    echo.blocking_join().expect("it returns");
    manager.blocking_shutdown().expect("it lives");
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Line::new(us(medians.case), "us", us(medians.floor))
}

fn serve(connection: Connection<u64, u64>) {
    while let Ok(number) = connection.blocking_recv() {
        connection.blocking_send(&(number + 1)).expect("somebody waits for it");
    }
}

fn trip(connection: &Connection<u64, u64>, number: u64) {
    connection.blocking_send(&number).expect("it is open");
    assert_eq!(connection.blocking_recv().expect("it is answered"), number + 1);
}

pub(crate) fn sixteen_clients(amount: Amount) -> Line {
    let count = amount.of(CALLS);
    let rates = in_turns(amount.of(5), || vec![called(count)], || vec![exchanged(count)]);
    let all = f64::from(count) * 16.0;
    Line::new(all / rates.case.as_secs_f64(), "calls/s", all / rates.floor.as_secs_f64())
}

/// So many clients, each with so many calls of a dict of its own.
fn called(count: u32) -> Duration {
    fn client(dict: Dict, start: Barrier, count: u32) {
        start.blocking_wait().expect("nobody breaks it");
        for number in 0..u64::from(count) {
            dict.blocking_insert(&(number % 8), &number).expect("it lives");
        }
    }
    let manager = Manager::blocking_start().expect("it starts");
    let start = Barrier::new(CLIENTS + 1).expect("they are some");
    let dict = || manager.blocking_dict().expect("it lives");
    let args = || (dict(), start.clone(), count);
    let clients: Vec<_> = (0..CLIENTS).map(|_| Process::spawn(client, args()).expect("it starts")).collect();
    let time = ended(&start, &clients);
    manager.blocking_shutdown().expect("it lives");
    time
}

/// So many clients, each with so many messages to a thread of this process and back.
fn exchanged(count: u32) -> Duration {
    fn client(connection: Connection<u64, u64>, start: Barrier, count: u32) {
        start.blocking_wait().expect("nobody breaks it");
        (0..u64::from(count)).for_each(|number| trip(&connection, number));
    }
    let start = Barrier::new(CLIENTS + 1).expect("they are some");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (theirs, ours) = pipe().expect("there are descriptors left");
            std::thread::spawn(move || serve(ours));
            Process::spawn(client, (theirs, start.clone(), count)).expect("it starts")
        })
        .collect();
    ended(&start, &clients)
}

fn ended(start: &Barrier, clients: &[Process<()>]) -> Duration {
    start.blocking_wait().expect("nobody breaks it");
    let began = Instant::now();
    for client in clients {
        client.blocking_join().expect("it returns");
    }
    began.elapsed()
}
