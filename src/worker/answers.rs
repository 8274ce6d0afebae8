//! What a worker answers by: the pipe of its reports, and the socket for the handles of its results.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::execute::Answer;
use crate::os::{self, Board, monotonic_ns};
use crate::wire::{
    Failure, Fd, Frame, HOLD_NS, Luggage, Records, Reply, Report, append_frame, failed_record,
};

/// So many replies are held at the most.
const MOST_HELD: u64 = 16;
/// Calls that took longer are answered before the next one begins.
const QUICK_NS: u64 = 10_000;

/// Replies to quick calls are held while the next one is quick too, as far as can be foreseen, and then written together. Meanwhile they stand on
/// the board, where the pool finds them if this process dies, or if it was not foreseen rightly.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) reports: OwnedFd,
    pub(crate) handles: OwnedFd,
    /// Frames of replies that were not written yet, and how many.
    held: Vec<u8>,
    replies: u64,
    /// Bytes of them that stand on the board.
    kept: usize,
    /// The last of them is all that there is to say of its call.
    is_whole: bool,
    /// How long the last call took.
    latest_ns: u64,
    /// When something was written last.
    written_ns: u64,
}

impl Answers {
    pub(crate) fn new(reports: OwnedFd, handles: OwnedFd) -> Self {
        Self {
            reports,
            handles,
            held: Vec::new(),
            replies: 0,
            kept: 0,
            is_whole: false,
            latest_ns: 0,
            written_ns: 0,
        }
    }

    pub(super) fn report(&self, report: &Report, payload: Vec<u8>) -> io::Result<()> {
        write(&self.reports, report, payload)
    }

    /// Takes a reply, which may be the whole answer to its call, and writes it unless it may be held.
    pub(super) fn reply(
        &mut self,
        board: &Board,
        reply: Reply,
        records: Vec<u8>,
        is_whole: bool,
    ) -> io::Result<()> {
        let may_wait = reply.last && !reply.outgrown && reply.handles == 0 && reply.stowed.is_none();
        self.latest_ns = reply.elapsed_ns;
        if records.len() > Board::room() / 2 {
            self.flush(board)?;
            self.written_ns = monotonic_ns();
            self.report(&Report::Reply(reply), records)?;
            wrote(board, 1);
            return Ok(());
        }
        append_frame(&mut self.held, &Report::Reply(reply), &records);
        self.replies += 1;
        self.is_whole = is_whole && may_wait;
        if may_wait { Ok(()) } else { self.flush(board) }
    }

    /// A call like the last one is about to run: replies are held meanwhile, but not if they might be so for long.
    ///
    /// The pool looks at the board some time after each write. So nothing may be put there later than that, however long this process is
    /// interrupted: the clock is looked at last.
    pub(super) fn before(&mut self, board: &Board, is_alike: bool) -> io::Result<()> {
        let quick = is_alike && self.latest_ns < QUICK_NS && self.replies < MOST_HELD;
        if !quick || self.held.len() > Board::room() {
            return self.flush(board);
        }
        board.hold(self.kept, &self.held[self.kept..]);
        self.kept = self.held.len();
        if monotonic_ns().saturating_sub(self.written_ns) < HOLD_NS { Ok(()) } else { self.flush(board) }
    }

    /// Writes the replies that are held, or hands a single one over to whoever polls for it.
    pub(super) fn flush(&mut self, board: &Board) -> io::Result<()> {
        if self.replies == 0 {
            return Ok(());
        }
        self.written_ns = monotonic_ns();
        if self.replies == 1 && self.kept == 0 && self.is_whole && board.reports().put(&self.held) {
            self.replies = 0;
            self.held.clear();
        } else {
            os::write_all(&self.reports, &self.held)?;
            wrote(board, self.replies);
            self.replies = 0;
            self.held.clear();
            self.kept = 0;
        }
        Ok(())
    }

    /// Sends the handles of the last of these results, and hands its block over. If they cannot be sent, that result is an error. Comes right before the reply.
    pub(super) fn send_ahead(&self, answer: &mut Answer) {
        match self.pass(&answer.handles) {
            Ok(()) => answer.reply.stowed = answer.stow(),
            Err(error) => {
                answer.reply.handles = 0;
                let failure = Failure::Encode(format!("its handles cannot be sent: {error}"));
                fail_last(&mut answer.records, &failure);
            }
        }
    }

    /// Whoever is gone misses nothing.
    fn pass(&self, handles: &[Fd]) -> io::Result<()> {
        if handles.is_empty() {
            return Ok(());
        }
        let descriptors: Vec<_> = handles.iter().map(Fd::as_fd).collect();
        os::pass_waiting(&self.handles, &descriptors)
            .or_else(|error| if os::is_gone(&error) { Ok(()) } else { Err(error) })
    }

    /// Takes the handles of a call, which were sent before it.
    ///
    /// # Errors
    ///
    /// They are not there, since a task has taken them or has closed the socket.
    pub(super) fn luggage(&self, announced: &[(u32, u8)]) -> io::Result<Luggage> {
        let mut luggage = Luggage::default();
        for (element, count) in announced {
            let taken = os::take_passed(&self.handles, *count)?;
            luggage.add(*element, &mut taken.into_iter().map(Fd::new).collect());
        }
        Ok(luggage)
    }
}

/// So many more replies are in the pipe.
fn wrote(board: &Board, replies: u64) {
    board.written(replies);
    board.reports().ring();
}

fn fail_last(records: &mut Vec<u8>, failure: &Failure) {
    let mut reader = Records::new(records);
    let before_last = reader.clone().count().saturating_sub(1);
    reader.by_ref().take(before_last).for_each(drop);
    let rest = reader.rest().len();
    records.truncate(records.len() - rest);
    failed_record(records, failure);
}

pub(super) fn write(reports: &OwnedFd, report: &Report, payload: Vec<u8>) -> io::Result<()> {
    let frame = Frame::new(report, payload.into());
    os::write_all(reports, &frame.head)?;
    os::write_all(reports, &frame.body)
}
