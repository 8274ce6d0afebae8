//! The calls of a pool.

use std::sync::Arc;

use futures::Stream;

use super::apply::{Apply, Request};
use super::feed::{Feed, FromIter, FromStream};
use super::flow::Flow;
use super::front::Pool;
use super::handle::TaskHandle;
use super::imap::Imap;
use super::kind::Kind;
use super::map::Map;
use crate::error::Result;
use crate::task::{Arguments, Outcome, Payload, Task, TaskFn};

/// Calls.
impl<K: Kind> Pool<K> {
    /// Calls `f(args)` on a worker. Nothing happens until the future is polled; dropping it cancels the call. Python: `apply`, `submit`.
    ///
    /// # Errors
    ///
    /// The future fails as described at [`Error`](crate::Error).
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
    /// [`Error::QueueFull`](crate::Error::QueueFull) if there is none, [`Error::Closed`](crate::Error::Closed) or why the pool is broken.
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
        Imap::new(self.flow::<F, (A,), M>(f, feed))
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
        Imap::new(self.flow::<F, (A,), M>(f, feed).unordered())
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
        Imap::new(self.flow::<F, (A,), M>(f, Box::new(feed)))
    }

    fn flow<F, Args, M>(&self, f: F, feed: Box<dyn Feed>) -> Flow
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
    {
        Flow::new(Arc::clone(self.engine()), Task::of(f), feed)
    }
}
