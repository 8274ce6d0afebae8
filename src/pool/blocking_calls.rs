//! The calls of a pool for code outside async.

use futures::Stream;

use super::front::Pool;
use super::imap::BlockingImap;
use super::kind::Kind;
use crate::error::Result;
use crate::task::{Arguments, Outcome, Payload, TaskFn};
use crate::wait::block_on;

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
    /// As described at [`Error`](crate::Error).
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
    /// The first error of an element, as described at [`Error`](crate::Error).
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
    /// The first error of an element, as described at [`Error`](crate::Error).
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
