//! What a worker shares with its pool beside the pipes: its board, and the blocks that large arguments and results lie in.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::enter::give_up;
use super::execute::Answer;
use crate::os::Board;
use crate::wire::{Freight, Place, Store, Stowed};

/// The descriptors of what is shared.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) board: OwnedFd,
    /// For arguments, and for results.
    pub(super) stores: Option<(OwnedFd, OwnedFd)>,
}

/// The blocks of a worker, where it has some.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    arguments: Option<Arc<Store>>,
    pub(super) results: Option<Arc<Store>>,
}

impl Shared {
    /// Attaches to all of it.
    pub(super) fn attach(self) -> (Arc<Board>, Blocks) {
        let board = Board::attach(&self.board).unwrap_or_else(|error| give_up("map the board", &error));
        let board = Arc::new(board);
        let Some((arguments, results)) = self.stores else { return (board, Blocks::default()) };
        let attach = || -> io::Result<Blocks> {
            let results = Some(Store::results_of(results, Arc::clone(&board))?);
            Ok(Blocks { arguments: Some(Store::arguments_of(arguments)?), results })
        };
        let blocks = attach().unwrap_or_else(|error| give_up("attach to its blocks", &error));
        (board, blocks)
    }
}

impl Blocks {
    /// The arguments of a call that do not stand in its records.
    ///
    /// # Errors
    ///
    /// There are no blocks, which the pool knows.
    pub(super) fn named(&self, stowed: &[Stowed]) -> io::Result<Freight> {
        if stowed.is_empty() {
            return Ok(Freight::default());
        }
        let arguments = self.arguments.as_ref().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Freight::named(stowed, arguments))
    }

    /// How much of the memory that this process has in use is that of blocks.
    pub(super) fn mapped(&self) -> u64 {
        [&self.arguments, &self.results].into_iter().flatten().map(|store| store.mapped()).sum()
    }
}

impl Answer {
    /// From now on the block of the last result is the pool's, which frees it.
    pub(super) fn stow(&mut self) -> Option<Place> {
        let (_, block) = self.parts.pop()?;
        Some(Arc::into_inner(block).expect("nobody else has a share in a result").hand_over())
    }
}
