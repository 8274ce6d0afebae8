//! Values that will not be encoded or decoded, and values that show when they are dropped.

use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tally;

/// Refuses to be encoded, by an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("it refuses to be encoded"))
    }
}

impl<'de> Deserialize<'de> for Unencodable {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// Refuses to be encoded, by a panic.
#[derive(Debug, PartialEq, Eq)]
pub struct PanicsWhenEncoded;

impl Serialize for PanicsWhenEncoded {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        panic!("it refuses to be encoded")
    }
}

impl<'de> Deserialize<'de> for PanicsWhenEncoded {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// Refuses to be decoded, by an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Undecodable;

impl Serialize for Undecodable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(0)
    }
}

impl<'de> Deserialize<'de> for Undecodable {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("it refuses to be decoded"))
    }
}

/// Holds on to something of the test's, in its own process only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Holding {
    #[serde(skip)]
    pub held: Option<Arc<()>>,
}

impl Holding {
    pub fn of(held: &Arc<()>) -> Self {
        Self { held: Some(Arc::clone(held)) }
    }
}

/// Marks a tally when it is dropped by the worker that it was sent to.
#[derive(Debug, Serialize, Deserialize)]
pub struct MarksWhenDropped {
    pub key: String,
    #[serde(skip, default = "yes")]
    pub has_travelled: bool,
}

fn yes() -> bool {
    true
}

impl Drop for MarksWhenDropped {
    fn drop(&mut self) {
        if self.has_travelled {
            tally::mark(&self.key, 1);
        }
    }
}
