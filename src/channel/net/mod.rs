//! Connections with a key or certificates: to whoever has shown who they are, on this machine or another, and sealed against everybody else.
//!
//! ```text
//! dial ─────► greet ◄───── doorman         who connects, and who listens
//!               │ handshake                what they say first
//!               ▼
//!             remote ──► session ──► outgoing, incoming ──► record ──► cipher ──► noise, tls
//! ```

mod auth_key;
mod cipher;
mod credentials;
mod dial;
mod doorman;
#[cfg(fuzzing)]
mod fuzzed;
mod greet;
mod handshake;
mod incoming;
mod noise;
mod outgoing;
mod record;
mod remote;
mod session;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

pub use auth_key::AuthKey;
pub use credentials::Credentials;
pub(crate) use credentials::Shown;
pub(super) use dial::dial;
pub(super) use doorman::{Doorman, Terms};
#[cfg(fuzzing)]
pub(crate) use fuzzed::{received, shaken};
pub(crate) use greet::HANDSHAKE;
pub(crate) use remote::Cutter;
pub(super) use remote::{Note, Remote};
#[cfg(feature = "tls")]
pub use tls::Tls;
