//! The handle that users see: a file, a socket or a pipe that can be an argument or a result.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::collecting;
use super::fd::Fd;

/// A file, a socket or a pipe that travels: it can be an argument or a result of any task, alone or anywhere inside of a value that derives `Serialize`
/// and `Deserialize`. Python: `multiprocessing.reduction.DupHandle`, `send_handle`.
///
/// `T` is whatever owns a descriptor: [`OwnedFd`], [`File`](std::fs::File), [`TcpStream`](std::net::TcpStream), [`TcpListener`](std::net::TcpListener),
/// [`UdpSocket`](std::net::UdpSocket), [`UnixStream`](std::os::unix::net::UnixStream), [`UnixListener`](std::os::unix::net::UnixListener),
/// [`UnixDatagram`](std::os::unix::net::UnixDatagram), [`PipeReader`](std::io::PipeReader), [`PipeWriter`](std::io::PipeWriter), or a type of your own. One
/// of tokio's is turned into one of std's first, with its `into_std`.
///
/// What arrives is a copy of the descriptor, as [`try_clone`](std::fs::File::try_clone) makes one: both stand for the same open file or connection, with one
/// position and one set of flags, so that a socket which is made non-blocking here is so there too. The pool keeps its own copy until the call is
/// settled, in case it has to be sent again: the other end of a pipe or of a connection sees its end only after that.
///
/// One value carries up to 64 handles. It has to be sent by this crate: anything else that serializes it gets an error. Initializers and preloads, which
/// run in every worker, take none.
///
/// # Examples
///
/// A worker serves a connection that the program has accepted:
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use multiprocess::Handle;
///
/// fn serve(mut connection: Handle<TcpStream>) -> std::io::Result<()> {
///     connection.write_all(b"hello from a worker")
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// let (connection, _) = listener.accept()?;
///
/// let pool = multiprocess::ProcessPool::new(1)?;
/// pool.blocking_apply(|connection| serve(connection).is_ok(), (Handle::new(connection),))?;
/// let mut heard = String::new();
/// client.read_to_string(&mut heard)?;
/// assert_eq!(heard, "hello from a worker");
/// # pool.blocking_shutdown()?;
/// # Ok(())
/// # }
/// ```
///
/// A worker opens a file, and hands it back inside of a value of its own:
///
/// ```
/// use std::fs::File;
/// use multiprocess::Handle;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Opened {
///     path: String,
///     file: Option<Handle<File>>,
/// }
///
/// fn open(path: String) -> Opened {
///     let file = File::open(&path).ok().map(Handle::new);
///     Opened { path, file }
/// }
///
/// let pool = multiprocess::ProcessPool::new(1)?;
/// let opened = pool.blocking_apply(open, ("/dev/null".to_owned(),))?;
/// let file = opened.file.expect("it is there").into_inner();
/// assert_eq!(std::io::read_to_string(file).expect("it can be read"), "");
/// # pool.blocking_shutdown()?;
/// # Ok::<(), multiprocess::Error>(())
/// ```
///
/// # Errors
///
/// A value with more than 64 handles, or with one for which no descriptor is left, fails as [`Error::Encode`](crate::Error::Encode). One whose handles could not
/// be sent, or for which the other process has no descriptor left, fails as [`Error::Decode`](crate::Error::Decode).
#[derive(Debug)]
pub struct Handle<T>(T);

impl<T> Handle<T> {
    /// Lets a file, a socket or a pipe travel.
    ///
    /// # Examples
    ///
    /// See [`Handle`].
    pub fn new(owner: T) -> Self {
        Self(owner)
    }

    /// What travels, or has arrived.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use multiprocess::Handle;
    ///
    /// let file: File = Handle::new(File::open("/dev/null")?).into_inner();
    /// # drop(file);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Handle<T> {
    fn from(owner: T) -> Self {
        Self(owner)
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Handle<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsFd> AsFd for Handle<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T: AsFd> Serialize for Handle<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let copy = || Ok(Fd::new(self.0.as_fd().try_clone_to_owned()?));
        let place = collecting::put(copy).map_err(S::Error::custom)?;
        serializer.serialize_u8(place)
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Handle<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let owned = Fd::deserialize(deserializer)?.into_owned();
        owned
            .map(|fd| Self(T::from(fd)))
            .map_err(|error| D::Error::custom(format!("a handle cannot be copied: {error}")))
    }
}
