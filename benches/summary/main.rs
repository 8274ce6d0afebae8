//! The pool against the least that each of its jobs can cost: one JSON object a line for each case.
//!
//! A time alone says little, since it changes with the machine and with what else runs there. So each case measures
//! its floor in the same run, in turns with itself, and what counts is the ratio of the two. See `benches/README.md`.

mod burn;
mod child;
mod chunks;
mod echo;
mod idle;
mod manager;
mod map;
mod memory;
mod pipe;
mod plan;
mod queue;
mod report;
mod roundtrip;
mod sample;
mod scale;
mod shared;
mod speedup;
mod start;
mod sync;

use plan::{Amount, Plan};
use report::Line;

/// A case: its name, and what measures it.
type Case = (&'static str, fn(Amount) -> Line);

const CASES: [Case; 38] = [
    ("lock_uncontended", sync::uncontended),
    ("lock_contended", sync::contended),
    ("value_inc_2p", shared::value),
    ("event_wakeup", sync::wakeup),
    ("queue_1p1c", queue::one_each),
    ("queue_2p2c", queue::two_each),
    ("roundtrip_spawned", roundtrip::spawned),
    ("roundtrip_block_on", roundtrip::block_on),
    ("roundtrip_current_thread", roundtrip::current_thread),
    ("roundtrip_without_polling", roundtrip::without_polling),
    ("idle_cpu", idle::idle_cpu),
    ("pipe_roundtrip", pipe::roundtrip),
    ("manager_dict_get", manager::dict_get),
    ("manager_dict_set", manager::dict_set),
    ("manager_call_16_clients", manager::sixteen_clients),
    ("map_u64_1m", map::default_chunks),
    ("map_u64_chunk1", map::single_elements),
    ("cpu_speedup_2", speedup::two_workers),
    ("chunks_100ns", chunks::hundred_ns),
    ("chunks_10us", chunks::ten_us),
    ("chunks_1ms", chunks::one_ms),
    ("chunks_50ms", chunks::fifty_ms),
    ("chunks_lognormal", chunks::lognormal),
    ("applies_10k", scale::ten_thousand_at_once),
    ("queued_call_bytes", scale::queued_bytes),
    ("queued_1m", scale::million_queued),
    ("workers_64", scale::many_workers),
    ("echo_64m", echo::large),
    ("echo_f64_64m", echo::floats),
    ("echo_structs_64m", echo::structs),
    ("array_inplace_64m", shared::array),
    ("broadcast_64m_100_tasks", shared::broadcast),
    ("spawn_1", start::one),
    ("spawn_16", start::sixteen),
    ("idle_worker_private_kib", memory::idle_worker),
    ("forkserver_1", start::one_forked),
    ("forkserver_16", start::sixteen_forked),
    ("forkserver_private_kib", memory::idle_forked),
];

fn main() {
    child::serve_if_asked();
    let plan = Plan::from_arguments(std::env::args().skip(1));
    for (name, measure) in CASES.iter().filter(|(name, _)| plan.wants(name)) {
        eprintln!("{name} ...");
        println!("{}", measure(plan.amount).named(name));
    }
}
