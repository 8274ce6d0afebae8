//! What two processes talk over: connections, made as pairs, and waiting for several of them.
//!
//! Every message is one datagram of a pair of sockets (`letter`), so that any number of processes share an end, each message goes to one of them
//! whole, and whoever is killed at whatever moment tears none.

mod closed;
mod connection;
mod end;
mod letter;
mod listener;
mod pipe;
mod receive;
mod receive_bytes;
mod send;
mod stream;
mod wait;
mod watch;

pub use connection::{Connection, Nothing, Receiver, Sender};
pub use listener::{Client, Listener};
pub use pipe::{one_way, pipe};
pub use wait::{blocking_wait, wait};
