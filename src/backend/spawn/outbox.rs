//! Frames on their way to one worker: written at once by whoever sends, as far as the pipe takes them.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use bytes::{Buf as _, Bytes};

use crate::os;
use crate::task::Task;
use crate::wire::{Fd, Frame, Luggage, Order, TaskRef, append_frame};

/// A worker that has so many calls lets the next ones wait; what it is sent meanwhile costs more than the moment that it may be idle.
const PLENTY: u64 = 8;
/// So many are plenty where calls are quick.
const PLENTY_IF_QUICK: u64 = 1;
const QUICK_NS: u64 = 10_000;
/// Calls of so few bytes are put one behind the other, in pieces of about this size.
const SMALL: usize = 1024;
const SMALL_TOGETHER: usize = 4 * 1024;
/// So many calls are written at the latest.
const MOST_HELD: u64 = 16;

/// What the pipe did not take yet.
///
/// Calls for a worker that has plenty to do are held until it has less, and then written together. Whoever learns that it has less looks here again, so
/// that none is ever left behind.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    /// Calls that were written, and those behind them that are held.
    calls: u64,
    held: u64,
    /// How many that the worker has taken in will never be answered, since they were taken back.
    unanswered: u64,
    /// How long the call took that was answered last.
    pub(super) latest_ns: u64,
    /// Somebody waits for room in the pipe and will go on.
    pub(super) attended: bool,
    /// The worker is gone, or told that nothing more will come.
    pub(super) closed: bool,
    known: HashMap<usize, u32>,
    /// The task that was named last, since most calls are of the same one.
    latest: Option<(usize, u32)>,
    /// Room for the next small frames.
    spare: Vec<u8>,
    /// Bytes that the pipe took so far.
    pub(super) written: u64,
}

/// What goes out next.
#[derive(Debug)]
enum Waiting {
    /// The handles of one element, on the socket for them. They stand before the frame that announces them.
    Handles(Vec<Fd>),
    /// A part of a frame, on the pipe.
    Bytes(Bytes),
    /// Small frames of calls, one behind the other, from this byte on.
    Small(Vec<u8>, usize),
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    All,
    PipeIsFull,
    SocketIsFull,
}

impl Outbox {
    /// How to name a task to this worker: in full only the first time.
    pub(super) fn reference(&mut self, task: Task) -> TaskRef {
        let key = task.key();
        let known = self.latest.filter(|(latest, _)| *latest == key).map(|(_, index)| index);
        if let Some(index) = known.or_else(|| self.known.get(&key).copied()) {
            self.latest = Some((key, index));
            return TaskRef::Known(index);
        }
        let index = u32::try_from(self.known.len()).expect("a program has fewer tasks");
        self.known.insert(key, index);
        let (offset, fingerprint) = task.reference();
        TaskRef::New { index, offset, fingerprint }
    }

    /// Puts the handles of a frame in line, which then has to follow at once.
    pub(super) fn push_luggage(&mut self, luggage: Luggage) {
        if !self.closed {
            self.waiting.extend(luggage.into_elements().map(Waiting::Handles));
        }
    }

    pub(super) fn push(&mut self, frame: Frame) {
        if self.closed {
            return;
        }
        self.waiting.push_back(Waiting::Bytes(frame.head));
        if !frame.body.is_empty() {
            self.waiting.push_back(Waiting::Bytes(frame.body));
        }
    }

    pub(super) fn push_call(&mut self, order: &Order, records: Bytes) {
        if records.len() > SMALL {
            self.push(Frame::new(order, records));
        } else if !self.closed {
            append_frame(self.small(), order, &records);
        }
        self.held += 1;
    }

    /// Where the next small frame goes.
    fn small(&mut self) -> &mut Vec<u8> {
        let has_room =
            matches!(self.waiting.back(), Some(Waiting::Small(bytes, _)) if bytes.len() < SMALL_TOGETHER);
        if !has_room {
            self.waiting.push_back(Waiting::Small(std::mem::take(&mut self.spare), 0));
        }
        match self.waiting.back_mut() {
            Some(Waiting::Small(bytes, _)) => bytes,
            _ => unreachable!("it was just put there"),
        }
    }

    /// What is held can wait for an answer that will come, when so many calls are `over`.
    pub(super) fn can_wait(&self, over: u64) -> bool {
        let plenty = if self.latest_ns < QUICK_NS { PLENTY_IF_QUICK } else { PLENTY };
        self.held < MOST_HELD && self.owed(over) >= plenty
    }

    /// The frame of a call that has the worker to itself, when so many calls are `over`, of which so many were `answered`. The pipe must be empty, since
    /// what was written before would come later: that is known if all was answered, and looked at if something was taken back.
    pub(super) fn alone(&mut self, over: u64, answered: u64, is_empty: impl Fn() -> bool) -> Option<&[u8]> {
        if self.attended || self.waiting.len() != 1 || self.held != 1 || self.owed(over) > 0 {
            return None;
        }
        let unanswered = self.calls.saturating_sub(answered);
        if unanswered != self.unanswered {
            if !is_empty() {
                return None;
            }
            self.unanswered = unanswered;
        }
        self.waiting.front().and_then(Waiting::bytes)
    }

    /// The worker has that frame.
    pub(super) fn handed_over(&mut self) {
        self.pop();
        self.calls += std::mem::take(&mut self.held);
    }

    /// How many answers the worker owes, when so many calls are `over`.
    pub(super) fn owed(&self, over: u64) -> u64 {
        self.calls.saturating_sub(over)
    }

    /// Writes what pipe and socket take. One that is broken takes everything: the worker's end is told elsewhere.
    pub(super) fn flush(&mut self, pipe: impl AsFd, socket: impl AsFd) -> Flushed {
        self.calls += std::mem::take(&mut self.held);
        while let Some(first) = self.waiting.front() {
            let (sent, full) = match first {
                Waiting::Handles(handles) => {
                    (pass(&socket, handles).map(|()| drop(self.waiting.pop_front())), Flushed::SocketIsFull)
                }
                Waiting::Bytes(_) | Waiting::Small(..) => (self.write(&pipe), Flushed::PipeIsFull),
            };
            match sent {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return full,
                Err(_) => self.close(),
            }
        }
        Flushed::All
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }

    fn write(&mut self, pipe: impl AsFd) -> io::Result<()> {
        let mut parts = [IoSlice::new(&[]); 32];
        let mut filled = 0;
        for (part, bytes) in parts.iter_mut().zip(self.waiting.iter().map_while(Waiting::bytes)) {
            *part = IoSlice::new(bytes);
            filled += 1;
        }
        let mut written = os::write_some(pipe, &parts[..filled])?;
        self.written += written as u64;
        while let Some(first) = self.waiting.front_mut() {
            let Some(length) = first.bytes().map(<[u8]>::len) else { break };
            if written < length {
                first.advance(written);
                break;
            }
            written -= length;
            self.pop();
        }
        Ok(())
    }

    /// What is first in line is done with.
    fn pop(&mut self) {
        if let Some(Waiting::Small(mut bytes, _)) = self.waiting.pop_front()
            && bytes.capacity() <= 2 * SMALL_TOGETHER
        {
            bytes.clear();
            self.spare = bytes;
        }
    }
}

impl Waiting {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Small(bytes, from) => Some(&bytes[*from..]),
            Self::Handles(_) => None,
        }
    }

    fn advance(&mut self, written: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(written),
            Self::Small(_, from) => *from += written,
            Self::Handles(_) => {}
        }
    }
}

/// Sends the handles of one element. If the kernel takes none, the worker is told so in their place, and only that element fails.
fn pass(socket: impl AsFd, handles: &[Fd]) -> io::Result<()> {
    let descriptors: Vec<_> = handles.iter().map(Fd::as_fd).collect();
    os::pass(&socket, &descriptors).or_else(|error| {
        let lasts = error.kind() == io::ErrorKind::WouldBlock || os::is_gone(&error);
        if lasts { Err(error) } else { os::pass_none(&socket, handles.len()) }
    })
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{Flushed, MOST_HELD, Outbox, PLENTY, QUICK_NS, SMALL};
    use crate::os;
    use crate::wire::{Order, append_frame};

    fn call(outbox: &mut Outbox) {
        outbox.push_call(&Order::Stop, Bytes::new());
    }

    /// An outbox whose worker has so many calls.
    fn with_calls(calls: u64) -> Outbox {
        Outbox { calls, latest_ns: QUICK_NS, ..Outbox::default() }
    }

    #[test]
    fn a_call_waits_only_for_an_answer_that_is_certain_to_come() {
        let mut outbox = with_calls(PLENTY);
        call(&mut outbox);
        assert!(outbox.can_wait(0));
        assert!(!outbox.can_wait(1), "the worker has less to do");
        outbox.latest_ns = 0;
        assert!(outbox.can_wait(PLENTY - 1), "where calls are quick, one is plenty");
        assert!(!outbox.can_wait(PLENTY), "nothing will be answered");
    }

    #[test]
    fn no_more_calls_wait_than_are_worth_it() {
        let mut outbox = with_calls(PLENTY);
        (1..MOST_HELD).for_each(|_| call(&mut outbox));
        assert!(outbox.can_wait(0));
        call(&mut outbox);
        assert!(!outbox.can_wait(0));
    }

    #[test]
    fn only_a_call_that_has_the_worker_and_the_pipe_to_itself_is_handed_over() {
        let is_empty = || true;
        let mut outbox = with_calls(3);
        call(&mut outbox);
        assert!(outbox.alone(3, 3, || panic!("all was answered")).is_some());
        assert!(outbox.alone(2, 2, is_empty).is_none(), "the worker is at another call");
        assert!(outbox.alone(3, 2, || false).is_none(), "what was taken back is still on its way");
        assert!(outbox.alone(3, 2, is_empty).is_some());
        assert!(outbox.alone(3, 2, || panic!("that is known by now")).is_some());
        call(&mut outbox);
        assert!(outbox.alone(3, 2, is_empty).is_none(), "another one waits before it");
    }

    #[test]
    fn calls_of_every_size_come_in_the_order_they_were_put_in_line() {
        let (read, write) = os::pipe().expect("there are descriptors");
        os::set_nonblocking(&write).expect("a pipe can be");
        let mut outbox = with_calls(0);
        let load = |size: usize, n: usize| Bytes::from(vec![u8::try_from(n % 251).expect("it is one"); size]);
        let sizes = [0, 1, SMALL, SMALL + 1, 70_000, 3, 500];
        let mut sent = Vec::new();
        let (mut came, mut all) = (BytesMut::new(), 0);
        for (n, size) in (0..2_000).zip(sizes.into_iter().cycle()) {
            append_frame(&mut sent, &Order::Stop, &load(size, n));
            outbox.push_call(&Order::Stop, load(size, n));
            if n % 5 == 0 && outbox.flush(&write, &write) == Flushed::PipeIsFull {
                all += os::read_into(&read, &mut came).expect("it is full");
            }
        }
        while outbox.flush(&write, &write) == Flushed::PipeIsFull || os::unread(&read) > 0 {
            all += os::read_into(&read, &mut came).expect("there is something");
        }
        assert!(all == sent.len() && came == sent, "all of them, in their order");
        assert!(outbox.waiting.is_empty());
    }

    #[test]
    fn what_was_handed_over_or_written_is_owed() {
        let (read, write) = os::pipe().expect("there are descriptors");
        let mut outbox = with_calls(0);
        call(&mut outbox);
        assert!(outbox.alone(0, 0, || true).is_some());
        outbox.handed_over();
        assert_eq!(outbox.owed(0), 1);
        call(&mut outbox);
        call(&mut outbox);
        assert_eq!(outbox.flush(&write, &write), Flushed::All);
        assert_eq!(outbox.owed(1), 2);
        assert!(os::unread(&read) > 0);
    }
}
