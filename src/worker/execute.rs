//! One call on its worker: element after element, each caught on its own, the results sent in good time.
//!
//! 1. An element is begun on the board before any of its code runs, so that a crash is laid to the right one.
//! 2. What is finished and not sent yet stands on the board too, so that a crash takes no finished result along.

use std::io;

use super::context::Context;
use crate::os::{self, Board, SLOTS, monotonic_ns};
use crate::task::Task;
use crate::wire::{CallHead, Failure, Records, Reply, failed_record, put_record};

/// Sends one reply with its records.
pub(crate) type Send<'a> = &'a mut dyn FnMut(Reply, Vec<u8>) -> io::Result<()>;

/// The results of a call that were not sent yet.
struct Results<'a> {
    call: CallHead,
    board: &'a Board,
    started_ns: u64,
    max: usize,
    out: Vec<u8>,
    /// Elements in `out`, and those that were sent before.
    pending: u32,
    sent: u32,
}

/// Runs a call, unless it was taken back.
///
/// # Errors
///
/// That of `send`.
pub(crate) fn execute(
    context: &Context,
    call: CallHead,
    task: Result<Task, String>,
    payload: &[u8],
    max: usize,
    send: Send<'_>,
) -> io::Result<()> {
    let started_ns = monotonic_ns();
    let slot = usize::from(call.slot);
    if slot >= SLOTS || !context.board.start(slot, call.call, started_ns) {
        return Ok(());
    }
    context.runs(slot);
    let mut results =
        Results { call, board: &context.board, started_ns, max, out: Vec::new(), pending: 0, sent: 0 };
    results.open();
    let mut records = Records::new(payload);
    for number in 1..=call.elements {
        context.board.begin(slot, number);
        let start = results.out.len();
        let cancelled = number > 1 && context.board.is_cancelled(slot);
        let record = records.next().map(|record| record.bytes);
        if let Err(failure) = one(&task, record, cancelled, &mut results.out) {
            failed_record(&mut results.out, &failure);
        }
        results.added(start, number == call.elements, send)?;
    }
    context.runs(SLOTS);
    Ok(())
}

fn one(
    task: &Result<Task, String>,
    record: Option<&[u8]>,
    cancelled: bool,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let task = task.as_ref().map_err(|why| Failure::Foreign(why.clone()))?;
    let input = record.ok_or_else(|| Failure::Decode("the payload ends before the element".into()))?;
    if cancelled {
        return Err(Failure::Cancelled);
    }
    let called = put_record(out, |out| task.call(input, out));
    leave_if_forked();
    called
}

/// A task that forks returns twice. Only the worker goes on; the child it has made ends here, before it would touch the
/// board or answer a second time.
pub(super) fn leave_if_forked() {
    if os::forked() {
        os::leave_at_once(0);
    }
}

impl Results<'_> {
    fn open(&self) {
        if self.call.elements > 1 {
            self.board.open_results(self.call.call, self.sent);
        }
    }

    /// Takes note of the record that was appended at `start`.
    fn added(&mut self, mut start: usize, last: bool, send: Send<'_>) -> io::Result<()> {
        let size = self.out.len() - start;
        if size > self.max {
            self.out.truncate(start);
            failed_record(&mut self.out, &Failure::TooLarge { size });
        }
        if self.out.len() > Board::room() && self.pending > 0 {
            let latest = self.out.split_off(start);
            self.flush(false, send)?;
            self.out = latest;
            start = 0;
        }
        self.pending += 1;
        if last || self.out.len() > Board::room() {
            return self.flush(last, send);
        }
        self.board.add_result(start, &self.out[start..]);
        Ok(())
    }

    fn flush(&mut self, last: bool, send: Send<'_>) -> io::Result<()> {
        let reply = Reply {
            call: self.call.call,
            slot: self.call.slot,
            elements: self.pending,
            last,
            elapsed_ns: monotonic_ns().saturating_sub(self.started_ns),
        };
        send(reply, std::mem::take(&mut self.out))?;
        self.sent += self.pending;
        self.pending = 0;
        self.open();
        Ok(())
    }
}
