//! Bytes as what somebody changes between two who know the same key: only if nothing is changed do they meet, and only what was sent is received.

#![no_main]

use libfuzzer_sys::fuzz_target;
use multiprocess::fuzzing::{received, shaken};

/// What both sides say in a handshake.
const HANDSHAKE: usize = 56 + 56 + 16;
/// The longest message that the receiver takes.
const MAX: u64 = 48;

fuzz_target!(|input: &[u8]| {
    let is_changed = input.iter().take(HANDSHAKE).any(|byte| *byte != 0);
    assert_eq!(shaken(input), !is_changed, "a handshake with changes");
    let Some(([count, cut], differences)) = input.split_first_chunk::<2>() else { return };
    let words = [&b""[..], b"one", &[7; 40], &[8; 60], b"last"];
    let messages = &words[..usize::from(*count) % (words.len() + 1)];
    // A head and its tag, and a message and its tag if it is not empty; and the head of the end.
    let sizes = messages.iter().map(|word| 25 + if word.is_empty() { 0 } else { word.len() + 16 });
    let all = sizes.sum::<usize>() + 25;
    let cut = if *cut == 255 { all } else { usize::from(*cut).min(all) };
    let (came, is_clean) = received(messages, differences, cut, MAX);
    let first_change = differences.iter().take(all).position(|byte| *byte != 0).unwrap_or(all);
    let is_whole = first_change.min(cut) == all;
    assert_eq!(is_clean, is_whole, "a clean end although it was changed or cut, or none although it was not");
    let small: Vec<_> = messages.iter().filter(|word| word.len() as u64 <= MAX).collect();
    assert!(came.len() <= small.len() && came.iter().zip(&small).all(|(came, sent)| came == *sent), "{came:?}");
    assert!(!is_whole || came.len() == small.len(), "all is received: {came:?}");
});
