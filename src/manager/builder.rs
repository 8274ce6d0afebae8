//! How a manager is to be.

use std::fmt;
use std::time::Duration;

use super::blob::Raw;
use super::exposed::{Exposed, Registry};
use super::owner::{Begun, Owner, Plan};
use super::root::Manager;
use crate::channel::{Address, Shown};
use crate::error::{Error, Result};
use crate::os;
use crate::pool::{is_result, setup};
use crate::task::{Arguments, Fallible, InitFn, Plain, Setup};
use crate::wire::Initializer;

/// Sessions that a manager has at once, unless it is set.
const MOST_SESSIONS: usize = 1_024;

/// How long a client over a network may give no sign of life, unless it is set.
const PATIENCE: Duration = Duration::from_secs(30);

/// Builds a [`Manager`]: every option has a default.
///
/// # Examples
///
/// ```
/// use multiprocess::Manager;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let manager = Manager::builder().name("scores").max_connections(100).start().await?;
/// assert_ne!(manager.pid(), Some(std::process::id()));
/// # manager.shutdown().await
/// # }).unwrap();
/// ```
#[must_use = "a builder does nothing until `start` or `serve`"]
pub struct ManagerBuilder {
    name: Option<String>,
    registry: Registry,
    most_sessions: usize,
    address: Option<Address>,
    shown: Shown,
    patience: Duration,
    setup: Option<Result<Setup>>,
    wrong: Option<Error>,
}

impl ManagerBuilder {
    pub(super) fn new() -> Self {
        Self {
            name: None,
            registry: Registry::default(),
            most_sessions: MOST_SESSIONS,
            address: None,
            shown: Shown::default(),
            patience: PATIENCE,
            setup: None,
            wrong: None,
        }
    }

    /// What its process is called; `Manager` unless it is set.
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder`].
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Calls that may be under way at once, with those that wait; 1,024 unless it is set. Each has a connection, which is a thread and a descriptor of the manager's, and each process keeps up to
    /// 16 of them when they are idle. Whoever calls when there are so many gets [`Error::Refused`].
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder`].
    pub fn max_connections(self, connections: usize) -> Self {
        Self { most_sessions: connections, ..self }
    }

    /// A path where other programs of the same user can [`connect`](Manager::connect). There must be nothing yet. Without one, only those have the manager who are
    /// given a copy of it or of a proxy, and it has no place in the file system. Python: `address`.
    ///
    /// # Examples
    ///
    /// See [`Manager::connect`].
    pub fn address(self, path: impl Into<Address>) -> Self {
        Self { address: Some(path.into()), ..self }
    }

    /// What whoever connects has to know, as for [`ListenerBuilder::authkey`](crate::ListenerBuilder::authkey). With it the address may be one of a network. What is sent is sealed, whoever is in between. The key goes to
    /// the manager's process over a pipe. Python: `authkey`.
    ///
    /// Clients connect by [`Manager::connect_with`].
    ///
    /// # Examples
    ///
    /// See [`Manager::connect_with`].
    #[cfg(feature = "net")]
    pub fn authkey(mut self, key: &crate::channel::AuthKey) -> Self {
        self.shown.key = Some(key.clone());
        self
    }

    /// The manager's certificate, and whose certificates it takes, in place of a key, as for [`ListenerBuilder::tls`](crate::ListenerBuilder::tls). Clients connect by [`Manager::connect_with`], with theirs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use multiprocess::{Manager, Tls};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let tls = Tls::read("chain.pem", "key.pem", "roots.pem")?;
    /// let manager = Manager::builder().address(("0.0.0.0", 5000)).tls(&tls).start().await?;
    ///
    /// // On another machine, with a certificate of its own:
    /// let tls = Tls::read("chain.pem", "key.pem", "roots.pem")?;
    /// let theirs = Manager::connect_with(("scores.example.com", 5000), &tls).await?;
    /// # drop(theirs);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: &crate::channel::Tls) -> Self {
        self.shown.tls = Some(tls.clone());
        self
    }

    /// A key or certificates, in place of what was set before.
    ///
    /// # Examples
    ///
    /// See [`Manager::connect_with`].
    #[cfg(feature = "net")]
    pub fn credentials(self, credentials: impl Into<crate::channel::Credentials>) -> Self {
        Self { shown: credentials.into().into(), ..self }
    }

    /// How long a client that comes over a network may give no sign of life; 30 s unless it is set. Then it is gone, as one is that has ended: the manager lets go of the objects that it has lent to it,
    /// of the locks that it held, and of the calls that it waits for, and takes nothing from it any more.
    ///
    /// Clients give four signs of life within that time, or within [their own](crate::ManagerClient::server_timeout), which is never more than three quarters of it: so a client that a partition cuts off knows it before the
    /// manager gives to others what it held. A machine that was asleep meanwhile knows it when it has woken.
    ///
    /// # Examples
    ///
    /// See [`ManagerClient`](crate::ManagerClient).
    #[cfg(feature = "net")]
    pub fn client_timeout(self, limit: Duration) -> Self {
        Self { patience: limit, ..self }
    }

    /// Runs a function in the manager's process before it serves; by [`serve`](Self::serve), on this thread. Functions that make objects, and methods of them, find what it returned
    /// with [`worker::state`](crate::worker::state). It is kept until the manager ends.
    ///
    /// A panic fails the start with [`Error::Initializer`]. For a function that returns a `Result` there is [`try_initializer`](Self::try_initializer); here it is an error
    /// of `start`, since nobody would ever look at it. Python: `start(initializer, initargs)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Manager, worker};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = Manager::builder().initializer(|base: u64| base * 100, (3,)).start().await?;
    /// let add_base = |sum: &mut u64| { *sum += *worker::state::<u64>().expect("it is there"); *sum };
    /// let sum = manager.create(|| 7_u64, ()).await?;
    /// assert_eq!(sum.call(add_base, ()).await?, 307);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn initializer<F, Args>(self, f: F, args: Args) -> Self
    where
        F: InitFn<Args, Plain>,
        Args: Arguments,
    {
        let is_lost = is_result::<F::State>();
        let lost = || Err(Error::option("initializer", "it returns a `Result`: use `try_initializer`"));
        Self { setup: Some(if is_lost { lost() } else { setup("initializer", f, &args) }), ..self }
    }

    /// As [`initializer`](Self::initializer), for a function that returns a `Result`: its `Err` fails the start, and what is kept is the value of its `Ok`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Manager};
    ///
    /// fn connect(url: String) -> Result<(), String> {
    ///     Err(format!("no route to {url}"))
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let started = Manager::builder().try_initializer(connect, ("db:1".to_owned(),)).start().await;
    /// assert!(matches!(started, Err(Error::Initializer { cause }) if cause == "no route to db:1"));
    /// # Ok::<(), Error>(())
    /// # }).unwrap();
    /// ```
    pub fn try_initializer<F, Args>(self, f: F, args: Args) -> Self
    where
        F: InitFn<Args, Fallible>,
        Args: Arguments,
    {
        Self { setup: Some(setup("initializer", f, &args)), ..self }
    }

    /// A type with a name, and methods of it with names. They can be used by other programs, which have no part of this one's code, and by other builds of it. Python: `register`.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Manager;
    ///
    /// struct Counter(u64);
    ///
    /// impl Counter {
    ///     fn new(start: u64) -> Self { Self(start) }
    ///     fn add(&mut self, by: u64) -> u64 { self.0 += by; self.0 }
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = Manager::builder()
    ///     .register::<Counter>("Counter", |counter| counter.create(Counter::new).method("add", Counter::add))
    ///     .start()
    ///     .await?;
    ///
    /// // In any program that has a copy of the manager, or has connected to it:
    /// let counter = manager.create_named::<(), _>("Counter", (40_u64,)).await?;
    /// let sum: u64 = counter.call_named("add", (2_u64,)).await?;
    /// assert_eq!(sum, 42);
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn register<T: Send + 'static>(
        mut self,
        name: impl Into<String>,
        expose: impl FnOnce(Exposed<T>) -> Exposed<T>,
    ) -> Self {
        let added = self.registry.add(name, expose);
        self.wrong = self.wrong.or(added.err());
        self
    }

    /// Starts the manager in a process of its own, a daemon that ends with this process.
    ///
    /// # Errors
    ///
    /// - [`Error::Option`] for 0 connections, for a time of 0 that clients have, and for both a key and certificates. [`Error::ForeignTask`]: what was registered is not part of the program.
    /// - [`Error::Initializer`] if that fails, [`Error::Encode`] if its arguments do not travel.
    /// - [`Error::Start`] if it cannot start, or cannot listen at its address. And as for [`Process::spawn`](crate::Process::spawn).
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves no manager.
    ///
    /// # Examples
    ///
    /// See [`ManagerBuilder`].
    pub async fn start(self) -> Result<Manager> {
        let name = self.name.clone();
        let starting = self.plan()?.start(name)?;
        Ok(begun(starting.finish().await?))
    }

    /// As [`start`](Self::start), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::Manager::builder().name("scores").blocking_start()?;
    /// # manager.blocking_shutdown()?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn blocking_start(self) -> Result<Manager> {
        let name = self.name.clone();
        let starting = self.plan()?.start(name)?;
        Ok(begun(starting.blocking_finish()?))
    }

    /// Serves on threads of this process. Python: `get_server().serve_forever()`, which blocks.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start); [`Error::Connection`] if it cannot listen at its address. [`Error::Forked`]
    /// in a child by `fork` of a process that has used this crate.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::Manager;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let manager = Manager::builder().serve()?;
    /// assert_eq!(manager.pid(), Some(std::process::id()));
    /// let list = manager.create(Vec::<u32>::new, ()).await?;
    /// list.call(Vec::push, (7,)).await?;
    /// # manager.shutdown().await
    /// # }).unwrap();
    /// ```
    pub fn serve(self) -> Result<Manager> {
        os::not_forked()?;
        Ok(begun(self.plan()?.serve_here()?))
    }

    fn plan(self) -> Result<Plan> {
        let Self { registry, most_sessions, address, shown, patience, setup, wrong, name: _ } = self;
        if let Some(error) = wrong {
            return Err(error);
        }
        if most_sessions == 0 {
            return Err(Error::option(
                "max_connections",
                "a manager without connections could not be called",
            ));
        }
        if patience.is_zero() {
            return Err(Error::option("client_timeout", "every client would be gone at once"));
        }
        let setup = setup.transpose()?.map(travelling).transpose()?;
        let (types, credentials) = (registry.into_travelling(), shown.one()?);
        Ok(Plan { types, most_sessions, address, patience, credentials, setup })
    }
}

/// An initializer as it travels to the process that serves.
fn travelling(Setup { function, arguments }: Setup) -> Result<(Initializer, Raw)> {
    if !function.is_native() {
        return Err(Error::ForeignTask { task: "the initializer".to_owned() });
    }
    Ok((function.reference(), Raw(arguments.into())))
}

fn begun(((welcome, address), owner): (Begun, Owner)) -> Manager {
    Manager::new(welcome, Some(owner), address)
}

impl fmt::Debug for ManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerBuilder")
            .field("name", &self.name)
            .field("registry", &self.registry)
            .field("max_connections", &self.most_sessions)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
