//! Changing values of a map in a manager where they are.

use super::dict::DictProxy;
use super::update::{apply, arguments, outcome};
use crate::error::Result;
use crate::manager::blob::{Blob, Raw};
use crate::manager::proxy::Proxy;
use crate::manager::served::Table;
use crate::task::{Arguments, Method, Payload};

/// Changes in one step.
impl<K: Payload, V: Payload> DictProxy<K, V> {
    /// Changes the value of a key in one step: calls a method on it, where it is, and gives what that returns; nothing if the key is not there. What can be a method is as for
    /// [`Proxy::call`](crate::Proxy::call). If it panics, the value is as before.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call): another program than the manager's cannot do it.
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// let lists = manager.dict::<u8, Vec<u32>>().await?;
    /// lists.insert(&1, &vec![7]).await?;
    /// assert_eq!(lists.update(&1, Vec::push, (8,)).await?, Some(()));
    /// assert_eq!(lists.update(&1, Vec::pop, ()).await?, Some(Some(8)));
    /// assert_eq!(lists.update(&2, Vec::push, (8,)).await?, None);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn update<F, Args, M>(
        &self,
        key: &K,
        method: F,
        args: Args,
    ) -> impl Future<Output = Result<Option<F::Value>>> + Send
    where
        F: Method<V, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = asked(key, None::<&V>, &args);
        async move { outcome(self.table().call(change::<V, F, Args, M>(method), asked?).await?) }
    }

    /// As [`update`](Self::update), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    ///
    /// # Examples
    ///
    /// See [`update`](Self::update).
    pub fn blocking_update<F, Args, M>(&self, key: &K, method: F, args: Args) -> Result<Option<F::Value>>
    where
        F: Method<V, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = asked(key, None::<&V>, &args)?;
        outcome(self.table().blocking_call(change::<V, F, Args, M>(method), asked)?)
    }

    /// As [`update`](Self::update); a key that is not there is put in with the default first.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// let sums = manager.dict::<String, u64>().await?;
    /// let add = |sum: &mut u64, by: u64| { *sum += by; *sum };
    /// assert_eq!(sums.update_or(&"a".to_owned(), &100, add, (7,)).await?, 107);
    /// assert_eq!(sums.update_or(&"a".to_owned(), &100, add, (7,)).await?, 114);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn update_or<F, Args, M>(
        &self,
        key: &K,
        default: &V,
        method: F,
        args: Args,
    ) -> impl Future<Output = Result<F::Value>> + Send
    where
        F: Method<V, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = asked(key, Some(default), &args);
        async move { there(outcome(self.table().call(change::<V, F, Args, M>(method), asked?).await?)) }
    }

    /// As [`update_or`](Self::update_or), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update).
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn blocking_update_or<F, Args, M>(
        &self,
        key: &K,
        default: &V,
        method: F,
        args: Args,
    ) -> Result<F::Value>
    where
        F: Method<V, Args, M>,
        Args: Arguments,
        M: 'static,
    {
        let asked = asked(key, Some(default), &args)?;
        there(outcome(self.table().blocking_call(change::<V, F, Args, M>(method), asked)?))
    }

    fn table(&self) -> Proxy<Table> {
        Proxy::new(self.reference.clone())
    }
}

type Change = (Raw, Option<Blob>, Blob);

fn asked<K: Payload, V: Payload>(key: &K, default: Option<&V>, args: &impl Arguments) -> Result<Change> {
    Ok((Raw::of(key)?, default.map(Blob::of).transpose()?, arguments(args)?))
}

/// What is called in the manager's process: a closure with a copy of the method, which has no bytes.
fn change<V, F, Args, M>(
    method: F,
) -> impl Fn(&mut Table, Raw, Option<Blob>, Blob) -> Result<Option<Blob>, String> + Copy + Send + 'static
where
    V: Payload,
    F: Method<V, Args, M>,
    Args: Arguments,
    M: 'static,
{
    move |table, key, default, args| {
        if let Some(known) = table.find_mut(&key) {
            return apply::<V, F, Args, M>(known, args, method).map(Some);
        }
        let Some(mut fresh) = default else { return Ok(None) };
        let result = apply::<V, F, Args, M>(&mut fresh, args, method)?;
        table.insert(key, fresh);
        Ok(Some(result))
    }
}

fn there<R>(found: Result<Option<R>>) -> Result<R> {
    found.map(|found| found.expect("a key with a default is there"))
}
