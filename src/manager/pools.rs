//! How a manager makes a pool.

use std::any::type_name;

use super::blob::Blob;
use super::call::Call;
use super::message::{Answer, Request};
use super::root::Manager;
use super::served::Crew;
use super::server::DIRECTORY;
use super::typed::PoolProxy;
use crate::error::{Error, Result};
use crate::pool::ProcessPool;
use crate::task::{Arguments, CreateFn, Fallible};
use crate::wire::{Arriving, Input};

impl Manager {
    /// A pool of so many worker processes, which lives in the manager. Python: `Pool(processes)`.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for 0 workers, and as for [`Proxy::call`](crate::Proxy::call): another program than the manager's cannot do it.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves no pool.
    ///
    /// # Examples
    ///
    /// See [`PoolProxy`].
    pub fn pool(&self, workers: usize) -> impl Future<Output = Result<PoolProxy>> + Send {
        let asked = some(workers).and_then(|()| self.asked_pool(ProcessPool::new, &(workers,)));
        self.made_pool(asked)
    }

    /// As [`pool`](Self::pool), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`pool`](Self::pool).
    ///
    /// # Examples
    ///
    /// See [`ImapProxy::blocking_next`](crate::ImapProxy::blocking_next).
    pub fn blocking_pool(&self, workers: usize) -> Result<PoolProxy> {
        some(workers)?;
        self.blocking_made_pool(self.asked_pool(ProcessPool::new, &(workers,)))
    }

    /// A pool as `f(args)` builds it in the manager's process, with all options that a [`Builder`](crate::Builder) has. Python: `Pool(processes, initializer, initargs, maxtasksperchild)`.
    ///
    /// # Errors
    ///
    /// [`Error::NotCreated`] if it cannot be built, [`Error::Panicked`] if the function panics, and as for [`pool`](Self::pool).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves no pool.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Manager, ProcessPool, Result, worker};
    ///
    /// fn build(workers: usize, words: Vec<String>) -> Result<ProcessPool> {
    ///     ProcessPool::builder().workers(workers).max_tasks_per_child(100).initializer(|words: Vec<String>| words, (words,)).build()
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = Manager::start().await?;
    /// let pool = manager.create_pool(build, (2, vec!["apple".to_owned()])).await?;
    /// let first = || worker::state::<Vec<String>>().map(|words| words[0].clone());
    /// assert_eq!(pool.apply(first, ()).await?.as_deref(), Some("apple"));
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn create_pool<F, Args>(
        &self,
        f: F,
        args: Args,
    ) -> impl Future<Output = Result<PoolProxy>> + Send + use<'_, F, Args>
    where
        F: CreateFn<Args, Fallible, Object = ProcessPool>,
        Args: Arguments,
    {
        let asked = self.asked_pool(f, &args);
        self.made_pool(asked)
    }

    /// As [`create_pool`](Self::create_pool), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`create_pool`](Self::create_pool).
    ///
    /// # Examples
    ///
    /// See [`create_pool`](Self::create_pool).
    pub fn blocking_create_pool<F, Args>(&self, f: F, args: Args) -> Result<PoolProxy>
    where
        F: CreateFn<Args, Fallible, Object = ProcessPool>,
        Args: Arguments,
    {
        self.blocking_made_pool(self.asked_pool(f, &args))
    }

    fn asked_pool<F, Args>(&self, f: F, args: &Args) -> Result<(Call, Request)>
    where
        F: CreateFn<Args, Fallible, Object = ProcessPool>,
        Args: Arguments,
    {
        let name = type_name::<F>();
        let arguments = Call::of(name, DIRECTORY, args)?.arguments();
        self.by_place_as::<_, _, Fallible>(name, crew_of(f), (arguments,))
    }

    async fn made_pool(&self, asked: Result<(Call, Request)>) -> Result<PoolProxy> {
        let (call, request) = asked?;
        self.to_pool(&call, self.root.exchange(&request).await?)
    }

    fn blocking_made_pool(&self, asked: Result<(Call, Request)>) -> Result<PoolProxy> {
        let (call, request) = asked?;
        self.to_pool(&call, self.root.blocking_exchange(&request)?)
    }

    fn to_pool(&self, call: &Call, answer: Answer) -> Result<PoolProxy> {
        Ok(PoolProxy::of(self.root.to_made(call.made(answer)?)))
    }
}

fn some(workers: usize) -> Result<()> {
    if workers == 0 { Err(Error::option("pool", "a pool has at least one worker")) } else { Ok(()) }
}

/// What is called in the manager's process: a closure with a copy of the function, which has no bytes.
fn crew_of<F, Args>(f: F) -> impl Fn(Blob) -> Result<Crew, String> + Copy + Send + 'static
where
    F: CreateFn<Args, Fallible, Object = ProcessPool>,
    Args: Arguments,
{
    move |Blob { bytes, mut handles }| {
        let args = {
            let _arriving = Arriving::begin(&mut handles);
            Args::decode(Input::plain(&bytes.0))?
        };
        f.create(args).map(Crew::new)
    }
}
