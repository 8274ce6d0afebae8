//! What comes from one worker: replies through its pipe, past it over the desk, and those that it holds on its board.
//!
//! 1. Each reply is told once, by whichever way it came first: those of the pipe and those that are held are numbered through.
//! 2. What breaks the rules ends the worker, and what came before it counts.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio_util::codec::Decoder as _;

use super::link::SpawnLink;
use super::parcel::receive;
use crate::backend::Link as _;
use crate::os::{self, Found, background};
use crate::wire::{Codec, HOLD_NS, LARGEST_MAX, Parcel, Records, Reply, Report, codec, split};

/// A worker that closes its pipe and does not end within this time is killed.
const END_AFTER_CLOSING: Duration = Duration::from_millis(100);
/// How long an answer may be held by a worker that has become slow.
const PEEK_AFTER: Duration = Duration::from_nanos(2 * HOLD_NS);

type Replies = Vec<(Reply, Parcel)>;

pub(super) struct Inbox {
    buffer: BytesMut,
    codec: Codec,
    pub(super) state: InboxState,
    /// Replies that have come through the pipe.
    piped: u64,
    /// Replies that the pool was told of, be it from the pipe or from the board.
    told: u64,
}

/// What has come so far, for whoever must not wait for the inbox: it is held while the pool is told of replies.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: AtomicU64,
    /// The last of them are part of a frame that is not whole.
    pub(super) mid_frame: AtomicBool,
    /// Calls that were answered.
    pub(super) answered: AtomicU64,
    /// Calls that were answered or taken back.
    pub(super) over: AtomicU64,
    /// Somebody looks at the board now and then.
    peeks: AtomicBool,
    /// And has to once more.
    peek_again: AtomicBool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum InboxState {
    Open,
    /// The worker has closed its end, or is gone.
    Ended,
    /// What it sent breaks the rules, and nothing more of it is read.
    Violated(String),
}

impl Received {
    /// What came before this is asked is seen after it.
    fn is_to_peek(&self) -> bool {
        loop {
            if self.peek_again.swap(false, Ordering::AcqRel) {
                return true;
            }
            self.peeks.store(false, Ordering::Release);
            // An answer may have come in between, and has found that somebody looks already.
            if !self.peek_again.load(Ordering::Acquire) || self.peeks.swap(true, Ordering::AcqRel) {
                return false;
            }
        }
    }
}

impl Inbox {
    pub(super) fn new(codec: Codec) -> Self {
        Self { buffer: BytesMut::new(), codec, state: InboxState::Open, piped: 0, told: 0 }
    }
}

impl SpawnLink {
    /// Takes in what the worker has said already.
    pub(super) fn begin_inbox(&self, said: BytesMut) {
        let mut inbox = self.inbox();
        inbox.buffer = said;
        if let Err(why) = self.deliver(&mut inbox) {
            self.close_inbox(&mut inbox, why);
        }
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what there is and delivers it. Never `Ok`: `WouldBlock` when the pipe is empty, another error when
    /// there is nothing more to come.
    pub(super) fn pump(&self) -> io::Result<()> {
        self.pump_into(&mut self.inbox())
    }

    pub(super) fn pump_into(&self, inbox: &mut Inbox) -> io::Result<()> {
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

    /// Tells of all whole frames together, also of those before one that breaks the rules.
    fn deliver(&self, inbox: &mut Inbox) -> Result<(), String> {
        let mut replies = Vec::new();
        let read = self.unpack(inbox, &mut replies);
        self.tell(replies).and(read)
    }

    fn unpack(&self, inbox: &mut Inbox, replies: &mut Replies) -> Result<(), String> {
        loop {
            let frame = inbox.codec.decode(&mut inbox.buffer).map_err(|error| error.to_string())?;
            let Some(frame) = frame else { return Ok(()) };
            let reply = self.reply_of(&frame.freeze())?;
            if inbox.piped == inbox.told {
                inbox.told += 1;
                replies.push(reply);
            }
            inbox.piped += 1;
        }
    }

    fn reply_of(&self, frame: &Bytes) -> Result<(Reply, Parcel), String> {
        match split(frame)? {
            (Report::Reply(reply), records) if Records::new(&records).are_exactly(reply.elements) => {
                let parcel = receive(&self.handles, &self.blocks, &reply, records)?;
                Ok((reply, parcel))
            }
            (Report::Reply(_), _) => Err("it sent results that are no whole records".into()),
            (report, _) => Err(format!("it sent {report:?} out of turn")),
        }
    }

    fn tell(&self, replies: Replies) -> Result<(), String> {
        if replies.is_empty() {
            return Ok(());
        }
        let ended = replies.iter().filter(|(reply, _)| reply.last);
        // First: their slots may be given to the next calls at once.
        ended.clone().for_each(|(reply, _)| self.blocks.let_go(reply.slot));
        let over = ended.count() as u64;
        self.received.answered.fetch_add(over, Ordering::Relaxed);
        let over = self.received.over.fetch_add(over, Ordering::Relaxed) + over;
        let latest_ns = replies.last().map_or(0, |(reply, _)| reply.elapsed_ns);
        let mut outbox = self.outbox();
        outbox.latest_ns = latest_ns;
        let is_owed = outbox.owed(over) > 0;
        drop(outbox);
        self.events.replies(self.worker, replies)?;
        if is_owed {
            self.peek_soon();
        }
        Ok(())
    }

    /// A worker holds a few answers for a moment while it is quick (`HOLD_NS`), but what it does next may be slow: then they are taken from its board. So
    /// behind each answer, and behind calls that are sent together, somebody looks there after more than that moment.
    pub(super) fn peek_soon(&self) {
        self.received.peek_again.store(true, Ordering::Release);
        if self.received.peeks.swap(true, Ordering::AcqRel) {
            return;
        }
        if let (Some(link), Ok(background)) = (self.this.upgrade(), background()) {
            background.spawn(async move {
                // A worker that is gone has been looked at for the last time.
                while link.received.is_to_peek() && !link.gone.is_cancelled() {
                    tokio::time::sleep_until(tokio::time::Instant::now() + PEEK_AFTER).await;
                    link.peek();
                }
            });
        }
    }

    fn peek(&self) {
        self.look_away();
        let mut inbox = self.inbox();
        // Whatever else it comes to, the link's reader finds out too.
        let _read = self.pump_into(&mut inbox);
        self.take_held(&mut inbox);
    }

    /// What somebody found who looks for answers.
    pub(super) fn found(&self, found: Found) {
        match found {
            Found::Nothing => {}
            Found::Rung => {
                if let Ok(mut inbox) = self.inbox.try_lock() {
                    // Whatever else it comes to, the link's reader finds out too.
                    let _looked = self.pump_into(&mut inbox);
                }
            }
            Found::Frame(frame) => {
                self.received.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
                if let Err(why) = self.handed(frame) {
                    self.distrust(why);
                }
            }
            Found::Unfinished => self.peek_soon(),
        }
    }

    /// A reply that came past the pipe: all of one call.
    fn handed(&self, frame: Vec<u8>) -> Result<(), String> {
        let mut frame = Bytes::from(frame);
        let length = frame.try_get_u32().map_err(|error| error.to_string())?;
        if usize::try_from(length).ok() != Some(frame.len()) {
            return Err("it handed over what is no frame".into());
        }
        let reply = self.reply_of(&frame)?;
        self.tell(vec![reply])
    }

    /// Tells of replies that the worker has put on its board and not written yet.
    pub(super) fn take_held(&self, inbox: &mut Inbox) {
        if matches!(inbox.state, InboxState::Violated(_)) {
            return;
        }
        let mut replies = Vec::new();
        let read = self.unpack_held(inbox, &mut replies);
        if let Err(why) = self.tell(replies).and(read) {
            self.close_inbox(inbox, why);
        }
    }

    fn unpack_held(&self, inbox: &mut Inbox, replies: &mut Replies) -> Result<(), String> {
        let Some((first, frames)) = self.board.held() else { return Ok(()) };
        if first > inbox.told {
            // Those before them are in the pipe by now.
            return Ok(());
        }
        let (mut codec, mut frames) = (codec(LARGEST_MAX), BytesMut::from(&frames[..]));
        for number in first.. {
            let frame = codec.decode(&mut frames).map_err(|error| error.to_string())?;
            let Some(frame) = frame else { break };
            let reply = self.reply_of(&frame.freeze())?;
            if number == inbox.told {
                inbox.told += 1;
                replies.push(reply);
            }
        }
        Ok(())
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
}
