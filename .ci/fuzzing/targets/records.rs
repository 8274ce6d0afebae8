//! Bytes as the records of a payload: none is read beyond the end, and they are counted as they are read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use multiprocess::fuzzing::{are_exactly, put_failed_record, put_record, records};

fuzz_target!(|payload: &[u8]| {
    let (read, rest) = records(payload);
    let inside: usize = read.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(inside + read.len() + rest.len() <= payload.len(), "each record has a length before it");
    check_count(payload, u32::try_from(read.len()).expect("a payload is short"), rest.is_empty());
    check_written(&read);
});

fn check_count(payload: &[u8], read: u32, whole: bool) {
    assert_eq!(are_exactly(payload, read), whole);
    assert!(!are_exactly(payload, read + 1) && !are_exactly(payload, u32::MAX), "there are not that many");
    assert!(read == 0 || !are_exactly(payload, read - 1), "there are more");
}

/// Records that were read and written are read again as the same.
fn check_written(read: &[(bool, &[u8])]) {
    let mut payload = Vec::new();
    let mut written = Vec::new();
    for (failed, bytes) in read {
        if !failed {
            put_record(&mut payload, bytes);
            written.push(Some(*bytes));
        } else if put_failed_record(&mut payload, bytes) {
            written.push(None);
        }
    }
    let (again, rest) = records(&payload);
    let again: Vec<_> = again.into_iter().map(|(failed, bytes)| (!failed).then_some(bytes)).collect();
    assert_eq!((again, rest), (written, &[][..]));
}
