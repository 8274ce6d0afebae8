//! What goes over the pipes: frames, the messages in them, the records in those, and values decoded with limits.

mod blocks;
mod budget;
mod bulk;
mod forkserver;
mod frame;
mod identity;
mod input;
mod message;
mod number;
mod output;
mod record;
#[cfg(feature = "sandbox")]
mod sandbox;
mod seldom;
mod start_method;
mod travel;
mod value;

pub(crate) use blocks::{Freight, Parts, Place, Store, Stowed};
pub(crate) use forkserver::{ForkNotice, ForkRequest};
pub(crate) use frame::{Codec, DEFAULT_MAX, Frame, LARGEST_MAX, append_frame, codec};
pub(crate) use identity::{AuthKey, Duty, Identity, Parent};
pub(crate) use input::Input;
pub use message::OnError;
pub(crate) use message::{
    CallHead, Configure, Failure, HOLD_NS, Initializer, Order, PROTOCOL, Preload, Reply, Report, Run,
    TaskRef, split,
};
pub(crate) use number::{is_number, number_at, number_word, take_number};
pub(crate) use output::Output;
pub(crate) use record::{Record, Records, SHORT, failed_record, put_record, record_head};
#[cfg(feature = "sandbox")]
pub use sandbox::{Resource, Sandbox, SandboxPart};
pub use start_method::StartMethod;
pub use travel::Handle;
#[cfg(feature = "net")]
pub(crate) use travel::refuse_lent;
pub(crate) use travel::{Arriving, Collecting, Fd, Luggage, MOST_HANDLES, Parcel, refuse_remote_end};
pub(crate) use value::{decode, encode, pack, unpack};
