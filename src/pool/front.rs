//! The pool itself.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::Stream;
use tokio::runtime::Handle;

use super::apply::{Apply, Request};
use super::blocking::block_on;
use super::builder::Builder;
use super::feed::{Feed, FromIter, FromStream};
use super::flow::Flow;
use super::handle::TaskHandle;
use super::imap::{BlockingImap, Imap};
use super::kind::Kind;
use super::map::Map;
use crate::dispatch::{Engine, Stats};
use crate::error::{Error, Result};
use crate::os::background;
use crate::task::{Arguments, Outcome, Payload, Task, TaskFn};

/// A pool of workers that run functions: [`ProcessPool`](crate::ProcessPool) or [`dummy::ThreadPool`](crate::dummy::ThreadPool).
///
/// A pool is a handle: clones of it are the same pool. When the last one is dropped, the pool is [terminated](Self::terminate).
///
/// # What is a task
///
/// Any function, generic function, `async fn` or closure that captures nothing; see [`TaskFn`]. Arguments and result are anything that
/// serde can write and read again; see [`Payload`]. What a task returns comes back as it is, also a `Result` of its own; the outer `Result` says whether the task was run at all.
///
/// # What happens to a task
///
/// It runs once, on one worker. If that worker dies while it runs, it fails with [`Error::WorkerDied`], and only it; tasks that had not
/// started run elsewhere, and the worker is replaced. If it panics, it fails with [`Error::Panicked`], and its worker goes on: state that a panic may leave behind in statics or in
/// [`worker::state`](crate::worker::state) is there for the next task.
pub struct Pool<K: Kind> {
    owner: Arc<Owner>,
    kind: PhantomData<fn() -> K>,
}

/// Terminates the pool when the last handle is dropped.
struct Owner {
    engine: Arc<Engine>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.engine.terminate();
    }
}

impl<K: Kind> Clone for Pool<K> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner), kind: PhantomData }
    }
}

impl<K: Kind> fmt::Debug for Pool<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Where a task of ours that drives a call runs.
pub(super) fn driver_runtime() -> Handle {
    let background = || background().expect("a pool has started the background runtime").clone();
    Handle::try_current().unwrap_or_else(|_| background())
}

/// Making a pool, and the pool as a whole.
impl<K: Kind> Pool<K> {
    /// A pool of `workers` workers, with the defaults for everything else.
    ///
    /// The workers are being started when this returns; calls can be made at once.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`]: 0 workers are an error.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// A builder with all the options.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::builder().workers(1).name("jobs").build()?;
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn builder() -> Builder<K> {
        Builder::new()
    }

    pub(super) fn from_engine(engine: Arc<Engine>) -> Self {
        Self { owner: Arc::new(Owner { engine }), kind: PhantomData }
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.owner.engine
    }

    /// Takes no more calls: those to come fail with [`Error::Closed`]. Those that were made still run, and a map that has begun reads
    /// its input to the end; a stream of [`imap`](Self::imap) does not. The workers end when all is done.
    ///
    /// Returns at once. Python: `close`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.map_async(|x: u32| x + 1, 0..100);
    /// pool.close();
    /// assert!(pool.apply(|| (), ()).await.is_err());
    /// assert_eq!(handle.await?.len(), 100);
    /// pool.join().await
    /// # }).unwrap();
    /// ```
    pub fn close(&self) {
        self.engine().close();
    }

    /// Ends the pool now: all calls that are not done fail with [`Error::Cancelled`], and the workers are killed, whatever they do.
    ///
    /// Returns at once; [`join`](Self::join) waits until the workers are gone. Dropping the pool does the same. Threads cannot be killed; see
    /// [`dummy`](crate::dummy). Python: `terminate`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.apply_async(|| loop { std::hint::spin_loop() }, ());
    /// pool.terminate();
    /// let result: multiprocess::Result<()> = handle.await;
    /// assert!(result.is_err());
    /// pool.join().await
    /// # }).unwrap();
    /// ```
    pub fn terminate(&self) {
        self.engine().terminate();
    }

    /// Waits until all calls are settled and all workers are gone. Python: `join`.
    ///
    /// # Errors
    ///
    /// [`Error::NotClosed`] if the pool was neither closed nor terminated.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.close();
    /// pool.join().await
    /// # }).unwrap();
    /// ```
    pub async fn join(&self) -> Result<()> {
        self.engine().visit(false);
        self.engine().finished().await
    }

    /// [Closes](Self::close) the pool and [waits](Self::join) until it has ended. Python: `shutdown`.
    ///
    /// # Errors
    ///
    /// None so far.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the pool stays closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub async fn shutdown(&self) -> Result<()> {
        self.close();
        self.join().await
    }

    /// Waits until all workers take calls. There is no need to: calls can be made at once.
    ///
    /// # Errors
    ///
    /// Why the pool has none: [`Error::Initializer`], [`Error::Broken`], [`Error::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(3)?;
    /// pool.ready().await?;
    /// assert_eq!(pool.worker_pids().len(), 3);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub async fn ready(&self) -> Result<()> {
        self.engine().visit(false);
        self.engine().complete().await
    }

    /// From now on the pool has `workers` workers. More are started at once; of too many, those that have nothing to do end now and
    /// the others when they are done.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for 0 workers, [`Error::Closed`] or [`Error::Broken`] if the pool has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.resize(3)?;
    /// pool.ready().await?;
    /// assert_eq!(pool.worker_pids().len(), 3);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn resize(&self, workers: usize) -> Result<()> {
        if workers == 0 {
            let why = "a pool has at least one worker".into();
            return Err(Error::Option { option: "resize", why });
        }
        if let Some(error) = self.engine().refusal() {
            return Err(error);
        }
        self.engine().resize(workers);
        Ok(())
    }

    /// What the pool does now, and has done so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.apply(|| (), ()).await?;
    /// assert_eq!(pool.stats().completed, 1);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// The process numbers of the workers that take calls, oldest first; for threads the kernel's numbers of those.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let pid = pool.apply(std::process::id, ()).await?;
    /// assert_eq!(pool.worker_pids(), [pid]);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        self.engine().worker_ids()
    }
}

/// Calls.
impl<K: Kind> Pool<K> {
    /// Calls `f(args)` on a worker. Nothing happens until the future is polled; dropping it cancels the call. Python: `apply`, `submit`.
    ///
    /// # Errors
    ///
    /// The future fails as described at [`Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// fn greet(name: String, times: usize) -> String {
    ///     format!("hello {name}! ").repeat(times)
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// assert_eq!(pool.apply(greet, ("you".to_owned(), 2)).await?, "hello you! hello you! ");
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn apply<F, Args, M>(&self, f: F, args: Args) -> Apply<F::Value>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        Apply::new(Arc::clone(self.engine()), Request::new(self.engine(), f, &args))
    }

    /// As [`apply`](Self::apply), with its place in a limited queue taken now.
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`] if there is none, [`Error::Closed`] or why the pool is broken.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::builder().workers(1).queue_limit(1).build()?;
    /// let place = pool.try_apply(|| 1, ())?;
    /// assert!(pool.try_apply(|| 2, ()).is_err(), "the queue is full");
    /// assert_eq!(place.await?, 1);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn try_apply<F, Args, M>(&self, f: F, args: Args) -> Result<Apply<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        self.apply(f, args).reserve()
    }

    /// Starts `f(args)` on a worker now. The handle can be awaited or dropped. Python: `apply_async`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let handle = pool.apply_async(|a: u32, b: u32| a * b, (6, 7)).callback(|n| println!("{n}"));
    /// assert_eq!(handle.await?, 42);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn apply_async<F, Args, M>(&self, f: F, args: Args) -> TaskHandle<F::Value>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        Request::new(self.engine(), f, &args).start(self.engine())
    }

    /// Calls `f` on each element of `items`: all results, in their order, or the first error. Python: `map`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let lengths = pool.map(|word: String| word.len(), ["a".to_owned(), "bcd".to_owned()]).await?;
    /// assert_eq!(lengths, [1, 3]);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn map<F, A, R, M, I>(&self, f: F, items: I) -> Map<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        Map::new(self.flow::<F, (A,), M>(f, Box::new(FromIter(items.into_iter().map(|item| (item,))))))
    }

    /// Starts [`map`](Self::map) now, driven by a task of its own. Python: `map_async`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let handle = pool.map_async(|x: u32| x + 1, 0..3);
    /// assert_eq!(handle.await?, [1, 2, 3]);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn map_async<F, A, R, M, I>(&self, f: F, items: I) -> TaskHandle<Vec<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        self.map(f, items).start()
    }

    /// As [`map`](Self::map), with each element a tuple of arguments. Python: `starmap`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let powers = pool.starmap(u64::pow, [(2, 10), (3, 3)]).await?;
    /// assert_eq!(powers, [1_024, 27]);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn starmap<F, Args, M, I>(&self, f: F, items: I) -> Map<F::Value>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'static,
    {
        Map::new(self.flow::<F, Args, M>(f, Box::new(FromIter(items.into_iter()))))
    }

    /// Starts [`starmap`](Self::starmap) now, driven by a task of its own. Python: `starmap_async`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let handle = pool.starmap_async(|a: u32, b: u32| a - b, [(3, 1), (9, 2)]);
    /// assert_eq!(handle.await?, [2, 7]);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn starmap_async<F, Args, M, I>(&self, f: F, items: I) -> TaskHandle<Vec<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'static,
    {
        self.starmap(f, items).start()
    }

    /// Calls `f` on each element of `items`: a stream of their results, in their order. Python: `imap`.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::StreamExt;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let mut squares = pool.imap(|x: u64| x * x, 0..); // endless
    /// while let Some(square) = squares.next().await {
    ///     if square? > 1_000 {
    ///         break;
    ///     }
    /// }
    /// # drop(squares); pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn imap<F, A, R, M, I>(&self, f: F, items: I) -> Imap<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        let feed = Box::new(FromIter(items.into_iter().map(|item| (item,))));
        Imap::new(self.flow::<F, (A,), M>(f, feed), true)
    }

    /// As [`imap`](Self::imap), each result as soon as it is there. Python: `imap_unordered`.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::TryStreamExt;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let mut all: Vec<u64> = pool.imap_unordered(|x: u64| x * x, 0..4).try_collect().await?;
    /// all.sort();
    /// assert_eq!(all, [0, 1, 4, 9]);
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn imap_unordered<F, A, R, M, I>(&self, f: F, items: I) -> Imap<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        let feed = Box::new(FromIter(items.into_iter().map(|item| (item,))));
        Imap::new(self.flow::<F, (A,), M>(f, feed), false)
    }

    /// As [`imap`](Self::imap), for input that comes as a stream. What has come is sent at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::{StreamExt, stream};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let lines = stream::iter(["1", "22"].map(String::from));
    /// let lengths: Vec<_> = pool.imap_stream(|line: String| line.len(), lines).collect().await;
    /// assert!(matches!(lengths[..], [Ok(1), Ok(2)]));
    /// # pool.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn imap_stream<F, A, R, M, S>(&self, f: F, items: S) -> Imap<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        S: Stream<Item = A> + Send + 'static,
    {
        let feed = FromStream(Box::pin(futures::StreamExt::map(items, |item| (item,))));
        Imap::new(self.flow::<F, (A,), M>(f, Box::new(feed)), true)
    }

    fn flow<F, Args, M>(&self, f: F, feed: Box<dyn Feed>) -> Flow
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        Flow::new(Arc::clone(self.engine()), Task::of(f), feed)
    }
}

/// The same for code outside async: each blocks its thread until the result is there.
impl<K: Kind> Pool<K> {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.engine().visit(true);
        block_on(future)
    }

    /// As [`apply`](Self::apply), blocking.
    ///
    /// # Errors
    ///
    /// As described at [`Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// assert_eq!(pool.blocking_apply(|a: u32, b: u32| a + b, (1, 2))?, 3);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_apply<F, Args, M>(&self, f: F, args: Args) -> Result<F::Value>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        self.block_on(self.apply(f, args))
    }

    /// As [`map`](Self::map), blocking.
    ///
    /// # Errors
    ///
    /// The first error of an element, as described at [`Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// assert_eq!(pool.blocking_map(|x: u64| x * x, 0..4)?, [0, 1, 4, 9]);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_map<F, A, R, M, I>(&self, f: F, items: I) -> Result<Vec<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        self.block_on(self.map(f, items))
    }

    /// As [`starmap`](Self::starmap), blocking.
    ///
    /// # Errors
    ///
    /// The first error of an element, as described at [`Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// assert_eq!(pool.blocking_starmap(u64::pow, [(2, 3), (3, 2)])?, [8, 9]);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_starmap<F, Args, M, I>(&self, f: F, items: I) -> Result<Vec<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'static,
    {
        self.block_on(self.starmap(f, items))
    }

    /// As [`imap`](Self::imap), as an iterator.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let first = pool.blocking_imap(|x: u64| x * x, 5..).next().expect("there are more");
    /// assert_eq!(first?, 25);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_imap<F, A, R, M, I>(&self, f: F, items: I) -> BlockingImap<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        BlockingImap::new(self.imap(f, items))
    }

    /// As [`imap_unordered`](Self::imap_unordered), as an iterator.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// let sum: u64 = pool.blocking_imap_unordered(|x: u64| x, 0..10).flatten().sum();
    /// assert_eq!(sum, 45);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_imap_unordered<F, A, R, M, I>(&self, f: F, items: I) -> BlockingImap<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        BlockingImap::new(self.imap_unordered(f, items))
    }

    /// As [`imap_stream`](Self::imap_stream), as an iterator.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// let input = futures::stream::iter(0..3_u64);
    /// assert_eq!(pool.blocking_imap_stream(|x: u64| x + 1, input).flatten().sum::<u64>(), 6);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_imap_stream<F, A, R, M, S>(&self, f: F, items: S) -> BlockingImap<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        S: Stream<Item = A> + Send + 'static,
    {
        BlockingImap::new(self.imap_stream(f, items))
    }

    /// As [`ready`](Self::ready), blocking.
    ///
    /// # Errors
    ///
    /// As [`ready`](Self::ready).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(2)?;
    /// pool.blocking_ready()?;
    /// assert_eq!(pool.worker_pids().len(), 2);
    /// # pool.blocking_shutdown()
    /// # ; Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_ready(&self) -> Result<()> {
        self.block_on(self.ready())
    }

    /// As [`join`](Self::join), blocking.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.close();
    /// pool.blocking_join()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_join(&self) -> Result<()> {
        self.block_on(self.join())
    }

    /// As [`shutdown`](Self::shutdown), blocking.
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = multiprocess::ProcessPool::new(1)?;
    /// pool.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_shutdown(&self) -> Result<()> {
        self.block_on(self.shutdown())
    }
}
