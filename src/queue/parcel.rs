//! One item on its way: the value's bytes, and the handles that go with them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::Record;
use crate::error::{Error, Result};
use crate::wire::{Fd, pack, unpack};

#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) bytes: Vec<u8>,
    pub(super) handles: Vec<Fd>,
}

impl Parcel {
    pub(super) fn of<T: Serialize + 'static>(value: &T, max: u64) -> Result<Self> {
        let (bytes, handles) = pack(value).map_err(|cause| Error::EncodeMessage { cause })?;
        let size = bytes.len() as u64;
        if size > max {
            return Err(Error::MessageTooLarge { size, max });
        }
        Ok(Self { bytes, handles })
    }

    pub(super) fn record(&self) -> Record {
        let handles = u8::try_from(self.handles.len()).expect("a value has at most MOST_HANDLES");
        Record::Item { bytes: self.bytes.len() as u64, handles }
    }

    pub(super) fn open<T: DeserializeOwned + 'static>(self) -> Result<T> {
        unpack(&self.bytes, self.handles).map_err(|cause| Error::DecodeMessage { cause })
    }
}
