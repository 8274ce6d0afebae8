//! One call on its worker: element after element, each caught on its own, the results sent in good time.
//!
//! Short elements run at a stretch (`task/stretch.rs`), which keeps to the same rules.
//!
//! 1. An element is begun on the board before any of its code runs, so that a crash is laid to the right one.
//! 2. What is finished and not sent yet stands on the board too, so that a crash takes no finished result along.
//! 3. A result that has handles or lies in a block is sent at once, as the last of its reply: the board cannot keep either.
//! 4. An element whose time was over fails, whatever it comes to; a worker that is condemned goes no further.

use std::io;
use std::sync::Arc;

use super::context::Context;
use crate::os::{Board, Finish, SLOTS, monotonic_ns};
use crate::task::{Odd, Stretch, Task, leave_if_forked};
use crate::wire::{
    CallHead, Failure, Fd, Freight, Input, Luggage, Output, Parts, Records, Reply, Store, failed_record,
    put_record,
};

/// Sends one reply.
pub(crate) type Send<'a> = &'a mut dyn FnMut(Answer) -> io::Result<()>;

/// A reply with what goes along.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) records: Vec<u8>,
    /// Those of the last of its results.
    pub(crate) handles: Vec<Fd>,
    /// The last of its results, if it does not stand in its record. It is freed again if it is not sent.
    pub(crate) parts: Parts,
}

/// A call as its worker gets it.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) head: CallHead,
    pub(crate) task: Result<Task, String>,
    /// One record an element.
    pub(crate) payload: &'a [u8],
    pub(crate) luggage: Luggage,
    pub(crate) freight: Freight,
    /// The pool keeps an eye on each element.
    pub(crate) watched: bool,
    /// The most bytes of a result.
    pub(crate) max: usize,
    /// Where large results go, if there is such a place.
    pub(crate) store: Option<Arc<Store>>,
}

impl Order<'_> {
    /// Its elements have nothing that has to be looked after.
    fn is_plain(&self) -> bool {
        self.luggage.is_empty() && self.freight.is_empty() && !self.watched
    }
}

/// The results of a call that were not sent yet.
struct Results<'a> {
    call: CallHead,
    board: &'a Board,
    started_ns: u64,
    max: usize,
    out: Output,
    /// Those of the last element in `out`; before that has run, of its arguments.
    handles: Vec<Fd>,
    /// Elements in `out`, and those that were sent before.
    pending: u32,
    sent: u32,
    outgrown: bool,
}

/// Runs a call, unless it was taken back.
///
/// # Errors
///
/// That of `send`, or that the worker is condemned.
pub(crate) fn execute(context: &Context, mut order: Order<'_>, send: Send<'_>) -> io::Result<()> {
    let (call, board) = (order.head, &context.board);
    let slot = usize::from(call.slot);
    if slot >= SLOTS || !board.start(slot, call.call) {
        return Ok(());
    }
    context.runs(slot);
    let mut results = Results::new(&mut order, board);
    let mut records = Records::new(order.payload);
    let plain = order.task.clone().ok().filter(|_| order.is_plain() && !context.is_limited());
    let mut number = 0;
    while number < call.elements {
        number += 1;
        if let Some(task) = plain {
            // All but the last, with which the results are sent.
            let odd = results.stretch(task, slot, &mut records, &mut number);
            if let Some(Odd { start, came }) = odd {
                if let Err(failure) = came {
                    results.fail(start, &failure);
                }
                results.added(start, number == call.elements, send)?;
                continue;
            }
        }
        let start = single(&mut order, number, &mut records, &mut results)?;
        results.outgrown = context.is_outgrown();
        results.added(start, number == call.elements || results.outgrown, send)?;
        if results.outgrown {
            break;
        }
    }
    context.runs(SLOTS);
    Ok(())
}

/// Runs one element by itself; where its record begins.
fn single(
    order: &mut Order<'_>,
    number: u32,
    records: &mut Records<'_>,
    results: &mut Results<'_>,
) -> io::Result<usize> {
    let (slot, board) = (usize::from(order.head.slot), results.board);
    board.begin(slot, number, order.watched.then(monotonic_ns));
    let start = results.out.len();
    let cancelled = number > 1 && board.is_cancelled(slot);
    let parts = order.freight.take(number - 1);
    let record = records.next().map(|record| Input::new(record.bytes, &parts));
    order.luggage.take(number - 1, &mut results.handles);
    if let Err(failure) = one(&order.task, record, cancelled, results) {
        results.fail(start, &failure);
    }
    if order.watched {
        results.finish(board.finish(slot, number), start)?;
    }
    Ok(start)
}

fn one(
    task: &Result<Task, String>,
    record: Option<Input<'_>>,
    cancelled: bool,
    results: &mut Results<'_>,
) -> Result<(), Failure> {
    let task = task.as_ref().map_err(|why| Failure::Foreign(why.clone()))?;
    let input = record.ok_or_else(|| Failure::Decode("the payload ends before the element".into()))?;
    if cancelled {
        return Err(Failure::Cancelled);
    }
    let Results { out, handles, .. } = results;
    let called = put_record(out, |out| task.call(input, handles, out));
    leave_if_forked();
    called
}

impl<'a> Results<'a> {
    fn new(order: &mut Order<'_>, board: &'a Board) -> Self {
        let (call, max) = (order.head, order.max);
        let started_ns = monotonic_ns();
        let (out, handles) = (Output::new(order.store.take(), max), Vec::new());
        let results =
            Self { call, board, started_ns, max, out, handles, pending: 0, sent: 0, outgrown: false };
        results.open();
        results
    }

    /// Runs the elements from `number` on, which it moves behind them; up to the last, or one that is unlike the others.
    fn stretch(
        &mut self,
        task: Task,
        slot: usize,
        records: &mut Records<'_>,
        number: &mut u32,
    ) -> Option<Odd> {
        let first = *number;
        let until = self.call.elements - 1;
        let Self { board, out, handles, max, .. } = self;
        let mut stretch = Stretch { board, slot, records, out, handles, number: first, until, max: *max };
        let odd = task.stretch(&mut stretch);
        *number = stretch.number;
        self.pending += *number - first;
        odd
    }

    fn open(&self) {
        if self.call.elements > 1 {
            self.board.open_results(self.call.call, self.sent);
        }
    }

    /// Puts a failure in place of what was appended from `start` on.
    fn fail(&mut self, start: usize, failure: &Failure) {
        self.out.undo(start);
        self.handles.clear();
        failed_record(self.out.bytes_mut(), failure);
    }

    /// What becomes of the watched element whose record was appended at `start`.
    fn finish(&mut self, finish: Finish, start: usize) -> io::Result<()> {
        match finish {
            Finish::InTime => Ok(()),
            Finish::Late => {
                self.fail(start, &Failure::TimedOut);
                Ok(())
            }
            Finish::Condemned => Err(io::Error::new(io::ErrorKind::Interrupted, "the pool ends this worker")),
        }
    }

    /// Takes note of the record that was appended at `start`.
    fn added(&mut self, mut start: usize, last: bool, send: Send<'_>) -> io::Result<()> {
        let size = self.out.len() - start + self.out.elsewhere();
        if size > self.max {
            self.fail(start, &Failure::TooLarge { size });
        }
        let parts = self.out.take_parts();
        if self.out.len() > Board::room() && self.pending > 0 {
            let latest = (self.out.split_off(start), std::mem::take(&mut self.handles));
            self.flush(false, Parts::new(), send)?;
            self.out.set_bytes(latest.0);
            self.handles = latest.1;
            start = 0;
        }
        self.pending += 1;
        let goes_along = !self.handles.is_empty() || !parts.is_empty();
        if last || goes_along || self.out.len() > Board::room() {
            return self.flush(last, parts, send);
        }
        self.board.add_result(start, &self.out.bytes()[start..]);
        Ok(())
    }

    fn flush(&mut self, last: bool, parts: Parts, send: Send<'_>) -> io::Result<()> {
        let reply = Reply {
            call: self.call.call,
            slot: self.call.slot,
            elements: self.pending,
            last,
            outgrown: self.outgrown && last,
            elapsed_ns: monotonic_ns().saturating_sub(self.started_ns),
            handles: u8::try_from(self.handles.len()).expect("a value has at most MOST_HANDLES"),
            stowed: None,
        };
        let (records, handles) = (self.out.take_bytes(), std::mem::take(&mut self.handles));
        send(Answer { reply, records, handles, parts })?;
        self.sent += self.pending;
        self.pending = 0;
        self.open();
        Ok(())
    }
}
