//! What a task returns: a value, or a future that the worker awaits.

use std::cell::OnceCell;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

/// What can be an argument or a result of a task: anything that serde can write and read again and that owns its data.
///
/// It is implemented for all such types; there is nothing to do.
///
/// # Examples
///
/// ```
/// fn travels<T: multiprocess::Payload>() {}
///
/// travels::<Vec<(String, Option<f64>)>>();
/// ```
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}

/// Marks a task that returns its value.
///
/// # Examples
///
/// ```
/// fn is_plain<F: multiprocess::TaskFn<(u8,), multiprocess::Plain>>(_: F) {}
///
/// is_plain(|n: u8| n + 1);
/// ```
#[derive(Debug)]
pub enum Plain {}

/// Marks a task that returns a future, which its worker awaits.
///
/// # Examples
///
/// ```
/// fn is_awaited<F: multiprocess::TaskFn<(u8,), multiprocess::Awaited>>(_: F) {}
///
/// is_awaited(async |n: u8| n + 1);
/// ```
#[derive(Debug)]
pub enum Awaited {}

/// What a task may return: a [`Payload`], or a future of one. The marker `M` tells the two apart and is inferred.
///
/// # Examples
///
/// ```
/// use multiprocess::Outcome;
///
/// fn value_of<M, R: Outcome<M>>(_: fn() -> R) -> &'static str {
///     std::any::type_name::<R::Value>()
/// }
///
/// async fn nothing() {}
/// assert_eq!(value_of(|| 7_u8), "u8");
/// assert_eq!(value_of(|| async { 7_u8 }), "u8");
/// ```
pub trait Outcome<M> {
    /// The value that comes back to the caller.
    type Value: Payload;

    /// The value itself, awaited on this thread if it is still to come.
    #[doc(hidden)]
    fn settle(self) -> Self::Value;
}

impl<T: Payload> Outcome<Plain> for T {
    type Value = T;

    fn settle(self) -> T {
        self
    }
}

impl<F> Outcome<Awaited> for F
where
    F: Future,
    F::Output: Payload,
{
    type Value = F::Output;

    fn settle(self) -> F::Output {
        thread_local! {
            static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
        }
        // A worker that never runs an `async` task never pays for a runtime.
        RUNTIME.with(|runtime| {
            let runtime = runtime.get_or_init(|| {
                let built = Builder::new_current_thread().enable_all().build();
                built.expect("a worker has descriptors left for a runtime")
            });
            runtime.block_on(self)
        })
    }
}
