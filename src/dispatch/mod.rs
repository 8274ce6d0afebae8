//! Who runs what: a pure ledger that decides, and an engine that does what it says.

mod effect;
mod engine;
mod lanes;
mod ledger;
mod limits;
mod links;
mod lookout;
mod prepare;
mod starting;
mod stats;
mod terms;
mod turn;
mod unit;

pub use stats::Stats;

pub(crate) use engine::{Engine, EngineConfig, Hold, Ticket};
pub(crate) use lanes::LaneId;
#[cfg(fuzzing)]
pub(crate) use ledger::run_ledger;
pub(crate) use limits::{Limits, Permit};
pub(crate) use lookout::Lookout;
pub(crate) use terms::{Rules, Terms};
pub(crate) use unit::{Demand, Job, Piece, Pieces, Unit};
