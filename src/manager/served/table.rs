//! What stands behind a dict: values by their keys, in the order in which the keys came.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::super::blob::{Blob, Raw};
use super::super::exposed::Exposed;
use super::page::{Page, Room};

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By the place of the entry among all that ever were.
    entries: BTreeMap<u64, (Raw, Blob)>,
    places: HashMap<Raw, u64>,
    next: u64,
}

pub(super) fn expose(table: Exposed<Table>) -> Exposed<Table> {
    table
        .create(Table::default)
        .method("get", Table::get)
        .method("insert", Table::insert)
        .method("insert_new", Table::insert_new)
        .method("set_default", Table::set_default)
        .method("extend", Table::extend)
        .method("remove", Table::remove)
        .method("pop_last", Table::pop_last)
        .method("contains", Table::contains)
        .method("len", Table::len)
        .method("clear", Table::clear)
        .method("page", Table::page)
        .method("all", Table::all)
}

impl Table {
    fn get(&self, key: Raw) -> Option<Blob> {
        self.find(&key).cloned()
    }

    pub(crate) fn find(&self, key: &Raw) -> Option<&Blob> {
        let place = self.places.get(key)?;
        self.entries.get(place).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub(crate) fn find_mut(&mut self, key: &Raw) -> Option<&mut Blob> {
        let place = self.places.get(key)?;
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// What was there before. A key that was there keeps its place.
    pub(crate) fn insert(&mut self, key: Raw, value: Blob) -> Option<Blob> {
        if let Some(known) = self.find_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        self.places.insert(key.clone(), self.next);
        self.entries.insert(self.next, (key, value));
        self.next += 1;
        None
    }

    /// False if the key is there already.
    pub(crate) fn insert_new(&mut self, key: Raw, value: Blob) -> bool {
        !self.places.contains_key(&key) && self.insert(key, value).is_none()
    }

    fn set_default(&mut self, key: Raw, value: Blob) -> Blob {
        if let Some(known) = self.find(&key) {
            return known.clone();
        }
        self.insert(key, value.clone());
        value
    }

    fn extend(&mut self, entries: Vec<(Raw, Blob)>) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }

    pub(crate) fn remove(&mut self, key: Raw) -> Option<Blob> {
        let place = self.places.remove(&key)?;
        self.entries.remove(&place).map(|(_, value)| value)
    }

    fn pop_last(&mut self) -> Option<(Raw, Blob)> {
        let (_, (key, value)) = self.entries.pop_last()?;
        self.places.remove(&key);
        Some((key, value))
    }

    fn contains(&self, key: Raw) -> bool {
        self.places.contains_key(&key)
    }

    fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.places.clear();
    }

    fn page(&self, after: Option<u64>) -> Page {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut room, mut page) = (Room::default(), Vec::new());
        for (place, (key, value)) in self.entries.range((from, Bound::Unbounded)) {
            if !room.takes(key.0.len() + value.bytes.0.len(), value.handles.len()) {
                break;
            }
            page.push((*place, key.clone(), value.clone()));
        }
        let last = page.last().map(|(place, ..)| *place);
        (page.into_iter().map(|(_, key, value)| (key, value)).collect(), last)
    }

    fn all(&self) -> Vec<(Raw, Blob)> {
        self.entries.values().cloned().collect()
    }
}
