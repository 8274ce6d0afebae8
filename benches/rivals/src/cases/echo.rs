//! 64 MiB to a worker and back.

use std::cell::RefCell;

use ipc_channel::ipc::bytes_channel;
use multiprocess::ProcessPool;
use tokio::runtime::Runtime;

use super::{Case, EXECUTOR, IPC, OURS, POOL, PROCSPAWN, python, rust};
use crate::ipc::{ECHO, ECHO_RAW, Peer};
use crate::plan::Amount;
use crate::sample::{median_s, timed};

pub(crate) const CASE: Case = Case {
    name: "echo_64m",
    what: "64 MiB of bytes to a worker and back, both ways counted; more is better",
    unit: "MiB/s",
    rivals: &[
        rust(OURS, "`apply` of a `Vec<u8>`", ours),
        python(POOL, "`apply` of `bytes`", "pool"),
        python(EXECUTOR, "`submit` of `bytes`", "executor"),
        rust(PROCSPAWN, "`Pool::spawn` of a `Vec<u8>`", procspawn),
        rust(IPC, "a `Vec<u8>` to a child by hand", ipc),
        rust(IPC, "`bytes_channel` to a child by hand", ipc_raw),
    ],
};

pub(super) const MIB: u32 = 64;
const ROUNDS: u32 = 5;

fn rate(amount: Amount, echo: impl Fn(Vec<u8>) -> Vec<u8>) -> f64 {
    let bytes = vec![0x5a; (MIB as usize) << 20];
    let travels = RefCell::new(bytes.clone());
    let sample = || {
        let sent = travels.take();
        let (time, back) = timed(|| echo(sent));
        travels.replace(back);
        time
    };
    let seconds = median_s(amount.of(ROUNDS), sample);
    assert!(*travels.borrow() == bytes, "other bytes came back");
    f64::from(2 * MIB) / seconds
}

fn ours(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    let pool = runtime.block_on(async { ProcessPool::new(1) }).expect("one worker is a pool");
    rate(amount, |sent| {
        runtime.block_on(pool.apply(|bytes: Vec<u8>| bytes, (sent,))).expect("the bytes come back")
    })
}

fn procspawn(amount: Amount) -> f64 {
    let pool = procspawn::Pool::new(1).expect("one worker is a pool");
    rate(amount, |sent| pool.spawn(sent, |bytes| bytes).join().expect("the bytes come back"))
}

fn ipc(amount: Amount) -> f64 {
    let peer = Peer::start(&ECHO);
    rate(amount, |sent| peer.call(sent))
}

fn ipc_raw(amount: Amount) -> f64 {
    let peer = Peer::start(&ECHO_RAW);
    let (to, theirs) = bytes_channel().expect("there are descriptors left");
    let (back, from) = bytes_channel().expect("there are descriptors left");
    peer.send((theirs, back));
    let rate = rate(amount, |sent| {
        to.send(&sent).expect("the child reads");
        from.recv().expect("the child answers")
    });
    // The child ends when there is nobody left to send.
    drop(to);
    rate
}
