//! A value that threads share although it may not be looked at by two of them at once: whoever has it alone may change it, and it is looked at
//! together only if its type allows that.

/// `Sync` whatever `T` is.
#[derive(Debug)]
pub(crate) struct Exclusive<T>(T);

// SAFETY: a shared `Exclusive` gives a `&T` only where `T` is `Sync` itself; all else needs the one `&mut` that there is, which is as good as the value, and
// that `T` is `Send` if it comes to another thread.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Sync> Exclusive<T> {
    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}
