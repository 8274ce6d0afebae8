//! What goes over doors and lines.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::blob::{Blob, Raw};
use crate::channel::{Connection, Receiver, Sender};
use crate::wire::Failure;

/// Two processes talk only if they speak the same version.
pub(super) const PROTOCOL: u32 = 2;

/// Where whoever wants to call sends a line through.
pub(super) type Door = Sender<Visitor>;
/// The server's side of it.
pub(super) type Entrance = Receiver<Visitor>;
/// A line as a client has it: each request is answered before the next is sent.
pub(super) type Line = Connection<Request, Answer>;

/// Whoever comes to a door.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Visitor {
    pub(super) protocol: u32,
    /// The build of the program that it runs.
    pub(super) image: u64,
    pub(super) line: Connection<Answer, Request>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Ask(Ask),
    /// Gives back what the session keeps under this number. It is not answered.
    Release(u64),
    /// The first one over a network, which says whose line it is.
    Hello {
        protocol: u32,
        client: u128,
        first: bool,
    },
    /// The client uses this object once less. It is not answered.
    Forget(u64),
    /// Asks for a sign of life, over the first line of a client.
    Ping,
    /// What the last answer has lent has come to who uses it. It is not answered.
    Took,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    /// Which object; none if one is to be made.
    pub(super) object: u64,
    pub(super) what: What,
    pub(super) arguments: Blob,
    /// Over a network: the objects whose proxies are in the arguments, in the place of their handles.
    pub(super) lent: Vec<u64>,
}

/// Functions are named by their place in the image, which only this program has, or by a name that they were registered with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum What {
    Make {
        offset: i64,
        fingerprint: u64,
    },
    Call {
        offset: i64,
        fingerprint: u64,
    },
    MakeNamed {
        name: String,
        types: u64,
    },
    CallNamed {
        name: String,
        types: u64,
    },
    /// What is the crate's own: both sides know its types by the version of the protocol.
    MakeOurs {
        name: String,
    },
    CallOurs {
        name: String,
    },
    /// What is published by this name, if it is of this kind.
    Find {
        name: String,
        kind: String,
    },
    /// Publishes the object.
    Publish {
        name: String,
        kind: String,
    },
    Unpublish {
        name: String,
    },
    /// Ends the server.
    End,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Value(Blob),
    Made {
        object: u64,
        door: Door,
    },
    /// As `Made`, over a network: the server holds the door.
    Lent {
        object: u64,
    },
    /// Of which version the server is, which one, and how long it waits for a sign of life.
    Welcome {
        protocol: u32,
        server: u128,
        patience: Duration,
    },
    Failed(Failure),
    /// The function that was to make an object has said so.
    NotCreated(String),
    Refused(Refusal),
    /// The sign of life.
    Pong,
    /// As `Value`, over a network: the objects whose proxies are in it are lent, in the place of their handles.
    Lending {
        value: Raw,
        lent: Vec<u64>,
    },
}

/// Why a [`Manager`](crate::Manager) refuses a call; see [`Error::Refused`](crate::Error::Refused).
///
/// # Examples
///
/// ```
/// use multiprocess::{Error, Manager, Proxy, Refusal};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let made: Result<Proxy<u32>, Error> = manager.create_named("Counter", ()).await;
/// assert!(matches!(made, Err(Error::Refused { why: Refusal::UnknownType, .. })));
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such object, or none any more.
    #[error("there is no such object")]
    UnknownObject,
    /// No type is registered under this name.
    #[error("no type is registered under this name")]
    UnknownType,
    /// The type has no method of this name, or objects of it are not made by name.
    #[error("nothing is registered under this name")]
    UnknownMethod,
    /// Arguments or result have other types than what is registered.
    #[error("arguments or result have other types than the one that is registered")]
    WrongTypes,
    /// The caller runs another program, or another build of it, and must use what is registered by name.
    #[error("the caller runs another program or another build of it, and has to call by name")]
    OtherProgram,
    /// The caller uses another version of this crate, whose calls differ.
    #[error("the caller uses a version of the crate that differs")]
    OtherVersion,
    /// What was sent names no function of the program.
    #[error("what was sent names no function of the program")]
    UnknownFunction,
    /// Whoever comes over a network may not end the manager.
    #[error("whoever comes over a network may not do that")]
    NotAllowed,
    /// The manager has as many connections as it takes, or no thread or descriptor left.
    #[error("the manager has no room for one more")]
    Busy,
}
