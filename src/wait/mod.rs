//! Waiting: for a future on a thread, and for a moment under any executor.

mod blocking;
mod clock;

pub(crate) use blocking::block_on;
pub(crate) use clock::{until, within};
