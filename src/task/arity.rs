//! Functions of 0 to 8 arguments as tasks, and the tuples of their arguments.

use super::outcome::{Outcome, Payload};
use crate::wire::{Input, Output, SHORT, is_number, number_word, record_head, take_number};

/// The arguments of a task: a tuple of 0 to 8 values.
///
/// It is implemented for all such tuples of [`Payload`]s; there is nothing to do.
///
/// # Examples
///
/// ```
/// fn are_arguments<Args: multiprocess::Arguments>() {}
///
/// are_arguments::<()>();
/// are_arguments::<(String,)>();
/// are_arguments::<(u8, Vec<f64>, Option<char>)>();
/// ```
pub trait Arguments: Send + 'static {
    #[doc(hidden)]
    fn encode(&self, out: &mut Output) -> Result<(), String>;

    #[doc(hidden)]
    fn decode(input: Input<'_>) -> Result<Self, String>
    where
        Self: Sized;

    /// How many bytes they have, if they are a few numbers and nothing else.
    #[doc(hidden)]
    #[must_use]
    fn numbers() -> Option<usize>
    where
        Self: Sized,
    {
        None
    }

    /// Appends the record of those that are numbers.
    #[doc(hidden)]
    fn put_numbers(&self, _out: &mut Vec<u8>) {}

    /// The numbers that have these bytes.
    #[doc(hidden)]
    #[must_use]
    fn read_numbers(_bytes: &[u8]) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}

/// A function that can be a task: a plain function, a generic one, an `async fn` or a closure that captures
/// nothing, of 0 to 8 arguments.
///
/// It is implemented for all of them; there is nothing to do. A closure that captures something, or a variable that holds a
/// function pointer, does not compile: the worker is another process, and only what is part of the program itself exists there.
/// Hand over captured values as arguments.
///
/// # Examples
///
/// ```
/// use multiprocess::TaskFn;
///
/// fn is_a_task<Args, M>(_: impl TaskFn<Args, M>) {}
///
/// fn add(a: u32, b: u32) -> u32 { a + b }
/// is_a_task(add);
/// is_a_task(|text: String| text.len());
/// is_a_task(async |n: u64| n);
/// ```
///
/// ```compile_fail
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let pool = multiprocess::ProcessPool::new(1).unwrap();
/// let by = 3;
/// let scaled = pool.map(move |n: u32| n * by, 0..10).await; // captures `by`
/// # });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a task with the arguments `{Args}`",
    note = "a task is a function or a non-capturing closure of 0 to 8 arguments, called with a tuple of them: `(a,)` for one",
    note = "arguments and result must be `Serialize + DeserializeOwned + Send + 'static`"
)]
pub trait TaskFn<Args, M>: Copy + Send + 'static {
    /// The value that comes back to the caller.
    type Value: Payload;

    #[doc(hidden)]
    fn invoke(self, args: Args) -> Self::Value;
}

macro_rules! arity {
    ($($name:ident $value:ident)*) => {
        impl<$($name: Payload),*> Arguments for ($($name,)*) {
            #[inline]
            fn encode(&self, out: &mut Output) -> Result<(), String> {
                let ($($value,)*) = self;
                $(out.put($value)?;)*
                Ok(())
            }

            #[inline]
            fn decode(mut input: Input<'_>) -> Result<Self, String> {
                let args = ($(input.take::<$name>()?,)*);
                input.end(ARGUMENTS)?;
                Ok(args)
            }

            #[inline]
            fn numbers() -> Option<usize> {
                let bytes = $(size_of::<$name>() +)* 0;
                ($(is_number::<$name>())&&* && bytes <= SHORT).then_some(bytes)
            }

            #[inline]
            fn put_numbers(&self, out: &mut Vec<u8>) {
                let ($($value,)*) = self;
                // Appended at once, as each time costs a look at how long the buffer is and may be.
                let mut record = [0; 1 + SHORT];
                let mut end = 1;
                $(
                    let size = size_of::<$name>();
                    record[end..end + size].copy_from_slice(&number_word($value)[..size]);
                    end += size;
                )*
                record[0] = record_head(end - 1);
                out.extend_from_slice(&record[..end]);
            }

            #[inline]
            fn read_numbers(mut bytes: &[u8]) -> Option<Self> {
                Some(($(take_number::<$name>(&mut bytes)?,)*))
            }
        }

        impl<Func, Ret, M, $($name: Payload),*> TaskFn<($($name,)*), M> for Func
        where
            Func: Fn($($name),*) -> Ret + Copy + Send + 'static,
            Ret: Outcome<M>,
        {
            type Value = Ret::Value;

            #[inline]
            fn invoke(self, ($($value,)*): ($($name,)*)) -> Ret::Value {
                self($($value),*).settle()
            }
        }
    };
}

impl Arguments for () {
    fn encode(&self, _out: &mut Output) -> Result<(), String> {
        Ok(())
    }

    fn decode(input: Input<'_>) -> Result<Self, String> {
        input.end(ARGUMENTS)
    }
}

impl<Func, Ret, M> TaskFn<(), M> for Func
where
    Func: Fn() -> Ret + Copy + Send + 'static,
    Ret: Outcome<M>,
{
    type Value = Ret::Value;

    fn invoke(self, (): ()) -> Ret::Value {
        self().settle()
    }
}

const ARGUMENTS: &str = "the arguments";

arity!(A a);
arity!(A a B b);
arity!(A a B b C c);
arity!(A a B b C c D d);
arity!(A a B b C c D d E e);
arity!(A a B b C c D d E e F f);
arity!(A a B b C c D d E e F f G g);
arity!(A a B b C c D d E e F f G g H h);
