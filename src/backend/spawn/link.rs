//! The pool's end of one child process.
//!
//! Whoever has something to send writes it, and whoever finds something to read delivers it: `pump` may be called
//! from any thread at any time. One reader task on the pool's runtime sees to it that it is called at all.
//!
//! Death is judged in this order: the process is gone (pidfd), what it had sent is read (`pump`), what it had
//! finished is taken from the board, and only then the pool is told.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;
use tokio_util::codec::Decoder as _;
use tokio_util::sync::CancellationToken;

use super::blocks::Blocks;
use super::outbox::{Flushed, Outbox};
use super::parcel::receive;
use super::writer::Writer;
use crate::backend::{Call, End, Events, Home, Link, StartRequest, Vitals, WorkerId};
use crate::error::Exit;
use crate::os::{self, Board, Killer, OomKills, Rooted, Running, SIGKILL, Start, Stderr, background};
use crate::wire::{Codec, Duty, Frame, Order, Parcel, Records, Report, Run, Store, codec, split};

/// A worker that closes its pipe and does not end within this time is killed.
const END_AFTER_CLOSING: Duration = Duration::from_millis(100);

pub(super) struct SpawnLink {
    worker: WorkerId,
    pid: u32,
    killer: Killer,
    /// The pool has sent it a signal.
    killed: AtomicBool,
    /// It may close its pipe and live on: a `Process` may become another program.
    may_close: bool,
    /// The worker ends when this does.
    control: OwnedFd,
    pub(super) orders: OwnedFd,
    /// The worker's end of that pipe. While it is open, writing raises no SIGPIPE, which may be at its default here.
    _orders_read: OwnedFd,
    /// Handles go both ways over this, each before what announces it.
    pub(super) handles: OwnedFd,
    outbox: Mutex<Outbox>,
    reports: OnceLock<Receiver>,
    inbox: Mutex<Inbox>,
    received: Received,
    board: Arc<Board>,
    blocks: Blocks,
    /// Where that is captured.
    stderr: Option<Arc<Stderr>>,
    events: Arc<dyn Events>,
    home: Arc<Home>,
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

struct Inbox {
    buffer: BytesMut,
    codec: Codec,
    state: InboxState,
}

/// What has come so far, for whoever must not wait for the inbox: it is held while the pool is told of replies.
#[derive(Debug, Default)]
struct Received {
    bytes: AtomicU64,
    /// The last of them are part of a frame that is not whole.
    mid_frame: AtomicBool,
}

#[derive(Debug, PartialEq, Eq)]
enum InboxState {
    Open,
    /// The worker has closed its end, or is gone.
    Ended,
    /// What it sent breaks the rules, and nothing more of it is read.
    Violated(String),
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
        Arc::new(Self {
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
            inbox: Mutex::new(Inbox { buffer: BytesMut::new(), codec, state: InboxState::Open }),
            received: Received::default(),
            board,
            blocks: Blocks::new(results, max),
            stderr,
            events: Arc::clone(&request.events),
            home,
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
        runtime.spawn(Reader { link: Arc::clone(self), again: None }.run());
        let link = Arc::clone(self);
        // This runs on the background runtime, where the start does.
        tokio::spawn(async move { link.ended(ended.await) });
        Ok(())
    }

    fn begin_inbox(&self, said: BytesMut) {
        let mut inbox = self.inbox();
        inbox.buffer = said;
        if let Err(why) = self.deliver(&mut inbox) {
            self.close_inbox(&mut inbox, why);
        }
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame, or leaves it to a writer task if the pipe is full.
    pub(super) fn post(self: &Arc<Self>, frame: Frame) {
        let mut outbox = self.outbox();
        outbox.push(frame);
        self.flush(&mut outbox);
    }

    fn flush(self: &Arc<Self>, outbox: &mut Outbox) {
        if !outbox.attended && outbox.flush(&self.orders, &self.handles) != Flushed::All {
            outbox.attended = true;
            let writer = Writer::new(self);
            self.home.runtime().spawn(writer.run());
        }
    }

    /// Writes what waits; `WouldBlock` while `full` is what it was.
    pub(super) fn flush_rest(&self, full: Flushed) -> io::Result<Flushed> {
        let mut outbox = self.outbox();
        match outbox.flush(&self.orders, &self.handles) {
            Flushed::All => {
                outbox.attended = false;
                Ok(Flushed::All)
            }
            still if still == full => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        }
    }

    /// Reads what there is and delivers it. Never `Ok`: `WouldBlock` when the pipe is empty, another error when
    /// there is nothing more to come.
    fn pump(&self) -> io::Result<()> {
        self.pump_into(&mut self.inbox())
    }

    fn pump_into(&self, inbox: &mut Inbox) -> io::Result<()> {
        let Some(pipe) = self.reports.get() else { return Err(io::ErrorKind::NotConnected.into()) };
        while inbox.state == InboxState::Open {
            let read = match os::read_into(pipe, &mut inbox.buffer) {
                Ok(0) => {
                    self.end_inbox(inbox);
                    Ok(())
                }
                Ok(read) => {
                    self.received.bytes.fetch_add(read as u64, Ordering::Relaxed);
                    let is_empty = inbox.buffer.len() < inbox.buffer.capacity();
                    let delivered = self.deliver(inbox);
                    self.received.mid_frame.store(!inbox.buffer.is_empty(), Ordering::Relaxed);
                    match delivered {
                        // The pipe had no more than that, and what comes next is told anew.
                        Ok(()) if is_empty => return Err(io::ErrorKind::WouldBlock.into()),
                        delivered => delivered,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = read {
                self.close_inbox(inbox, why);
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn deliver(&self, inbox: &mut Inbox) -> Result<(), String> {
        loop {
            let frame = inbox.codec.decode(&mut inbox.buffer).map_err(|error| error.to_string())?;
            let Some(frame) = frame else { return Ok(()) };
            match split(&frame.freeze())? {
                (Report::Reply(reply), records) if Records::new(&records).are_exactly(reply.elements) => {
                    let parcel = receive(&self.handles, &self.blocks, &reply, records)?;
                    if reply.last {
                        // First: its slot may be given to the next call at once.
                        self.blocks.let_go(reply.slot);
                    }
                    self.events.reply(self.worker, reply, parcel)?;
                }
                (Report::Reply(_), _) => return Err("it sent results that are no whole records".into()),
                (report, _) => return Err(format!("it sent {report:?} out of turn")),
            }
        }
    }

    /// The worker is of no use any more, for this reason.
    pub(super) fn distrust(&self, why: String) {
        self.close_inbox(&mut self.inbox(), why);
    }

    /// The worker must not be trusted any more, or cannot be heard.
    fn close_inbox(&self, inbox: &mut Inbox, why: String) {
        inbox.state = InboxState::Violated(why);
        self.kill();
    }

    /// The worker has closed its end: it is ending, or it is made to.
    fn end_inbox(&self, inbox: &mut Inbox) {
        inbox.state = InboxState::Ended;
        if self.may_close {
            return;
        }
        let killer = self.killer.clone();
        if let Ok(background) = background() {
            background.spawn(async move {
                let pause = tokio::time::Instant::now() + END_AFTER_CLOSING;
                tokio::time::sleep_until(pause).await;
                killer.kill();
            });
        }
    }

    /// The process is gone and reaped.
    pub(super) fn ended(&self, exit: Exit) {
        self.outbox().close();
        let _nothing_more = self.pump();
        let fault = match std::mem::replace(&mut self.inbox().state, InboxState::Ended) {
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
                let again = Some(Rooted::new(receiver));
                drop(runtime.spawn(Reader { link: self, again }.run()));
            }
            Err(error) => self.distrust(format!("its pipe cannot be watched: {error}")),
        }
    }

    fn enter(&self, slot: u8, call: u64) {
        self.board.enter(slot.into(), call);
    }

    fn send(self: Arc<Self>, call: Call) {
        let Call { head, task, parcel: Parcel { records, luggage, freight }, watched } = call;
        let (handles, stowed) = (luggage.announced(), freight.announced());
        self.blocks.keep(head.slot, freight);
        let mut outbox = self.outbox();
        let run = Run { head, task: outbox.reference(task), watched, handles, stowed };
        outbox.push_luggage(luggage);
        outbox.push(Frame::new(&Order::Run(run), records));
        self.flush(&mut outbox);
    }

    fn look(&self) {
        if let Ok(mut inbox) = self.inbox.try_lock() {
            // Whatever else it comes to, the link's reader finds out too.
            let _looked = self.pump_into(&mut inbox);
        }
    }

    fn revoke(&self, slot: u8, call: u64) -> bool {
        let is_revoked = self.board.revoke(slot.into(), call);
        if is_revoked {
            self.blocks.let_go(slot);
        }
        is_revoked
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
        self.post(Frame::new(&Order::Stop, bytes::Bytes::new()));
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

/// Watches a pipe on a runtime.
fn register(runtime: &Handle, pipe: OwnedFd) -> io::Result<Receiver> {
    let _inside = runtime.enter();
    // Tokio panics where a runtime was built without I/O.
    let registered = std::panic::catch_unwind(|| Receiver::from_owned_fd(pipe));
    registered.unwrap_or_else(|_| Err(io::Error::other("the runtime was built without `enable_io`")))
}

/// Reads a link on one runtime. If the runtime ends before the worker does, the background goes on.
struct Reader {
    link: Arc<SpawnLink>,
    /// Its own registration, if it is not the link's first reader.
    again: Option<Rooted<Receiver>>,
}

impl Reader {
    async fn run(self) {
        let first = self.link.reports.get();
        let again = self.again.as_deref();
        let receiver = again.or(first).expect("a link is read once it has begun");
        loop {
            tokio::select! {
                biased;
                ready = receiver.readable() => if ready.is_err() { return },
                () = self.link.gone.cancelled() => return,
            }
            match receiver.try_io(|| self.link.pump()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if os::forked() {
            return;
        }
        let reading = self.link.inbox().state == InboxState::Open;
        if let (true, Ok(background)) = (reading, self.link.home.leave()) {
            Arc::clone(&self.link).attend(background);
        }
    }
}
