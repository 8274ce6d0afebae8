//! A start method with everything that depends on it.

use crate::error::Result;
use crate::pool::{Builder, Pool, Processes};
use crate::process::{
    ActiveChild, CurrentProcess, ParentProcess, Process, ProcessBuilder, active_children, cpu_count,
    current_process, parent_process,
};
use crate::task::{Arguments, TaskFn};
use crate::wire::StartMethod;

/// A start method with everything that depends on it, whatever the program has chosen for all others. Python: `multiprocessing.get_context(method)`.
///
/// It cannot be changed; another method is another context.
///
/// # Examples
///
/// ```
/// use multiprocess::{Context, StartMethod};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let context = Context::new(StartMethod::Forkserver);
/// let process = context.spawn(|a: u32, b: u32| a * b, (6, 7))?;
/// assert_eq!(process.join().await?, 42);
///
/// let pool = context.pool().workers(2).build()?;
/// assert_eq!(pool.map(|x: u64| x * x, 0..4).await?, [0, 1, 4, 9]);
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    start_method: StartMethod,
}

impl Context {
    /// The context of a start method.
    ///
    /// # Examples
    ///
    /// See [`Context`].
    #[must_use]
    pub const fn new(start_method: StartMethod) -> Self {
        Self { start_method }
    }

    /// Its start method. Python: `get_start_method`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Context, StartMethod};
    ///
    /// assert_eq!(Context::new(StartMethod::Spawn).start_method(), StartMethod::Spawn);
    /// ```
    #[must_use]
    pub const fn start_method(self) -> StartMethod {
        self.start_method
    }

    /// As [`Process::builder`], with this start method.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Context, StartMethod};
    ///
    /// let process = Context::new(StartMethod::Spawn).process().name("adder").spawn(|a: u8| a + 1, (1,))?;
    /// assert_eq!(process.blocking_join()?, 2);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn process(self) -> ProcessBuilder {
        Process::builder().start_method(self.start_method)
    }

    /// As [`Process::spawn`], with this start method. Python: `Process`.
    ///
    /// # Errors
    ///
    /// As for [`ProcessBuilder::spawn`].
    ///
    /// # Examples
    ///
    /// See [`Context`].
    pub fn spawn<F, Args, M>(self, f: F, args: Args) -> Result<Process<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        self.process().spawn(f, args)
    }

    /// As [`ProcessPool::builder`](crate::ProcessPool::builder), with this start method. Python: `Pool`.
    ///
    /// # Examples
    ///
    /// See [`Context`].
    pub fn pool(self) -> Builder<Processes> {
        Pool::builder().start_method(self.start_method)
    }

    /// As [`cpu_count`].
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Context, StartMethod, cpu_count};
    ///
    /// assert_eq!(Context::new(StartMethod::Spawn).cpu_count(), cpu_count());
    /// ```
    #[must_use]
    pub fn cpu_count(self) -> usize {
        cpu_count()
    }

    /// As [`current_process`].
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Context, StartMethod};
    ///
    /// assert_eq!(Context::new(StartMethod::Spawn).current_process().name(), "MainProcess");
    /// ```
    #[must_use]
    pub fn current_process(self) -> CurrentProcess {
        current_process()
    }

    /// As [`parent_process`].
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Context, StartMethod};
    ///
    /// assert!(Context::new(StartMethod::Spawn).parent_process().is_none());
    /// ```
    #[must_use]
    pub fn parent_process(self) -> Option<ParentProcess> {
        parent_process()
    }

    /// As [`active_children`], by whichever start method they came about.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Context, StartMethod};
    ///
    /// assert!(Context::new(StartMethod::Spawn).active_children().is_empty());
    /// ```
    #[must_use]
    pub fn active_children(self) -> Vec<ActiveChild> {
        active_children()
    }
}
