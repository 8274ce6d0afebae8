//! A part that lies in a block.

use std::sync::Arc;

use bytemuck::Pod;
use serde::{Deserialize, Serialize};

use super::store::Store;

/// A part in its block, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Block {
    store: Arc<Store>,
    number: usize,
    length: usize,
    frees: bool,
}

/// What a frame says of a block: which one, and how many bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) length: u64,
}

impl Block {
    pub(super) fn owned(store: Arc<Store>, number: usize, length: usize) -> Self {
        Self { store, number, length, frees: true }
    }

    /// One of the other process, which keeps it as long as it is needed.
    pub(super) fn borrowed(store: Arc<Store>, number: usize, length: usize) -> Self {
        Self { store, number, length, frees: false }
    }

    /// Bytes of the part.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn place(&self) -> Place {
        Place { number: u32::try_from(self.number).expect("there are few"), length: self.length as u64 }
    }

    /// From now on it is for the other process to free it.
    pub(crate) fn hand_over(mut self) -> Place {
        self.frees = false;
        self.place()
    }

    /// Copies the part out, which has to be a whole number of `T`.
    ///
    /// # Errors
    ///
    /// The text of the cause.
    pub(crate) fn read<T: Pod>(&self) -> Result<Vec<T>, String> {
        if !self.length.is_multiple_of(size_of::<T>()) {
            return Err("the input ends within the value".into());
        }
        let window = self.store.arena.window(self.number, self.length);
        let window = window.map_err(|error| format!("its block of memory cannot be mapped: {error}"))?;
        window.read(0, self.length / size_of::<T>()).map_err(|error| error.to_string())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.frees {
            self.store.free(self.number, self.length);
        }
    }
}
