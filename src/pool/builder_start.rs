//! Options of how workers come about.

use super::builder::{Builder, is_result, setup};
use super::kind::{Kind, Processes};
use crate::error::Error;
use crate::task::{Arguments, Fallible, InitFn, Plain};
use crate::wire::{OnError, StartMethod};

/// What is loaded before the workers start.
impl<K: Kind> Builder<K> {
    /// Loads something once that all workers share: a model, a table, a dictionary. Tasks find it with [`worker::preloaded`](crate::worker::preloaded).
    ///
    /// The function runs in the forkserver before that forks its first worker, so that the workers share its value page by page for as long as
    /// they do not write to it. It must leave no thread behind, as a process with two threads cannot be forked. With another start method
    /// each worker loads its own; on threads it is loaded once.
    ///
    /// A panic fails the start of the workers, and after a few attempts the pool, with [`Error::Preload`], unless
    /// [`preload_on_error`](Self::preload_on_error) says otherwise. For a function that returns a `Result` there is [`try_preload`](Self::try_preload).
    /// Default: nothing. Python: `set_forkserver_preload`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{ProcessPool, StartMethod, worker};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = ProcessPool::builder()
    ///     .workers(2)
    ///     .start_method(StartMethod::Forkserver)
    ///     .preload(|bytes: usize| vec![1_u8; bytes], (1 << 20,))
    ///     .build()?;
    /// let sum = pool.apply(|| worker::preloaded::<Vec<u8>>().map(|bytes| bytes.len()), ()).await?;
    /// assert_eq!(sum, Some(1 << 20));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn preload<F, Args>(mut self, f: F, args: Args) -> Self
    where
        F: InitFn<Args, Plain>,
        Args: Arguments,
    {
        self.preload = Some(if is_result::<F::State>() {
            Err(Error::option("preload", "it returns a `Result`: use `try_preload`"))
        } else {
            setup("preload", f, &args)
        });
        self
    }

    /// As [`preload`](Self::preload), for a function that returns a `Result`: its `Err` fails the preload, and tasks find the value of its `Ok`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, ProcessPool, StartMethod};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = ProcessPool::builder()
    ///     .workers(1)
    ///     .start_method(StartMethod::Forkserver)
    ///     .try_preload(|path: String| std::fs::read(path), ("/does/not/exist".to_owned(),))
    ///     .build()?;
    /// let error = pool.apply(|| 1, ()).await.unwrap_err();
    /// assert!(error.to_string().contains("the preload failed: No such file"), "{error}");
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn try_preload<F, Args>(mut self, f: F, args: Args) -> Self
    where
        F: InitFn<Args, Fallible>,
        Args: Arguments,
    {
        self.preload = Some(setup("preload", f, &args));
        self
    }

    /// What follows when the preload fails. Default: [`OnError::Fail`]. Python: `on_error` of `set_forkserver_preload`.
    ///
    /// # Examples
    ///
    /// See [`OnError`].
    pub fn preload_on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }
}

/// Where processes come from.
impl Builder<Processes> {
    /// How the workers come about. Default: [`start_method`](crate::start_method()). Python: `multiprocessing.get_context`.
    ///
    /// With [`StartMethod::Fork`] this process is forked in [`build`](Self::build), which is an error if it has a second thread; the
    /// workers are forks of that fork, as this process was then. A pool starts threads itself: only the first one of a program can be made so.
    ///
    /// # Examples
    ///
    /// See [`StartMethod`].
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.start_method = Some(method);
        self
    }
}
