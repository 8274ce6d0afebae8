//! Maps of a pool in a manager whose input is read here, as the workers need it.

use std::any::type_name;

use super::imap::ImapProxy;
use super::pool::PoolProxy;
use crate::error::Result;
use crate::manager::call::encoded;
use crate::manager::served::{Crew, Manner, Mishap, Wanted};
use crate::pool::Recoded;
use crate::task::{Arguments, Outcome, Payload, TaskFn};

/// Maps.
impl PoolProxy {
    /// Calls `f` for each item, and gives all results in the order of the input; the first error ends it. Items are sent as the workers need them. Python: `map`.
    ///
    /// # Errors
    ///
    /// As for [`apply`](Self::apply); [`Error::Input`](crate::Error::Input) if the input panics.
    ///
    /// # Cancel safety
    ///
    /// Nothing happens until the future is polled; dropping it cancels what has not started.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn map<F, A, R, M, I>(
        &self,
        f: F,
        items: I,
    ) -> impl Future<Output = Result<Vec<R::Value>>> + Send + use<F, A, R, M, I>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        M: 'static,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        self.starmap::<F, (A,), M, _>(f, items.into_iter().map(|item| (item,)))
    }

    /// As [`map`](Self::map), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map).
    ///
    /// # Examples
    ///
    /// See [`blocking_starmap`](Self::blocking_starmap).
    pub fn blocking_map<F, A, R, M, I>(&self, f: F, items: I) -> Result<Vec<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        M: 'static,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        self.blocking_starmap::<F, (A,), M, _>(f, items.into_iter().map(|item| (item,)))
    }

    /// As [`map`](Self::map), of tuples that are the arguments of `f`. Python: `starmap`.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map).
    ///
    /// # Cancel safety
    ///
    /// As for [`map`](Self::map).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// let pool = manager.pool(2).await?;
    /// assert_eq!(pool.starmap(u32::pow, [(2, 3), (3, 2)]).await?, [8, 9]);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn starmap<F, Args, M, I>(
        &self,
        f: F,
        items: I,
    ) -> impl Future<Output = Result<Vec<F::Value>>> + Send + use<F, Args, M, I>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'static,
    {
        let mut results = self.mapping(f, items, Manner::Whole);
        async move {
            let mut values = Vec::new();
            while let Some(value) = results.next().await {
                values.push(value?);
            }
            Ok(values)
        }
    }

    /// As [`starmap`](Self::starmap), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map).
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let pool = manager.blocking_pool(2)?;
    /// assert_eq!(pool.blocking_starmap(u32::pow, [(2, 3), (3, 2)])?, [8, 9]);
    /// assert_eq!(pool.blocking_map(u32::count_ones, [7, 8])?, [3, 1]);
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_starmap<F, Args, M, I>(&self, f: F, items: I) -> Result<Vec<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'static,
    {
        let mut results = self.mapping(f, items, Manner::Whole);
        std::iter::from_fn(|| results.blocking_next()).collect()
    }

    /// Calls `f` for each item, and gives each result on its own, in the order of the input. Items are sent as the workers need them, so that they may be endless. Python: `imap`.
    ///
    /// # Examples
    ///
    /// See [`ImapProxy`].
    pub fn imap<F, A, R, M, I>(&self, f: F, items: I) -> ImapProxy<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        M: 'static,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        self.mapping::<F, (A,), M, _>(f, items.into_iter().map(|item| (item,)), Manner::InOrder)
    }

    /// As [`imap`](Self::imap), with the results in the order in which they come. Python: `imap_unordered`.
    ///
    /// # Examples
    ///
    /// See [`ImapProxy`].
    pub fn imap_unordered<F, A, R, M, I>(&self, f: F, items: I) -> ImapProxy<R::Value>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        M: 'static,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send + 'static,
    {
        self.mapping::<F, (A,), M, _>(f, items.into_iter().map(|item| (item,)), Manner::AsTheyCome)
    }

    fn mapping<F, Args, M, I>(&self, f: F, items: I, manner: Manner) -> ImapProxy<F::Value>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
        I: IntoIterator<Item = Args>,
        I::IntoIter: Send + 'static,
    {
        let name = type_name::<F>();
        let asked = self.reference.placed(name, begin::<F, Args, M>(f), &(self.terms, manner));
        let input = items.into_iter().map(|args| encoded(&args));
        ImapProxy::new(self.reference.clone(), name, asked, Box::new(input))
    }
}

/// What is called in the manager's process: a closure with a copy of the function, which has no bytes.
fn begin<F, Args, M>(f: F) -> impl Fn(&Crew, Wanted, Manner) -> Result<(), Mishap> + Copy + Send + 'static
where
    F: TaskFn<Args, M>,
    Args: Arguments,
    M: 'static,
{
    move |crew, terms, manner| crew.begin(Recoded::of::<F, Args, M>(f), terms, manner)
}
