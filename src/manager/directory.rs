//! The object that is there from the start, as the server itself uses it for clients over a network: what was published, by name.

use std::sync::Arc;

use super::blob::{Blob, Raw};
use super::served::Table;
use super::server::{DIRECTORY, Server};
use crate::task::{Held, Object, Wait};

impl Server {
    /// What is published by a name.
    pub(super) fn published(&self, name: &str, wait: Wait<'_>) -> Option<Blob> {
        let object = self.directory();
        let table = object.downcast_ref::<Held<Table>>()?.together(wait)?;
        table.find(&name_of(name)?).cloned()
    }

    /// False if the name is taken.
    pub(super) fn publish(&self, name: &str, entry: Blob, wait: Wait<'_>) -> bool {
        let object = self.directory();
        let table = object.downcast_ref::<Held<Table>>().and_then(|table| table.alone(wait));
        let (Some(mut table), Some(name)) = (table, name_of(name)) else { return false };
        table.insert_new(name, entry)
    }

    pub(super) fn unpublish(&self, name: &str, wait: Wait<'_>) -> bool {
        let object = self.directory();
        let table = object.downcast_ref::<Held<Table>>().and_then(|table| table.alone(wait));
        let (Some(mut table), Some(name)) = (table, name_of(name)) else { return false };
        table.remove(name).is_some()
    }

    /// What was published; nothing at the end.
    fn directory(&self) -> Object {
        let objects = self.objects();
        objects.get(&DIRECTORY).map_or_else(|| Arc::new(()) as Object, |entry| Arc::clone(&entry.object))
    }
}

/// A name as it is published.
fn name_of(name: &str) -> Option<Raw> {
    Raw::of(&name.to_owned()).ok()
}
