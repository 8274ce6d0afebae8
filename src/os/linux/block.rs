//! Shared memory that is worked on in place: whoever has claimed it has references to all of it, and nobody else in this process has any.
//!
//! The claim is one word in the memory. It is no lock, and nobody waits for it: whoever wants it holds a lock already that keeps others away. But anybody may
//! release that lock, and the claim can be given back by its holder alone.

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytemuck::Pod;

use super::mapping::{Content, Mapping};
use super::owner::Owner;

/// Memory of which there are references only by a claim.
#[derive(Debug)]
pub(crate) struct Block(Mapping);

impl Block {
    /// New memory, all of it 0. Its size is sealed and its space reserved.
    pub(crate) fn create(content: Content, length: usize) -> io::Result<Self> {
        Ok(Self(Mapping::create(content, length)?))
    }

    /// The memory behind a descriptor, which must be of such content.
    pub(crate) fn attach(content: Content, memory: Arc<OwnedFd>) -> io::Result<Self> {
        Ok(Self(Mapping::attach(content, memory)?))
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The descriptor by which another process attaches.
    pub(crate) fn memory(&self) -> Arc<OwnedFd> {
        Arc::clone(self.0.memory())
    }

    /// All of it as so many `T`; nothing if a living process has a claim, be it this one.
    pub(crate) fn claim<T: Pod>(&self) -> Option<Claim<'_, T>> {
        let owner = Owner::ourselves();
        let count = self.len() / size_of::<T>();
        let first = self.0.place::<T>(0, count);
        self.claim_word(owner).then_some(())?;
        Some(Claim { block: self, owner, first, count })
    }

    fn claim_word(&self, owner: Owner) -> bool {
        let word = self.0.claim();
        let take = |from| word.compare_exchange(from, owner.bits(), Ordering::AcqRel, Ordering::Acquire);
        match take(0) {
            Ok(_) => true,
            Err(held) => Owner::of(held).is_none_or(Owner::is_gone) && take(held).is_ok(),
        }
    }
}

/// References to all of the memory, for one holder. Dropping it gives the claim back.
#[derive(Debug)]
pub(crate) struct Claim<'b, T> {
    block: &'b Block,
    owner: Owner,
    first: NonNull<T>,
    count: usize,
}

// SAFETY: it is what a `&mut [T]` is.
unsafe impl<T: Send> Send for Claim<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Claim<'_, T> {}

impl<T: Pod> Deref for Claim<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: so many lie within the mapping, aligned, as `place` has checked; any bytes are a `T`. In this process nobody else has a reference to
        // them while the claim is held. That other processes keep out is what the lock is for that comes before the claim.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T: Pod> DerefMut for Claim<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.count) }
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        // A forked child has a copy of the claim, but has claimed nothing.
        if self.owner == Owner::ourselves() {
            let (held, order) = (self.owner.bits(), Ordering::Relaxed);
            let _others = self.block.0.claim().compare_exchange(held, 0, Ordering::Release, order);
        }
    }
}

#[cfg(all(test, not(models)))]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Block, Content, Owner};

    const CONTENT: Content = Content { kind: 7, element: 4 };

    #[test]
    fn one_at_a_time_has_references_by_whichever_mapping() {
        let here = Block::create(CONTENT, 12).expect("there is memory");
        let there = Block::attach(CONTENT, here.memory()).expect("it is the same");
        let mut claim = here.claim::<u32>().expect("nobody has it");
        claim.copy_from_slice(&[1, 2, 3]);
        assert!(here.claim::<u32>().is_none() && there.claim::<u32>().is_none());
        drop(claim);
        assert_eq!(*there.claim::<u32>().expect("it was given back"), [1, 2, 3]);
    }

    #[test]
    fn a_claim_of_a_dead_process_is_none() {
        let block = Block::create(CONTENT, 12).expect("there is memory");
        block.0.claim().store(Owner::gone().bits(), Ordering::Release);
        assert!(block.claim::<u32>().is_some());
    }
}
