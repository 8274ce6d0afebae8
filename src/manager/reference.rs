//! A proxy without its type: which object of which server, and the door to it.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::sync::Arc;

use serde::de::Error as _;
#[cfg(feature = "net")]
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::blob::Raw;
use super::call::{Call, Made};
use super::lines::Lines;
use super::message::{Answer, Ask, Door, Line, Request, What};
#[cfg(feature = "net")]
use super::remote::Lease;
#[cfg(feature = "net")]
use super::server::DIRECTORY;
use crate::error::{Error, Result};
use crate::task::{Arguments, Method, MethodRef, Payload};
use crate::wire::Fd;
#[cfg(feature = "net")]
use crate::wire::{DEFAULT_MAX, refuse_lent};

#[derive(Debug, Clone)]
pub(super) struct Reference {
    lines: Arc<Lines>,
    way: Way,
    pub(super) object: u64,
}

/// How calls come to the object.
#[derive(Debug, Clone)]
pub(super) enum Way {
    Door(Arc<Door>),
    #[cfg(feature = "net")]
    Lease(Arc<Lease>),
}

thread_local! {
    /// While a proxy is published over a network, its number is all that is written of it.
    static NUMBER_ONLY: Cell<bool> = const { Cell::new(false) };
    /// What the next proxy that is decoded on this thread is.
    static FOUND: RefCell<Option<Reference>> = const { RefCell::new(None) };
    /// To whom what is encoded on this thread is sent, if that is a server over a network: the place of its lines.
    static ADDRESSEE: Cell<usize> = const { Cell::new(0) };
}

/// While it is there, proxies of this server can be encoded on this thread, though it is over a network.
struct Addressed {
    outer: usize,
}

impl Addressed {
    fn begin(reference: &Reference) -> Self {
        let to = if reference.is_lent() { place(&reference.lines) } else { 0 };
        Self { outer: ADDRESSEE.replace(to) }
    }
}

impl Drop for Addressed {
    fn drop(&mut self) {
        ADDRESSEE.set(self.outer);
    }
}

fn place(lines: &Arc<Lines>) -> usize {
    Arc::as_ptr(lines).addr()
}

/// A call with its request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) call: Call,
    pub(super) request: Request,
}

impl Reference {
    pub(super) fn new(lines: Arc<Lines>, door: Door, object: u64) -> Self {
        Self { lines, way: Way::Door(Arc::new(door)), object }
    }

    /// What the server lends to this client over a network.
    #[cfg(feature = "net")]
    pub(super) fn lent(lines: Arc<Lines>, object: u64) -> Self {
        Self::leased(Lease::new(&lines, object))
    }

    #[cfg(feature = "net")]
    fn leased(lease: Arc<Lease>) -> Self {
        Self { lines: Arc::clone(lease.lines()), object: lease.object(), way: Way::Lease(lease) }
    }

    /// True if it is used over a network, where no doors travel.
    pub(super) fn is_lent(&self) -> bool {
        self.door().is_none()
    }

    /// The proxy of any kind that stands for this.
    pub(super) fn into_proxy<P: Payload>(self) -> Result<P> {
        FOUND.set(Some(self));
        let proxy = Raw::default().open();
        FOUND.set(None);
        proxy
    }

    /// The number of the object that a proxy of any kind stands for.
    pub(super) fn number_of<P: Payload>(proxy: &P) -> Result<u64> {
        NUMBER_ONLY.set(true);
        let written = Raw::of(proxy);
        NUMBER_ONLY.set(false);
        written?.open()
    }

    /// The door, where there is one.
    #[cfg_attr(
        not(feature = "net"),
        expect(clippy::unnecessary_wraps, reason = "over a network there is none")
    )]
    pub(super) fn door(&self) -> Option<&Door> {
        match &self.way {
            Way::Door(door) => Some(door),
            #[cfg(feature = "net")]
            Way::Lease(_) => None,
        }
    }

    pub(super) fn server(&self) -> u128 {
        self.lines.server
    }

    /// A request to this object.
    pub(super) fn ask(&self, what: What, call: &mut Call) -> Request {
        #[cfg(feature = "net")]
        let lent = if self.is_lent() { call.lend() } else { Vec::new() };
        #[cfg(not(feature = "net"))]
        let lent = Vec::new();
        Request::Ask(Ask { object: self.object, what, arguments: call.arguments(), lent })
    }

    /// Encodes what this object is to be called with.
    pub(super) fn encode<T>(&self, encode: impl FnOnce() -> Result<T>) -> Result<T> {
        let _addressed = Addressed::begin(self);
        encode()
    }

    /// A request to call what is the crate's own.
    pub(super) fn ours(&self, name: &'static str, args: &impl Arguments) -> Result<Asked> {
        let mut call = self.encode(|| Call::of(name, self.object, args))?;
        let request = self.ask(What::CallOurs { name: name.to_owned() }, &mut call);
        Ok(Asked { call, request })
    }

    /// A request to call a method by its place in the image.
    pub(super) fn placed<T, Args, M>(
        &self,
        name: &'static str,
        method: impl Method<T, Args, M>,
        args: &Args,
    ) -> Result<Asked>
    where
        T: Send + 'static,
        Args: Arguments,
    {
        let method = MethodRef::of::<_, T, Args, M>(method);
        if !method.is_native() {
            return Err(Error::ForeignTask { task: name.to_owned() });
        }
        let mut call = self.encode(|| Call::of(name, self.object, args))?;
        let (offset, fingerprint) = method.reference();
        let request = self.ask(What::Call { offset, fingerprint }, &mut call);
        Ok(Asked { call, request })
    }

    pub(super) async fn finish<R: Payload>(&self, asked: Asked) -> Result<R> {
        let Asked { call, request } = asked;
        call.value(self.exchange(&request).await?)
    }

    pub(super) fn blocking_finish<R: Payload>(&self, asked: &Asked) -> Result<R> {
        asked.call.value(self.blocking_exchange(&asked.request)?)
    }

    pub(super) async fn exchange(&self, request: &Request) -> Result<Answer> {
        let (answer, line) = self.exchange_and_keep(request).await?;
        self.lines.put(line);
        Ok(answer)
    }

    pub(super) fn blocking_exchange(&self, request: &Request) -> Result<Answer> {
        let (answer, line) = self.blocking_exchange_and_keep(request)?;
        self.lines.put(line);
        Ok(answer)
    }

    /// As `exchange`; the line stays with the caller, since the server keeps something for its session.
    pub(super) async fn exchange_and_keep(&self, request: &Request) -> Result<(Answer, Line)> {
        let line = self.lines.take(&self.way).await?;
        let answer = self.taken(&line, talk(&line, request).await?)?;
        Ok((answer, line))
    }

    pub(super) fn blocking_exchange_and_keep(&self, request: &Request) -> Result<(Answer, Line)> {
        let line = self.lines.blocking_take(&self.way)?;
        let answer = self.taken(&line, blocking_talk(&line, request)?)?;
        Ok((answer, line))
    }

    #[cfg(feature = "net")]
    fn taken(&self, line: &Line, answer: Answer) -> Result<Answer> {
        super::remote::taken(&self.lines, line, answer).map_err(lost)
    }

    #[cfg(not(feature = "net"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "nothing is lent without a network")]
    fn taken(&self, _line: &Line, answer: Answer) -> Result<Answer> {
        Ok(answer)
    }

    /// Puts back a line on which nothing is kept any more.
    pub(super) fn put(&self, line: Line) {
        self.lines.put(line);
    }

    /// What the server has made.
    pub(super) fn to_made(&self, made: Made) -> Self {
        let lines = Arc::clone(&self.lines);
        match made {
            Made::Here { object, door } => Self::new(lines, door, object),
            #[cfg(feature = "net")]
            Made::Lent { object } => Self::lent(lines, object),
        }
    }
}

pub(super) async fn talk(line: &Line, request: &Request) -> Result<Answer> {
    match line.send(request).await.map_err(lost) {
        Ok(()) => line.recv().await.map_err(lost),
        Err(error) => last_word(line, error),
    }
}

pub(super) fn blocking_talk(line: &Line, request: &Request) -> Result<Answer> {
    match line.blocking_send(request).map_err(lost) {
        Ok(()) => line.blocking_recv().map_err(lost),
        Err(error) => last_word(line, error),
    }
}

/// A server that has no room says so and hangs up, perhaps before it was asked anything.
fn last_word(line: &Line, error: Error) -> Result<Answer> {
    match line.try_recv() {
        Ok(Some(answer)) if matches!(error, Error::Disconnected) => Ok(answer),
        _ => Err(error),
    }
}

/// A line over a network ends in many ways, which are all one to whoever calls.
pub(super) fn lost(error: Error) -> Error {
    match error {
        Error::Connection { cause, .. } if is_lost(cause.kind()) => Error::Disconnected,
        other => other,
    }
}

fn is_lost(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::BrokenPipe
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    )
}

#[cfg(feature = "net")]
impl Reference {
    /// What stands for what is lent, in a value for its own server.
    fn lent_handle(&self, lease: &Arc<Lease>) -> Result<Fd> {
        let refused = if self.object == DIRECTORY {
            Some(refuse_lent("a manager over a network stays in its process: connect to it there"))
        } else if ADDRESSEE.get() != place(&self.lines) {
            Some(refuse_lent(
                "a proxy over a network can be sent by calls of the same connection to its manager alone: publish it by a name, and find it where it is wanted",
            ))
        } else {
            None
        };
        match refused {
            Some(cause) => Err(Error::EncodeMessage { cause }),
            None => lease.handle(),
        }
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if NUMBER_ONLY.get() {
            return self.object.serialize(serializer);
        }
        match &self.way {
            Way::Door(door) => (self.lines.server, self.object, &**door).serialize(serializer),
            #[cfg(feature = "net")]
            Way::Lease(lease) => {
                let handle = self.lent_handle(lease).map_err(S::Error::custom)?;
                (self.lines.server, self.object, handle, DEFAULT_MAX as u64).serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if let Some(found) = FOUND.take() {
            return Ok(found);
        }
        // A door is the last two.
        let (server, object, fd, max) = <(u128, u64, Fd, u64)>::deserialize(deserializer)?;
        #[cfg(feature = "net")]
        if let Some(lease) = Lease::of(&fd) {
            let is_that = (lease.lines().server, lease.object()) == (server, object);
            let other = || D::Error::custom("it is another object than the one that was lent with it");
            return is_that.then(|| Self::leased(lease)).ok_or_else(other);
        }
        let door = fd.into_owned().map_err(D::Error::custom)?;
        Ok(Self::new(Lines::to(server), Door::with_defaults(door).max_frame(max), object))
    }
}
