//! Both kinds of `Process` with one face, for what holds on processes and on threads.

use std::time::Duration;

use multiprocess::{Arguments, Join, Payload, Process, Result, TaskFn, dummy};

/// Where a function runs.
pub trait Twin: 'static {
    type Process<R: Payload>: Handle<R>;

    /// Starts a function, perhaps with a name and a daemon flag of its own.
    fn start<F, Args, M>(options: Options, f: F, args: Args) -> Self::Process<F::Value>
    where
        F: TaskFn<Args, M>,
        Args: Arguments;

    /// What whoever asks is.
    fn current() -> Current;

    /// The names of those that whoever asks has started and that live.
    fn children() -> Vec<String>;
}

#[derive(Default)]
pub struct Options {
    pub name: Option<&'static str>,
    pub daemon: Option<bool>,
}

/// Name, daemon flag and number of whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Current {
    pub name: String,
    pub daemon: bool,
    pub ident: u32,
}

/// What both handles have.
pub trait Handle<R: Payload> {
    fn join(&self) -> Join<R>;
    fn blocking_join(&self) -> Result<R>;
    fn join_timeout(&self, limit: Duration) -> impl Future<Output = Result<R>>;
    fn name(&self) -> &str;
    fn daemon(&self) -> bool;
    fn ident(&self) -> u32;
    fn is_alive(&self) -> bool;
    fn exit_code(&self) -> Option<i32>;
}

pub enum Processes {}
pub enum Threads {}

/// Starts a function with nothing of its own.
pub fn start<T: Twin, F, Args, M>(f: F, args: Args) -> T::Process<F::Value>
where
    F: TaskFn<Args, M>,
    Args: Arguments,
{
    T::start(Options::default(), f, args)
}

macro_rules! twin {
    ($twin:ty, $process:ident, $builder:expr, $current:expr, $children:expr, $ident:ident) => {
        impl Twin for $twin {
            type Process<R: Payload> = $process<R>;

            fn start<F, Args, M>(options: Options, f: F, args: Args) -> $process<F::Value>
            where
                F: TaskFn<Args, M>,
                Args: Arguments,
            {
                let mut builder = $builder;
                if let Some(name) = options.name {
                    builder = builder.name(name);
                }
                if let Some(daemon) = options.daemon {
                    builder = builder.daemon(daemon);
                }
                builder.spawn(f, args).expect("it starts")
            }

            fn current() -> Current {
                let current = $current;
                assert!(current.is_alive() && current.exit_code().is_none());
                Current { name: current.name().to_owned(), daemon: current.daemon(), ident: current.$ident() }
            }

            fn children() -> Vec<String> {
                $children
                    .iter()
                    .filter(|child| child.is_alive())
                    .map(|child| child.name().to_owned())
                    .collect()
            }
        }

        impl<R: Payload> Handle<R> for $process<R> {
            fn join(&self) -> Join<R> {
                self.join()
            }

            fn blocking_join(&self) -> Result<R> {
                self.blocking_join()
            }

            fn join_timeout(&self, limit: Duration) -> impl Future<Output = Result<R>> {
                self.join_timeout(limit)
            }

            fn name(&self) -> &str {
                self.name()
            }

            fn daemon(&self) -> bool {
                self.daemon()
            }

            fn ident(&self) -> u32 {
                self.$ident()
            }

            fn is_alive(&self) -> bool {
                self.is_alive()
            }

            fn exit_code(&self) -> Option<i32> {
                self.exit_code()
            }
        }
    };
}

type Thread<R> = dummy::Process<R>;

twin!(
    Processes,
    Process,
    Process::builder(),
    multiprocess::current_process(),
    multiprocess::active_children(),
    pid
);
twin!(Threads, Thread, dummy::Process::builder(), dummy::current_process(), dummy::active_children(), ident);

/// Makes each generic `async fn name<T: Twin>()` two tests: on processes and on threads.
macro_rules! on_twins {
    ($($name:ident),* $(,)?) => {
        $(
            mod $name {
                #[test]
                fn on_processes() {
                    crate::support::run(super::$name::<crate::support::twins::Processes>());
                }

                #[test]
                fn on_threads() {
                    crate::support::run(super::$name::<crate::support::twins::Threads>());
                }
            }
        )*
    };
}
pub(crate) use on_twins;
