//! The manager that users hold.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::builder::ManagerBuilder;
use super::call::Call;
use super::lines::Lines;
use super::message::{Answer, Request, What};
use super::owner::Owner;
use super::reference::Reference;
use super::server::{DIRECTORY, Welcome};
use crate::channel::Address;
use crate::error::Result;

/// A process that holds objects, which any number of other processes use through [proxies](crate::Proxy). Python: `multiprocessing.Manager()`.
///
/// What an object is and which of its methods are called needs no declaration: [`create`](Self::create) takes any function that makes something, and [`Proxy::call`](crate::Proxy::call) any method of it.
///
/// # What it has itself
///
/// | Python | here | names that differ |
/// | --- | --- | --- |
/// | `dict()` | [`dict`](Self::dict) | [`DictProxy`](crate::DictProxy) |
/// | `list()` | [`list`](Self::list) | [`ListProxy`](crate::ListProxy) |
/// | `set()` | [`set`](Self::set) | [`SetProxy`](crate::SetProxy) |
/// | `Namespace()` | [`namespace`](Self::namespace) | [`NamespaceProxy`](crate::NamespaceProxy) |
/// | `Value(t, v)` | [`value`](Self::value) | [`ValueProxy`](crate::ValueProxy) |
/// | `Array(t, items)` | [`array`](Self::array) | [`ArrayProxy`](crate::ArrayProxy) |
/// | `Queue()`, `Queue(n)` | [`queue`](Self::queue), [`bounded_queue`](Self::bounded_queue) | [`QueueProxy`](crate::QueueProxy) |
/// | `JoinableQueue()`, `JoinableQueue(n)` | [`joinable_queue`](Self::joinable_queue), [`bounded_joinable_queue`](Self::bounded_joinable_queue) | [`JoinableQueueProxy`](crate::JoinableQueueProxy) |
/// | `Lock()`, `RLock()` | [`lock`](Self::lock), [`rlock`](Self::rlock) | [`LockProxy`](crate::LockProxy), [`RLockProxy`](crate::RLockProxy) |
/// | `Semaphore(n)`, `BoundedSemaphore(n)` | [`semaphore`](Self::semaphore), [`bounded_semaphore`](Self::bounded_semaphore) | [`SemaphoreProxy`](crate::SemaphoreProxy), [`BoundedSemaphoreProxy`](crate::BoundedSemaphoreProxy) |
/// | `Event()` | [`event`](Self::event) | [`EventProxy`](crate::EventProxy) |
/// | `Condition()` | [`condition`](Self::condition) | [`ConditionProxy`](crate::ConditionProxy) |
/// | `Barrier(n)` | [`barrier`](Self::barrier) | [`BarrierProxy`](crate::BarrierProxy) |
/// | `Pool(n)` | [`pool`](Self::pool), [`create_pool`](Self::create_pool) | [`PoolProxy`](crate::PoolProxy) |
/// | a registered type | [`create`](Self::create), [`create_named`](Self::create_named) | [`Proxy`](crate::Proxy) |
/// | `start()`, `start(initializer, initargs)` | [`start`](Self::start), [`ManagerBuilder::initializer`] | |
/// | `connect()`, `get_server().serve_forever()` | [`connect`](Self::connect), [`ManagerBuilder::serve`] | |
/// | `shutdown()`, `address` | [`shutdown`](Self::shutdown), [`address`](Self::address) | |
///
/// Each name is a future, and has a form with `blocking_` for code outside async.
///
/// # Who holds it
///
/// Clones, and what is sent to other processes, are the same manager. When the last copy is gone its process ends, and with it all its objects: calls of proxies that are
/// left fail with [`Error::Disconnected`](crate::Error::Disconnected). It ends too when the process ends that has started it, however that does.
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
    /// [`Error::Disconnected`](crate::Error::Disconnected). Python: `shutdown`.
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`](crate::Error::Disconnected) if it has ended already. [`Error::WorkerDied`](crate::Error::WorkerDied) if its process has ended otherwise meanwhile.
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
            Ok((call, request)) => self.root.exchange(&request).await.and_then(|answer| over(&call, answer)),
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
