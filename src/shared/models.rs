//! Models of a value in two slots, in which loom tries every order of what its readers and writers do. `.ci/loom` runs them.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::slots::{Slots, Words};

const SLOTS: Slots = Slots::alone(16);

struct Memory(Vec<AtomicU64>);

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self((0..SLOTS.end() / 8).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Words for Memory {
    fn load(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Acquire)
    }

    fn store(&self, index: usize, word: u64) {
        self.0[index].store(word, Ordering::Release);
    }

    fn exchange(&self, index: usize, from: u64, to: u64) -> Result<u64, u64> {
        self.0[index].compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    fn pause(&self, _times: u32) {
        thread::yield_now();
    }
}

fn write(memory: &Memory, byte: u8) {
    SLOTS.write(memory, &[byte; 16]);
}

/// The byte that the value is made of.
fn read(memory: &Memory) -> u8 {
    let mut value = [0; 16];
    SLOTS.read(memory, &mut value);
    assert!(value.iter().all(|byte| *byte == value[0]), "it is mixed: {value:?}");
    value[0]
}

// fault 88
#[test]
fn a_reader_sees_whole_values_in_their_order() {
    loom::model(|| {
        let memory = Memory::new();
        let its = Arc::clone(&memory);
        let writer = thread::spawn(move || (1..=2).for_each(|byte| write(&its, byte)));
        let (first, second) = (read(&memory), read(&memory));
        assert!(first <= second, "{first} and then {second}");
        writer.join().expect("no thread of a model panics");
        assert_eq!(read(&memory), 2);
    });
}

// fault 88
#[test]
fn two_writers_leave_one_of_their_values() {
    loom::model(|| {
        let memory = Memory::new();
        let its = Arc::clone(&memory);
        let other = thread::spawn(move || write(&its, 1));
        write(&memory, 2);
        assert!(read(&memory) != 0);
        other.join().expect("no thread of a model panics");
        assert!(read(&memory) != 0);
    });
}
