//! The manager that users hold.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::blob::{Blob, Raw};
use super::builder::ManagerBuilder;
use super::call::Call;
use super::lines::Lines;
use super::message::{Answer, Ask, Refusal, Request, What};
use super::owner::Owner;
use super::proxy::Proxy;
use super::reference::{Asked, Reference, attempt};
use super::server::{DIRECTORY, Welcome};
use crate::channel::{Address, Client, Connection, Nothing};
use crate::error::{Error, Result};
use crate::task::{Arguments, CreateFn, Fallible, MakerRef, Payload, Plain, types_fingerprint};

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

    /// Connects to a manager of another program, at its [`address`](ManagerBuilder::address). Python: `connect`.
    ///
    /// Such a copy does not keep the manager alive. What it may call is what is registered by name, and what this crate has itself; a copy of the same build of the same
    /// program may call everything.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] if nobody listens there, or a process of another user; [`Error::Disconnected`] if it ends meanwhile; [`Error::DecodeMessage`] if what listens there is no manager.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Manager;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let path = std::env::temp_dir().join(format!("example-of-managers-{}", std::process::id()));
    /// let manager = Manager::builder().address(&path).start().await?;
    /// manager.publish("list", &manager.create(Vec::<u32>::new, ()).await?).await?;
    ///
    /// // In another program:
    /// let theirs = Manager::connect(&path).await?;
    /// let list = theirs.find::<multiprocess::Proxy<Vec<u32>>>("list").await?.expect("it was published");
    /// list.call(Vec::push, (7,)).await?;
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub async fn connect(address: impl Into<Address>) -> Result<Self> {
        let guest: Connection<Nothing, Welcome> = Client::connect(address).await?;
        Ok(Self::new(guest.recv().await?, None, None))
    }

    /// As [`connect`](Self::connect), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Manager};
    ///
    /// assert!(matches!(Manager::blocking_connect(std::path::Path::new("/nobody/listens/here")), Err(Error::Connection { .. })));
    /// ```
    pub fn blocking_connect(address: impl Into<Address>) -> Result<Self> {
        let guest: Connection<Nothing, Welcome> = Client::blocking_connect(address)?;
        Ok(Self::new(guest.blocking_recv()?, None, None))
    }

    /// Connects to a manager of any machine, at its [`address`](ManagerBuilder::address) and with its [key](ManagerBuilder::authkey).
    ///
    /// # Over a network
    ///
    /// - What may be called is what is [registered](ManagerBuilder::register) by name, and what this crate has itself: [`dict`](Self::dict) and so on, without `update`. Everything else is
    ///   [`Refusal::OtherProgram`], since nobody knows that both run the same program.
    /// - A proxy stays in its process and does not travel, and what is kept in dicts, lists and queues holds no proxies. Whoever is to have an object finds it by the name that it is [published](Self::publish) with.
    /// - The manager keeps an object for this client until its last proxy here is dropped, or the client is gone: it has ended or closed its connection, or its machine has not answered for 30 s. So an
    ///   object that two clients share is to be published, or held by one of them until the other has found it.
    /// - There is no reconnecting: when the connection is lost, every call is [`Error::Disconnected`].
    ///
    /// # Errors
    ///
    /// `Error::Authentication` if the key is another one, [`Error::Connection`] if nobody can be reached there, and as for [`Proxy::call`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{AuthKey, DictProxy, Manager};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let key = AuthKey::generate();
    /// let manager = Manager::builder().address(("127.0.0.1", 0)).authkey(&key).start().await?;
    /// manager.publish("scores", &manager.dict::<String, u32>().await?).await?;
    /// let address = manager.address().expect("it listens");
    ///
    /// // On another machine, which was told the address and the key:
    /// let theirs = Manager::connect_with(address, &key).await?;
    /// let scores: DictProxy<String, u32> = theirs.find("scores").await?.expect("it is published");
    /// scores.insert(&"you".to_owned(), &7).await?;
    /// # drop((scores, theirs));
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "net")]
    pub async fn connect_with(address: impl Into<Address>, key: &crate::channel::AuthKey) -> Result<Self> {
        let address = address.into();
        let (route, server) = super::remote::Route::open(address, key.clone()).await?;
        let root = Reference::lent(Lines::over(server, route), DIRECTORY);
        Ok(Self { root, owner: None, address: None })
    }

    /// As [`connect_with`](Self::connect_with), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`connect_with`](Self::connect_with).
    ///
    /// # Examples
    ///
    /// See [`connect_with`](Self::connect_with).
    #[cfg(feature = "net")]
    pub fn blocking_connect_with(address: impl Into<Address>, key: &crate::channel::AuthKey) -> Result<Self> {
        crate::wait::block_on(Self::connect_with(address, key))
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

    /// Has whoever asks for this name find this proxy, of whichever kind. The manager keeps the object alive until it is [unpublished](Self::unpublish). False if the name is taken, and then nothing
    /// changes.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`].
    ///
    /// # Examples
    ///
    /// See [`connect`](Self::connect).
    pub fn publish<P: Payload>(
        &self,
        name: &str,
        proxy: &P,
    ) -> impl Future<Output = Result<bool>> + Send + use<'_, P> {
        let asked = attempt(|| self.publishing(name, proxy));
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
    /// [`Error::Refused`] with [`Refusal::WrongTypes`] if it is of another type than `P`, and as for [`Proxy::call`].
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
        let (asked, name) = (attempt(|| self.finding::<P>(name)), name.to_owned());
        async move {
            let Asked { call, request } = asked?;
            self.found(&name, &call, self.root.exchange(request).await?)
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
    /// As for [`Proxy::call`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Proxy::call`].
    ///
    /// # Examples
    ///
    /// See [`blocking_find`](Self::blocking_find).
    pub fn unpublish(&self, name: &str) -> impl Future<Output = Result<bool>> + Send + use<'_> {
        let asked = attempt(|| Self::unpublishing(name));
        async move { self.root.finish(asked?).await }
    }

    /// As [`unpublish`](Self::unpublish), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`Proxy::call`].
    ///
    /// # Examples
    ///
    /// See [`blocking_find`](Self::blocking_find).
    pub fn blocking_unpublish(&self, name: &str) -> Result<bool> {
        self.root.blocking_finish(&Self::unpublishing(name)?)
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
        let request = Request::Ask(Ask { object, what, arguments: call.arguments() });
        Ok(Asked { call, request })
    }

    fn end(&self) -> Result<(Call, Request)> {
        let call = Call::named("shutdown", DIRECTORY, &())?;
        let request = self.root.ask(What::End, &call);
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
        let call = Call::of(maker.name(), DIRECTORY, &args)?;
        let (offset, fingerprint) = maker.reference();
        let request = self.root.ask(What::Make { offset, fingerprint }, &call);
        Ok((call, request))
    }

    fn by_name<Args: Arguments>(&self, name: &str, args: Args) -> Result<(Call, Request)> {
        let call = Call::named(name, DIRECTORY, &args)?;
        let what = What::MakeNamed { name: name.to_owned(), types: types_fingerprint::<Args, ()>() };
        let request = self.root.ask(what, &call);
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
