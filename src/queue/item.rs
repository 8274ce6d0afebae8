//! What a put takes: an item, or a reference to one.

mod sealed {
    pub trait Sealed<T> {}
    impl<T> Sealed<T> for T {}
    impl<T> Sealed<T> for &T {}
}

/// What can be put into a queue of `T`: a `T`, or a reference to one, which stays with its owner if there is no room.
///
/// It is no `Borrow`, since a `String` borrows as two types, and a queue would not know of which it is.
///
/// # Examples
///
/// ```
/// use multiprocess::{Item, Payload, Queue, Result};
///
/// fn put_twice<T: Payload>(queue: &Queue<T>, item: &impl Item<T>) -> Result<()> {
///     queue.try_put(item.as_item())?;
///     queue.try_put(item.as_item())
/// }
///
/// let queue = Queue::new()?;
/// put_twice(&queue, &"hello".to_owned())?;
/// assert_eq!(queue.len(), 2);
/// # Ok::<(), multiprocess::Error>(())
/// ```
pub trait Item<T>: sealed::Sealed<T> {
    /// The item.
    ///
    /// # Examples
    ///
    /// See [`Item`].
    fn as_item(&self) -> &T;
}

impl<T> Item<T> for T {
    fn as_item(&self) -> &T {
        self
    }
}

impl<T> Item<T> for &T {
    fn as_item(&self) -> &T {
        self
    }
}
