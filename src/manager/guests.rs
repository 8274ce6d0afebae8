//! Clients that come over a network, where doors do not travel: the server holds for each of them the doors of what it uses.
//!
//! A client has one or more lines. With the last of them it is gone, and so are its leases.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::message::Door;

#[derive(Debug, Default)]
pub(super) struct Guests(Mutex<HashMap<u128, Guest>>);

#[derive(Debug, Default)]
struct Guest {
    lines: usize,
    leases: HashMap<u64, Lease>,
}

#[derive(Debug)]
struct Lease {
    times: u64,
    door: Door,
}

impl Guests {
    /// One more line of a client; false if it is not the first and the client is not known (any more), or the other way round.
    pub(super) fn enter(&self, client: u128, first: bool) -> bool {
        let mut guests = self.lock();
        if guests.contains_key(&client) == first {
            return false;
        }
        guests.entry(client).or_default().lines += 1;
        true
    }

    pub(super) fn leave(&self, client: u128) {
        let mut guests = self.lock();
        let Some(guest) = guests.get_mut(&client) else { return };
        guest.lines -= 1;
        let gone = if guest.lines == 0 { guests.remove(&client) } else { None };
        drop(guests);
        drop(gone);
    }

    /// The client uses an object once more.
    pub(super) fn lease(&self, client: u128, object: u64, door: Door) {
        let mut guests = self.lock();
        let Some(guest) = guests.get_mut(&client) else { return };
        guest.leases.entry(object).or_insert(Lease { times: 0, door }).times += 1;
    }

    /// The client uses it once less.
    pub(super) fn forget(&self, client: u128, object: u64) {
        let mut guests = self.lock();
        let Some(guest) = guests.get_mut(&client) else { return };
        let Some(lease) = guest.leases.get_mut(&object) else { return };
        lease.times -= 1;
        let gone = if lease.times == 0 { guest.leases.remove(&object) } else { None };
        drop(guests);
        drop(gone);
    }

    /// The door of what a client uses; nothing of what it does not.
    pub(super) fn door(&self, client: u128, object: u64) -> Option<Door> {
        let guests = self.lock();
        guests.get(&client)?.leases.get(&object)?.door.try_clone().ok()
    }

    pub(super) fn uses(&self, client: u128, object: u64) -> bool {
        self.lock().get(&client).is_some_and(|guest| guest.leases.contains_key(&object))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Guest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
