//! The pool's end of one child process.
//!
//! Whoever has something to send writes it, and whoever finds something to read delivers it: `pump` may be called
//! from any thread at any time. One reader task on the pool's runtime sees to it that it is called at all.
//!
//! Death is judged in this order: the process is gone (pidfd), what it had sent is read (`pump`), what it had
//! finished is taken from the board, and only then the pool is told.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::blocks::Blocks;
use super::inbox::{Inbox, InboxState, Received};
use super::outbox::{Flushed, Outbox};
use super::reader::{Reader, register};
use super::writer::Writer;
use crate::backend::{Call, End, Events, Home, Link, StartRequest, Vitals, WorkerId};
use crate::error::Exit;
use crate::os::{self, Board, Found, Killer, OomKills, Running, SIGKILL, Start, Stderr};
use crate::wire::{Duty, Frame, Order, Parcel, Run, Store, codec};

pub(super) struct SpawnLink {
    pub(super) worker: WorkerId,
    pid: u32,
    pub(super) killer: Killer,
    /// The pool has sent it a signal.
    killed: AtomicBool,
    /// It may close its pipe and live on: a `Process` may become another program.
    pub(super) may_close: bool,
    /// The worker ends when this does.
    control: OwnedFd,
    pub(super) orders: OwnedFd,
    /// The worker's end of that pipe. While it is open, writing raises no SIGPIPE, which may be at its default here.
    _orders_read: OwnedFd,
    /// Handles go both ways over this, each before what announces it.
    pub(super) handles: OwnedFd,
    outbox: Mutex<Outbox>,
    pub(super) reports: OnceLock<Receiver>,
    pub(super) inbox: Mutex<Inbox>,
    pub(super) received: Received,
    pub(super) board: Arc<Board>,
    pub(super) blocks: Blocks,
    /// Where that is captured.
    stderr: Option<Arc<Stderr>>,
    pub(super) events: Arc<dyn Events>,
    pub(super) home: Arc<Home>,
    pub(super) this: Weak<SpawnLink>,
    /// Told when the worker is gone, so that readers end whoever else holds the pipe.
    pub(super) gone: CancellationToken,
}

/// What the pool keeps of a worker that it starts, beside the pipe of its reports.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) control: OwnedFd,
    pub(super) orders: OwnedFd,
    pub(super) orders_read: OwnedFd,
    pub(super) handles: OwnedFd,
    pub(super) board: Arc<Board>,
    /// Where its large results are, if there is such a place.
    pub(super) results: Option<Arc<Store>>,
    /// Where that is captured.
    pub(super) stderr: Option<Arc<Stderr>>,
}

impl SpawnLink {
    pub(super) fn new(
        pid: u32,
        killer: Killer,
        ends: Ends,
        request: &StartRequest,
        home: Arc<Home>,
    ) -> Arc<Self> {
        let max = request.profile.configure.max_frame;
        let codec = codec(max);
        let Ends { control, orders, orders_read, handles, board, results, stderr } = ends;
        Arc::new_cyclic(|this| Self {
            worker: request.worker,
            pid,
            killer,
            killed: AtomicBool::new(false),
            may_close: request.profile.configure.duty == Duty::Process,
            control,
            orders,
            _orders_read: orders_read,
            handles,
            outbox: Mutex::default(),
            reports: OnceLock::new(),
            inbox: Mutex::new(Inbox::new(codec)),
            received: Received::default(),
            board,
            blocks: Blocks::new(results, max),
            stderr,
            events: Arc::clone(&request.events),
            home,
            this: Weak::clone(this),
            gone: CancellationToken::new(),
        })
    }

    /// The worker takes calls: reads its reports from now on, behind what it has `said` already, and waits for its end.
    pub(super) fn begin(
        self: &Arc<Self>,
        reports: OwnedFd,
        said: BytesMut,
        ended: impl Future<Output = Exit> + Send + 'static,
    ) -> io::Result<()> {
        let receiver = match register(self.home.runtime(), reports.try_clone()?) {
            Ok(receiver) => receiver,
            // The runtime the pool was made in has ended, or does no I/O.
            Err(_) => register(self.home.leave()?, reports)?,
        };
        let runtime = self.home.runtime();
        assert!(self.reports.set(receiver).is_ok(), "a worker begins once");
        self.begin_inbox(said);
        runtime.spawn(Reader::of(self).run());
        let link = Arc::clone(self);
        // This runs on the background runtime, where the start does.
        tokio::spawn(async move { link.ended(ended.await) });
        Ok(())
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn post(self: &Arc<Self>, frame: Frame) {
        let mut outbox = self.outbox();
        outbox.push(frame);
        self.flush_outbox(&mut outbox);
    }

    fn flush_outbox(self: &Arc<Self>, outbox: &mut Outbox) {
        if outbox.attended {
            return;
        }
        let flushed = outbox.flush(&self.orders, &self.handles);
        self.board.orders().ring();
        if flushed != Flushed::All {
            outbox.attended = true;
            let writer = Writer::new(self);
            self.home.runtime().spawn(writer.run());
        }
    }

    /// Writes what waits; `WouldBlock` while `full` is what it was.
    pub(super) fn flush_rest(&self, full: Flushed) -> io::Result<Flushed> {
        let mut outbox = self.outbox();
        let flushed = outbox.flush(&self.orders, &self.handles);
        self.board.orders().ring();
        match flushed {
            Flushed::All => {
                outbox.attended = false;
                Ok(Flushed::All)
            }
            still if still == full => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        }
    }

    /// The process is gone and reaped.
    pub(super) fn ended(&self, exit: Exit) {
        self.outbox().close();
        self.look_away();
        let mut inbox = self.inbox();
        let _nothing_more = self.pump_into(&mut inbox);
        self.take_held(&mut inbox);
        let state = std::mem::replace(&mut inbox.state, InboxState::Ended);
        drop(inbox);
        let fault = match state {
            InboxState::Violated(why) => Some(why),
            InboxState::Open | InboxState::Ended => None,
        };
        self.gone.cancel();
        self.blocks.let_all_go();
        let by_others = exit == Exit::Signal(SIGKILL) && !self.killed.load(Ordering::Relaxed);
        let oom_likely = by_others && OomKills::of_this_process().take_one();
        let stderr_tail = self.stderr.as_ref().map(|stderr| stderr.tail()).unwrap_or_default();
        self.events.gone(self.worker, End { exit, fault, oom_likely, stderr_tail });
    }
}

impl Link for SpawnLink {
    fn id(&self) -> u32 {
        self.pid
    }

    fn attend(self: Arc<Self>, runtime: &Handle) {
        let pipe =
            self.reports.get().expect("a link is known once it has begun").as_fd().try_clone_to_owned();
        if self.outbox().attended {
            // Whoever is to write may stand still with its runtime; two may write, one after the other.
            runtime.spawn(Writer::new(&self).run());
        }
        match pipe.and_then(|pipe| register(runtime, pipe)) {
            Ok(receiver) => {
                drop(runtime.spawn(Reader::again(self, receiver).run()));
            }
            Err(error) => self.distrust(format!("its pipe cannot be watched: {error}")),
        }
    }

    fn enter(&self, slot: u8, call: u64) {
        self.board.enter(slot.into(), call);
    }

    fn send(&self, call: Call) {
        let Call { head, task, parcel: Parcel { records, luggage, freight }, watched } = call;
        let (handles, stowed) = (luggage.announced(), freight.announced());
        self.blocks.keep(head.slot, freight);
        let mut outbox = self.outbox();
        let run = Run { head, task: outbox.reference(task), watched, handles, stowed };
        outbox.push_luggage(luggage);
        outbox.push_call(&Order::Run(run), records);
    }

    fn flush(self: Arc<Self>) {
        let mut outbox = self.outbox();
        let over = self.received.over.load(Ordering::Relaxed);
        if outbox.can_wait(over) {
            return;
        }
        let answered = self.received.answered.load(Ordering::Relaxed);
        let alone = outbox.alone(over, answered, || os::unread(&self.orders) == 0);
        if alone.is_some_and(|frame| self.board.orders().put(frame)) {
            outbox.handed_over();
            return;
        }
        self.flush_outbox(&mut outbox);
        if outbox.owed(over) > 1 {
            self.peek_soon();
        }
    }

    fn look(&self) {
        let desk = self.board.reports();
        let found = if desk.sit_down() { Found::Rung } else { desk.look() };
        self.found(found);
    }

    fn look_away(&self) {
        self.found(self.board.reports().leave());
    }

    fn revoke(&self, slot: u8, call: u64) -> bool {
        let is_back = self.board.revoke(slot.into(), call);
        if is_back {
            self.received.over.fetch_add(1, Ordering::Relaxed);
            self.blocks.let_go(slot);
        }
        is_back
    }

    fn cancel(&self, slot: u8) {
        self.board.cancel(slot.into());
    }

    fn running(&self, slot: u8, call: u64) -> Option<(u32, Duration)> {
        self.board.running(slot.into(), call).map(Running::so_far)
    }

    fn expire(&self, slot: u8, element: u32) -> bool {
        self.board.expire(slot.into(), element)
    }

    fn condemn(&self, slot: u8, element: u32) -> bool {
        self.board.condemn(slot.into(), element)
    }

    fn progress(&self, slot: u8, call: u64) -> Start {
        self.board.progress(slot.into(), call)
    }

    fn unsent(&self, call: u64, received: u32) -> Option<(u32, Vec<u8>)> {
        self.board.unsent_results(call, received)
    }

    fn stop(self: Arc<Self>) {
        self.post(Frame::new(&Order::Stop, Bytes::new()));
    }

    fn interrupt(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.killer.interrupt();
    }

    fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.killer.kill();
    }

    fn accuse(&self, why: String) {
        self.distrust(why);
    }

    fn ping(&self) {
        os::call_out(&self.control);
    }

    fn vitals(&self) -> Vitals {
        let taken = self.outbox().written.saturating_sub(os::unread(&self.orders));
        let moved = taken.wrapping_add(self.received.bytes.load(Ordering::Relaxed));
        let mid_frame = self.received.mid_frame.load(Ordering::Relaxed);
        Vitals { answered: os::was_echoed(&self.control), moved, mid_frame }
    }
}
