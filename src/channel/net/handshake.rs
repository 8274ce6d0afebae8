//! The handshake by which two processes show each other that they have the same key, without any input or output of its own.
//!
//! ```text
//! client                                                listener
//! | magic and version (8) | psk, e (48) |   ─────────►
//!                                           ◄─────────  | magic and version (8) | e, ee (48) |
//! | proof (16) |                            ─────────►
//! ```
//!
//! It is Noise's pattern `NNpsk0`. The first message shows that its sender knew the key once; since it may be a copy of an old one, the client's proof, which needs what the
//! listener has answered, is waited for. Every length is fixed, and nothing is decoded.
//!
//! 1. There is one suite for a version, and no way to agree on a lesser one. The version is part of what both sides vouch for.
//! 2. What costs more than a few hashes is done only for who has shown something made with the key.

use std::fmt;
use std::sync::Arc;

use snow::{Builder, HandshakeState, StatelessTransportState};

use super::auth_key::AuthKey;
use super::cipher::{self, Ciphers};
use super::noise::{Opener, Sealer, TAG};
use crate::error::{Error, Result};

/// What a connection begins with, and the version behind it, in both directions.
pub(super) const MAGIC: [u8; 8] = *b"mpnoise\x01";
/// Of this version.
const SUITE: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// An ephemeral key and a tag.
const EXCHANGE: usize = 32 + TAG;
const PROOF: usize = TAG;

/// A handshake that waits for bytes of the other side.
pub(super) struct Handshake {
    stage: Stage,
    is_client: bool,
}

enum Stage {
    Magic(Box<HandshakeState>),
    Exchange(Box<HandshakeState>),
    Proof(Keys),
}

/// What the bytes of the other side lead to.
pub(super) enum Step {
    /// There is an answer to send, perhaps of no bytes, and more to wait for.
    On(Handshake, Vec<u8>),
    /// There is an answer to send, perhaps of no bytes, and that was it.
    Done(Ciphers, Vec<u8>),
}

/// What both sides have agreed on.
struct Keys {
    sealer: Sealer,
    opener: Opener,
}

impl Handshake {
    /// That of a client, and what it says first.
    pub(super) fn client(key: &AuthKey) -> Result<(Self, Vec<u8>)> {
        let mut state = Box::new(builder(key)?.build_initiator().map_err(|_| not_made())?);
        let first = exchange(&mut state)?;
        Ok((Self { stage: Stage::Magic(state), is_client: true }, first))
    }

    /// That of a listener, which says nothing first.
    pub(super) fn listener(key: &AuthKey) -> Result<Self> {
        let state = builder(key)?.build_responder().map_err(|_| not_made())?;
        Ok(Self { stage: Stage::Magic(Box::new(state)), is_client: false })
    }

    /// Exactly so many bytes are to come now.
    pub(super) fn wanted(&self) -> usize {
        match self.stage {
            Stage::Magic(_) => MAGIC.len(),
            Stage::Exchange(_) => EXCHANGE,
            Stage::Proof(_) => PROOF,
        }
    }

    /// Goes on with the bytes that were wanted.
    pub(super) fn take(self, bytes: &[u8]) -> Result<Step> {
        match self.stage {
            Stage::Magic(_) if bytes.get(..7) != Some(&MAGIC[..7]) => {
                Err(refused("what came is no handshake of this crate"))
            }
            Stage::Magic(_) if bytes != MAGIC => Err(refused("the other side has another version")),
            Stage::Magic(state) => Ok(Step::On(Self { stage: Stage::Exchange(state), ..self }, Vec::new())),
            Stage::Exchange(state) if self.is_client => finish_client(state, bytes),
            Stage::Exchange(state) => answer(state, bytes),
            Stage::Proof(keys) => check_proof(keys, bytes),
        }
    }
}

fn answer(mut state: Box<HandshakeState>, bytes: &[u8]) -> Result<Step> {
    state.read_message(bytes, &mut []).map_err(|_| another_key())?;
    let answer = exchange(&mut state)?;
    let stage = Stage::Proof(Keys::of(*state)?);
    Ok(Step::On(Handshake { stage, is_client: false }, answer))
}

fn finish_client(mut state: Box<HandshakeState>, bytes: &[u8]) -> Result<Step> {
    state.read_message(bytes, &mut []).map_err(|_| another_key())?;
    let mut keys = Keys::of(*state)?;
    let mut proof = Vec::new();
    keys.sealer.seal(&[], &mut proof)?;
    Ok(Step::Done(keys.into(), proof))
}

fn check_proof(mut keys: Keys, bytes: &[u8]) -> Result<Step> {
    keys.opener.open(bytes, &mut Vec::new()).map_err(|_| another_key())?;
    Ok(Step::Done(keys.into(), Vec::new()))
}

/// The magic and what this side has to say.
fn exchange(state: &mut HandshakeState) -> Result<Vec<u8>> {
    let mut said = MAGIC.to_vec();
    said.resize(MAGIC.len() + EXCHANGE, 0);
    state.write_message(&[], &mut said[MAGIC.len()..]).map_err(|_| not_made())?;
    Ok(said)
}

fn builder(key: &AuthKey) -> Result<Builder<'_>> {
    let suite = SUITE.parse().map_err(|_| not_made())?;
    let builder = Builder::new(suite).psk(0, key.as_bytes());
    builder.and_then(|builder| builder.prologue(&MAGIC)).map_err(|_| not_made())
}

impl Keys {
    fn of(state: HandshakeState) -> Result<Self> {
        let transport: StatelessTransportState =
            state.into_stateless_transport_mode().map_err(|_| not_made())?;
        let transport = Arc::new(transport);
        Ok(Self { sealer: Sealer::new(Arc::clone(&transport)), opener: Opener::new(transport) })
    }
}

impl From<Keys> for Ciphers {
    fn from(Keys { sealer, opener }: Keys) -> Self {
        Self { sealer: cipher::Sealer::Key(sealer), opener: cipher::Opener::Key(opener) }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("is_client", &self.is_client).finish_non_exhaustive()
    }
}

pub(super) fn refused(why: &'static str) -> Error {
    Error::Authentication { why }
}

fn another_key() -> Error {
    refused("the other side has another key")
}

/// What only a kernel without random bytes brings about.
fn not_made() -> Error {
    Error::connection("make the keys of a connection", std::io::ErrorKind::Other.into())
}
