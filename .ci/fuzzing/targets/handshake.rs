//! Bytes as the first words of both sides: nothing but the honest ones is believed, and whatever else comes is an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use multiprocess::Error;
use multiprocess::fuzzing::{hello, is_set_up, start_with};

/// Bytes of the frame by which a worker says that it takes orders.
const READY: usize = 5;

fuzz_target!(|input: &[u8]| {
    let Some((greets, words)) = input.split_first() else { return };
    check_set_up(words);
    let greets = greets & 1 == 1;
    let hello = if greets { hello() } else { Vec::new() };
    match start_with(&[&hello, words].concat()) {
        Ok(()) => assert!(greets && words.len() >= READY, "it has not said hello, or not that it is ready"),
        Err(Error::Initializer { .. } | Error::Incompatible { .. } | Error::WorkerDied(_)) => {}
        Err(other) => panic!("that was not the worker's fault: {other:?}"),
    }
});

/// A set-up message is a token and nothing else, and goes with no other.
fn check_set_up(message: &[u8]) {
    let token: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(is_set_up(message, &token), message.len() == 16);
    let longer = [message, &[0]].concat();
    assert!(!is_set_up(message, "") && !is_set_up(&longer, &token), "it goes with what it does not say");
}
