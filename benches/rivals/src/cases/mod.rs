//! The work, one file for each kind: the same in every way that a user of each rival would write it.

mod connections;
mod echo;
mod in_place;
mod map;
mod map_single;
mod memory;
mod queue;
mod roundtrip;
mod sharing;
mod speedup;
mod start;
mod start_many;

pub(crate) use speedup::burn;

use crate::plan::Amount;

pub(crate) const CASES: [&Case; 15] = [
    &roundtrip::CASE,
    &map::CASE,
    &map_single::CASE,
    &speedup::CASE,
    &echo::CASE,
    &in_place::CASE,
    &start::CASE,
    &start_many::CASE,
    &memory::CASE,
    &queue::CASE,
    &sharing::LOCK,
    &sharing::VALUE,
    &connections::PIPE,
    &connections::DICT_GET,
    &connections::DICT_SET,
];

/// One kind of work.
pub(crate) struct Case {
    /// What it is asked for by.
    pub(crate) name: &'static str,
    /// What is measured, and which way is better.
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// The first is what the others are compared with.
    pub(crate) rivals: &'static [Rival],
}

/// One way to do it.
pub(crate) struct Rival {
    pub(crate) who: &'static str,
    /// How it is done there.
    pub(crate) how: &'static str,
    pub(crate) by: By,
}

/// What measures it.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Rust(fn(Amount) -> f64),
    /// What comes behind the name of the case in the scripts.
    Python(&'static str),
}

const fn rust(who: &'static str, how: &'static str, measure: fn(Amount) -> f64) -> Rival {
    Rival { who, how, by: By::Rust(measure) }
}

const fn python(who: &'static str, how: &'static str, variant: &'static str) -> Rival {
    Rival { who, how, by: By::Python(variant) }
}

const OURS: &str = "multiprocess";
const POOL: &str = "CPython `Pool`";
const EXECUTOR: &str = "CPython `ProcessPoolExecutor`";
const CPYTHON: &str = "CPython `multiprocessing`";
const PROCSPAWN: &str = "procspawn";
const IPC: &str = "ipc-channel";
const RAYON: &str = "rayon (threads)";
const TOKIO: &str = "`spawn_blocking` (threads)";
