//! Functions as methods: what a manager calls on one of its objects.

use super::arity::Arguments;
use super::call::{call_once, panicked};
use super::create::decoded;
use super::entry::conjure;
use super::held::{Held, Object, Wait, wait_for};
use super::outcome::{Awaited, Outcome, Payload, Plain};
use super::panics::caught;
use crate::wire::{Failure, Fd, Output};

/// Decodes the arguments, calls the function on the object, encodes its value.
pub(super) type Invoke = fn(&Object, &[u8], &mut Vec<Fd>, &mut Output, Wait<'_>) -> Result<(), Failure>;

/// Marks a method that takes `&T`: any number of such calls share the object.
///
/// # Examples
///
/// ```
/// use multiprocess::{ByRef, Method, Plain};
///
/// fn shares<T, Args>(_: impl Method<T, Args, (ByRef, Plain)>) {}
///
/// shares(Vec::<u32>::len);
/// ```
#[derive(Debug)]
pub enum ByRef {}

/// Marks a method that takes `&mut T`: such a call has the object alone.
///
/// # Examples
///
/// ```
/// use multiprocess::{ByMut, Method, Plain};
///
/// fn has_it_alone<T, Args>(_: impl Method<T, Args, (ByMut, Plain)>) {}
///
/// has_it_alone(Vec::<u32>::push);
/// ```
#[derive(Debug)]
pub enum ByMut {}

/// A function that can be called on an object of a [`Manager`](crate::Manager): a method as it stands, a function, an `async fn` or a closure that captures nothing, whose
/// first parameter is `&T` or `&mut T`, and which has 0 to 7 more.
///
/// It is implemented for all of them; there is nothing to do. Its result is a value of its own: one that borrows from the object stays there. The marker `M` tells the forms
/// apart and is inferred.
///
/// # Examples
///
/// ```
/// use multiprocess::Method;
///
/// struct Counter(u64);
///
/// impl Counter {
///     fn add(&mut self, by: u64) { self.0 += by; }
///     fn value(&self) -> u64 { self.0 }
///     async fn settled(&self) -> bool { true }
/// }
///
/// fn is_a_method<Args, M>(_: impl Method<Counter, Args, M>) {}
///
/// is_a_method(Counter::add);
/// is_a_method(Counter::value);
/// is_a_method(Counter::settled);
/// is_a_method(|counter: &mut Counter, by: u64| counter.0 -= by);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called on a `{T}` with the arguments `{Args}`",
    note = "a method is a function or a non-capturing closure whose first parameter is `&{T}` or `&mut {T}`; the others come as a tuple: `(a,)` for one",
    note = "arguments and result must be `Serialize + DeserializeOwned + Send + 'static`, and the object `Sync` if it is taken as `&{T}`"
)]
pub trait Method<T, Args, M>: Copy + Send + 'static {
    /// The value that comes back to the caller.
    type Value: Payload;

    #[doc(hidden)]
    fn call_on(self, held: &Held<T>, args: Args, wait: Wait<'_>) -> Option<Self::Value>;

    #[doc(hidden)]
    fn apply(self, target: &mut T, args: Args) -> Self::Value;
}

macro_rules! arity {
    ($($name:ident $value:ident)*) => {
        impl<Func, T, Ret, $($name: Payload),*> Method<T, ($($name,)*), (ByRef, Plain)> for Func
        where
            Func: Fn(&T, $($name),*) -> Ret + Copy + Send + 'static,
            T: Send + Sync + 'static,
            Ret: Payload,
        {
            type Value = Ret;

            fn call_on(self, held: &Held<T>, ($($value,)*): ($($name,)*), wait: Wait<'_>) -> Option<Ret> {
                held.together(wait).map(|target| self(&target, $($value),*))
            }

            fn apply(self, target: &mut T, ($($value,)*): ($($name,)*)) -> Ret {
                self(target, $($value),*)
            }
        }

        impl<Func, T, Ret, $($name: Payload),*> Method<T, ($($name,)*), (ByMut, Plain)> for Func
        where
            Func: Fn(&mut T, $($name),*) -> Ret + Copy + Send + 'static,
            T: Send + 'static,
            Ret: Payload,
        {
            type Value = Ret;

            fn call_on(self, held: &Held<T>, ($($value,)*): ($($name,)*), wait: Wait<'_>) -> Option<Ret> {
                held.alone(wait).map(|mut target| self(&mut target, $($value),*))
            }

            fn apply(self, target: &mut T, ($($value,)*): ($($name,)*)) -> Ret {
                self(target, $($value),*)
            }
        }

        impl<Func, T, Ret, $($name: Payload),*> Method<T, ($($name,)*), (ByRef, Awaited)> for Func
        where
            Func: AsyncFn(&T, $($name),*) -> Ret + Copy + Send + 'static,
            T: Send + Sync + 'static,
            Ret: Payload,
        {
            type Value = Ret;

            fn call_on(self, held: &Held<T>, ($($value,)*): ($($name,)*), wait: Wait<'_>) -> Option<Ret> {
                let target = held.together(wait)?;
                wait_for(wait, self(&target, $($value),*))
            }

            fn apply(self, target: &mut T, ($($value,)*): ($($name,)*)) -> Ret {
                self(target, $($value),*).settle()
            }
        }

        impl<Func, T, Ret, $($name: Payload),*> Method<T, ($($name,)*), (ByMut, Awaited)> for Func
        where
            Func: AsyncFn(&mut T, $($name),*) -> Ret + Copy + Send + 'static,
            T: Send + 'static,
            Ret: Payload,
        {
            type Value = Ret;

            fn call_on(self, held: &Held<T>, ($($value,)*): ($($name,)*), wait: Wait<'_>) -> Option<Ret> {
                let mut target = held.alone(wait)?;
                wait_for(wait, self(&mut target, $($value),*))
            }

            fn apply(self, target: &mut T, ($($value,)*): ($($name,)*)) -> Ret {
                self(target, $($value),*).settle()
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

pub(super) fn invoke<F, T, Args, M>(
    object: &Object,
    input: &[u8],
    handles: &mut Vec<Fd>,
    out: &mut Output,
    wait: Wait<'_>,
) -> Result<(), Failure>
where
    F: Method<T, Args, M>,
    T: Send + 'static,
    Args: Arguments,
{
    let other = || Failure::Foreign("the object is of another type".into());
    let held = object.downcast_ref::<Held<T>>().ok_or_else(other)?;
    let args = decoded::<Args>(input, handles)?;
    match caught(|| conjure::<F>().call_on(held, args, wait)) {
        Ok(Some(value)) => call_once(|| value, handles, out),
        Ok(None) => Err(Failure::Cancelled),
        Err(panic) => Err(panicked(panic)),
    }
}
