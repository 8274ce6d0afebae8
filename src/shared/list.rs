//! A list of a fixed number of items that processes share.
//!
//! ```text
//! word 0  how many items    1  who writes    from 2 on: for each item, the words of its value
//!
//! and then for each item its generation, and its value twice (`slots`)
//! ```
//!
//! Where an item lies is read once, when the list arrives, and checked; from then on nobody believes what stands there.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::content::{Kind, content};
use super::item::{HEAD, ListItem};
use super::name::{self, Name};
use super::slots::{Slots, Words};
use crate::error::{Error, Result};
use crate::os::Cells;
use crate::wire::Fd;

const WORD: usize = 8;
const COUNT: usize = 0;
const WRITER: usize = 1;
const TABLE: usize = 2;

/// A list of a fixed number of items that processes share. Python: `multiprocessing.shared_memory.ShareableList`.
///
/// An item is nothing, a `bool`, an `i64`, an `f64`, text or bytes ([`ListItem`]), and may become one of another type, as long as it fits: it has room for as many bytes as its first
/// value had, rounded up to 8. Text and bytes come back with just the length that they had, where Python loses trailing NULs.
///
/// Items are read and written as a whole, by any number of processes at once: nobody ever sees half of one value and half of another, also if whoever writes is killed in the middle of it.
///
/// All clones are the same list, and so is whatever arrives where one is sent. It takes one descriptor. Names are as those of [`SharedMemory`](crate::SharedMemory#names).
///
/// # Examples
///
/// ```
/// use multiprocess::{ListItem, ProcessPool, ShareableList};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let items = ["a long answer".into(), 42.into(), 2.5.into(), true.into(), ListItem::None];
/// let (pool, list) = (ProcessPool::new(1)?, ShareableList::new(items)?);
/// let changes = |list: ShareableList| list.set(0, "short").and_then(|()| list.set(4, -1)).is_ok();
/// assert!(pool.apply(changes, (list.clone(),)).await?);
/// assert_eq!((list.get(0)?, list.get(4)?, list.len()), ("short".into(), (-1).into(), 5));
/// # pool.shutdown().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ShareableList {
    cells: Arc<Cells>,
    items: Arc<[Slots]>,
    name: Option<Arc<Name>>,
}

impl ShareableList {
    /// A new one, with these items and without a name. Python: `ShareableList(sequence)`.
    ///
    /// # Errors
    ///
    /// [`Error::ItemTooLarge`] for an item of 4 GiB or more, and [`Error::Shared`] if there is not so much memory, or no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// let list = multiprocess::ShareableList::new([1, 2, 3])?;
    /// assert_eq!(list.len(), 3);
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn new<I>(items: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<ListItem>,
    {
        let encoded = items.into_iter().map(|item| encoded(&item.into()));
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        let words: Vec<usize> = encoded.iter().map(|bytes| bytes.len().div_ceil(WORD).max(2)).collect();
        let (items, end) =
            places(words.len(), |index| Some(words[index])).unwrap_or((Vec::new(), usize::MAX));
        let cells = Cells::create(content::<u64>(Kind::List), end);
        let cells = cells.map_err(|cause| Error::shared("a list", cause))?;
        Words::store(&cells, COUNT, words.len() as u64);
        for (index, item) in items.iter().enumerate() {
            Words::store(&cells, TABLE + index, words[index] as u64);
            item.write(&cells, &encoded[index]);
        }
        Ok(Self { cells: Arc::new(cells), items: items.into(), name: None })
    }

    /// As [`new`](Self::new), with a name, which is as that of [`SharedMemory::create_named`](crate::SharedMemory::create_named). Python: `ShareableList(sequence, name=name)`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and [`Error::Named`] if it cannot have that name.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::ShareableList;
    ///
    /// let name = format!("list-{}", std::process::id());
    /// let list = ShareableList::create_named(&name, [1, 2, 3])?;
    /// let again = ShareableList::blocking_open(&name)?; // in another program, most likely
    /// again.set(0, 7)?;
    /// assert_eq!(list.get(0)?, 7.into());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn create_named<I>(name: &str, items: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<ListItem>,
    {
        let list = Self::new(items)?;
        let name = Name::publish(name, list.cells.memory())?;
        Ok(Self { name: Some(Arc::new(name)), ..list })
    }

    /// The list with this name. Python: `ShareableList(name=name)`.
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::open`](crate::SharedMemory::open).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::ShareableList;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let name = format!("opened-list-{}", std::process::id());
    /// let list = ShareableList::create_named(&name, ["a", "b"])?;
    /// assert_eq!(ShareableList::open(&name).await?.to_vec()?, ["a".into(), "b".into()]);
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
        Self::attach(memory).map_err(|cause| Error::named("open", name, cause))
    }

    fn attach(memory: Arc<OwnedFd>) -> std::io::Result<Self> {
        let wrong = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the shared list is garbled");
        let cells = Cells::attach(content::<u64>(Kind::List), memory)?;
        if cells.len() < TABLE * WORD {
            return Err(wrong());
        }
        let number = |index| usize::try_from(Words::load(&cells, index)).ok();
        // As many as there are words at most, so that no number that stands there takes more memory than it is worth.
        let count = number(COUNT).filter(|count| *count <= cells.len() / WORD - TABLE).ok_or_else(wrong)?;
        let (items, end) = places(count, |index| number(TABLE + index)).ok_or_else(wrong)?;
        if end != cells.len() {
            return Err(wrong());
        }
        Ok(Self { cells: Arc::new(cells), items: items.into(), name: None })
    }

    /// How many items it has. Python: `len(list)`.
    ///
    /// # Examples
    ///
    /// See [`new`](Self::new).
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True if it has none.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!multiprocess::ShareableList::new([1])?.is_empty());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// One of its items. Python: `list[index]`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if there is no such item, and [`Error::Garbled`] if a process has written past this crate.
    ///
    /// # Examples
    ///
    /// See [`ShareableList`].
    pub fn get(&self, index: usize) -> Result<ListItem> {
        let item = self.item(index)?;
        let mut bytes = vec![0; item.words * WORD];
        item.read(&*self.cells, &mut bytes);
        ListItem::from_bytes(&bytes).ok_or(Error::Garbled { index })
    }

    /// Sets one of its items, of whichever type. It waits while another process sets one, as [`RawValue::set`](crate::RawValue::set) does. Python: `list[index] = value`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if there is no such item, and [`Error::ItemTooLarge`] if the value does not fit. Then it is left as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// let list = multiprocess::ShareableList::new(["eight by"])?;
    /// list.set(0, b"\0bytes\0\0")?;
    /// assert_eq!(list.get(0)?, b"\0bytes\0\0".into());
    /// assert!(list.set(0, "more than that").is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn set(&self, index: usize, value: impl Into<ListItem>) -> Result<()> {
        let item = self.item(index)?;
        let bytes = encoded(&value.into())?;
        let (size, room) = (bytes.len() - HEAD, self.capacity(index)?);
        if size > room {
            return Err(Error::ItemTooLarge { size, room });
        }
        item.write(&*self.cells, &bytes);
        Ok(())
    }

    /// How many bytes an item has room for. Python: what `format` says of it.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if there is no such item.
    ///
    /// # Examples
    ///
    /// ```
    /// let list = multiprocess::ShareableList::new(["nine byte", "", "eight by"])?;
    /// assert_eq!((list.capacity(0)?, list.capacity(1)?, list.capacity(2)?), (16, 8, 8));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn capacity(&self, index: usize) -> Result<usize> {
        Ok(self.item(index)?.words * WORD - HEAD)
    }

    /// Its items, each read when it is asked for. Python: `iter(list)`.
    ///
    /// # Examples
    ///
    /// ```
    /// let list = multiprocess::ShareableList::new([1, 2, 3])?;
    /// let first = list.iter().next().expect("there are three")?;
    /// assert_eq!(first, 1.into());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Result<ListItem>> + ExactSizeIterator {
        (0..self.len()).map(|index| self.get(index))
    }

    /// All of its items, read one after the other. Python: `list(shareable)`.
    ///
    /// # Errors
    ///
    /// [`Error::Garbled`] if a process has written past this crate.
    ///
    /// # Examples
    ///
    /// See [`open`](Self::open).
    pub fn to_vec(&self) -> Result<Vec<ListItem>> {
        self.iter().collect()
    }

    /// How many items are equal to this value. Python: `count(value)`.
    ///
    /// # Errors
    ///
    /// As for [`to_vec`](Self::to_vec).
    ///
    /// # Examples
    ///
    /// ```
    /// let list = multiprocess::ShareableList::new([1, 2, 1])?;
    /// assert_eq!((list.count(1)?, list.count("1")?), (2, 0));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn count(&self, value: impl Into<ListItem>) -> Result<usize> {
        let value = value.into();
        self.iter().try_fold(0, |count, item| Ok(count + usize::from(item? == value)))
    }

    /// Where the first item stands that is equal to this value. Python: `index(value)`, which raises an error if there is none.
    ///
    /// # Errors
    ///
    /// As for [`to_vec`](Self::to_vec).
    ///
    /// # Examples
    ///
    /// ```
    /// let list = multiprocess::ShareableList::new(["a", "b", "b"])?;
    /// assert_eq!((list.index("b")?, list.index("c")?), (Some(1), None));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn index(&self, value: impl Into<ListItem>) -> Result<Option<usize>> {
        let value = value.into();
        for (index, item) in self.iter().enumerate() {
            if item? == value {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Another list, with the items that this has now. Python: `ShareableList(list)`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new) and [`to_vec`](Self::to_vec).
    ///
    /// # Examples
    ///
    /// ```
    /// let list = multiprocess::ShareableList::new([1, 2])?;
    /// let copy = list.copy()?;
    /// list.set(0, 9)?;
    /// assert_eq!(copy.get(0)?, 1.into());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn copy(&self) -> Result<Self> {
        Self::new(self.to_vec()?)
    }

    /// Gives up its name, as [`SharedMemory::unlink`](crate::SharedMemory::unlink) does. Python: `shm.unlink`.
    ///
    /// # Errors
    ///
    /// [`Error::Named`] if that was done before, or if this handle has not given a name (`NotFound`).
    ///
    /// # Examples
    ///
    /// ```
    /// let name = format!("unlinked-list-{}", std::process::id());
    /// let list = multiprocess::ShareableList::create_named(&name, [1])?;
    /// list.unlink()?;
    /// assert!(multiprocess::ShareableList::blocking_open(&name).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn unlink(&self) -> Result<()> {
        match &self.name {
            Some(name) => name.unlink(),
            None => Err(Error::named("unlink", "", std::io::ErrorKind::NotFound)),
        }
    }

    fn item(&self, index: usize) -> Result<Slots> {
        let out = Error::OutOfRange { start: index, end: index.saturating_add(1), length: self.len() };
        self.items.get(index).copied().ok_or(out)
    }
}

fn encoded(item: &ListItem) -> Result<Vec<u8>> {
    let room = u32::MAX as usize;
    item.to_bytes().ok_or(match item {
        ListItem::Str(text) => Error::ItemTooLarge { size: text.len(), room },
        ListItem::Bytes(bytes) => Error::ItemTooLarge { size: bytes.len(), room },
        _ => Error::ItemTooLarge { size: WORD, room },
    })
}

/// Where so many items lie, each with so many words, and the bytes up to their end. Nothing if that is more than there can be.
fn places(count: usize, words: impl Fn(usize) -> Option<usize>) -> Option<(Vec<Slots>, usize)> {
    let mut next = TABLE.checked_add(count)?;
    let mut items = Vec::with_capacity(count);
    for index in 0..count {
        let words = words(index).filter(|words| *words >= 2)?;
        items.push(Slots { writer: WRITER, generation: next, words });
        next = words.checked_mul(2)?.checked_add(1)?.checked_add(next)?;
    }
    Some((items, next.checked_mul(WORD)?))
}

impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Result::ok)).finish()
    }
}

impl Serialize for ShareableList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fd::from(self.cells.memory()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ShareableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::attach(Fd::deserialize(deserializer)?.into()).map_err(D::Error::custom)
    }
}
