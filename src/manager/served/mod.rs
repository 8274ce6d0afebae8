//! The crate's own types as a server holds them. They know nothing of the types of what they hold: that is bytes to them.

mod crew;
mod errand;
mod fault;
mod flag;
mod mailbox;
mod meeting;
mod mishap;
mod owned;
mod page;
mod relay;
mod sequence;
mod sleepers;
mod slot;
mod table;
mod turns;

use std::sync::Arc;

pub(super) use crew::{Crew, Manner, Wanted};
pub(super) use errand::Part as ErrandPart;
pub(super) use fault::Fault;
pub(super) use mishap::Mishap;
pub(super) use owned::Who;
pub(super) use page::{Page, Room};
pub(super) use relay::{Portion, Yield};
pub(super) use sequence::Sequence;
pub(super) use slot::Slot;
pub(super) use table::Table;

use super::exposed::{Part, Registry};
use super::server::ours;
use crate::task::{Object, object};

/// All of them, by their names in requests.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();
    let added = [
        registry.add("dict", table::expose),
        registry.add("list", sequence::expose),
        registry.add("array", sequence::expose_array),
        registry.add("value", slot::expose),
        registry.add("queue", mailbox::expose),
        registry.add("turns", turns::expose),
        registry.add("rlock", owned::expose),
        registry.add("event", flag::expose),
        registry.add("barrier", meeting::expose),
        registry.add("condition", sleepers::expose),
        registry.add("pool", crew::expose),
        registry.add("task", errand::expose),
        registry.add("map", relay::expose),
    ];
    assert!(added.iter().all(Result::is_ok), "a program that has this crate from a library has no managers");
    registry
}

/// What was published, by name.
pub(super) fn directory() -> (Object, Arc<Part>) {
    let part = ours().find("dict").expect("it is registered above");
    (object(Table::default()), Arc::clone(part))
}
