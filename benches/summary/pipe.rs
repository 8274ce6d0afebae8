//! A number to another process and back over a connection, both sides blocking.
//!
//! Floor: one byte to and fro over a pair of sockets, both sides blocking.

use std::time::Duration;

use multiprocess::{Connection, Process, pipe};

use crate::child::Pong;
use crate::plan::Amount;
use crate::report::Line;
use crate::sample::{in_turns, timed};

const ROUNDS: u32 = 20;
const TRIPS: u32 = 1_000;

pub(crate) fn roundtrip(amount: Amount) -> Line {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = Process::spawn(serve, (theirs,)).expect("it starts");
    let mut pong = Pong::start_on_a_socket().arrived();
    let count = amount.of(TRIPS);
    trips(&ours, count);
    let medians = in_turns(amount.of(ROUNDS), || trips(&ours, count), || pong.ping(count));
    ours.close();
    process.blocking_join().expect("it returns");
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    Line::new(us(medians.case), "us", us(medians.floor))
}

fn serve(connection: Connection<u64, u64>) {
    while let Ok(number) = connection.blocking_recv() {
        connection.blocking_send(&(number + 1)).expect("somebody waits for it");
    }
}

fn trips(connection: &Connection<u64, u64>, count: u32) -> Vec<Duration> {
    let trip = |number: u64| {
        connection.blocking_send(&number).expect("it is open");
        assert_eq!(connection.blocking_recv().expect("it is answered"), number + 1);
    };
    (0..u64::from(count)).map(|number| timed(|| trip(number)).0).collect()
}
