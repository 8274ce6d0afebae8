//! Functions that make an object for a manager: like a task, but the value stays where it was made.

use std::fmt::Display;
use std::sync::Arc;

use super::arity::Arguments;
use super::entry::conjure;
use super::held::{Held, Object};
use super::initializer::Fallible;
use super::outcome::{Payload, Plain};
use super::panics::caught;
use crate::wire::{Arriving, Failure, Fd, Input};

/// Decodes the arguments, calls the function, keeps its value.
pub(super) type Make = fn(&[u8], &mut Vec<Fd>) -> Result<Object, Unmade>;

/// Why there is no object.
#[derive(Debug)]
pub(crate) enum Unmade {
    Failed(Failure),
    /// The function has said so itself.
    Refused(String),
}

/// A function that can make an object for a [`Manager`](crate::Manager): like a task, but its value stays in the manager's process, so that it need not
/// be serializable: a connection, a model, a cache.
///
/// It is implemented for all functions and closures without captures of 0 to 8 arguments; there is nothing to do. The marker `M` tells those that return a `Result` from the
/// others, and follows from the method that is called.
///
/// # Examples
///
/// ```
/// fn makes<Args, M>(_: impl multiprocess::CreateFn<Args, M>) {}
///
/// makes::<_, multiprocess::Plain>(Vec::<u32>::with_capacity);
/// makes::<_, multiprocess::Fallible>(|path: String| std::fs::File::open(path));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make an object with the arguments `{Args}`",
    note = "it is a function or a non-capturing closure of 0 to 8 arguments, called with a tuple of them: `(a,)` for one",
    note = "arguments must be `Serialize + DeserializeOwned + Send + 'static`, and the object `Send + 'static`"
)]
pub trait CreateFn<Args, M>: Copy + Send + 'static {
    /// What it makes.
    type Object: Send + 'static;

    #[doc(hidden)]
    fn create(self, args: Args) -> Result<Self::Object, String>;
}

macro_rules! arity {
    ($($name:ident $value:ident)*) => {
        impl<Func, Ret, $($name: Payload),*> CreateFn<($($name,)*), Plain> for Func
        where
            Func: Fn($($name),*) -> Ret + Copy + Send + 'static,
            Ret: Send + 'static,
        {
            type Object = Ret;

            fn create(self, ($($value,)*): ($($name,)*)) -> Result<Ret, String> {
                Ok(self($($value),*))
            }
        }

        impl<Func, Ret, Cause, $($name: Payload),*> CreateFn<($($name,)*), Fallible> for Func
        where
            Func: Fn($($name),*) -> Result<Ret, Cause> + Copy + Send + 'static,
            Ret: Send + 'static,
            Cause: Display,
        {
            type Object = Ret;

            fn create(self, ($($value,)*): ($($name,)*)) -> Result<Ret, String> {
                self($($value),*).map_err(|cause| cause.to_string())
            }
        }
    };
}

arity!();
arity!(A a);
arity!(A a B b);
arity!(A a B b C c);
arity!(A a B b C c D d);
arity!(A a B b C c D d E e);
arity!(A a B b C c D d E e F f);
arity!(A a B b C c D d E e F f G g);
arity!(A a B b C c D d E e F f G g H h);

pub(super) fn make<F, Args, M>(input: &[u8], handles: &mut Vec<Fd>) -> Result<Object, Unmade>
where
    F: CreateFn<Args, M>,
    Args: Arguments,
{
    let args = decoded::<Args>(input, handles).map_err(Unmade::Failed)?;
    match caught(|| conjure::<F>().create(args)) {
        Ok(Ok(value)) => Ok(Arc::new(Held::new(value))),
        Ok(Err(cause)) => Err(Unmade::Refused(cause)),
        Err(panic) => Err(Unmade::Failed(super::call::panicked(panic))),
    }
}

/// The arguments; a panic of their `Deserialize` is what is wrong with them.
pub(super) fn decoded<Args: Arguments>(input: &[u8], handles: &mut Vec<Fd>) -> Result<Args, Failure> {
    let decoding = caught(|| {
        let _arriving = Arriving::begin(handles);
        Args::decode(Input::plain(input))
    });
    match decoding {
        Ok(decoded) => decoded.map_err(Failure::Decode),
        Err(panic) => Err(Failure::Decode(super::call::text(&panic))),
    }
}
