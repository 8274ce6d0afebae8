//! 64 MiB in memory that a worker shares: told of it, the worker changes a byte there and answers.

use ipc_channel::ipc::IpcSharedMemory;
use multiprocess::{Array, ProcessPool};
use tokio::runtime::Runtime;

use super::echo::MIB;
use super::{CPYTHON, Case, IPC, OURS, python, rust};
use crate::ipc::{PEEK, Peer};
use crate::plan::Amount;
use crate::sample::{awaited_p50_us, p50_us};

pub(crate) const CASE: Case = Case {
    name: "in_place_64m",
    what: "64 MiB of shared memory to a worker, which changes a byte, and the answer, counted as if all bytes went both ways; more is better",
    unit: "GiB/s",
    rivals: &[
        rust(OURS, "`apply` of an `Array<u8>`, under its lock", ours),
        python(
            CPYTHON,
            "`Pool.apply` of the name of a `SharedMemory`, which the worker opens",
            "shared_memory",
        ),
        rust(IPC, "an `IpcSharedMemory` to a child by hand, which reads: to write there is unsafe", ipc),
    ],
};

const CALLS: u32 = 1_000;

fn gib_per_s(call_us: f64) -> f64 {
    f64::from(2 * MIB) / 1024.0 / (call_us / 1e6)
}

fn change(array: Array<u8>) -> u8 {
    let mut bytes = array.blocking_lock().expect("nobody dies with it");
    let last = bytes.len() - 1;
    bytes[last] = bytes[last].wrapping_add(1);
    bytes[last]
}

fn ours(amount: Amount) -> f64 {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let pool = ProcessPool::new(1).expect("one worker is a pool");
        let array = Array::<u8>::zeroed((MIB as usize) << 20).expect("there is memory");
        let calls = awaited_p50_us(amount.of(CALLS), async |_| {
            let said = pool.apply(change, (array.clone(),)).await.expect("the worker lives");
            assert_eq!(array.lock().await.expect("nobody dies with it").last(), Some(&said));
        });
        gib_per_s(calls.await)
    })
}

fn ipc(amount: Amount) -> f64 {
    let peer = Peer::start(&PEEK);
    let memory = IpcSharedMemory::from_byte(7, (MIB as usize) << 20);
    gib_per_s(p50_us(amount.of(CALLS), |_| assert_eq!(peer.call(memory.clone()), 7)))
}
