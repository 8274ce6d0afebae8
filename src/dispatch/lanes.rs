//! What waits to be sent, fair between callers: each submission has its lane, the lanes take turns, and within a
//! lane the order is first in, first out.

use std::collections::{HashMap, VecDeque};

/// One submission, or all single calls together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LaneId(pub(crate) u64);

impl LaneId {
    /// The lane of single calls.
    pub(crate) const CALLS: Self = Self(0);
}

#[derive(Debug)]
pub(super) struct Lanes<T> {
    items: HashMap<LaneId, VecDeque<T>>,
    /// The lanes that hold something, the next one first.
    turns: VecDeque<LaneId>,
    length: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { items: HashMap::new(), turns: VecDeque::new(), length: 0 }
    }
}

impl<T> Lanes<T> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push_back(&mut self, lane: LaneId, item: T) {
        self.lane(lane).push_back(item);
    }

    /// Puts an item back that had its turn already.
    pub(super) fn push_front(&mut self, lane: LaneId, item: T) {
        self.lane(lane).push_front(item);
    }

    fn lane(&mut self, lane: LaneId) -> &mut VecDeque<T> {
        self.length += 1;
        let items = self.items.entry(lane).or_default();
        if items.is_empty() {
            self.turns.push_back(lane);
        }
        items
    }

    /// The item whose turn it is.
    pub(super) fn front(&self) -> Option<&T> {
        self.items.get(self.turns.front()?)?.front()
    }

    /// Takes the item whose turn it is; the next turn is another lane's.
    pub(super) fn pop(&mut self) -> Option<T> {
        let lane = self.turns.pop_front()?;
        let items = self.items.get_mut(&lane)?;
        let item = items.pop_front();
        self.length -= usize::from(item.is_some());
        if items.is_empty() {
            self.items.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        item
    }

    /// Drops the items that are not wanted any more.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&T) -> bool) {
        for items in self.items.values_mut() {
            items.retain(&mut wanted);
        }
        self.items.retain(|_, items| !items.is_empty());
        let Self { items: lanes, turns, .. } = self;
        turns.retain(|lane| lanes.contains_key(lane));
        self.length = self.items.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::{LaneId, Lanes};

    fn drain(lanes: &mut Lanes<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| lanes.pop()).collect()
    }

    #[test]
    fn lanes_take_turns_and_keep_their_own_order() {
        let mut lanes = Lanes::default();
        for item in ["a1", "a2", "a3"] {
            lanes.push_back(LaneId(1), item);
        }
        lanes.push_back(LaneId(2), "b1");
        assert_eq!(drain(&mut lanes), ["a1", "b1", "a2", "a3"]);
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn an_item_that_is_put_back_comes_first_in_its_lane() {
        let mut lanes = Lanes::default();
        lanes.push_back(LaneId(1), "a1");
        lanes.push_back(LaneId(1), "a2");
        let first = lanes.pop().expect("there are two");
        lanes.push_front(LaneId(1), first);
        assert_eq!(drain(&mut lanes), ["a1", "a2"]);
    }

    #[test]
    fn what_is_not_wanted_any_more_takes_no_turn() {
        let mut lanes = Lanes::default();
        lanes.push_back(LaneId(1), "a1");
        lanes.push_back(LaneId(2), "b1");
        lanes.push_back(LaneId(2), "b2");
        lanes.retain(|item| *item == "b2");
        assert_eq!(lanes.len(), 1);
        assert_eq!(lanes.front(), Some(&"b2"));
        assert_eq!(drain(&mut lanes), ["b2"]);
    }
}
