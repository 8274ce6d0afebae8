//! The lines of a process to one server: idle ones are kept, and a call takes one or opens one.
//!
//! A line goes back only after its answer was read. A call that fails or is given up closes it, by which the server sees that nobody waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::message::{Answer, Line, PROTOCOL, Request, Visitor};
use super::reference::Way;
use crate::channel::pipe;
#[cfg(feature = "net")]
use crate::error::Error;
use crate::error::Result;
use crate::os::{self, Image};

/// Idle lines that are kept; each is a thread of the server.
const MOST_IDLE: usize = 16;

#[derive(Debug)]
pub(super) struct Lines {
    /// A random number that only those have who have a proxy of this server.
    pub(super) server: u128,
    /// The process whose they are. A copy of it would talk in between.
    process: u32,
    idle: Mutex<Vec<Line>>,
    /// Over a network there is no door.
    #[cfg(feature = "net")]
    route: Option<super::remote::Route>,
}

impl Lines {
    pub(super) fn new(server: u128) -> Arc<Self> {
        Arc::new(Self {
            server,
            process: std::process::id(),
            idle: Mutex::default(),
            #[cfg(feature = "net")]
            route: None,
        })
    }

    /// Those of one client over a network.
    #[cfg(feature = "net")]
    pub(super) fn over(server: u128, route: super::remote::Route) -> Arc<Self> {
        Arc::new(Self { server, process: std::process::id(), idle: Mutex::default(), route: Some(route) })
    }

    #[cfg(feature = "net")]
    pub(super) fn route(&self) -> Option<&super::remote::Route> {
        self.route.as_ref().filter(|_| self.process == std::process::id())
    }

    /// Those of this process to this server, which all its proxies share.
    pub(super) fn to(server: u128) -> Arc<Self> {
        static ALL: Mutex<Option<HashMap<u128, Weak<Lines>>>> = Mutex::new(None);
        if os::forked() {
            // Whoever held the lock is not in the copy.
            return Self::new(server);
        }
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.get_or_insert_default();
        if let Some(lines) = all.get(&server).and_then(Weak::upgrade) {
            return lines;
        }
        all.retain(|_, lines| lines.strong_count() > 0);
        let lines = Self::new(server);
        all.insert(server, Arc::downgrade(&lines));
        lines
    }

    pub(super) async fn take(&self, way: &Way) -> Result<Line> {
        if let Some(line) = self.idle_here().and_then(|mut idle| idle.pop()) {
            return Ok(line);
        }
        match way {
            Way::Door(door) => {
                let (line, visitor) = new_line()?;
                door.send(&visitor).await?;
                Ok(line)
            }
            #[cfg(feature = "net")]
            Way::Lease(_) => self.route().ok_or(Error::Disconnected)?.line(self.server).await,
        }
    }

    pub(super) fn blocking_take(&self, way: &Way) -> Result<Line> {
        if let Some(line) = self.idle_here().and_then(|mut idle| idle.pop()) {
            return Ok(line);
        }
        match way {
            Way::Door(door) => {
                let (line, visitor) = new_line()?;
                door.blocking_send(&visitor)?;
                Ok(line)
            }
            #[cfg(feature = "net")]
            Way::Lease(_) => self.route().ok_or(Error::Disconnected)?.blocking_line(self.server),
        }
    }

    /// Keeps a line whose last request was answered.
    pub(super) fn put(&self, line: Line) {
        if let Some(mut idle) = self.idle_here().filter(|idle| idle.len() < MOST_IDLE) {
            idle.push(line);
        }
    }

    fn idle_here(&self) -> Option<MutexGuard<'_, Vec<Line>>> {
        // Looked at before the lock: whoever held it is not in a copy.
        (self.process == std::process::id()).then(|| self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn new_line() -> Result<(Line, Visitor)> {
    let (line, theirs) = pipe::<Request, Answer>()?;
    let image = Image::of_this_process().identity();
    Ok((line, Visitor { protocol: PROTOCOL, image, line: theirs }))
}
