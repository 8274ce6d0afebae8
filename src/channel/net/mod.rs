//! Connections with a key: to whoever has it, on this machine or another, and sealed against everybody else.
//!
//! ```text
//! dial ─────► greet ◄───── doorman         who connects, and who listens
//!               │ handshake                what they say first
//!               ▼
//!             remote ──► session ──► outgoing, incoming ──► record ──► cipher
//! ```

mod auth_key;
mod cipher;
mod dial;
mod doorman;
#[cfg(fuzzing)]
mod fuzzed;
mod greet;
mod handshake;
mod incoming;
mod outgoing;
mod record;
mod remote;
mod session;

pub use auth_key::AuthKey;
pub(super) use dial::dial;
pub(super) use doorman::{Doorman, Terms};
#[cfg(fuzzing)]
pub(crate) use fuzzed::{received, shaken};
pub(super) use greet::HANDSHAKE;
pub(super) use remote::{Note, Remote};
