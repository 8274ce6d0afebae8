//! Initializers: functions that run once in a worker, and whose value its tasks find as `worker::state`.

use std::any::Any;
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;

use super::arity::Arguments;
use super::entry::{InitializerRef, conjure};
use super::outcome::{Payload, Plain};
use super::panics::caught;
use crate::wire::{Collecting, Input, Output};

/// What an initializer returned, kept by its worker.
pub(crate) type State = Arc<dyn Any + Send + Sync>;

/// Decodes the arguments, runs the initializer, keeps its value.
pub(super) type Prepare = fn(&[u8]) -> Result<State, String>;

/// Marks an initializer whose `Err` fails the start of its worker.
///
/// # Examples
///
/// ```
/// fn can_fail<F: multiprocess::InitFn<(), multiprocess::Fallible>>(_: F) {}
///
/// can_fail(|| std::fs::read("/etc/hostname"));
/// ```
#[derive(Debug)]
pub enum Fallible {}

/// A function that can be an initializer: like a task, but its value stays in the worker, so that it need not be
/// serializable: a connection, a model, a cache.
///
/// It is implemented for all of them; there is nothing to do. The marker `M` tells the initializers that return a
/// `Result` from the others, and follows from the builder's method.
///
/// # Examples
///
/// ```
/// fn is_an_initializer<Args, M>(_: impl multiprocess::InitFn<Args, M>) {}
///
/// // Its value is no `Serialize`, and need not be.
/// is_an_initializer::<_, multiprocess::Plain>(|port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port)));
/// ```
pub trait InitFn<Args, M>: Copy + Send + 'static {
    /// What tasks find with [`worker::state`](crate::worker::state).
    type State: Send + Sync + 'static;

    #[doc(hidden)]
    fn prepare(self, args: Args) -> Result<Self::State, String>;
}

macro_rules! arity {
    ($($name:ident $value:ident)*) => {
        impl<Func, Ret, $($name: Payload),*> InitFn<($($name,)*), Plain> for Func
        where
            Func: Fn($($name),*) -> Ret + Copy + Send + 'static,
            Ret: Send + Sync + 'static,
        {
            type State = Ret;

            fn prepare(self, ($($value,)*): ($($name,)*)) -> Result<Ret, String> {
                Ok(self($($value),*))
            }
        }

        impl<Func, Ret, Cause, $($name: Payload),*> InitFn<($($name,)*), Fallible> for Func
        where
            Func: Fn($($name),*) -> Result<Ret, Cause> + Copy + Send + 'static,
            Ret: Send + Sync + 'static,
            Cause: Display,
        {
            type State = Ret;

            fn prepare(self, ($($value,)*): ($($name,)*)) -> Result<Ret, String> {
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

pub(super) fn prepare<F: InitFn<Args, M>, Args: Arguments, M>(input: &[u8]) -> Result<State, String> {
    let run = || Ok(Arc::new(conjure::<F>().prepare(Args::decode(Input::plain(input))?)?) as State);
    match caught(run) {
        Ok(prepared) => prepared,
        Err(panic) => Err(format!("it panicked at {}: {}", panic.location, panic.message)),
    }
}

/// An initializer with its encoded arguments, as a pool keeps it for the workers to come.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) function: InitializerRef,
    pub(crate) arguments: Bytes,
}

impl Setup {
    pub(crate) fn new<F: InitFn<Args, M>, Args: Arguments, M>(f: F, args: &Args) -> Result<Self, String> {
        let mut arguments = Output::plain();
        let nothing = Collecting::nothing();
        args.encode(&mut arguments)?;
        drop(nothing);
        Ok(Self { function: InitializerRef::of(f), arguments: arguments.into_bytes().into() })
    }
}
