//! What a fuzz target does to a connection: it changes bytes on their way.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use bytes::Bytes;

use super::auth_key::AuthKey;
use super::cipher::{Ciphers, Sealer};
use super::handshake::{Handshake, Step};
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use crate::error::Result;

const KEY: [u8; 32] = [7; 32];

/// The bytes of both sides with these differences; true if both take the other for one who knows the key.
pub(crate) fn shaken(differences: &[u8]) -> bool {
    let mut differences = differences.iter();
    shake(|bytes| {
        let change = |byte: &mut u8| *byte ^= differences.next().copied().unwrap_or_default();
        bytes.iter_mut().for_each(change);
    })
    .is_ok()
}

/// What is received of these messages if the bytes are sent with these differences, and whether it ends as if nothing more had been sent.
///
/// # Panics
///
/// If they take more room than a socket has.
pub(crate) fn received(messages: &[&[u8]], differences: &[u8], cut: usize, max: u64) -> (Vec<Vec<u8>>, bool) {
    let (client, server) = shake(|_| {}).expect("both have the key");
    let mut bytes = sealed(messages, client.sealer);
    let differences = differences.iter().chain(std::iter::repeat(&0));
    bytes.iter_mut().zip(differences).for_each(|(byte, difference)| *byte ^= difference);
    bytes.truncate(cut);
    let (mut sender, receiver) = UnixStream::pair().expect("there are descriptors left");
    sender.write_all(&bytes).expect("there is room");
    drop(sender);
    let (mut incoming, mut all) = (Incoming::new(server.opener), Vec::new());
    while !incoming.has_ended() {
        all.extend(incoming.take(receiver.as_fd(), max).ok().flatten());
    }
    (all, incoming.is_parted())
}

/// Messages and a clean end, as they are sent.
fn sealed(messages: &[&[u8]], sealer: Sealer) -> Vec<u8> {
    use std::io::Read as _;
    let (sender, mut receiver) = UnixStream::pair().expect("there are descriptors left");
    let mut outgoing = Outgoing::new(sealer);
    for message in messages {
        outgoing.begin(sender.as_fd(), &Bytes::copy_from_slice(message)).expect("there is room");
    }
    outgoing.part();
    assert!(outgoing.flush(sender.as_fd()).expect("it is open"), "there is room");
    drop(sender);
    let mut bytes = Vec::new();
    receiver.read_to_end(&mut bytes).expect("it was sent");
    bytes
}

/// Has both sides shake hands; `change` sees what each of them says.
fn shake(mut change: impl FnMut(&mut [u8])) -> Result<(Ciphers, Ciphers)> {
    let key = AuthKey::from(KEY);
    let (client, mut said) = Handshake::client(&key)?;
    change(&mut said);
    let Step::On(server, mut answer) = hear(Handshake::listener(&key)?, &said)? else {
        unreachable!("a listener waits for a proof");
    };
    change(&mut answer);
    let Step::Done(client, mut proof) = hear(client, &answer)? else {
        unreachable!("a client waits for nothing more");
    };
    change(&mut proof);
    let Step::Done(server, _) = hear(server, &proof)? else {
        unreachable!("a listener waits for nothing more");
    };
    Ok((client, server))
}

/// Takes all of these bytes in, in the parts that are wanted.
fn hear(mut side: Handshake, mut said: &[u8]) -> Result<Step> {
    loop {
        let (part, rest) = said.split_at(side.wanted());
        match side.take(part)? {
            Step::On(next, answer) if answer.is_empty() => (side, said) = (next, rest),
            step => return Ok(step),
        }
    }
}
