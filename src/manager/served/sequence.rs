//! What stands behind a list, and behind an array: that is a list whose length stays.

use super::super::blob::{Blob, Raw};
use super::super::exposed::Exposed;
use super::fault::Fault;
use super::page::{Page, Room};

/// Items that a list may have by being repeated.
const MOST_REPEATED: usize = 1 << 28;

#[derive(Debug, Default)]
pub(crate) struct Sequence(Vec<Blob>);

pub(super) fn expose(sequence: Exposed<Sequence>) -> Exposed<Sequence> {
    sequence
        .create(Sequence::default)
        .method("push", Sequence::push)
        .method("extend", Sequence::extend)
        .method("set_all", Sequence::set_all)
        .method("get", Sequence::get)
        .method("set", Sequence::set)
        .method("insert", Sequence::insert)
        .method("remove", Sequence::remove)
        .method("pop", Sequence::pop)
        .method("slice", Sequence::slice)
        .method("position", Sequence::position)
        .method("reverse", Sequence::reverse)
        .method("repeat", Sequence::repeat)
        .method("truncate", Sequence::truncate)
        .method("len", Sequence::len)
        .method("page", Sequence::page)
}

/// Nothing that changes the length of an array can be called.
pub(super) fn expose_array(sequence: Exposed<Sequence>) -> Exposed<Sequence> {
    sequence
        .create(Sequence)
        .method("at", Sequence::at)
        .method("swap", Sequence::swap)
        .method("range", Sequence::range)
        .method("all", Sequence::all)
        .method("set_range", Sequence::set_range)
        .method("fill", Sequence::fill)
        .method("position", Sequence::position)
        .method("len", Sequence::len)
        .method("page", Sequence::page)
}

/// A place as one in memory; none that there is if it is too large.
fn place_of(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

impl Sequence {
    fn push(&mut self, item: Blob) {
        self.0.push(item);
    }

    fn extend(&mut self, items: Vec<Blob>) {
        self.0.extend(items);
    }

    fn set_all(&mut self, items: Vec<Blob>) {
        self.0 = items;
    }

    fn get(&self, place: u64) -> Option<Blob> {
        self.0.get(place_of(place)).cloned()
    }

    /// The item at a place, to be changed.
    pub(crate) fn item_mut(&mut self, place: u64) -> Option<&mut Blob> {
        self.0.get_mut(place_of(place))
    }

    fn set(&mut self, place: u64, item: Blob) -> Option<Blob> {
        self.item_mut(place).map(|known| std::mem::replace(known, item))
    }

    /// The item at a place that must be there.
    fn at(&self, place: u64) -> Result<Blob, Fault> {
        self.get(place).ok_or_else(|| self.out_of_range(place, place.saturating_add(1)))
    }

    pub(crate) fn at_mut(&mut self, place: u64) -> Result<&mut Blob, Fault> {
        let missing = self.out_of_range(place, place.saturating_add(1));
        self.item_mut(place).ok_or(missing)
    }

    fn swap(&mut self, place: u64, item: Blob) -> Result<Blob, Fault> {
        self.at_mut(place).map(|known| std::mem::replace(known, item))
    }

    fn range(&self, from: u64, to: u64) -> Result<Vec<Blob>, Fault> {
        let items = self.0.get(place_of(from)..place_of(to));
        items.map(<[Blob]>::to_vec).ok_or_else(|| self.out_of_range(from, to))
    }

    fn all(&self) -> Vec<Blob> {
        self.0.clone()
    }

    fn set_range(&mut self, from: u64, items: Vec<Blob>) -> Result<(), Fault> {
        let to = from.saturating_add(items.len() as u64);
        let missing = self.out_of_range(from, to);
        let room = self.0.get_mut(place_of(from)..place_of(to)).ok_or(missing)?;
        room.iter_mut().zip(items).for_each(|(known, item)| *known = item);
        Ok(())
    }

    fn fill(&mut self, item: Blob) {
        self.0.fill(item);
    }

    fn out_of_range(&self, start: u64, end: u64) -> Fault {
        Fault::OutOfRange { start, end, length: self.len() }
    }

    fn insert(&mut self, place: u64, item: Blob) {
        let place = place_of(place).min(self.0.len());
        self.0.insert(place, item);
    }

    fn remove(&mut self, place: u64) -> Option<Blob> {
        let place = place_of(place);
        (place < self.0.len()).then(|| self.0.remove(place))
    }

    fn pop(&mut self) -> Option<Blob> {
        self.0.pop()
    }

    fn slice(&self, from: u64, to: u64) -> Vec<Blob> {
        let to = place_of(to).min(self.0.len());
        self.0.get(place_of(from)..to).map(<[Blob]>::to_vec).unwrap_or_default()
    }

    fn position(&self, item: Blob) -> Option<u64> {
        let place = self.0.iter().position(|known| known.bytes == item.bytes && known.handles.is_empty());
        place.map(|place| place as u64)
    }

    fn reverse(&mut self) {
        self.0.reverse();
    }

    /// False if that would be too many.
    fn repeat(&mut self, times: u32) -> bool {
        let once = self.0.len();
        let all = once.checked_mul(times as usize).filter(|all| *all <= MOST_REPEATED);
        let Some(all) = all else { return false };
        self.0.truncate(all);
        while self.0.len() < all {
            self.0.extend_from_within(..once);
        }
        true
    }

    fn truncate(&mut self, len: u64) {
        self.0.truncate(place_of(len));
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn page(&self, after: Option<u64>) -> Page {
        let from = after.map_or(0, |after| place_of(after).saturating_add(1));
        let (mut room, mut page) = (Room::default(), Vec::new());
        for item in self.0.iter().skip(from) {
            if !room.takes(item.bytes.0.len(), item.handles.len()) {
                break;
            }
            page.push((Raw::default(), item.clone()));
        }
        let last = page.len().checked_sub(1).map(|more| (from + more) as u64);
        (page, last)
    }
}
