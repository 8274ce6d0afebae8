//! What two processes talk over: connections, made as pairs, and waiting for several of them.
//!
//! Every message is one datagram of a pair of sockets (`letter`), so that any number of processes share an end, each message goes to one of them
//! whole, and whoever is killed at whatever moment tears none. With a key or certificates they are streams of sealed bytes (`net`), which belong to one process each.

mod address;
mod client;
mod closed;
mod connection;
mod end;
mod letter;
mod listener;
mod listener_builder;
#[cfg(feature = "net")]
mod net;
#[cfg(not(feature = "net"))]
#[path = "no_net.rs"]
mod net;
mod pipe;
mod place;
mod receive;
mod receive_bytes;
mod send;
mod stream;
mod wait;
mod watch;

pub use address::Address;
pub use client::{Client, ClientBuilder};
pub use connection::{Connection, Nothing, Receiver, Sender};
pub use listener::Listener;
pub use listener_builder::ListenerBuilder;
#[cfg(not(feature = "net"))]
pub(crate) use net::Credentials;
pub(crate) use net::Shown;
#[cfg(feature = "tls")]
pub use net::Tls;
#[cfg(feature = "net")]
pub use net::{AuthKey, Credentials};
#[cfg(feature = "net")]
pub(crate) use net::{Cutter, HANDSHAKE};
#[cfg(all(fuzzing, feature = "net"))]
pub(crate) use net::{received, shaken};
pub use pipe::{one_way, pipe};
pub use wait::{blocking_wait, wait};
