//! Travelling handles: descriptors that a value holds, which go beside its bytes.
//!
//! ```text
//! value ──encode──► bytes, with the place of each handle ───────────────► decode ──► value
//!             └───► the handles themselves ──socket, or at once──► list ────┘
//! ```
//!
//! What a handle writes is its place among those of its value. So it means nothing to whoever has the bytes alone, and
//! a value that claims a handle which has not come with it is refused.

mod arriving;
mod collecting;
mod fd;
mod handle;
mod luggage;

pub(crate) use arriving::Arriving;
#[cfg(feature = "net")]
pub(crate) use collecting::refuse_lent;
pub(super) use collecting::take_refusal;
pub(crate) use collecting::{Collecting, MOST_HANDLES, refuse_remote_end};
pub(crate) use fd::Fd;
pub use handle::Handle;
pub(crate) use luggage::{Luggage, Parcel};
