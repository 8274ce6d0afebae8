//! The way of queues to other processes: their descriptors, and how large an item may be.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::handle::Queue;
use super::joinable::JoinableQueue;
use super::ring::Ring;
use crate::wire::Fd;

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.ring.descriptors().map(Fd::from), self.max).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (descriptors, max) = <([Fd; 8], u64)>::deserialize(deserializer)?;
        let ring = Ring::attach(descriptors.map(Arc::from)).map_err(D::Error::custom)?;
        Ok(Self::of(Arc::new(ring), 0).max_frame(max))
    }
}

impl<T> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Queue::deserialize(deserializer).map(Self::of)
    }
}
