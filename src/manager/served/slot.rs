//! What stands behind a value.

use super::super::blob::Blob;
use super::super::exposed::Exposed;

#[derive(Debug)]
pub(crate) struct Slot(pub(crate) Blob);

pub(super) fn expose(slot: Exposed<Slot>) -> Exposed<Slot> {
    slot.create(Slot).method("get", Slot::get).method("set", Slot::set).method("swap", Slot::swap)
}

impl Slot {
    fn get(&self) -> Blob {
        self.0.clone()
    }

    fn set(&mut self, value: Blob) {
        self.0 = value;
    }

    fn swap(&mut self, value: Blob) -> Blob {
        std::mem::replace(&mut self.0, value)
    }
}
