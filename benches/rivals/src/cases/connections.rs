//! A number to another process and back, by a pipe and by an object that lives there.

use multiprocess::{Connection, DictProxy, Manager, Process, pipe};

use super::{CPYTHON, Case, IPC, OURS, python, rust};
use crate::ipc::{ADD, Peer};
use crate::plan::Amount;
use crate::sample::p50_us;

pub(crate) const PIPE: Case = Case {
    name: "pipe_roundtrip",
    what: "a number to another process and back over a pipe, both blocking, p50; less is better",
    unit: "us",
    rivals: &[
        rust(OURS, "`pipe`", trip),
        python(CPYTHON, "`Pipe`", "pipe"),
        rust(IPC, "a channel each way to a child by hand", ipc),
    ],
};

pub(crate) const DICT_GET: Case = Case {
    name: "manager_dict_get",
    what: "one value of a dict in a manager, p50; less is better",
    unit: "us",
    rivals: &[
        rust(OURS, "`DictProxy::blocking_get`", get),
        python(CPYTHON, "`Manager().dict()`, `get`", "dict"),
    ],
};

pub(crate) const DICT_SET: Case = Case {
    name: "manager_dict_set",
    what: "one value into a dict in a manager, p50; less is better",
    unit: "us",
    rivals: &[
        rust(OURS, "`DictProxy::blocking_insert`", set),
        python(CPYTHON, "`Manager().dict()`, `d[key] = value`", "dict"),
    ],
};

const TRIPS: u32 = 5_000;

fn serve(connection: Connection<u64, u64>) {
    while let Ok(number) = connection.blocking_recv() {
        connection.blocking_send(&(number + 1)).expect("somebody waits for it");
    }
}

fn trip(amount: Amount) -> f64 {
    let (ours, theirs) = pipe().expect("there are descriptors left");
    let process = Process::spawn(serve, (theirs,)).expect("it starts");
    let p50 = p50_us(amount.of(TRIPS), |number| {
        ours.blocking_send(&number).expect("it is open");
        assert_eq!(ours.blocking_recv().expect("it is answered"), number + 1);
    });
    ours.close();
    process.blocking_join().expect("it returns");
    p50
}

fn ipc(amount: Amount) -> f64 {
    let peer = Peer::start(&ADD);
    p50_us(amount.of(TRIPS), |number| assert_eq!(peer.call(number), number + 1))
}

fn get(amount: Amount) -> f64 {
    with_a_dict(|dict| {
        p50_us(amount.of(TRIPS), |number| {
            assert_eq!(dict.blocking_get(&(number % 8)).expect("it lives"), Some(number % 8));
        })
    })
}

fn set(amount: Amount) -> f64 {
    with_a_dict(|dict| {
        p50_us(amount.of(TRIPS), |number| {
            dict.blocking_insert(&(number % 8), &(number % 8)).expect("it lives");
        })
    })
}

fn with_a_dict(measure: impl FnOnce(&DictProxy<u64, u64>) -> f64) -> f64 {
    let manager = Manager::blocking_start().expect("it starts");
    let dict = manager.blocking_dict().expect("it lives");
    dict.blocking_extend((0..8).map(|number| (number, number))).expect("it lives");
    let found = measure(&dict);
    manager.blocking_shutdown().expect("it lives");
    found
}
