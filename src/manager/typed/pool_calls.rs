//! The calls of a pool in a manager.

use std::any::type_name;

use super::pool::PoolProxy;
use super::task::{MapTaskProxy, TaskProxy};
use crate::error::{Error, Result};
use crate::manager::blob::Blob;
use crate::manager::call::{Call, encoded};
use crate::manager::message::Answer;
use crate::manager::reference::{Asked, Reference};
use crate::manager::served::{Crew, Mishap, Wanted};
use crate::pool::Recoded;
use crate::task::{Arguments, Outcome, Payload, TaskFn};

/// Calls.
impl PoolProxy {
    /// Calls `f(args)` on a worker. The arguments are encoded by this call. Python: `apply`.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::apply`](crate::Pool::apply), as [`Error::Panicked`], [`Error::WorkerDied`] and [`Error::TimedOut`], and those of [`Proxy::call`](crate::Proxy::call), as [`Error::Disconnected`].
    ///
    /// # Cancel safety
    ///
    /// Nothing happens until the future is polled; dropping it cancels the call.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn apply<F, Args, M>(&self, f: F, args: Args) -> impl Future<Output = Result<F::Value>> + Send
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = self.applying(f, &args);
        drop(args);
        async move {
            let Asked { call, request } = asked?;
            opened(&call, self.reference.exchange(&request).await?)
        }
    }

    /// As [`apply`](Self::apply), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`apply`](Self::apply).
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn blocking_apply<F, Args, M>(&self, f: F, args: Args) -> Result<F::Value>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let Asked { call, request } = self.applying(f, &args)?;
        drop(args);
        opened(&call, self.reference.blocking_exchange(&request)?)
    }

    /// Starts `f(args)`; it goes on as long as there is a copy of its [`TaskProxy`], whoever waits for it. Python: `apply_async`.
    ///
    /// # Errors
    ///
    /// Those of [`Proxy::call`](crate::Proxy::call); those of the task are told by its proxy.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves nothing that runs.
    ///
    /// # Examples
    ///
    /// See [`TaskProxy`].
    pub fn apply_async<F, Args, M>(
        &self,
        f: F,
        args: Args,
    ) -> impl Future<Output = Result<TaskProxy<F::Value>>> + Send
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = self.starting(f, [args]);
        async move { Ok(TaskProxy::of(self.started(asked?).await?)) }
    }

    /// As [`apply_async`](Self::apply_async), for code outside async: blocks this thread until it is started.
    ///
    /// # Errors
    ///
    /// As for [`apply_async`](Self::apply_async).
    ///
    /// # Examples
    ///
    /// See [`TaskProxy`].
    pub fn blocking_apply_async<F, Args, M>(&self, f: F, args: Args) -> Result<TaskProxy<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
    {
        Ok(TaskProxy::of(self.blocking_started(self.starting(f, [args])?)?))
    }

    /// Starts `f` for each item; all go on as long as there is a copy of their [`MapTaskProxy`], whoever waits for them. The items are read by this call, and go in one message, which has up to 64 handles
    /// and proxies. Python: `map_async`.
    ///
    /// # Errors
    ///
    /// Those of [`Proxy::call`](crate::Proxy::call); those of the tasks are told by their proxy.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves nothing that runs.
    ///
    /// # Examples
    ///
    /// See [`MapTaskProxy`].
    pub fn map_async<F, A, R, M, I>(
        &self,
        f: F,
        items: I,
    ) -> impl Future<Output = Result<MapTaskProxy<R::Value>>> + Send + use<'_, F, A, R, M, I>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        M: 'static,
        I: IntoIterator<Item = A>,
    {
        self.starmap_async::<F, (A,), M, _>(f, items.into_iter().map(|item| (item,)).collect::<Vec<_>>())
    }

    /// As [`map_async`](Self::map_async), for code outside async: blocks this thread until they are started.
    ///
    /// # Errors
    ///
    /// As for [`map_async`](Self::map_async).
    ///
    /// # Examples
    ///
    /// See [`MapTaskProxy`].
    pub fn blocking_map_async<F, A, R, M, I>(&self, f: F, items: I) -> Result<MapTaskProxy<R::Value>>
    where
        F: Fn(A) -> R + Copy + Send + 'static,
        A: Payload,
        R: Outcome<M>,
        M: 'static,
        I: IntoIterator<Item = A>,
    {
        let items = items.into_iter().map(|item| (item,));
        Ok(MapTaskProxy::of(self.blocking_started(self.starting::<F, (A,), M>(f, items)?)?))
    }

    /// As [`map_async`](Self::map_async), of tuples that are the arguments of `f`. Python: `starmap_async`.
    ///
    /// # Errors
    ///
    /// As for [`map_async`](Self::map_async).
    ///
    /// # Cancel safety
    ///
    /// As for [`map_async`](Self::map_async).
    ///
    /// # Examples
    ///
    /// See [`MapTaskProxy`].
    pub fn starmap_async<F, Args, M, I>(
        &self,
        f: F,
        items: I,
    ) -> impl Future<Output = Result<MapTaskProxy<F::Value>>> + Send + use<'_, F, Args, M, I>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
        I: IntoIterator<Item = Args>,
    {
        let asked = self.starting(f, items);
        async move { Ok(MapTaskProxy::of(self.started(asked?).await?)) }
    }

    /// As [`starmap_async`](Self::starmap_async), for code outside async: blocks this thread until they are started.
    ///
    /// # Errors
    ///
    /// As for [`map_async`](Self::map_async).
    ///
    /// # Examples
    ///
    /// See [`MapTaskProxy`].
    pub fn blocking_starmap_async<F, Args, M, I>(&self, f: F, items: I) -> Result<MapTaskProxy<F::Value>>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
        I: IntoIterator<Item = Args>,
    {
        Ok(MapTaskProxy::of(self.blocking_started(self.starting(f, items)?)?))
    }

    fn applying<F, Args, M>(&self, f: F, args: &Args) -> Result<Asked>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let name = type_name::<F>();
        let arguments = Call::of(name, self.id(), args)?.arguments();
        self.reference.placed(name, apply::<F, Args, M>(f), &(self.terms, arguments))
    }

    fn starting<F, Args, M>(&self, f: F, items: impl IntoIterator<Item = Args>) -> Result<Asked>
    where
        F: TaskFn<Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let items: Vec<Result<Blob, String>> = items.into_iter().map(|args| encoded(&args)).collect();
        self.reference.placed(type_name::<F>(), start::<F, Args, M>(f), &(self.terms, items))
    }

    async fn started(&self, Asked { call, request }: Asked) -> Result<Reference> {
        self.handed_over(&call, self.reference.exchange(&request).await?)
    }

    fn blocking_started(&self, Asked { call, request }: Asked) -> Result<Reference> {
        self.handed_over(&call, self.reference.blocking_exchange(&request)?)
    }

    fn handed_over(&self, call: &Call, answer: Answer) -> Result<Reference> {
        handed_over(&self.reference, call, answer)
    }
}

/// What is called in the manager's process: closures with a copy of the function, which has no bytes.
fn apply<F, Args, M>(
    f: F,
) -> impl AsyncFn(&Crew, Wanted, Blob) -> Result<Blob, Mishap> + Copy + Send + 'static
where
    F: TaskFn<Args, M>,
    Args: Arguments,
    M: 'static,
{
    async move |crew, terms, arguments| crew.apply(Recoded::of::<F, Args, M>(f), terms, arguments).await
}

fn start<F, Args, M>(
    f: F,
) -> impl Fn(&Crew, Wanted, Vec<Result<Blob, String>>) -> Result<(), Mishap> + Copy + Send + 'static
where
    F: TaskFn<Args, M>,
    Args: Arguments,
    M: 'static,
{
    move |crew, terms, arguments| crew.start(Recoded::of::<F, Args, M>(f), terms, arguments)
}

/// The object that a call has made, or why it has made none.
pub(super) fn handed_over(pool: &Reference, call: &Call, answer: Answer) -> Result<Reference> {
    match call.made_or::<Result<(), Mishap>>(answer)? {
        Ok(made) => Ok(pool.to_made(made)),
        Err(Err(mishap)) => Err(mishap.into()),
        Err(Ok(())) => Err(Error::DecodeMessage { cause: "nothing was handed over".into() }),
    }
}

fn opened<R: Payload>(call: &Call, answer: Answer) -> Result<R> {
    call.open(call.value::<Result<Blob, Mishap>>(answer)??)
}
