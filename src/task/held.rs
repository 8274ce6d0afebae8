//! An object of a manager: a value of any type, which calls have alone or share.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::os::Exclusive;

/// An object, whatever its type is.
pub(crate) type Object = Arc<dyn Any + Send + Sync>;

/// Blocks this thread until the future is ready; false if it is not worth to wait any longer.
pub(crate) type Wait<'w> = &'w dyn Fn(Pin<&mut dyn Future<Output = ()>>) -> bool;

/// A value with the lock that its calls take. Whoever panics with it leaves it to the others as it is.
pub struct Held<T>(RwLock<Exclusive<T>>);

impl<T> Held<T> {
    pub(super) fn new(value: T) -> Self {
        Self(RwLock::new(Exclusive::new(value)))
    }

    /// Waits until nobody else has it.
    pub(crate) fn alone(&self, wait: Wait<'_>) -> Option<impl DerefMut<Target = T>> {
        let guard = match self.0.try_write() {
            Ok(guard) => guard,
            Err(_) => wait_for(wait, self.0.write())?,
        };
        Some(RwLockWriteGuard::map(guard, Exclusive::get_mut))
    }

    /// Waits until nobody has it alone.
    pub(crate) fn together(&self, wait: Wait<'_>) -> Option<impl Deref<Target = T>>
    where
        T: Sync,
    {
        let guard = match self.0.try_read() {
            Ok(guard) => guard,
            Err(_) => wait_for(wait, self.0.read())?,
        };
        Some(RwLockReadGuard::map(guard, Exclusive::get))
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

/// What a future comes to; nothing if it is not worth to wait for it any longer.
pub(crate) fn wait_for<T>(wait: Wait<'_>, future: impl Future<Output = T>) -> Option<T> {
    let mut output = None;
    {
        let mut whole = pin!(async { output = Some(future.await) });
        wait(whole.as_mut());
    }
    output
}

/// An object of this value.
pub(crate) fn object<T: Send + 'static>(value: T) -> Object {
    Arc::new(Held::new(value))
}
