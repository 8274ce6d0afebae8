//! How a manager makes objects of any type.

use std::any::type_name;

use super::call::Call;
use super::message::{Answer, Request, What};
use super::proxy::Proxy;
use super::root::Manager;
use super::server::DIRECTORY;
use crate::error::{Error, Result};
use crate::task::{Arguments, CreateFn, Fallible, MakerRef, Plain, types_fingerprint};

impl Manager {
    /// Calls `f(args)` in the manager's process, and gives a proxy of what it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Panicked`] if the function panics, and as for [`Proxy::call`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves no object: if it was made, it is dropped.
    ///
    /// # Examples
    ///
    /// See [`Manager`].
    pub fn create<F, Args>(&self, f: F, args: Args) -> impl Future<Output = Result<Proxy<F::Object>>> + Send
    where
        F: CreateFn<Args, Plain>,
        Args: Arguments,
    {
        self.made(self.by_place(f, args))
    }

    /// As [`create`](Self::create), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Manager;
    ///
    /// let manager = Manager::blocking_start()?;
    /// let text = manager.blocking_create(|text: String| text, ("hello".to_owned(),))?;
    /// text.blocking_call(|text: &mut String| text.push_str(" you"), ())?;
    /// assert_eq!(text.blocking_call(String::clone, ())?, "hello you");
    /// manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_create<F, Args>(&self, f: F, args: Args) -> Result<Proxy<F::Object>>
    where
        F: CreateFn<Args, Plain>,
        Args: Arguments,
    {
        self.blocking_made(self.by_place(f, args))
    }

    /// As [`create`](Self::create), of a function that returns a `Result`.
    ///
    /// # Errors
    ///
    /// [`Error::NotCreated`] with the text of its `Err`, and as for [`create`](Self::create).
    ///
    /// # Cancel safety
    ///
    /// As for [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use multiprocess::{Error, Manager};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = Manager::start().await?;
    /// let opened = manager.try_create(|path: String| File::open(path), ("/does/not/exist".to_owned(),)).await;
    /// assert!(matches!(opened, Err(Error::NotCreated { .. })));
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn try_create<F, Args>(
        &self,
        f: F,
        args: Args,
    ) -> impl Future<Output = Result<Proxy<F::Object>>> + Send
    where
        F: CreateFn<Args, Fallible>,
        Args: Arguments,
    {
        self.made(self.by_place(f, args))
    }

    /// As [`try_create`](Self::try_create), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`try_create`](Self::try_create).
    ///
    /// # Examples
    ///
    /// See [`try_create`](Self::try_create).
    pub fn blocking_try_create<F, Args>(&self, f: F, args: Args) -> Result<Proxy<F::Object>>
    where
        F: CreateFn<Args, Fallible>,
        Args: Arguments,
    {
        self.blocking_made(self.by_place(f, args))
    }

    /// Makes an object of a type that is [registered](crate::ManagerBuilder::register) by this name. Which type the proxy names is up to the caller, who may not have it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] says whether there is no such type, whether it is not made by name, or whether its arguments have other types; [`Error::NotCreated`]; and as for
    /// [`create`](Self::create).
    ///
    /// # Cancel safety
    ///
    /// As for [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder::register`](crate::ManagerBuilder::register).
    pub fn create_named<T, Args>(
        &self,
        name: &str,
        args: Args,
    ) -> impl Future<Output = Result<Proxy<T>>> + Send + use<'_, T, Args>
    where
        Args: Arguments,
    {
        self.made(self.by_name(name, args))
    }

    /// As [`create_named`](Self::create_named), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`create_named`](Self::create_named).
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder::register`](crate::ManagerBuilder::register).
    pub fn blocking_create_named<T, Args: Arguments>(&self, name: &str, args: Args) -> Result<Proxy<T>> {
        self.blocking_made(self.by_name(name, args))
    }

    fn by_place<F, Args, M>(&self, f: F, args: Args) -> Result<(Call, Request)>
    where
        F: CreateFn<Args, M>,
        Args: Arguments,
    {
        self.by_place_as(type_name::<F>(), f, args)
    }

    /// Makes what errors name so.
    pub(super) fn by_place_as<F, Args, M>(
        &self,
        name: &'static str,
        f: F,
        args: Args,
    ) -> Result<(Call, Request)>
    where
        F: CreateFn<Args, M>,
        Args: Arguments,
    {
        let maker = MakerRef::of(f);
        if !maker.is_native() {
            return Err(Error::ForeignTask { task: name.to_owned() });
        }
        let mut call = self.root.encode(|| Call::of(name, DIRECTORY, &args))?;
        let (offset, fingerprint) = maker.reference();
        let request = self.root.ask(What::Make { offset, fingerprint }, &mut call);
        Ok((call, request))
    }

    fn by_name<Args: Arguments>(&self, name: &str, args: Args) -> Result<(Call, Request)> {
        let mut call = self.root.encode(|| Call::named(name, DIRECTORY, &args))?;
        let what = What::MakeNamed { name: name.to_owned(), types: types_fingerprint::<Args, ()>() };
        let request = self.root.ask(what, &mut call);
        Ok((call, request))
    }

    async fn made<T>(&self, asked: Result<(Call, Request)>) -> Result<Proxy<T>> {
        let (call, request) = asked?;
        self.proxy(&call, self.root.exchange(&request).await?)
    }

    fn blocking_made<T>(&self, asked: Result<(Call, Request)>) -> Result<Proxy<T>> {
        let (call, request) = asked?;
        self.proxy(&call, self.root.blocking_exchange(&request)?)
    }

    fn proxy<T>(&self, call: &Call, answer: Answer) -> Result<Proxy<T>> {
        Ok(Proxy::new(self.root.to_made(call.made(answer)?)))
    }
}
