//! A block that a part is being written to.

use std::io;
use std::sync::Arc;

use super::block::Block;
use super::store::Store;
use crate::os::{Arena, Taken, Window};

/// A block for its writer alone, until it is finished or given up.
#[derive(Debug)]
pub(crate) struct Lease {
    store: Option<Arc<Store>>,
    taken: Taken,
    window: Option<Arc<Window>>,
    length: usize,
}

impl Lease {
    pub(super) fn new(store: Arc<Store>, taken: Taken) -> Self {
        Self { store: Some(store), taken, window: None, length: 0 }
    }

    fn store(&self) -> &Arc<Store> {
        self.store.as_ref().expect("it is there until the lease is finished")
    }

    /// Bytes that were written so far.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Writes bytes behind those that are there.
    ///
    /// # Errors
    ///
    /// That there is no memory for them, or that no block is so long; what was written before is there still.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len();
        if end > Arena::room() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let store = Arc::clone(self.store());
        self.taken.reserved = store.arena.reserve(self.taken.block, self.taken.reserved, end)?;
        if self.window.as_ref().is_none_or(|window| window.len() < end) {
            self.window = Some(store.arena.window(self.taken.block, end)?);
        }
        if let Some(window) = &self.window {
            window.write(self.length, bytes);
        }
        self.length = end;
        Ok(())
    }

    /// What was written so far.
    pub(crate) fn content(&self) -> Vec<u8> {
        let written = self.window.as_ref().map(|window| window.read(0, self.length));
        written.unwrap_or(Ok(Vec::new())).expect("as before, memory is there or the process ends")
    }

    /// Nothing more is written.
    pub(crate) fn finish(mut self) -> Block {
        self.store().note(self.taken);
        let store = self.store.take().expect("it is there until the lease is finished");
        Block::owned(store, self.taken.block, self.length)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            store.note(self.taken);
            store.free(self.taken.block, 0);
        }
    }
}
