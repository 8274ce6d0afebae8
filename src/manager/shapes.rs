//! How a manager makes what the crate itself has: dict, list and so on.

use super::blob::Blob;
use super::call::Call;
use super::message::What;
use super::reference::{Asked, Reference};
use super::root::Manager;
use super::typed::{DictProxy, ListProxy, NamespaceProxy, ValueProxy};
use crate::error::Result;
use crate::task::{Arguments, Payload};

/// Methods that make one: as a future, and with `blocking_`.
macro_rules! makes {
    ($(
        $(#[$doc:meta])*
        $name:ident, $blocking:ident<$($param:ident),*>($($arg:ident: $kind:ty),*) -> $proxy:ty {
            $remote:literal $args:expr
        }
    )*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// As for [`Proxy::call`](crate::Proxy::call).
            ///
            /// # Cancel safety
            ///
            /// A future that is dropped leaves no object.
            pub fn $name<$($param: Payload),*>(&self, $($arg: $kind),*) -> impl Future<Output = Result<$proxy>> + Send {
                let asked = (|| self.ours($remote, &$args))();
                async move { Ok(<$proxy>::of(self.finish_ours(asked?).await?)) }
            }

            #[doc = concat!("As [`", stringify!($name), "`](Self::", stringify!($name), "), for code outside async: blocks this thread.")]
            ///
            /// # Errors
            ///
            /// As for [`Proxy::call`](crate::Proxy::call).
            ///
            /// # Examples
            ///
            #[doc = concat!("See [`", stringify!($name), "`](Self::", stringify!($name), ").")]
            pub fn $blocking<$($param: Payload),*>(&self, $($arg: $kind),*) -> Result<$proxy> {
                Ok(<$proxy>::of(self.blocking_finish_ours(&self.ours($remote, &$args)?)?))
            }
        )*
    };
}

impl Manager {
    makes! {
        /// An empty map. Python: `dict()`.
        ///
        /// # Examples
        ///
        /// See [`DictProxy`].
        dict, blocking_dict<K, V>() -> DictProxy<K, V> { "dict" () }

        /// An empty list. Python: `list()`.
        ///
        /// # Examples
        ///
        /// See [`ListProxy`].
        list, blocking_list<T>() -> ListProxy<T> { "list" () }

        /// A value that can be changed. Python: `Value()`.
        ///
        /// # Examples
        ///
        /// See [`ValueProxy`].
        value, blocking_value<T>(value: &T) -> ValueProxy<T> { "value" (Blob::of(value)?,) }

        /// Values of any types by their names, none yet. Python: `Namespace()`.
        ///
        /// # Examples
        ///
        /// See [`NamespaceProxy`].
        namespace, blocking_namespace<>() -> NamespaceProxy { "dict" () }
    }

    fn ours(&self, name: &'static str, args: &impl Arguments) -> Result<Asked> {
        let call = Call::of(name, self.root.object, args)?;
        let request = self.root.ask(What::MakeOurs { name: name.to_owned() }, &call);
        Ok(Asked { call, request })
    }

    async fn finish_ours(&self, asked: Asked) -> Result<Reference> {
        let Asked { call, request } = asked;
        let (object, door) = call.made(self.root.exchange(request).await?)?;
        Ok(self.root.to_made(object, door))
    }

    fn blocking_finish_ours(&self, asked: &Asked) -> Result<Reference> {
        let (object, door) = asked.call.made(self.root.blocking_exchange(&asked.request)?)?;
        Ok(self.root.to_made(object, door))
    }
}
