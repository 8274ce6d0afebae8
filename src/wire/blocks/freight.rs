//! The blocks of a payload, by the element and the part that lie in them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block::{Block, Place};
use super::store::Store;
use crate::wire::seldom::Seldom;

/// The parts of one element that lie in blocks, in their order. Shared by the calls that carry them, as a call may be sent again.
pub(crate) type Parts = Vec<(u8, Arc<Block>)>;

/// Parts by the number of their element, counted from 0, in that order. Most elements have none and do not stand here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Freight(Seldom<(u32, Parts)>);

/// What a frame says of one part that lies in a block.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stowed {
    pub(crate) element: u32,
    pub(crate) part: u8,
    pub(crate) place: Place,
}

impl Freight {
    /// That of one element and no other.
    pub(crate) fn of(element: u32, mut parts: Parts) -> Self {
        let mut freight = Self::default();
        freight.add(element, &mut parts);
        freight
    }

    /// What a frame of the pool has named.
    pub(crate) fn named(stowed: &[Stowed], store: &Store) -> Self {
        let mut freight = Self::default();
        for Stowed { element, part, place } in stowed {
            let block = (*part, Arc::new(store.argument(*place)));
            let all = freight.0.all();
            match all.last_mut() {
                Some((last, parts)) if last == element => parts.push(block),
                _ => all.push((*element, vec![block])),
            }
        }
        freight
    }

    /// Adds those of an element, which stands behind all that were added before.
    #[inline]
    pub(crate) fn add(&mut self, element: u32, parts: &mut Parts) {
        if !parts.is_empty() {
            self.0.all().push((element, std::mem::take(parts)));
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes in all of the blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().flat_map(|(_, parts)| parts).map(|(_, block)| block.len()).sum()
    }

    /// Takes those of an element out.
    #[inline]
    pub(crate) fn take(&mut self, element: u32) -> Parts {
        if self.0.is_empty() { Parts::new() } else { self.find(element) }
    }

    fn find(&mut self, element: u32) -> Parts {
        let all = self.0.all();
        let place = all.binary_search_by_key(&element, |(element, _)| *element);
        place.map(|place| std::mem::take(&mut all[place].1)).unwrap_or_default()
    }

    /// A share in those of so many elements behind the first `done`, which are counted from 0 again.
    pub(crate) fn share(&self, done: u32, elements: u32) -> Self {
        let end = done.saturating_add(elements);
        let shared = self.0.iter().filter(|(element, _)| (done..end).contains(element));
        Self(shared.map(|(element, parts)| (element - done, parts.clone())).collect())
    }

    /// What the frame says of them.
    pub(crate) fn announced(&self) -> Vec<Stowed> {
        let all = self.0.iter().flat_map(|(element, parts)| parts.iter().map(move |part| (*element, part)));
        all.map(|(element, (part, block))| Stowed { element, part: *part, place: block.place() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Freight, Parts, Store};

    fn part(store: &Store, number: u8, bytes: &[u8]) -> (u8, Arc<super::Block>) {
        let mut lease = store.lend().expect("there are blocks");
        lease.append(bytes).expect("there is memory");
        (number, Arc::new(lease.finish()))
    }

    fn read(parts: &Parts) -> Vec<(u8, Vec<u8>)> {
        parts.iter().map(|(part, block)| (*part, block.read().expect("there is memory"))).collect()
    }

    #[test]
    fn each_element_finds_its_own_parts_on_the_other_side() {
        let pool = Store::for_arguments().expect("there is memory");
        let memory = pool.readable().expect("it is ours");
        let worker = Store::arguments_of(memory).expect("it is the same");
        let mut freight = Freight::default();
        freight.add(3, &mut vec![part(&pool, 0, b"a"), part(&pool, 2, b"bc")]);
        freight.add(4, &mut Parts::new());
        freight.add(7, &mut vec![part(&pool, 1, b"def")]);
        assert_eq!(freight.bytes(), 6);
        let mut named = Freight::named(&freight.announced(), &worker);
        assert_eq!(read(&named.take(3)), [(0, b"a".to_vec()), (2, b"bc".to_vec())]);
        assert!(named.take(4).is_empty());
        assert_eq!(read(&named.take(7)), [(1, b"def".to_vec())]);
    }

    #[test]
    fn a_share_counts_anew_and_keeps_its_blocks() {
        let pool = Store::for_arguments().expect("there is memory");
        let freight = Freight::of(5, vec![part(&pool, 0, b"x")]);
        let mut share = freight.share(4, 2);
        assert!(freight.share(6, 9).is_empty() && freight.share(0, 5).is_empty());
        drop(freight);
        assert_ne!(pool.lend().map(|_| ()), None);
        assert_eq!(read(&share.take(1)), [(0, b"x".to_vec())]);
    }
}
