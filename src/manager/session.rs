//! One line of a client, on a thread of its own: it takes a request, calls, answers, until the client is gone.
//!
//! 1. A call that waits for a client that is gone is given up: its future is dropped.
//! 2. What a session keeps for its client (a lock that it holds) ends with the session, however that ends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::blob::{Blob, Raw};
use super::exposed::Part;
use super::kept::{KEPT, KIND, MADE, UNDO};
use super::lines::Lines;
use super::message::{Answer, Ask, PROTOCOL, Refusal, Request, Visitor, What};
use super::reference::Reference;
use super::server::{Server, ours};
use crate::channel::Connection;
use crate::error::Error;
#[cfg(feature = "net")]
use crate::os;
use crate::os::Image;
use crate::task::{MakerRef, MethodRef, Object, Unmade, caught, resolve_maker, resolve_method};
use crate::wire::{Failure, MOST_HANDLES, Output};

/// A line as the server has it.
pub(super) type ServerLine = Connection<Answer, Request>;

/// One line.
#[derive(Debug)]
pub(super) struct Session {
    server: Arc<Server>,
    line: Arc<ServerLine>,
    /// The caller runs this very program.
    is_ours: bool,
    is_same_version: Cell<bool>,
    /// Over a network: whose line it is, once it has said so.
    client: Cell<Option<u128>>,
    is_remote: bool,
    /// It is the first line of its client, over which that gives signs of life.
    is_first: Cell<bool>,
    /// What the last answer has lent, until the client says that it has come.
    unconfirmed: RefCell<Vec<u64>>,
    /// It has asked for the end of the server.
    ends: Cell<bool>,
    methods: RefCell<HashMap<(i64, u64), MethodRef>>,
}

impl Session {
    pub(super) fn new(server: Arc<Server>, visitor: Visitor) -> Self {
        let Visitor { protocol, image, line } = visitor;
        Self {
            server,
            line: Arc::new(line),
            is_ours: image == Image::of_this_process().identity(),
            is_same_version: Cell::new(protocol == PROTOCOL),
            client: Cell::new(None),
            is_remote: false,
            is_first: Cell::new(false),
            unconfirmed: RefCell::default(),
            ends: Cell::new(false),
            methods: RefCell::default(),
        }
    }

    /// One over a network, which has to say hello.
    pub(super) fn remote(server: Arc<Server>, line: ServerLine) -> Self {
        Self {
            server,
            line: Arc::new(line),
            is_ours: false,
            is_same_version: Cell::new(false),
            client: Cell::new(None),
            is_remote: true,
            is_first: Cell::new(false),
            unconfirmed: RefCell::default(),
            ends: Cell::new(false),
            methods: RefCell::default(),
        }
    }

    pub(super) fn line(&self) -> &Arc<ServerLine> {
        &self.line
    }

    /// Serves until the client is gone.
    pub(super) fn serve(&self) {
        while let Some(request) = self.next() {
            let Some(answer) = self.hear(request) else { continue };
            // Nobody waits any more.
            if matches!(answer, Answer::Failed(Failure::Cancelled)) {
                break;
            }
            let said = self.say(answer);
            if self.ends.get() {
                self.server.stop();
            }
            if !said {
                break;
            }
        }
        self.leave();
    }

    /// What there is to answer; some requests are not answered.
    fn hear(&self, request: Result<Request, Failure>) -> Option<Answer> {
        match request {
            Ok(Request::Ask(ask)) => return Some(self.answer(ask)),
            Ok(Request::Hello { protocol, client, first }) => {
                return Some(self.greet(protocol, client, first));
            }
            Ok(Request::Ping) => return Some(Answer::Pong),
            Err(failure) => return Some(Answer::Failed(failure)),
            Ok(Request::Release(number)) => {
                // Its drop may be the program's own.
                let _panicked = caught(|| KEPT.with_borrow_mut(|kept| kept.remove(&number)));
            }
            Ok(Request::Took) => self.unconfirmed.borrow_mut().clear(),
            Ok(Request::Forget(object)) => {
                if let Some(client) = self.client.get() {
                    self.server.guests().forget(client, object);
                }
            }
        }
        None
    }

    /// What the session keeps ends with it, and with the first line of a client all that is that client's.
    fn leave(&self) {
        let _panicked = caught(|| drop(KEPT.take()));
        let Some(client) = self.client.take() else { return };
        for object in self.unconfirmed.take() {
            self.server.guests().forget(client, object);
        }
        if self.is_first.get() {
            self.server.guests().leave(client);
        }
    }

    /// What the client says next, or what is wrong with it; nothing if it is gone, or should have said something by now.
    fn next(&self) -> Option<Result<Request, Failure>> {
        let received = if self.is_remote && (self.is_first.get() || self.client.get().is_none()) {
            self.line.blocking_recv_timeout(self.server.guests().patience())
        } else {
            self.line.blocking_recv().map(Some)
        };
        match received {
            Ok(request) => request.map(Ok),
            Err(Error::DecodeMessage { cause }) => Some(Err(Failure::Decode(cause))),
            Err(Error::MessageTooLarge { size, .. }) => {
                Some(Err(Failure::TooLarge { size: usize::try_from(size).unwrap_or(usize::MAX) }))
            }
            Err(_) => None,
        }
    }

    /// Takes note of whose line it is.
    fn greet(&self, protocol: u32, client: u128, first: bool) -> Answer {
        if protocol != PROTOCOL {
            return Answer::Refused(Refusal::OtherVersion);
        }
        let guests = self.server.guests();
        if !self.is_remote || self.client.get().is_some() || !guests.enter(client, first, &self.line) {
            return Answer::Refused(Refusal::NotAllowed);
        }
        self.is_same_version.set(true);
        self.client.set(Some(client));
        self.is_first.set(first);
        let patience = guests.patience();
        #[cfg(feature = "net")]
        if first {
            os::end_when_untaken(&*self.line, patience);
        }
        Answer::Welcome { protocol: PROTOCOL, server: self.server.id(), patience }
    }

    /// Sends an answer; false if nobody hears it.
    fn say(&self, answer: Answer) -> bool {
        let said = match self.line.blocking_send(&answer) {
            Err(Error::MessageTooLarge { size, .. }) => {
                self.say_instead(Failure::TooLarge { size: usize::try_from(size).unwrap_or(usize::MAX) })
            }
            Err(Error::EncodeMessage { cause }) => self.say_instead(Failure::Encode(cause)),
            Err(Error::Connection { step, cause }) => {
                self.say_instead(Failure::Encode(format!("cannot {step}: {cause}")))
            }
            said => said.is_ok(),
        };
        let undo = UNDO.take();
        if !said && let Some(undo) = undo {
            let _panicked = caught(undo);
        }
        said
    }

    fn say_instead(&self, failure: Failure) -> bool {
        // What was to be said does not reach the client.
        if let Some(undo) = UNDO.take() {
            let _panicked = caught(undo);
        }
        self.line.blocking_send(&Answer::Failed(failure)).is_ok()
    }

    fn answer(&self, ask: Ask) -> Answer {
        if !self.is_same_version.get() {
            return Answer::Refused(Refusal::OtherVersion);
        }
        let Ask { object, what, mut arguments, lent } = ask;
        if let Err(why) = self.take_lent(&mut arguments, &lent) {
            return Answer::Refused(why);
        }
        let answered = match what {
            What::Make { offset, fingerprint } => {
                self.maker(offset, fingerprint).map(|f| self.make(f, None, arguments))
            }
            What::Call { offset, fingerprint } => {
                self.call_by_place(object, (offset, fingerprint), arguments)
            }
            What::MakeNamed { name, types } => {
                self.make_by_name(self.server.registered(&name), Some(types), arguments)
            }
            What::MakeOurs { name } => self.make_by_name(ours().find(&name), None, arguments),
            What::CallNamed { name, types } => self.call_by_name(object, &name, Some(types), arguments),
            What::CallOurs { name } => self.call_by_name(object, &name, None, arguments),
            What::Find { name, kind } => self.find(&name, &kind),
            What::Publish { name, kind } => self.publish(object, &name, kind),
            What::Unpublish { name } => Ok(told(self.server.unpublish(&name, &|future| self.wait(future)))),
            What::End if self.is_remote => Err(Refusal::NotAllowed),
            What::End => {
                // Once it was told that it is so.
                self.ends.set(true);
                Ok(Answer::Value(Blob::default()))
            }
        };
        answered.map_or_else(Answer::Refused, |answer| self.lending(answer))
    }

    /// Puts the doors of what the client uses, and has put in its arguments, in their places.
    fn take_lent(&self, arguments: &mut Blob, lent: &[u64]) -> Result<(), Refusal> {
        if lent.is_empty() {
            return Ok(());
        }
        let client = self.client.get().filter(|_| lent.len() <= usize::from(MOST_HANDLES));
        let client = client.ok_or(Refusal::NotAllowed)?;
        let door = |object: &u64| self.server.guests().door(client, *object).map(Connection::into_fd);
        arguments.handles = lent.iter().map(door).collect::<Option<_>>().ok_or(Refusal::UnknownObject)?;
        Ok(())
    }

    /// Lends the objects whose proxies are in a value that goes over a network. One that has other handles is refused when it is sent.
    fn lending(&self, answer: Answer) -> Answer {
        match (self.client.get(), answer) {
            (Some(client), Answer::Value(Blob { bytes, handles })) if !handles.is_empty() => {
                match self.server.guests().lend(client, handles) {
                    Ok(lent) => {
                        self.unconfirmed.borrow_mut().extend(&lent);
                        Answer::Lending { value: bytes, lent }
                    }
                    Err(handles) => Answer::Value(Blob { bytes, handles }),
                }
            }
            (_, answer) => answer,
        }
    }

    fn maker(&self, offset: i64, fingerprint: u64) -> Result<MakerRef, Refusal> {
        self.only_ours()?;
        resolve_maker(offset, fingerprint).map_err(|_| Refusal::UnknownFunction)
    }

    fn call_by_place(&self, object: u64, place: (i64, u64), arguments: Blob) -> Result<Answer, Refusal> {
        self.only_ours()?;
        let method = self.method(place)?;
        let (object, _) = self.server.object(object)?;
        Ok(self.call(method, object, arguments))
    }

    /// A place is looked at once.
    fn method(&self, place: (i64, u64)) -> Result<MethodRef, Refusal> {
        if let Some(known) = self.methods.borrow().get(&place) {
            return Ok(*known);
        }
        let method = resolve_method(place.0, place.1).map_err(|_| Refusal::UnknownFunction)?;
        self.methods.borrow_mut().insert(place, method);
        Ok(method)
    }

    fn make_by_name(
        &self,
        part: Result<&Arc<Part>, Refusal>,
        types: Option<u64>,
        arguments: Blob,
    ) -> Result<Answer, Refusal> {
        let part = part?;
        Ok(self.make(part.maker(types)?, Some(Arc::clone(part)), arguments))
    }

    fn call_by_name(
        &self,
        object: u64,
        name: &str,
        types: Option<u64>,
        arguments: Blob,
    ) -> Result<Answer, Refusal> {
        self.may_use(object)?;
        let (object, part) = self.server.object(object)?;
        let method = part.ok_or(Refusal::UnknownMethod)?.method(name, types)?;
        Ok(self.call(method, object, arguments))
    }

    /// An offset means something only in the image that it comes from.
    fn only_ours(&self) -> Result<(), Refusal> {
        if self.is_ours { Ok(()) } else { Err(Refusal::OtherProgram) }
    }

    fn make(&self, maker: MakerRef, part: Option<Arc<Part>>, arguments: Blob) -> Answer {
        let Blob { bytes, mut handles } = arguments;
        let made = maker.call(&bytes.0, &mut handles);
        let part = part.or(KIND.take().and_then(part_of));
        match made {
            Ok(object) => self.lent(self.server.add(object, part)),
            Err(Unmade::Failed(failure)) => Answer::Failed(failure),
            Err(Unmade::Refused(cause)) => Answer::NotCreated(cause),
        }
    }

    /// Whoever comes over a network calls what was lent to it, and no number that it guesses.
    fn may_use(&self, object: u64) -> Result<(), Refusal> {
        match self.client.get() {
            Some(client) if !self.server.guests().uses(client, object) => Err(Refusal::UnknownObject),
            _ => Ok(()),
        }
    }

    /// Over a network the server keeps the door.
    fn lent(&self, made: Answer) -> Answer {
        match (self.client.get(), made) {
            (Some(client), Answer::Made { object, door }) => {
                self.server.guests().lease(client, object, door);
                self.unconfirmed.borrow_mut().push(object);
                Answer::Lent { object }
            }
            (_, made) => made,
        }
    }

    /// Lends what is published; a client on this machine looks for itself.
    fn find(&self, name: &str, kind: &str) -> Result<Answer, Refusal> {
        let entry = self.server.published(name, &|future| self.wait(future)).ok_or(Refusal::UnknownObject)?;
        let (known, proxy) = entry.open::<(String, Blob)>().map_err(|_| Refusal::WrongTypes)?;
        if known != kind {
            return Err(Refusal::WrongTypes);
        }
        let reference = proxy.open::<Reference>().map_err(|_| Refusal::WrongTypes)?;
        let door = reference.door().and_then(|door| door.try_clone().ok()).ok_or(Refusal::Busy)?;
        Ok(self.lent(Answer::Made { object: reference.object, door }))
    }

    fn publish(&self, object: u64, name: &str, kind: String) -> Result<Answer, Refusal> {
        let client = self.client.get().ok_or(Refusal::NotAllowed)?;
        let door = self.server.guests().door(client, object).ok_or(Refusal::UnknownObject)?;
        let reference = Reference::new(Lines::to(self.server.id()), door, object);
        let entry = Blob::of(&reference).and_then(|proxy| Blob::of(&(kind, proxy)));
        let entry = entry.map_err(|_| Refusal::Busy)?;
        Ok(told(self.server.publish(name, entry, &|future| self.wait(future))))
    }

    fn call(&self, method: MethodRef, object: Object, arguments: Blob) -> Answer {
        let Blob { bytes, mut handles } = arguments;
        let mut out = Output::plain();
        let called = method.call(&object, &bytes.0, &mut handles, &mut out, &|future| self.wait(future));
        // It may be the last that has it.
        let _panicked = caught(|| drop(object));
        match (called, MADE.take()) {
            (Ok(()), None) => Answer::Value(Blob { bytes: Raw(out.into_bytes()), handles }),
            (Ok(()), Some((object, kind))) => self.lent(self.server.add(object, part_of(kind))),
            (Err(failure), _) => Answer::Failed(failure),
        }
    }

    /// Blocks this thread until the future is ready; false if the client is gone before.
    fn wait(&self, mut future: Pin<&mut dyn Future<Output = ()>>) -> bool {
        let inside = self.server.runtime();
        inside.block_on(async {
            // What need not wait does not pay for the watch.
            let at_once = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
            if at_once {
                return true;
            }
            tokio::select! {
                biased;
                // First, so that nothing is taken for a client that is gone.
                () = self.line.closed() => false,
                () = self.server.ended() => false,
                () = future => true,
            }
        })
    }
}

/// What of one of the crate's own types can be called by name.
fn part_of(kind: &str) -> Option<Arc<Part>> {
    ours().find(kind).ok().cloned()
}

fn told(done: bool) -> Answer {
    Blob::of(&done).map_or(Answer::Refused(Refusal::Busy), Answer::Value)
}
