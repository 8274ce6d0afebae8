//! Values as bytes with their handles, as they are sent, and as the server keeps those whose types it need not know.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::task::Payload;
use crate::wire::{Arriving, Collecting, Fd, decode, encode};

/// Bytes that are moved at once, and not one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Raw(pub(super) Vec<u8>);

/// A value that whoever gets it knows the type of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(super) bytes: Raw,
    pub(super) handles: Vec<Fd>,
}

impl Raw {
    /// A value that has no handles: what is compared by its bytes.
    pub(super) fn of<T: Serialize + 'static>(value: &T) -> Result<Self> {
        let mut bytes = Vec::new();
        let nothing = Collecting::nothing();
        let encoded = encode(value, &mut bytes);
        drop(nothing);
        encoded.map_err(|cause| Error::EncodeMessage { cause })?;
        Ok(Self(bytes))
    }

    pub(super) fn open<T: Payload>(&self) -> Result<T> {
        decode(&self.0).map_err(|cause| Error::DecodeMessage { cause })
    }
}

impl Blob {
    pub(super) fn of<T: Serialize + 'static>(value: &T) -> Result<Self> {
        let (mut bytes, mut handles) = (Vec::new(), Vec::new());
        let collecting = Collecting::begin();
        let encoded = encode(value, &mut bytes);
        collecting.end(&mut handles);
        encoded.map_err(|cause| Error::EncodeMessage { cause })?;
        Ok(Self { bytes: Raw(bytes), handles })
    }

    pub(super) fn open<T: Payload>(mut self) -> Result<T> {
        let _arriving = Arriving::begin(&mut self.handles);
        self.bytes.open()
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(bytes.to_vec()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Raw, E> {
                Ok(Raw(bytes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Raw, A::Error> {
                Err(A::Error::custom("bytes are one piece"))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
