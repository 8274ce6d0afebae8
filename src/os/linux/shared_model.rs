//! The same in the models: words on the heap, and rings by loom's own lock, which tries every order of what happens. Nothing
//! there ends a wait but a ring, so that a wake-up that is lost is a deadlock, which loom reports.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::AtomicU64;
use loom::sync::{Condvar, Mutex};

use crate::os::Quick;

/// A word that processes share.
pub(crate) type Word = AtomicU64;

#[derive(Debug)]
pub(crate) struct Shared {
    words: Vec<AtomicU64>,
    rings: Mutex<u32>,
    rung: Condvar,
    quick: Quick,
}

impl Shared {
    pub(crate) fn create(_kind: u32, words: usize) -> io::Result<Self> {
        let words = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { words, rings: Mutex::new(0), rung: Condvar::new(), quick: Quick::default() })
    }

    pub(crate) fn attach(_kind: u32, _words: usize, _descriptors: [Arc<OwnedFd>; 2]) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn word(&self, index: usize) -> &Word {
        &self.words[index]
    }

    pub(crate) fn descriptors(&self) -> [Arc<OwnedFd>; 2] {
        panic!("there are no descriptors in the models")
    }

    pub(crate) fn quick(&self) -> &Quick {
        &self.quick
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }

    pub(crate) fn rings(&self) -> u32 {
        *self.rings.lock().expect("no thread of a model panics")
    }

    pub(crate) fn ring(&self, parked: u32, listening: bool) {
        *self.rings.lock().expect("no thread of a model panics") += 1;
        if listening || parked > 1 {
            self.rung.notify_all();
        } else if parked == 1 {
            self.rung.notify_one();
        }
    }

    pub(crate) fn park(&self, rings: u32, _limit: Duration) -> bool {
        let mut now = self.rings.lock().expect("no thread of a model panics");
        if *now == rings {
            now = self.rung.wait(now).expect("no thread of a model panics");
        }
        drop(now);
        true
    }

    pub(crate) async fn listen(&self, rings: u32) {
        self.park(rings, Duration::MAX);
    }
}
