//! The results of a reply with their handles, which wait at the socket before the reply comes, and their blocks.

use std::io;
use std::os::fd::AsFd;

use bytes::Bytes;

use super::blocks::Blocks;
use crate::os;
use crate::wire::{Fd, Luggage, MOST_HANDLES, Parcel, Reply};

/// What a worker has sent, with as many handles as it has announced and no others. It never waits for them.
///
/// # Errors
///
/// What no worker may do.
pub(super) fn receive(
    handles: impl AsFd,
    blocks: &Blocks,
    reply: &Reply,
    records: Bytes,
) -> Result<Parcel, String> {
    let luggage = match (reply.handles, reply.elements.checked_sub(1)) {
        (0, _) | (_, None) => Luggage::default(),
        (count, Some(last)) if count <= MOST_HANDLES => {
            let taken = os::take_passed(handles, count).map_err(refused)?;
            Luggage::of(last, taken.into_iter().map(Fd::new).collect())
        }
        (count, _) => return Err(format!("it announced {count} handles of one result")),
    };
    Ok(Parcel { records, luggage, freight: blocks.accept(reply)? })
}

fn refused(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => "it announced handles that it did not send".into(),
        _ => format!("its handles cannot be taken: {error}"),
    }
}
