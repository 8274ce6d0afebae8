//! The manager that users hold.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::builder::ManagerBuilder;
use super::call::Call;
use super::lines::Lines;
use super::message::{Answer, Request, What};
use super::owner::Owner;
use super::proxy::Proxy;
use super::reference::Reference;
use super::server::{DIRECTORY, Welcome};
use crate::channel::Address;
use crate::error::{Error, Result};
use crate::task::{Arguments, CreateFn, Fallible, MakerRef, Plain, types_fingerprint};

/// A process that holds objects, which any number of other processes use through [proxies](Proxy). Python: `multiprocessing.Manager()`.
///
/// What an object is and which of its methods are called needs no declaration: [`create`](Self::create) takes any function that makes something, and [`Proxy::call`] any method of it.
///
/// # Who holds it
///
/// Clones, and what is sent to other processes, are the same manager. When the last copy is gone its process ends, and with it all its objects: calls of proxies that are
/// left fail with [`Error::Disconnected`]. It ends too when the process ends that has started it, however that does.
///
/// # Who may call
///
/// Whoever was given a copy of the manager or of a proxy; they carry descriptors, and there is no address that anybody else could guess. With an [`address`](ManagerBuilder::address)
/// also other programs of the same user, which the kernel vouches for.
///
/// # Limits
///
/// Each object takes a descriptor of the manager's process, and each proxy one of the process that has it. The manager's process asks the kernel for as many descriptors as it may have.
///
/// # Examples
///
/// ```
/// use std::collections::BTreeMap;
/// use multiprocess::{Manager, Process, Proxy};
///
/// type Scores = BTreeMap<String, u32>;
///
/// fn play(scores: Proxy<Scores>, name: String) {
///     scores.blocking_call(BTreeMap::insert, (name, 7)).expect("the manager lives");
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::start().await?;
/// let scores = manager.create(Scores::new, ()).await?;
/// let process = Process::spawn(play, (scores.clone(), "you".to_owned()))?;
/// process.join().await?;
/// assert_eq!(scores.call(|scores: &Scores| scores.clone(), ()).await?, Scores::from([("you".to_owned(), 7)]));
/// manager.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Manager {
    /// Its door is what keeps the manager alive.
    pub(super) root: Reference,
    owner: Option<Arc<Owner>>,
    address: Option<Address>,
}

impl Manager {
    pub(super) fn new((server, door): Welcome, owner: Option<Owner>, address: Option<Address>) -> Self {
        Self { root: Reference::new(Lines::to(server), door, DIRECTORY), owner: owner.map(Arc::new), address }
    }

    /// What is lent over a network.
    #[cfg(feature = "net")]
    pub(super) fn lent(lines: Arc<Lines>) -> Self {
        Self { root: Reference::lent(lines, DIRECTORY), owner: None, address: None }
    }

    /// Starts a manager with all options at their defaults.
    ///
    /// # Errors
    ///
    /// As for [`ManagerBuilder::start`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves no manager.
    ///
    /// # Examples
    ///
    /// See [`Manager`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// As [`start`](Self::start), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`ManagerBuilder::start`].
    ///
    /// # Examples
    ///
    /// See [`blocking_create`](Self::blocking_create).
    pub fn blocking_start() -> Result<Self> {
        Self::builder().blocking_start()
    }

    /// A manager with options.
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder`].
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::new()
    }

    /// Where it listens, with the true port and not 0. Nothing without an [`address`](ManagerBuilder::address), and of a copy that has come from elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = multiprocess::Manager::start().await?;
    /// assert!(manager.address().is_none());
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

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

    /// Makes an object of a type that is [registered](ManagerBuilder::register) by this name. Which type the proxy names is up to the caller, who may not have it.
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
    /// See [`ManagerBuilder::register`].
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
    /// See [`ManagerBuilder::register`].
    pub fn blocking_create_named<T, Args: Arguments>(&self, name: &str, args: Args) -> Result<Proxy<T>> {
        self.blocking_made(self.by_name(name, args))
    }

    /// The number of the process that it runs in: this one's if it [serves](ManagerBuilder::serve) here. Nothing for a copy that has come from another process.
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder`].
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.owner.as_ref().map(|owner| owner.pid())
    }

    /// Ends the manager, whoever else has a copy of it or of a proxy, and waits until its process has ended if this one has started it. Calls that are under way fail with
    /// [`Error::Disconnected`]. Python: `shutdown`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`] if it has ended already. [`Error::WorkerDied`] if its process has ended otherwise meanwhile.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have ended it or not.
    ///
    /// # Examples
    ///
    /// See [`Manager`].
    pub async fn shutdown(self) -> Result<()> {
        let ended = match self.end() {
            Ok((call, request)) => self.root.exchange(request).await.and_then(|answer| over(&call, answer)),
            Err(error) => Err(error),
        };
        match &self.owner {
            Some(owner) => ended.and(owner.ended().await),
            None => ended,
        }
    }

    /// As [`shutdown`](Self::shutdown), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    ///
    /// See [`blocking_create`](Self::blocking_create).
    pub fn blocking_shutdown(self) -> Result<()> {
        let (call, request) = self.end()?;
        let ended = self.root.blocking_exchange(&request).and_then(|answer| over(&call, answer));
        match &self.owner {
            Some(owner) => ended.and(owner.blocking_ended()),
            None => ended,
        }
    }

    fn end(&self) -> Result<(Call, Request)> {
        let mut call = Call::named("shutdown", DIRECTORY, &())?;
        let request = self.root.ask(What::End, &mut call);
        Ok((call, request))
    }

    fn by_place<F, Args, M>(&self, f: F, args: Args) -> Result<(Call, Request)>
    where
        F: CreateFn<Args, M>,
        Args: Arguments,
    {
        let maker = MakerRef::of(f);
        if !maker.is_native() {
            return Err(Error::ForeignTask { task: maker.name().to_owned() });
        }
        let mut call = self.root.encode(|| Call::of(maker.name(), DIRECTORY, &args))?;
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
        self.proxy(&call, self.root.exchange(request).await?)
    }

    fn blocking_made<T>(&self, asked: Result<(Call, Request)>) -> Result<Proxy<T>> {
        let (call, request) = asked?;
        self.proxy(&call, self.root.blocking_exchange(&request)?)
    }

    fn proxy<T>(&self, call: &Call, answer: Answer) -> Result<Proxy<T>> {
        Ok(Proxy::new(self.root.to_made(call.made(answer)?)))
    }
}

fn over(call: &Call, answer: Answer) -> Result<()> {
    match answer {
        Answer::Value(_) => Ok(()),
        other => call.value(other),
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("pid", &self.pid()).finish_non_exhaustive()
    }
}

impl Serialize for Manager {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Manager {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut root = Reference::deserialize(deserializer)?;
        root.object = DIRECTORY;
        Ok(Self { root, owner: None, address: None })
    }
}
