//! A worker of ours turns evil: a task that writes to its worker's own report pipe, and to the board, whatever it likes.
//!
//! The bytes are put together by hand, from what stands at the head of `src/wire/frame.rs`, `message.rs` and
//! `record.rs`: a length word, big-endian, then the message, then the records.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

/// The board: slots of this many bytes, the first word of each `call << 2 | state`.
const SLOTS: u64 = 32;
const SLOT: u64 = 64;
const RUNNING: u64 = 1;

/// The call that runs, and its slot.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    pub call: u64,
    pub slot: u8,
}

/// A reply as it would be sent, each part open to be wrong.
#[derive(Debug, Clone)]
pub struct Reply {
    pub call: u64,
    pub slot: u8,
    pub elements: u64,
    pub last: u8,
    pub outgrown: u8,
    pub elapsed_ns: u64,
    pub handles: u8,
    /// The block that the last result lies in, and how many bytes of it.
    pub stowed: Option<(u64, u64)>,
    /// What stands behind the message.
    pub records: Vec<u8>,
}

impl Reply {
    /// The right reply of the task that runs, with one small number as its result.
    pub fn honest(result: u8) -> Self {
        let Running { call, slot } = running();
        let records = record(&[result]);
        Self {
            call,
            slot,
            elements: 1,
            last: 1,
            outgrown: 0,
            elapsed_ns: 1_000,
            handles: 0,
            stowed: None,
            records,
        }
    }

    pub fn frame(&self) -> Vec<u8> {
        let mut message = vec![3];
        message.extend(varint(self.call));
        message.push(self.slot);
        message.extend(varint(self.elements));
        message.push(self.last);
        message.push(self.outgrown);
        message.extend(varint(self.elapsed_ns));
        message.push(self.handles);
        match self.stowed {
            None => message.push(0),
            Some((number, length)) => message.extend([vec![1], varint(number), varint(length)].concat()),
        }
        message.extend(&self.records);
        frame(&message)
    }

    pub fn send(&self) {
        send(&self.frame());
    }
}

/// Bytes behind their length word.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it is small");
    [&length.to_be_bytes(), message].concat()
}

/// One result as a record.
pub fn record(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len() as u64 * 2)[..], bytes].concat()
}

/// A number in groups of seven bits, least significant first.
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits fit");
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

/// Writes to the pool as if the worker did.
pub fn send(bytes: &[u8]) {
    let pipe = format!("/proc/self/fd/{}", report_pipe());
    let mut pipe = OpenOptions::new().write(true).open(pipe).expect("it is our own pipe");
    // The pool may have had enough and have closed it.
    let _may_be_refused = pipe.write_all(bytes);
}

/// The descriptor that reports go out by: the only pipe above 2 that is open for writing.
pub fn report_pipe() -> i32 {
    pipe_with_access(1)
}

/// The descriptor that orders come in by.
pub fn order_pipe() -> i32 {
    pipe_with_access(0)
}

fn pipe_with_access(access: u32) -> i32 {
    let descriptors = fs::read_dir("/proc/self/fd").expect("/proc is there");
    let mut numbers = descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let found = numbers.find(|number| *number > 2 && is_pipe(*number) && access_of(*number) == Some(access));
    found.expect("a worker has a pipe each way")
}

fn is_pipe(descriptor: i32) -> bool {
    let target = fs::read_link(format!("/proc/self/fd/{descriptor}"));
    target.is_ok_and(|target| target.to_string_lossy().starts_with("pipe:"))
}

/// 0 for reading, 1 for writing.
fn access_of(descriptor: i32) -> Option<u32> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"))?;
    Some(u32::from_str_radix(flags.trim(), 8).ok()? & 3)
}

/// This process's memory, and where in it the board begins and ends.
fn board() -> (File, u64, u64) {
    let maps = fs::read_to_string("/proc/self/maps").expect("it is our own");
    let line = maps
        .lines()
        .find(|line| line.contains("memfd:multiprocess (deleted)"))
        .expect("a worker has a board");
    let (start, rest) = line.split_once('-').expect("a line begins with a range");
    let (end, _) = rest.split_once(' ').expect("more stands behind the range");
    let address = |text| u64::from_str_radix(text, 16).expect("it is an address");
    let memory = OpenOptions::new().read(true).write(true).open("/proc/self/mem").expect("it is our own");
    (memory, address(start), address(end))
}

/// What runs here, as the board has it.
pub fn running() -> Running {
    let (memory, start, _) = board();
    for slot in 0..SLOTS {
        let mut word = [0; 8];
        memory.read_exact_at(&mut word, start + slot * SLOT).expect("the board is mapped");
        let word = u64::from_ne_bytes(word);
        if word & 3 == RUNNING {
            return Running { call: word >> 2, slot: u8::try_from(slot).expect("there are few") };
        }
    }
    panic!("nothing runs here");
}

/// Overwrites the board from byte `at` on with what `fill` says.
pub fn scribble(at: u64, mut fill: impl FnMut(u64) -> u8) {
    let (memory, start, end) = board();
    let bytes: Vec<u8> = (at..end - start).map(&mut fill).collect();
    memory.write_all_at(&bytes, start + at).expect("the board is mapped");
}

/// Numbers that look random and are the same each time.
pub fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    }
}
