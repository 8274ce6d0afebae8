//! Objects by names, for whoever has the manager or connects to it.

use std::any::type_name;

use super::blob::{Blob, Raw};
use super::call::Call;
use super::message::{Answer, Ask, Refusal, Request, What};
use super::reference::{Asked, Reference};
use super::root::Manager;
use super::server::DIRECTORY;
use crate::error::{Error, Result};
use crate::task::Payload;

impl Manager {
    /// Has whoever asks for this name find this proxy, of whichever kind. The manager keeps the object alive until it is [unpublished](Self::unpublish). False if the name is taken, and then nothing
    /// changes.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Examples
    ///
    /// See [`connect`](Self::connect).
    pub fn publish<P: Payload>(
        &self,
        name: &str,
        proxy: &P,
    ) -> impl Future<Output = Result<bool>> + Send + use<'_, P> {
        let asked = self.publishing(name, proxy);
        async move { self.root.finish(asked?).await }
    }

    /// As [`publish`](Self::publish), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    ///
    /// # Examples
    ///
    /// See [`blocking_find`](Self::blocking_find).
    pub fn blocking_publish<P: Payload>(&self, name: &str, proxy: &P) -> Result<bool> {
        self.root.blocking_finish(&self.publishing(name, proxy)?)
    }

    /// What is published by this name; nothing if nothing is.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with [`Refusal::WrongTypes`] if it is of another type than `P`, and as for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// See [`connect`](Self::connect).
    pub fn find<P: Payload>(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<P>>> + Send + use<'_, P> {
        let (asked, name) = (self.finding::<P>(name), name.to_owned());
        async move {
            let Asked { call, request } = asked?;
            self.found(&name, &call, self.root.exchange(&request).await?)
        }
    }

    /// As [`find`](Self::find), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`find`](Self::find).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Manager, Proxy};
    ///
    /// let manager = Manager::blocking_start()?;
    /// let list = manager.blocking_create(Vec::<u32>::new, ())?;
    /// assert!(manager.blocking_publish("list", &list)?);
    /// assert!(!manager.blocking_publish("list", &list)?, "the name is taken");
    /// assert_eq!(manager.blocking_find::<Proxy<Vec<u32>>>("list")?, Some(list));
    /// assert!(manager.blocking_unpublish("list")?);
    /// assert_eq!(manager.blocking_find::<Proxy<Vec<u32>>>("list")?, None);
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_find<P: Payload>(&self, name: &str) -> Result<Option<P>> {
        let Asked { call, request } = self.finding::<P>(name)?;
        self.found(name, &call, self.root.blocking_exchange(&request)?)
    }

    /// Frees a name. False if nothing was published by it.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Examples
    ///
    /// See [`blocking_find`](Self::blocking_find).
    pub fn unpublish(&self, name: &str) -> impl Future<Output = Result<bool>> + Send + use<'_> {
        let asked = Self::unpublishing(name);
        async move { self.root.finish(asked?).await }
    }

    /// As [`unpublish`](Self::unpublish), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Examples
    ///
    /// See [`blocking_find`](Self::blocking_find).
    pub fn blocking_unpublish(&self, name: &str) -> Result<bool> {
        self.root.blocking_finish(&Self::unpublishing(name)?)
    }

    /// Over a network the server has the door, and publishes by the number.
    fn publishing<P: Payload>(&self, name: &str, proxy: &P) -> Result<Asked> {
        if !self.root.is_lent() {
            return self.root.ours("insert_new", &published(name, proxy)?);
        }
        let object = Reference::number_of(proxy)?;
        let what = What::Publish { name: name.to_owned(), kind: type_name::<P>().to_owned() };
        Self::about("publish", object, what)
    }

    fn finding<P: Payload>(&self, name: &str) -> Result<Asked> {
        if !self.root.is_lent() {
            return self.root.ours("get", &(Raw::of(&name.to_owned())?,));
        }
        let what = What::Find { name: name.to_owned(), kind: type_name::<P>().to_owned() };
        Self::about("find", DIRECTORY, what)
    }

    fn found<P: Payload>(&self, name: &str, call: &Call, answer: Answer) -> Result<Option<P>> {
        if !self.root.is_lent() {
            return found(name, call.value(answer)?);
        }
        match call.made(answer) {
            Ok(made) => self.root.to_made(made).into_proxy().map(Some),
            Err(Error::Refused { why: Refusal::UnknownObject, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn unpublishing(name: &str) -> Result<Asked> {
        Self::about("unpublish", DIRECTORY, What::Unpublish { name: name.to_owned() })
    }

    fn about(name: &'static str, object: u64, what: What) -> Result<Asked> {
        let call = Call::of(name, object, &())?;
        let request = Request::Ask(Ask { object, what, arguments: call.arguments(), lent: Vec::new() });
        Ok(Asked { call, request })
    }
}

/// A proxy as it is published, with the name of its type.
fn published<P: Payload>(name: &str, proxy: &P) -> Result<(Raw, Blob)> {
    Ok((Raw::of(&name.to_owned())?, Blob::of(&(type_name::<P>(), Blob::of(proxy)?))?))
}

fn found<P: Payload>(name: &str, found: Option<Blob>) -> Result<Option<P>> {
    let Some(found) = found else { return Ok(None) };
    let (kind, proxy) = found.open::<(String, Blob)>()?;
    if kind == type_name::<P>() {
        proxy.open().map(Some)
    } else {
        Err(Error::Refused { task: name.to_owned(), why: Refusal::WrongTypes })
    }
}
