//! The way of all of them to other processes: two descriptors each, the memory and the doorbell.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};
use crate::wire::Fd;

/// The memory and the doorbell of one.
type Both<T> = [T; 2];

fn travelling(descriptors: Both<Arc<OwnedFd>>) -> Both<Fd> {
    descriptors.map(Fd::from)
}

fn arrived(descriptors: Both<Fd>) -> Both<Arc<OwnedFd>> {
    descriptors.map(Arc::from)
}

/// For what needs nothing but its two descriptors.
macro_rules! travels {
    ($($name:ident),*) => {
        $(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    travelling(self.clone().into_fds()).serialize(serializer)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let descriptors = Both::<Fd>::deserialize(deserializer)?;
                    Self::from_fds(arrived(descriptors)).map_err(D::Error::custom)
                }
            }
        )*
    };
}

travels!(Lock, RLock, Semaphore, BoundedSemaphore, Event);

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clone().into_fds().map(travelling).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let descriptors = <[Both<Fd>; 2]>::deserialize(deserializer)?;
        Self::from_fds(descriptors.map(arrived)).map_err(D::Error::custom)
    }
}

/// One that has an action stays: whoever is to run it must have it.
impl Serialize for Barrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((descriptors, limit)) = self.clone().into_fds() else {
            return Err(S::Error::custom(
                "a barrier with an action cannot be sent, since its action is a closure",
            ));
        };
        (travelling(descriptors), limit).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Barrier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (descriptors, limit) = <(Both<Fd>, Option<Duration>)>::deserialize(deserializer)?;
        Self::from_fds(arrived(descriptors), limit).map_err(D::Error::custom)
    }
}
