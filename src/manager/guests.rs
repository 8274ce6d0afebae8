//! Clients that come over a network, where doors do not travel: the server holds for each of them the doors of what it uses.
//!
//! A client has a first line, over which it gives signs of life, and any number of others. With the first one the client is gone, however that ends: its leases end, and its other lines are
//! hung up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::message::Door;
use super::session::ServerLine;
use crate::os;
use crate::wire::Fd;

/// Which socket a descriptor is of.
type Id = (u64, u64);

#[derive(Debug)]
pub(super) struct Guests {
    all: Mutex<HashMap<u128, Guest>>,
    doors: Mutex<Doors>,
    patience: Duration,
}

/// Which object a door leads to, whoever has sent it here.
#[derive(Debug, Default)]
struct Doors {
    objects: HashMap<Id, u64>,
    sockets: HashMap<u64, Id>,
}

#[derive(Debug, Default)]
struct Guest {
    lines: Vec<Weak<ServerLine>>,
    leases: HashMap<u64, Lease>,
}

#[derive(Debug)]
struct Lease {
    times: u64,
    door: Door,
}

impl Guests {
    /// Who gives no sign of life for so long is gone.
    pub(super) fn new(patience: Duration) -> Self {
        Self { all: Mutex::default(), doors: Mutex::default(), patience }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// One more line of a client; false if it is not the first and the client is not known (any more), or the other way round.
    pub(super) fn enter(&self, client: u128, first: bool, line: &Arc<ServerLine>) -> bool {
        let mut guests = self.lock();
        if guests.contains_key(&client) == first {
            return false;
        }
        let lines = &mut guests.entry(client).or_default().lines;
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(line));
        true
    }

    /// The first line of a client has ended.
    pub(super) fn leave(&self, client: u128) {
        let gone = self.lock().remove(&client);
        let lines = gone.iter().flat_map(|guest| &guest.lines);
        for line in lines.filter_map(Weak::upgrade) {
            os::hang_up(&*line);
        }
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

    /// There is this door to an object.
    pub(super) fn has_door(&self, object: u64, door: &Door) {
        if let Ok(socket) = os::identity_of(door) {
            let mut doors = self.doors();
            doors.objects.insert(socket, object);
            doors.sockets.insert(object, socket);
        }
    }

    /// There is no door to it any more.
    pub(super) fn has_no_door(&self, object: u64) {
        let mut doors = self.doors();
        if let Some(socket) = doors.sockets.remove(&object) {
            doors.objects.remove(&socket);
        }
    }

    /// Lends the objects that these handles are doors of; they come back if one of them is not.
    pub(super) fn lend(&self, client: u128, handles: Vec<Fd>) -> Result<Vec<u64>, Vec<Fd>> {
        let object = |handle: &Fd| self.doors().objects.get(&os::identity_of(handle).ok()?).copied();
        let Some(objects) = handles.iter().map(object).collect::<Option<Vec<_>>>() else {
            return Err(handles);
        };
        let doors = handles.iter().map(|handle| handle.clone().into_owned());
        let Ok(doors) = doors.collect::<Result<Vec<_>, _>>() else { return Err(handles) };
        for (object, door) in objects.iter().zip(doors) {
            self.lease(client, *object, Door::with_defaults(door));
        }
        Ok(objects)
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Guest>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
