//! Values of different types by their names, in a manager.

use std::marker::PhantomData;

use super::both::{both, typed};
use crate::error::Result;
use crate::manager::blob::{Blob, Raw};
use crate::manager::reference::Reference;
use crate::task::Payload;

/// Values of any types by their names, which live in a [`Manager`](crate::Manager). Python: `manager.Namespace()`, whose `n.x` is [`get`](Self::get), `n.x = v` [`set`](Self::set), and `del n.x`
/// [`remove`](Self::remove).
///
/// A name that begins with an underscore is one like all others; what is to stay in this process is a variable of it.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = multiprocess::Manager::start().await?;
/// let settings = manager.namespace().await?;
/// settings.set("depth", &3_u32).await?;
/// settings.set("colors", &vec!["red".to_owned(), "blue".to_owned()]).await?;
/// assert_eq!(settings.get::<u32>("depth").await?, Some(3));
/// assert_eq!(settings.names().await?, ["depth", "colors"]);
/// assert!(settings.remove("depth").await?);
/// assert_eq!(settings.get::<u32>("depth").await?, None);
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
pub struct NamespaceProxy {
    pub(super) reference: Reference,
    kind: PhantomData<fn()>,
}

typed!(NamespaceProxy);

fn name_of(name: &str) -> Result<Raw> {
    Raw::of(&name.to_owned())
}

impl NamespaceProxy {
    both! {
        /// Takes a name out. False if it was not there.
        remove, blocking_remove(name: &str) -> bool {
            "remove" (name_of(name)?,) => |removed: Option<Blob>| Ok(removed.is_some())
        }

        /// True if there is a value of this name.
        contains, blocking_contains(name: &str) -> bool { "contains" (name_of(name)?,) => Ok }

        /// All names, in the order in which they came.
        names, blocking_names() -> Vec<String> {
            "all" () => |all: Vec<(Raw, Blob)>| all.into_iter().map(|(name, _)| name.open()).collect()
        }
    }

    /// The value of a name; nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::DecodeMessage`](crate::Error::DecodeMessage) if it is no `T`, as far as its bytes tell, and as for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn get<T: Payload>(&self, name: &str) -> impl Future<Output = Result<Option<T>>> + Send + use<'_, T> {
        let asked = name_of(name).and_then(|name| self.reference.ours("get", &(name,)));
        async move { opened(self.reference.finish(asked?).await?) }
    }

    /// As [`get`](Self::get), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::blocking_start()?;
    /// let settings = manager.blocking_namespace()?;
    /// settings.blocking_set("depth", &3_u32)?;
    /// assert_eq!(settings.blocking_get::<u32>("depth")?, Some(3));
    /// assert!(settings.blocking_contains("depth")?);
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_get<T: Payload>(&self, name: &str) -> Result<Option<T>> {
        opened(self.reference.blocking_finish(&self.reference.ours("get", &(name_of(name)?,))?)?)
    }

    /// Gives a name a value, whatever it had before.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`](crate::Proxy::call).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it was polled has done nothing; dropped later, it may have.
    ///
    /// # Examples
    ///
    /// See [the type](Self).
    pub fn set<T: Payload>(
        &self,
        name: &str,
        value: &T,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, T> {
        let asked = self.reference.encode(|| self.reference.ours("insert", &put(name, value)?));
        async move { self.reference.finish::<Option<Blob>>(asked?).await.map(drop) }
    }

    /// As [`set`](Self::set), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    ///
    /// # Examples
    ///
    /// See [`blocking_get`](Self::blocking_get).
    pub fn blocking_set<T: Payload>(&self, name: &str, value: &T) -> Result<()> {
        let asked = self.reference.encode(|| self.reference.ours("insert", &put(name, value)?))?;
        self.reference.blocking_finish::<Option<Blob>>(&asked).map(drop)
    }
}

fn put<T: Payload>(name: &str, value: &T) -> Result<(Raw, Blob)> {
    Ok((name_of(name)?, Blob::of(value)?))
}

fn opened<T: Payload>(value: Option<Blob>) -> Result<Option<T>> {
    value.map(Blob::open).transpose()
}
