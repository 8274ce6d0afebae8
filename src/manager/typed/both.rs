//! Each call in its two forms, and what all typed proxies have.

/// Methods that call what the crate's own type has under a name: as a future, and with `blocking_`. The arguments are encoded before the future is made.
macro_rules! both {
    ($(
        $(#[$doc:meta])*
        $name:ident, $blocking:ident($($arg:ident: $kind:ty),*) -> $ret:ty {
            $remote:literal $args:expr => $open:expr
        }
    )*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// [`Error::Disconnected`](crate::Error::Disconnected) if the manager has ended, [`Error::EncodeMessage`](crate::Error::EncodeMessage) and [`Error::DecodeMessage`](crate::Error::DecodeMessage) for
            /// what does not travel, and as for [`Proxy::call`](crate::Proxy::call).
            ///
            /// # Cancel safety
            ///
            /// A future that is dropped before it was polled has done nothing; dropped later, it may have.
            ///
            /// # Examples
            ///
            /// See [the type](Self).
            pub fn $name(&self, $($arg: $kind),*) -> impl Future<Output = crate::error::Result<$ret>> + Send {
                let asked = self.reference.encode(|| self.reference.ours($remote, &$args));
                async move {
                    let answer = self.reference.finish(asked?).await?;
                    ($open)(answer)
                }
            }

            #[doc = concat!("As [`", stringify!($name), "`](Self::", stringify!($name), "), for code outside async: blocks this thread.")]
            ///
            /// # Errors
            ///
            #[doc = concat!("As for [`", stringify!($name), "`](Self::", stringify!($name), ").")]
            ///
            /// # Examples
            ///
            /// See [the type](Self).
            pub fn $blocking(&self, $($arg: $kind),*) -> crate::error::Result<$ret> {
                let asked = self.reference.encode(|| self.reference.ours($remote, &$args))?;
                let answer = self.reference.blocking_finish(&asked)?;
                ($open)(answer)
            }
        )*
    };
}
pub(super) use both;

/// A proxy travels as its reference; it is cloned and compared as that.
macro_rules! typed {
    ($name:ident $(<$($param:ident),*>)?) => {
        impl $(<$($param),*>)? $name $(<$($param),*>)? {
            pub(in crate::manager) fn of(reference: crate::manager::reference::Reference) -> Self {
                Self { reference, kind: std::marker::PhantomData }
            }

            /// A number that no other object of its manager has.
            ///
            /// # Examples
            ///
            /// See [`Proxy::id`](crate::Proxy::id).
            #[must_use]
            pub fn id(&self) -> u64 {
                self.reference.object
            }
        }

        /// The same object.
        impl $(<$($param),*>)? Clone for $name $(<$($param),*>)? {
            fn clone(&self) -> Self {
                Self::of(self.reference.clone())
            }
        }

        /// Two are equal if they stand for the same object.
        impl $(<$($param),*>)? PartialEq for $name $(<$($param),*>)? {
            fn eq(&self, other: &Self) -> bool {
                (self.reference.server(), self.id()) == (other.reference.server(), other.id())
            }
        }

        impl $(<$($param),*>)? Eq for $name $(<$($param),*>)? {}

        impl $(<$($param),*>)? std::fmt::Debug for $name $(<$($param),*>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("id", &self.id()).finish_non_exhaustive()
            }
        }

        impl $(<$($param),*>)? serde::Serialize for $name $(<$($param),*>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.reference.serialize(serializer)
            }
        }

        impl<'de $(, $($param),*)?> serde::Deserialize<'de> for $name $(<$($param),*>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::manager::reference::Reference::deserialize(deserializer).map(Self::of)
            }
        }
    };
}
pub(super) use typed;
