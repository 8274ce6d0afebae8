//! The same in the models: a few words on the heap.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::shared::Word;

#[derive(Debug)]
pub(crate) struct Log(Arc<Vec<Word>>);

impl Log {
    /// So few that a model soon begins anew at the front.
    pub(crate) const WORDS: u64 = 8;

    pub(crate) fn create() -> io::Result<Self> {
        Ok(Self(Arc::new((0..Self::WORDS).map(|_| Word::new(0)).collect())))
    }

    pub(crate) fn attach(_memory: Arc<OwnedFd>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn descriptor(&self) -> Arc<OwnedFd> {
        panic!("there are no descriptors in the models")
    }

    pub(crate) fn allocate(&self, _from: u64, _words: u64) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give_back(&self, _from: u64, _words: u64) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn map(&self, from: u64, words: u64) -> io::Result<Mapped> {
        let range = from as usize..(from + words) as usize;
        assert!(!range.is_empty() && range.end <= self.0.len(), "it lies within the log");
        Ok(Mapped { all: Arc::clone(&self.0), range })
    }
}

#[derive(Debug)]
pub(crate) struct Mapped {
    all: Arc<Vec<Word>>,
    range: std::ops::Range<usize>,
}

impl Mapped {
    pub(crate) fn words(&self) -> &[Word] {
        &self.all[self.range.clone()]
    }
}
