//! Bytes as events on the ledger: every element is settled once and runs no more often than it may, whatever happens.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|events: &[u8]| multiprocess::fuzzing::ledger(events));
