//! What is registered by name, and so can be called from other programs: types, the functions that make them, their methods.

use std::any::type_name;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::message::Refusal;
use crate::error::{Error, Result};
use crate::task::{
    Arguments, CreateFn, Fallible, MakerRef, Method, MethodRef, Plain, resolve_maker, resolve_method,
    types_fingerprint,
};

/// The types that a manager serves by name.
#[derive(Debug, Default)]
pub(super) struct Registry {
    types: HashMap<String, Arc<Part>>,
}

/// One type.
#[derive(Debug, Default)]
pub(super) struct Part {
    maker: Option<(MakerRef, u64)>,
    methods: HashMap<String, (MethodRef, u64)>,
}

/// A function as it travels to the process that serves: its place, and the types that its callers must have.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Place {
    offset: i64,
    fingerprint: u64,
    types: u64,
}

/// A [`Registry`] as it travels: types by their names.
pub(super) type Travelling = Vec<(String, Option<Place>, Vec<(String, Place)>)>;

/// A type that is being registered with a manager: which function makes it, and which of its methods can be called by name. See
/// [`ManagerBuilder::register`](crate::ManagerBuilder::register).
///
/// # Examples
///
/// See [`ManagerBuilder::register`](crate::ManagerBuilder::register).
pub struct Exposed<T> {
    part: Part,
    foreign: Option<&'static str>,
    object: PhantomData<fn(T)>,
}

impl<T: Send + 'static> Exposed<T> {
    fn new() -> Self {
        Self { part: Part::default(), foreign: None, object: PhantomData }
    }

    /// The function that makes the type for [`create_named`](crate::Manager::create_named). Without one, no client can make it by name.
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder::register`](crate::ManagerBuilder::register).
    #[must_use]
    pub fn create<F, Args>(self, f: F) -> Self
    where
        F: CreateFn<Args, Plain, Object = T>,
        Args: Arguments,
    {
        self.made_by(MakerRef::of(f), types_fingerprint::<Args, ()>())
    }

    /// As [`create`](Self::create), of a function that returns a `Result`: an `Err` is the client's [`Error::NotCreated`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use multiprocess::Manager;
    ///
    /// let builder = Manager::builder().register::<File>("File", |file| file.try_create(|path: String| File::open(path)));
    /// # let _ = builder;
    /// ```
    #[must_use]
    pub fn try_create<F, Args>(self, f: F) -> Self
    where
        F: CreateFn<Args, Fallible, Object = T>,
        Args: Arguments,
    {
        self.made_by(MakerRef::of(f), types_fingerprint::<Args, ()>())
    }

    /// A method that [`call_named`](crate::Proxy::call_named) finds by this name. What was registered by it before is replaced.
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder::register`](crate::ManagerBuilder::register).
    #[must_use]
    pub fn method<F, Args, M>(mut self, name: impl Into<String>, f: F) -> Self
    where
        F: Method<T, Args, M>,
        Args: Arguments,
    {
        let method = MethodRef::of::<F, T, Args, M>(f);
        if !method.is_native() {
            self.foreign = Some(method.name());
        }
        self.part.methods.insert(name.into(), (method, types_fingerprint::<Args, F::Value>()));
        self
    }

    fn made_by(mut self, maker: MakerRef, types: u64) -> Self {
        if !maker.is_native() {
            self.foreign = Some(maker.name());
        }
        self.part.maker = Some((maker, types));
        self
    }
}

impl<T> fmt::Debug for Exposed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposed")
            .field("type", &type_name::<T>())
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Adds a type.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignTask`] if a function of it is not part of the program.
    pub(super) fn add<T: Send + 'static>(
        &mut self,
        name: impl Into<String>,
        expose: impl FnOnce(Exposed<T>) -> Exposed<T>,
    ) -> Result<()> {
        let exposed = expose(Exposed::new());
        if let Some(task) = exposed.foreign {
            return Err(Error::ForeignTask { task: task.to_owned() });
        }
        self.types.insert(name.into(), Arc::new(exposed.part));
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Result<&Arc<Part>, Refusal> {
        self.types.get(name).ok_or(Refusal::UnknownType)
    }

    pub(super) fn into_travelling(self) -> Travelling {
        let place = |(offset, fingerprint), types| Place { offset, fingerprint, types };
        let travel = |(name, part): (String, Arc<Part>)| {
            let maker = part.maker.map(|(maker, types)| place(maker.reference(), types));
            let methods = part.methods.iter();
            let methods =
                methods.map(|(name, (method, types))| (name.clone(), place(method.reference(), *types)));
            (name, maker, methods.collect())
        };
        self.types.into_iter().map(travel).collect()
    }

    /// What another process of this program has registered.
    pub(super) fn arrived(travelling: Travelling) -> Result<Self, String> {
        let mut types = HashMap::new();
        for (name, maker, methods) in travelling {
            let maker = maker.map(Place::maker).transpose()?;
            let methods = methods.into_iter().map(|(name, place)| Ok((name, place.method()?)));
            let methods = methods.collect::<Result<_, String>>()?;
            types.insert(name, Arc::new(Part { maker, methods }));
        }
        Ok(Self { types })
    }
}

impl Place {
    fn maker(self) -> Result<(MakerRef, u64), String> {
        Ok((resolve_maker(self.offset, self.fingerprint)?, self.types))
    }

    fn method(self) -> Result<(MethodRef, u64), String> {
        Ok((resolve_method(self.offset, self.fingerprint)?, self.types))
    }
}

impl Part {
    /// What makes it, for a caller whose arguments are of these types; of any if it says none.
    pub(super) fn maker(&self, types: Option<u64>) -> Result<MakerRef, Refusal> {
        let (maker, registered) = self.maker.ok_or(Refusal::UnknownMethod)?;
        fits(maker, registered, types)
    }

    pub(super) fn method(&self, name: &str, types: Option<u64>) -> Result<MethodRef, Refusal> {
        let (method, registered) = *self.methods.get(name).ok_or(Refusal::UnknownMethod)?;
        fits(method, registered, types)
    }
}

fn fits<T>(found: T, registered: u64, types: Option<u64>) -> Result<T, Refusal> {
    if types.is_none_or(|types| types == registered) { Ok(found) } else { Err(Refusal::WrongTypes) }
}
