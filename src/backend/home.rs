//! The runtime that reads what the workers send: the one the pool was made in, as long as it surely runs.
//!
//! A current-thread runtime runs only inside its own `block_on`, and any runtime stands still whose threads are
//! blocked. As soon as a call comes from elsewhere than a current-thread home, or blocks a thread of a runtime, the
//! crate's own runtime reads along, so that nobody waits for results that no one fetches.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::os::background;

/// Where the links of a pool are read.
#[derive(Debug)]
pub(crate) struct Home {
    made_in: Handle,
    /// It is the crate's own, which never stands still.
    is_own: bool,
    in_background: AtomicBool,
}

impl Home {
    /// The runtime of this call, or the crate's own.
    pub(crate) fn here() -> io::Result<Self> {
        let background = background()?;
        let made_in = Handle::try_current().unwrap_or_else(|_| background.clone());
        let is_own = made_in.id() == background.id();
        Ok(Self { made_in, is_own, in_background: AtomicBool::new(false) })
    }

    /// The crate's own runtime.
    pub(crate) fn own() -> io::Result<Self> {
        let made_in = background()?.clone();
        Ok(Self { made_in, is_own: true, in_background: AtomicBool::new(false) })
    }

    /// The runtime that reads a new link.
    pub(crate) fn runtime(&self) -> &Handle {
        if self.in_background.load(Ordering::Acquire) { background_again() } else { &self.made_in }
    }

    /// The runtime the pool was made in is of no use any more: from now on the background reads.
    pub(crate) fn leave(&self) -> io::Result<&'static Handle> {
        self.in_background.store(true, Ordering::Release);
        background()
    }

    /// Notes a call from the current context. If all links must be read in the background from now on, its runtime.
    pub(crate) fn visit(&self, blocking: bool) -> Option<&'static Handle> {
        if self.is_own || self.in_background.load(Ordering::Acquire) {
            return None;
        }
        let moves = self.may_stand_still(blocking) && !self.in_background.swap(true, Ordering::AcqRel);
        moves.then(background_again)
    }
}

impl Home {
    /// Could nobody read the results of a call from here?
    fn may_stand_still(&self, blocking: bool) -> bool {
        let runs_anywhere = self.made_in.runtime_flavor() != RuntimeFlavor::CurrentThread;
        match Handle::try_current() {
            // The thread that blocks may be the only one its runtime has.
            Ok(_) if blocking => true,
            Ok(here) => !runs_anywhere && here.id() != self.made_in.id(),
            Err(_) => !runs_anywhere,
        }
    }
}

fn background_again() -> &'static Handle {
    background().expect("a home has started the background runtime, which never ends")
}
