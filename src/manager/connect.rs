//! Connecting to the manager of another program, on this machine or over a network.

use super::root::Manager;
use super::server::Welcome;
use crate::channel::{Address, Client, Connection, Nothing};
use crate::error::Result;

impl Manager {
    /// Connects to a manager of another program, at its [`address`](crate::ManagerBuilder::address). Python: `connect`.
    ///
    /// Such a copy does not keep the manager alive. What it may call is what is registered by name, and what this crate has itself; a copy of the same build of the same
    /// program may call everything.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`](crate::Error::Connection) if nobody listens there, or a process of another user; [`Error::Disconnected`](crate::Error::Disconnected) if it ends meanwhile; [`Error::DecodeMessage`](crate::Error::DecodeMessage) if what listens there is no manager.
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

    /// Connects to a manager of any machine, at its [`address`](crate::ManagerBuilder::address) and with its [key](crate::ManagerBuilder::authkey) or a certificate that it takes.
    ///
    /// # Over a network
    ///
    /// - What may be called is what is [registered](crate::ManagerBuilder::register) by name, and what this crate has itself: [`dict`](Self::dict) and so on, without `update`: what changes a value in its place is a method of a type that is registered. Everything else is
    ///   [`Refusal::OtherProgram`](crate::Refusal::OtherProgram), since nobody knows that both run the same program.
    /// - A proxy travels inside of whatever is sent to its own manager: as an argument of a call, and in dicts, lists and queues, out of which every other client has it. It goes no other way, neither to another
    ///   connection of this program nor to a task: whoever is to have the object there connects itself, and finds it by the name that it is [published](Self::publish) with.
    /// - The manager keeps an object for this client until its last proxy here is dropped, or the client is gone: it has ended or closed its connection, or has given no sign of life [for 30 s](crate::ManagerBuilder::client_timeout). So an
    ///   object that two clients share is to be published, put into another one, or held by one of them until the other has found it.
    /// - There is no reconnecting: when the connection is lost, or the manager has given no sign of life [for 20 s](crate::ManagerClient::server_timeout), every call is [`Error::Disconnected`](crate::Error::Disconnected). No
    ///   call is ever sent twice: one that fails so may have been done or not.
    ///
    /// # Errors
    ///
    /// `Error::Authentication` if the key is another one or a certificate is not taken, [`Error::Connection`](crate::Error::Connection) if nobody can be reached there, and as for [`Proxy::call`](crate::Proxy::call).
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
    pub async fn connect_with(
        address: impl Into<Address>,
        credentials: impl Into<crate::channel::Credentials>,
    ) -> Result<Self> {
        Self::client().connect(address, credentials).await
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
    pub fn blocking_connect_with(
        address: impl Into<Address>,
        credentials: impl Into<crate::channel::Credentials>,
    ) -> Result<Self> {
        Self::client().blocking_connect(address, credentials)
    }

    /// A client of a manager over a network with options, such as how long the manager may give no sign of life.
    ///
    /// # Examples
    ///
    /// See [`ManagerClient`](crate::ManagerClient).
    #[cfg(feature = "net")]
    pub fn client() -> super::client::ManagerClient {
        super::client::ManagerClient::new()
    }
}
