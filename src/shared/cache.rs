//! What a process has of the values that were broadcast to it: each memory mapped once, and each value decoded once.

use std::any::{Any, TypeId};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::os::{Content, SealedMap};

/// So many values are kept that no handle of this process is for any more, so that the next call that brings one finds it decoded.
const KEPT: usize = 8;

/// Those that have arrived in this process, the last one last.
static ARRIVED: Mutex<Vec<Arc<Broadcast>>> = Mutex::new(Vec::new());

type Decoded = (TypeId, Arc<dyn Any + Send + Sync>);

/// The memory of a value, and what was decoded of it.
#[derive(Debug)]
pub(super) struct Broadcast {
    pub(super) map: SealedMap,
    decoded: Mutex<Vec<Decoded>>,
}

impl Broadcast {
    pub(super) fn new(map: SealedMap) -> Self {
        Self { map, decoded: Mutex::new(Vec::new()) }
    }

    /// The one behind a descriptor, which this process may have already.
    ///
    /// Two are the same if the kernel keeps them in the same place, which is only theirs as long as it is mapped, and have the same number. So nobody can pass off one for another.
    pub(super) fn arrived(content: Content, memory: Arc<OwnedFd>) -> std::io::Result<Arc<Self>> {
        let map = SealedMap::attach(content, memory)?;
        let mut arrived = ARRIVED.lock().unwrap_or_else(PoisonError::into_inner);
        let same = arrived.iter().position(|other| other.map.identity() == map.identity());
        let broadcast = match same {
            Some(place) => arrived.remove(place),
            None => Arc::new(Self::new(map)),
        };
        arrived.push(Arc::clone(&broadcast));
        let evicted = evict(&mut arrived);
        drop(arrived);
        // What is dropped here may be the caller's, and do what it likes.
        drop(evicted);
        Ok(broadcast)
    }

    /// What `decode` makes of the bytes, once in this process.
    pub(super) fn decoded<T: Any + Send + Sync>(
        &self,
        decode: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<Arc<T>> {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = decoded.iter().find(|(of, _)| *of == TypeId::of::<T>()).map(|(_, value)| value);
        if let Some(value) = known.and_then(|value| Arc::clone(value).downcast().ok()) {
            return Ok(value);
        }
        let value = Arc::new(decode(self.map.bytes())?);
        decoded.push((TypeId::of::<T>(), Arc::<T>::clone(&value)));
        Ok(value)
    }
}

/// Takes out those that are too many: the first ones that no handle is for.
fn evict(arrived: &mut Vec<Arc<Broadcast>>) -> Vec<Arc<Broadcast>> {
    let mut too_many = arrived.iter().filter(|one| is_idle(one)).count().saturating_sub(KEPT);
    let goes = |one: &mut Arc<Broadcast>| {
        let goes = too_many > 0 && is_idle(one);
        too_many -= usize::from(goes);
        goes
    };
    arrived.extract_if(.., goes).collect()
}

fn is_idle(one: &Arc<Broadcast>) -> bool {
    Arc::strong_count(one) == 1
}
