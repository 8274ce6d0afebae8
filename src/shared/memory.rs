//! Bytes that processes share, by a handle or by a name.

use std::fmt;
use std::ops::RangeBounds;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytemuck::Pod;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::content::{Kind, content};
use super::name::{self, Name};
use super::raw_array::{RawArray, ends};
use crate::error::{Error, Result};
use crate::os::Cells;
use crate::wire::Fd;

/// Bytes that processes share. Python: `multiprocessing.shared_memory.SharedMemory`.
///
/// They are had by a handle: all clones are the same memory, and so is whatever arrives where one is sent. It takes one descriptor, and is gone with the last process that has it, so that
/// there is nothing to close or to unlink. Its space is reserved when it is made, and its size never changes, so that no access fails later.
///
/// Bytes are [read](Self::read) and [written](Self::write) at offsets, by any number of processes at once: there are never references to them, so whatever others do meanwhile harms nobody. Of
/// bytes that are written while they are read some may be old and some new. [`as_array`](Self::as_array) gives a part of them as a [`RawArray`].
///
/// # Names
///
/// [`create_named`](Self::create_named) gives it a name, by which unrelated programs of the same user [open](Self::open) it. The process that has given the name owns it: when it drops its last
/// handle, unlinks the name, or ends, be it by SIGKILL, the name is gone, and nothing is left behind anywhere. Whoever has opened the memory before keeps it, and never takes the name along. There is
/// no file with that name: the owner answers whoever asks for it, on a thread of the crate. So names are of one network namespace, and a process that is stopped has names that cannot be opened.
///
/// # Examples
///
/// ```
/// use multiprocess::{ProcessPool, SharedMemory};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (pool, memory) = (ProcessPool::new(1)?, SharedMemory::create(1 << 20)?);
/// let writes = |memory: SharedMemory| memory.write(1_000, b"hello from a worker").is_ok();
/// assert!(pool.apply(writes, (memory.clone(),)).await?);
/// assert_eq!(memory.to_vec(1_000..1_005)?, b"hello");
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    cells: Arc<Cells>,
    name: Option<Called>,
}

/// What it is called: by ourselves, or by whoever had it before.
#[derive(Debug, Clone)]
enum Called {
    Ours(Arc<Name>),
    Theirs(Arc<str>),
}

impl SharedMemory {
    /// So many bytes of zeros, without a name.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] if they are none, and [`Error::Shared`] if there is not so much memory, or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let memory = multiprocess::SharedMemory::create(100)?;
    /// assert_eq!((memory.size(), memory.name()), (100, None));
    /// assert!(multiprocess::SharedMemory::create(0).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn create(size: usize) -> Result<Self> {
        if size == 0 {
            return Err(Error::option("size", "there must be at least one byte"));
        }
        let cells = Cells::create(content::<u8>(Kind::Bytes), size);
        let cells = cells.map_err(|cause| Error::shared("memory", cause))?;
        Ok(Self { cells: Arc::new(cells), name: None })
    }

    /// As [`create`](Self::create), with a name of 1 to 64 bytes, under which nobody of this user has any yet. Python: `SharedMemory(name, create=True, size=size)`.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), and [`Error::Named`] if the name is taken (`AlreadyExists`), or is none (`InvalidInput`): without bytes, with more than 64, or with a NUL.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::SharedMemory;
    ///
    /// let name = format!("example-{}", std::process::id());
    /// let memory = SharedMemory::create_named(&name, 100)?;
    /// let again = SharedMemory::blocking_open(&name)?; // in another program, most likely
    /// again.write(0, &[7])?;
    /// assert_eq!(memory.to_vec(..1)?, [7]);
    /// assert!(SharedMemory::create_named(&name, 100).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn create_named(name: &str, size: usize) -> Result<Self> {
        let memory = Self::create(size)?;
        let name = Name::publish(name, memory.cells.memory())?;
        Ok(Self { name: Some(Called::Ours(Arc::new(name))), ..memory })
    }

    /// As [`create_named`](Self::create_named), with a name that nobody has. Python: `SharedMemory(create=True, size=size)`.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::SharedMemory;
    ///
    /// let memory = SharedMemory::create_with_new_name(100)?;
    /// let name = memory.name().expect("it has one");
    /// assert_eq!(SharedMemory::blocking_open(name)?.size(), 100);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn create_with_new_name(size: usize) -> Result<Self> {
        let memory = Self::create(size)?;
        let name = Name::publish_anyhow(&memory.cells.memory())?;
        Ok(Self { name: Some(Called::Ours(Arc::new(name))), ..memory })
    }

    /// The memory with this name, of whichever size it is. Python: `SharedMemory(name)`.
    ///
    /// # Errors
    ///
    /// [`Error::Named`] if there is none (`NotFound`), if its owner does not answer within 5 s (`TimedOut`), or if what has that name is no such memory (`InvalidData`).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::SharedMemory;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let name = format!("open-{}", std::process::id());
    /// assert!(SharedMemory::open(&name).await.is_err());
    /// let memory = SharedMemory::create_named(&name, 100)?;
    /// assert_eq!(SharedMemory::open(&name).await?.size(), 100);
    /// # Ok::<(), multiprocess::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn open(name: &str) -> Result<Self> {
        Self::found(name, name::find(name).await?)
    }

    /// As [`open`](Self::open), for code outside async: blocks this thread.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Examples
    ///
    /// See [`create_named`](Self::create_named).
    pub fn blocking_open(name: &str) -> Result<Self> {
        Self::found(name, name::blocking_find(name)?)
    }

    fn found(name: &str, memory: Arc<OwnedFd>) -> Result<Self> {
        let cells = Cells::attach(content::<u8>(Kind::Bytes), memory);
        let cells = cells.map_err(|cause| Error::named("open", name, cause))?;
        Ok(Self { cells: Arc::new(cells), name: Some(Called::Theirs(name.into())) })
    }

    /// Gives up the name: nobody can open it any more, and it is free for others. Whoever has the memory keeps it. Python: `unlink`.
    ///
    /// # Errors
    ///
    /// [`Error::Named`] if that was done before or it has no name (`NotFound`), or if another process has given it (`PermissionDenied`).
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::SharedMemory;
    ///
    /// let memory = SharedMemory::create_with_new_name(100)?;
    /// memory.unlink()?;
    /// assert!(SharedMemory::blocking_open(memory.name().expect("it had one")).is_err());
    /// assert!(memory.unlink().is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn unlink(&self) -> Result<()> {
        match &self.name {
            Some(Called::Ours(name)) => name.unlink(),
            Some(Called::Theirs(name)) => {
                Err(Error::named("unlink", name, std::io::ErrorKind::PermissionDenied))
            }
            None => Err(Error::named("unlink", "", std::io::ErrorKind::NotFound)),
        }
    }

    /// How many bytes there are. Python: `size`.
    ///
    /// # Examples
    ///
    /// See [`create`](Self::create).
    #[must_use]
    pub fn size(&self) -> usize {
        self.cells.len()
    }

    /// The name that it was made or opened with, also when that is gone. Python: `name`.
    ///
    /// # Examples
    ///
    /// See [`create_with_new_name`](Self::create_with_new_name).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self.name.as_ref()? {
            Called::Ours(name) => Some(name.text()),
            Called::Theirs(name) => Some(name),
        }
    }

    /// Reads bytes from an offset on, as many as there is room for. Python: `buf[offset:offset + length]`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if they do not lie within the memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let (memory, mut room) = (multiprocess::SharedMemory::create(10)?, [0; 3]);
    /// memory.write(2, &[1, 2, 3])?;
    /// memory.read(3, &mut room)?;
    /// assert_eq!(room, [2, 3, 0]);
    /// assert!(memory.read(8, &mut room).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn read(&self, offset: usize, room: &mut [u8]) -> Result<()> {
        ends(offset..offset.saturating_add(room.len()), self.size())?;
        self.cells.read(offset, room);
        Ok(())
    }

    /// Writes bytes from an offset on. Python: `buf[offset:offset + length] = bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if they do not lie within the memory. Then nothing is written.
    ///
    /// # Examples
    ///
    /// See [`read`](Self::read).
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        ends(offset..offset.saturating_add(bytes.len()), self.size())?;
        self.cells.write(offset, bytes);
        Ok(())
    }

    /// A copy of some of the bytes. Python: `bytes(buf[range])`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if they do not lie within the memory.
    ///
    /// # Examples
    ///
    /// See [`SharedMemory`].
    pub fn to_vec(&self, range: impl RangeBounds<usize>) -> Result<Vec<u8>> {
        let (start, end) = ends(range, self.size())?;
        let mut bytes = vec![0; end - start];
        self.cells.read(start, &mut bytes);
        Ok(bytes)
    }

    /// Some of the bytes as elements of a type, as many as there is room for; the same memory, which it keeps. Python: `numpy.ndarray(shape, dtype, buffer=memory.buf)`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if the bytes do not lie within the memory, and [`Error::Option`] if they do not begin at a multiple of what the elements are read by: 8, 4, 2 or 1 byte, the
    /// most that divides their size.
    ///
    /// # Examples
    ///
    /// ```
    /// let memory = multiprocess::SharedMemory::create(100)?;
    /// let numbers = memory.as_array::<u32>(8..24)?;
    /// numbers.copy_from_slice(&[1, 2, 3, u32::MAX])?;
    /// assert_eq!(memory.to_vec(20..25)?, [255, 255, 255, 255, 0]);
    /// assert!(memory.as_array::<u32>(2..).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn as_array<T: Pod>(&self, range: impl RangeBounds<usize>) -> Result<RawArray<T>> {
        let _checked = content::<T>(Kind::Bytes);
        let (start, end) = ends(range, self.size())?;
        let step = Cells::step(size_of::<T>());
        if !start.is_multiple_of(step) {
            return Err(Error::option(
                "range",
                format!("it must begin at a multiple of {step}, not at {start}"),
            ));
        }
        Ok(RawArray::of_bytes(&self.cells, start, (end - start) / size_of::<T>()))
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").field("size", &self.size()).field("name", &self.name()).finish()
    }
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Fd::from(self.cells.memory()), self.name()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (memory, name) = <(Fd, Option<String>)>::deserialize(deserializer)?;
        let cells = Cells::attach(content::<u8>(Kind::Bytes), memory.into()).map_err(D::Error::custom)?;
        if cells.len() == 0 {
            return Err(D::Error::custom("the shared memory has a wrong size"));
        }
        Ok(Self { cells: Arc::new(cells), name: name.map(|name| Called::Theirs(name.into())) })
    }
}
