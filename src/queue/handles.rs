//! The way of handles through a queue: a socket beside the log, which both of its ends travel with.
//!
//! Whoever puts an item sends its handles first, with a ticket that no other has, and writes the ticket into the record. Whoever takes it passes over
//! those with a smaller ticket: they are of an item that was never put, or of one whose consumer was killed before it had them.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::os;
use crate::wire::Fd;

const TICKET: usize = size_of::<u64>();

#[derive(Debug)]
pub(super) struct Handles {
    receiver: Arc<OwnedFd>,
    sender: Arc<OwnedFd>,
}

impl Handles {
    pub(super) fn new() -> std::io::Result<Self> {
        let (receiver, sender) = os::control_pair()?;
        Ok(Self { receiver: Arc::new(receiver), sender: Arc::new(sender) })
    }

    pub(super) fn from_fds([receiver, sender]: [Arc<OwnedFd>; 2]) -> Self {
        Self { receiver, sender }
    }

    pub(super) fn descriptors(&self) -> [Arc<OwnedFd>; 2] {
        [Arc::clone(&self.receiver), Arc::clone(&self.sender)]
    }

    /// Sends the handles of one item; false if there is no room for them.
    pub(super) fn send(&self, ticket: u64, handles: &[Fd]) -> Result<bool> {
        let handles: Vec<BorrowedFd<'_>> = handles.iter().map(Fd::as_fd).collect();
        match os::send_datagram(&self.sender, [&ticket.to_ne_bytes(), &[]], &handles) {
            Ok(()) => Ok(true),
            Err(error) if os::is_for_now(&error) => Ok(false),
            Err(error) => Err(Error::connection("send the handles of an item", error)),
        }
    }

    /// Takes the handles with this ticket, at most so many. What is missing is noticed by whoever decodes the item.
    pub(super) fn take(&self, ticket: u64, most: u8) -> Vec<Fd> {
        loop {
            let mut bytes = [0; TICKET];
            match os::take_datagram(&self.receiver, &mut bytes) {
                Ok(came) if came.length == TICKET => match u64::from_ne_bytes(bytes) {
                    of if of == ticket && came.descriptors.len() <= usize::from(most) => {
                        return came.descriptors.into_iter().map(Fd::new).collect();
                    }
                    of if of < ticket => {}
                    _ => return Vec::new(),
                },
                _ => return Vec::new(),
            }
        }
    }
}
