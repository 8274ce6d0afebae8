//! One message on its way: the value's bytes behind a head, and the descriptors that go with it.
//!
//! ```text
//! | kind (1) | handles (1) | length (8), least significant first | the first 32 KiB of the bytes |
//! ```
//!
//! The rest of many bytes stands in sealed memory, whose descriptor comes before those of the value's handles. So every message is one
//! datagram, however long it is, and yet takes so much room in the socket that few large ones wait there: a sender that is faster than its
//! receiver waits, and does not fill the memory.

use std::cell::Cell;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::os::{self, Datagram};
use crate::wire::{Fd, pack, unpack};

/// Bytes up to this many stand in the datagram itself; the socket has room for about six such datagrams.
const FEW: usize = 32 * 1024;
const HEAD: usize = 10;

const INLINE: u8 = 1;
const IN_MEMORY: u8 = 2;

thread_local! {
    /// What datagrams are taken into, one after the other.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub(super) struct Letter {
    head: [u8; HEAD],
    bytes: Vec<u8>,
    memory: Option<OwnedFd>,
    handles: Vec<Fd>,
}

impl Letter {
    /// A value, with its handles.
    pub(super) fn of<T: Serialize + 'static>(value: &T, max: u64) -> Result<Self> {
        let (bytes, handles) = pack(value).map_err(|cause| Error::EncodeMessage { cause })?;
        Self::new(bytes, handles, max)
    }

    /// Bytes as they are.
    pub(super) fn of_bytes(bytes: &[u8], max: u64) -> Result<Self> {
        fits(bytes.len() as u64, max)?;
        Self::new(bytes.to_vec(), Vec::new(), max)
    }

    fn new(mut bytes: Vec<u8>, handles: Vec<Fd>, max: u64) -> Result<Self> {
        let length = bytes.len() as u64;
        fits(length, max)?;
        let mut memory = None;
        if bytes.len() > FEW {
            let sealed = os::sealed(&bytes[FEW..])
                .map_err(|cause| Error::connection("make memory for a message", cause))?;
            memory = Some(sealed);
            bytes.truncate(FEW);
            bytes.shrink_to_fit();
        }
        let mut head = [0; HEAD];
        head[0] = if memory.is_some() { IN_MEMORY } else { INLINE };
        head[1] = u8::try_from(handles.len()).expect("a value has at most MOST_HANDLES");
        head[2..].copy_from_slice(&length.to_le_bytes());
        Ok(Self { head, bytes, memory, handles })
    }

    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [&self.head, &self.bytes]
    }

    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let memory = self.memory.iter().map(OwnedFd::as_fd);
        memory.chain(self.handles.iter().map(Fd::as_fd)).collect()
    }
}

pub(super) fn fits(size: u64, max: u64) -> Result<()> {
    if size <= max { Ok(()) } else { Err(Error::MessageTooLarge { size, max }) }
}

/// A message that has come, and whose head is in order.
#[derive(Debug)]
pub(super) struct Arrived<'b> {
    /// The first of the bytes.
    bytes: &'b [u8],
    /// The rest of them, if there is one.
    memory: Option<OwnedFd>,
    length: usize,
    handles: Vec<OwnedFd>,
}

impl<'b> Arrived<'b> {
    /// One that has come as bytes alone.
    pub(super) fn whole(bytes: &'b [u8]) -> Self {
        Self { bytes, memory: None, length: bytes.len(), handles: Vec::new() }
    }

    /// Nothing of what came is trusted.
    fn check(mut came: Datagram, buffer: &'b [u8], max: u64) -> Result<Self> {
        let datagram = buffer.get(..came.length).filter(|_| !came.is_cut);
        let Some((head, bytes)) = datagram.and_then(|whole| whole.split_first_chunk::<HEAD>()) else {
            return Err(garbled("it has not the length of any message"));
        };
        let [kind, handles, length @ ..] = *head;
        let length = u64::from_le_bytes(length);
        fits(length, max)?;
        let memory = match kind {
            INLINE if length == bytes.len() as u64 => None,
            IN_MEMORY if bytes.len() == FEW && length > FEW as u64 => {
                Some(take_memory(&mut came.descriptors, length - FEW as u64)?)
            }
            _ => return Err(garbled("its head does not fit what comes with it")),
        };
        if came.descriptors.len() > usize::from(handles) {
            return Err(garbled("more handles have come with it than it says"));
        }
        let length = usize::try_from(length).map_err(|_| Error::MessageTooLarge { size: length, max })?;
        Ok(Self { bytes, memory, length, handles: came.descriptors })
    }
}

// Functions and no methods, so that they are of any lifetime as the ones that take a message want them.

/// The value of a message.
pub(super) fn into_value<T: DeserializeOwned + 'static>(arrived: Arrived<'_>) -> Result<T> {
    let handles = arrived.handles.into_iter().map(Fd::new).collect();
    let read;
    let bytes = match arrived.memory {
        None => arrived.bytes,
        Some(memory) => {
            read = read_all(arrived.bytes, &memory, arrived.length)?;
            &read
        }
    };
    unpack(bytes, handles).map_err(|cause| Error::DecodeMessage { cause })
}

/// The bytes of a message.
pub(super) fn into_bytes(arrived: Arrived<'_>) -> Result<Vec<u8>> {
    match arrived.memory {
        None => Ok(arrived.bytes.to_vec()),
        Some(memory) => read_all(arrived.bytes, &memory, arrived.length),
    }
}

/// Puts the bytes of a message at the front of the room, and says how many they are.
pub(super) fn copy_into(arrived: Arrived<'_>, room: &mut [u8]) -> Result<usize> {
    let length = arrived.length;
    let Some(front) = room.get_mut(..length) else {
        return Err(Error::BufferTooShort { message: into_bytes(arrived)?, room: room.len() });
    };
    fill(front, arrived.bytes, arrived.memory.as_ref())?;
    Ok(length)
}

fn take_memory(descriptors: &mut Vec<OwnedFd>, length: u64) -> Result<OwnedFd> {
    if descriptors.is_empty() {
        return Err(garbled("its memory has not come: there must be a descriptor left for it"));
    }
    let memory = descriptors.remove(0);
    match os::is_sealed(&memory, length) {
        Ok(true) => Ok(memory),
        _ => Err(garbled("its memory is not what it says")),
    }
}

fn read_all(first: &[u8], memory: &OwnedFd, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    fill(&mut bytes, first, Some(memory))?;
    Ok(bytes)
}

fn fill(room: &mut [u8], first: &[u8], memory: Option<&OwnedFd>) -> Result<()> {
    let (front, rest) = room.split_at_mut(first.len());
    front.copy_from_slice(first);
    memory.map_or(Ok(()), |memory| os::read_sealed(memory, rest).map_err(unreadable))
}

fn unreadable(cause: std::io::Error) -> Error {
    Error::connection("read the memory of a message", cause)
}

fn garbled(cause: &str) -> Error {
    Error::DecodeMessage { cause: cause.to_owned() }
}

/// Takes the next message, if there is one, and hands it to `open`.
///
/// The buffer is this thread's, and is not there while `open` runs: that may take messages itself.
pub(super) fn take<T>(fd: &Fd, max: u64, open: impl FnOnce(Arrived<'_>) -> Result<T>) -> Result<Option<T>> {
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.resize(HEAD + FEW, 0);
    let taken = match os::take_datagram(fd, &mut buffer) {
        Ok(Datagram { length: 0, .. }) => Err(Error::Disconnected),
        Ok(came) => Arrived::check(came, &buffer, max).and_then(open).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(Error::connection("receive a message", error)),
    };
    // A thread that is ending keeps no buffer.
    let _kept = BUFFER.try_with(|kept| kept.set(buffer));
    taken
}
