//! What travels beside a payload: the handles and the blocks of its elements.

use bytes::Bytes;

use super::fd::Fd;
use crate::wire::blocks::Freight;
use crate::wire::seldom::Seldom;

/// A payload with the handles and the blocks of its elements.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parcel {
    /// One record an element.
    pub(crate) records: Bytes,
    pub(crate) luggage: Luggage,
    pub(crate) freight: Freight,
}

/// Handles by the number of their element, counted from 0, in that order. Most elements have none and do not stand here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Luggage(Seldom<(u32, Vec<Fd>)>);

impl Parcel {
    /// One that has no blocks.
    pub(crate) fn new(records: Vec<u8>, luggage: Luggage) -> Self {
        Self { records: records.into(), luggage, freight: Freight::default() }
    }

    /// Bytes of its values.
    pub(crate) fn size(&self) -> usize {
        if self.freight.is_empty() { self.records.len() } else { self.records.len() + self.freight.bytes() }
    }

    /// Its values stand in the records and nowhere else.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.luggage.is_empty() && self.freight.is_empty()
    }
}

impl Luggage {
    /// That of one element and no other.
    pub(crate) fn of(element: u32, mut handles: Vec<Fd>) -> Self {
        let mut luggage = Self::default();
        luggage.add(element, &mut handles);
        luggage
    }

    /// Adds that of an element, which stands behind all that were added before.
    #[inline]
    pub(crate) fn add(&mut self, element: u32, handles: &mut Vec<Fd>) {
        if !handles.is_empty() {
            self.0.all().push((element, std::mem::take(handles)));
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many handles there are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|(_, handles)| handles.len()).sum()
    }

    /// Takes the handles of an element out, which are there once, in place of those of the element before.
    #[inline]
    pub(crate) fn take(&mut self, element: u32, handles: &mut Vec<Fd>) {
        if !self.0.is_empty() {
            *handles = self.find(element).map(std::mem::take).unwrap_or_default();
        }
    }

    fn find(&mut self, element: u32) -> Option<&mut Vec<Fd>> {
        let all = self.0.all();
        let place = all.binary_search_by_key(&element, |(element, _)| *element).ok()?;
        Some(&mut all[place].1)
    }

    /// A share in the handles of so many elements behind the first `done`, which are counted from 0 again.
    pub(crate) fn share(&self, done: u32, elements: u32) -> Self {
        let shared =
            self.0.iter().filter(|(element, _)| (done..done.saturating_add(elements)).contains(element));
        Self(shared.map(|(element, handles)| (element - done, handles.clone())).collect())
    }

    /// The elements that have handles, and how many.
    pub(crate) fn announced(&self) -> Vec<(u32, u8)> {
        let count =
            |handles: &Vec<Fd>| u8::try_from(handles.len()).expect("an element has at most MOST_HANDLES");
        self.0.iter().map(|(element, handles)| (*element, count(handles))).collect()
    }

    /// The handles of one element after the other.
    pub(crate) fn into_elements(self) -> impl Iterator<Item = Vec<Fd>> {
        self.0.into_iter().map(|(_, handles)| handles)
    }
}
