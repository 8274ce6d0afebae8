//! Queues between any number of processes, in memory that they share.
//!
//! ```text
//! log     |  given back  | item | item | pad | item |            |     512 GiB of addresses, of which few pages are there
//!                        tail                       head
//!         consumers, one at a time ──►              producers, one at a time ──►
//! ```
//!
//! 1. Items stand in the log in the order in which they were put. Whoever puts one holds the producers' latch, writes it behind the head, and moves the
//!    head; whoever takes one holds the consumers' latch, copies it, and moves the tail. Each of the two moves is one store.
//! 2. So an item is there or it is not, whoever is killed at any moment, and nobody's death keeps the others from going on: a latch whose
//!    holder is dead is taken over, and there is nothing to put right.
//! 3. No process has items of its own: what is put is there for all, and stays when its producer ends.
//! 4. Nothing that stands in the shared memory is trusted: lengths are copied, checked, and then used.

mod consumers;
mod get;
mod handle;
mod handles;
mod item;
mod joinable;
#[cfg(all(test, models))]
mod models;
mod parcel;
mod place;
mod producers;
mod put;
mod record;
mod ring;
mod stream;
#[cfg(all(test, not(models)))]
mod tests;
mod travel;
mod view;

pub use handle::{Queue, SimpleQueue};
pub use item::Item;
pub use joinable::JoinableQueue;
